-- script.lua: a script that is in use, watched for changes.
--
-- A watcher holds what a script defines, and its identity: a SHA-256 of the tokens of
-- the script and of those it requires, of its parameters and of the kind of Lua. A
-- changed comment or a moved folder changes no identity; an edit that is taken back
-- has the old one again. (A state that keeps the text of an error with its line is the
-- one thing that a comment can change.)
--
-- refresh looks at what the last attempt to load read, and at nothing else; where
-- nothing of that has changed, nothing is loaded:
--
--   files             a stamp of each: size, inode, times
--   the option load   its texts, asked for again
--
-- What is absent counts as well: a neighbour that was missing may appear.
--
-- Invariants. `definition` and `identity` belong together and change together, once a
-- load has succeeded as a whole. A text runs only when its file has rested for
-- SETTLE_SECONDS and had one stamp before and after it was read: a file that somebody
-- is still writing never runs. Since the clocks of file systems tick more often than
-- that, a later change gives another stamp.

local core = ...
local rille = require "rille"
local sandbox = require "rille.sandbox"

---@class rille.script
local script = {}

---@class rille.watcher
---@field definition any what `define` made of the script's value
---@field identity string 32 bytes
---@field fault string? why the script as it is now can't be taken; nil: it is what runs
local Watcher = {}
Watcher.__index = Watcher

local SETTLE_SECONDS = 0.02
local PATIENCE_SECONDS = 0.05 -- of one load, for all its files
local MILLISECONDS = 1000
local OPTIONS = { params = true, define = true }

-- Reading ---------------------------------------------------------------------

---Waits until the file has rested, as far as the attempt's patience goes.
---@return string|false|nil stamp false: there is no such file; nil: it has not rested
local function settled_stamp(attempt, name)
  local stamp, age = core.file_stamp(name)
  while stamp and age >= 0 and age < SETTLE_SECONDS do
    local rest = SETTLE_SECONDS - age
    if attempt.patience < rest then return nil end
    attempt.patience = attempt.patience - rest
    core.pause(rest)
    stamp, age = core.file_stamp(name)
  end
  return stamp or false
end

---Reads a file for an attempt, and notes what it was. One that changes meanwhile is read
---again once it has rested.
local function read_file(attempt, name)
  local stamp, text, message
  repeat
    stamp = settled_stamp(attempt, name)
    if stamp == nil then
      attempt.unsettled = name
      return nil, "it is still being written"
    end
    text, message = sandbox.read_file(name)
  until stamp == (core.file_stamp(name) or false)
  attempt.seen[name] = stamp
  return text, message
end

---Asks the host's function for a text, and notes what it said.
local function read_host(attempt, name)
  local ok, text, message = pcall(attempt.load, name)
  if not ok then text, message = nil, text end
  attempt.seen[name] = type(text) == "string" and text or false
  return text, message
end

---Whether something that was read is no longer what it was.
local function has_changed(seen, load)
  for name, was in pairs(seen) do
    local is
    if load then
      local ok, text = pcall(load, name)
      is = ok and type(text) == "string" and text
    else
      is = core.file_stamp(name) or false
    end
    if is ~= was then return true end
  end
  return false
end

-- Loading ---------------------------------------------------------------------

---Files as an identity knows them: the script has no name, a neighbour has that by which
---it is required.
local function nameless(files)
  local list = {}
  for i, file in ipairs(files) do
    local name = i > 1 and (file.name:match "([^/\\]+)%.lua$" or file.name) or ""
    list[i] = { name = name, text = file.text }
  end
  return list
end

---The identity of a script.
---@param files { name: string, text: string }[] as they were read, the script first
---@param params string? its parameters, encoded
function script.identity(files, params) return core.script_identity(nameless(files), params) end

---One attempt to load the script anew. It changes nothing of the watcher.
---@return { seen: table, unsettled: string?, definition: any, identity: string?, fault: string? }
local function try(watcher, patience)
  local attempt = { seen = {}, patience = patience, load = watcher.load }
  local read = attempt.load and read_host or read_file
  local value, message, files = sandbox.load(watcher.name, {
    read = function(name) return read(attempt, name) end,
    params = watcher.params and rille.decode(watcher.params),
    rille = { null = rille.null, array = rille.array },
  })
  if attempt.unsettled then return attempt end
  if value then attempt.definition, message = sandbox.define(watcher.define, value, watcher.name, files) end
  if attempt.definition == nil then
    attempt.fault = message or watcher.name .. ": it defines nothing"
  else
    attempt.identity = script.identity(files, watcher.params)
  end
  return attempt
end

local function take(watcher, attempt)
  watcher.seen, watcher.fault = attempt.seen, attempt.fault
  if attempt.fault then return end
  watcher.definition, watcher.identity = attempt.definition, attempt.identity
end

---Takes up what has changed since. A script that can't be taken leaves the one before.
---@param ms? number the longest it may wait for a file to rest; default: as long as that takes
---@return boolean changed the identity is another one
---@return string? message what is wrong with the changed script, once for each change
function Watcher:refresh(ms)
  if not has_changed(self.seen, self.load) then return false end
  local attempt = try(self, ms and ms / MILLISECONDS or PATIENCE_SECONDS)
  if attempt.unsettled then return false end
  if attempt.fault and attempt.fault:find("not enough memory", 1, true) then
    return false, attempt.fault -- that is not the script's: it is tried again
  end
  local before = self.identity
  take(self, attempt)
  return self.identity ~= before, attempt.fault
end

-- Opening ---------------------------------------------------------------------

local function check_options(options)
  if type(options) ~= "table" then error("options must be a table", 3) end
  for name in pairs(options) do
    if not OPTIONS[name] then
      error(("unknown option '%s' (there are params and define)"):format(tostring(name)), 3)
    end
  end
  if type(options.define) ~= "function" then error("define must be a function", 3) end
end

---Loads the script `name` and watches it. `define` makes of the script's value what is
---wanted, or says what is wrong with it: nil, message.
---@param store rille.store
---@param name string
---@param options { params?: any, define: fun(value: table, name: string, files: table): any, string? }
---@return rille.watcher? watcher
---@return string? message
---@return string? code "script"; "invalid": params are no plain data; "busy": files keep changing
function script.open(store, name, options)
  if type(name) ~= "string" then error("the name of a script is a string, not " .. type(name), 2) end
  check_options(options)
  local params, message
  if options.params ~= nil then
    params, message = rille.encode(options.params)
    if not params then return nil, ("%s: params: %s"):format(name, message), "invalid" end
  end
  local watcher = setmetatable({
    name = name, params = params, define = options.define, load = core.loader(store),
  }, Watcher)
  local attempt = try(watcher, PATIENCE_SECONDS)
  if attempt.unsettled then
    return nil, attempt.unsettled .. ": somebody is writing it; open it again once that is done", "busy"
  end
  if attempt.fault then return nil, attempt.fault, "script" end
  take(watcher, attempt)
  return watcher
end

return script
