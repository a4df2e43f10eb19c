-- temporary.lua: stores for tests: nothing is flushed, nothing runs beside the test, the
-- clock stands until it is told to go, and the folder goes with the store.
--
-- Invariant: a folder that was made here is removed when its store is closed, or when it
-- is collected, which the end of the program is, too.

local core = ...
local rille = require "rille"
local handle = require "rille.handle"

---@class rille.temporary
local temporary = {}

local START = 1000000000 -- seconds: where the clock stands at first: 9 September 2001
local OPEN_MOST = 16     -- stores that may wait for their collection

-- The clock -----------------------------------------------------------------------------

---@class rille.clock
local clock = { seconds = START }

local function check_seconds(seconds, least)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < least then
    error(("a clock needs a number of seconds, at least %d"):format(least), 3)
  end
end

function clock:now() return self.seconds end

---@param seconds number since 1970
function clock:set(seconds)
  check_seconds(seconds, 1)
  self.seconds = seconds
end

function clock:advance(seconds)
  check_seconds(seconds, 0)
  self.seconds = self.seconds + seconds
end

function clock:reset() self.seconds = START end

temporary.clock = clock

-- The stores ----------------------------------------------------------------------------

local homes = setmetatable({}, { __mode = "k" }) -- store -> home
local open_count = 0
local close = core.methods.close

---The folder of a store: { store =, path = }.
local Home = {}
Home.__index = Home

function Home:remove()
  if not self.path then return end
  os.execute(("rm -rf '%s' '%s.rille'"):format(self.path, self.path))
  self.path = nil
  open_count = open_count - 1
end

function Home:__gc()
  close(self.store)
  self:remove()
end

local function close_and_remove(store)
  local home = homes[store]
  local closed, message, code = close(store)
  if home then home:remove() end
  return closed, message, code
end

handle.store_method("close", close_and_remove)

---@param options? table as for rille.open
---@return rille.store
function temporary.open(options)
  if open_count >= OPEN_MOST then collectgarbage() end
  local with = { sync = "never", background = false, clock = function() return clock.seconds end }
  for name, value in pairs(options or {}) do with[name] = value end
  local path = os.tmpname() -- a file, which keeps the name for this program
  local ok, store, message = pcall(rille.open, path .. ".rille", with)
  if not ok or not store then
    os.remove(path)
    error(ok and message or store, 2)
  end
  open_count = open_count + 1
  homes[store] = setmetatable({ store = store, path = path }, Home)
  return store
end

return temporary
