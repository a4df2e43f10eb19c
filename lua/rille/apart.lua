-- apart.lua: projections and processors whose scripts run in an isolate.
--
-- The handle in the isolate is of the same kind as any, made by the same code; the one that
-- the program has passes each call on to it, with its arguments and results as copies. It is
-- made there by the first call, and again after a script was stopped: then whatever it had
-- in memory only is computed anew.
--
-- The store comes first in each call: what the isolate knows of the host's functions, such
-- as `load`, it knows by their places among the arguments.

local core = ...
local rille = require "rille"
local guard = require "rille.handle".guard
local isolate = require "rille.isolate"
local poll = require "rille.poll"

---@class rille.apart
local apart = {}

local CACHE_KEYS = 8192 -- states in one generation of a projection: memory is limited there
local PAGE_KEYS = 256   -- states that cross at a time

-- In the isolate -----------------------------------------------------------------------------

local handles = {}

local function open(store, kind, name, script, options, provide)
  local given = {}
  for field, value in pairs(options) do given[field] = value end
  given.provide = kind == "processor" and provide or nil
  return require("rille." .. kind).open(store, name, script, given)
end

---What an iterator raises is a result here: who raises it names its own caller. A page of large
---states has fewer.
---@return table? list, boolean|string is_last
local function page(handle, options)
  local list, cut = {}, false
  local ok, message = pcall(function()
    for key, state in handle:each(options) do
      list[#list + 1] = { key, state }
      cut = core.has_grown()
      if cut then return end
    end
  end)
  if ok then return list, not cut and #list < options.limit end
  return nil, (tostring(message):gsub("^rille%.apart:%d+: ", "")), "script"
end

---Runs a method of the handle of these arguments there.
function apart.serve(store, kind, name, script, options, provide, method, ...)
  local id = string.pack("s4s4s4s4", kind, name, script, rille.encode(options))
  local handle = handles[id]
  if not handle then
    local message, code, detail
    handle, message, code, detail = open(store, kind, name, script, options, provide)
    if not handle then return nil, message, code, detail end
    handles[id] = handle
  elseif kind == "processor" then
    handle:provide(provide)
  end
  if method == "open" then return true end
  if method == "page" then return page(handle, ...) end
  if method == "close" then handles[id] = nil end
  return handle[method](handle, ...)
end

-- In the host ----------------------------------------------------------------------------------

local Apart = {}

local function pass_on(self, method, ...)
  if self.closed then return nil, ("the %s is closed"):format(self.kind), "closed" end
  return isolate.named(self.script, isolate.call(self.store, self.limits, "rille.apart", "serve", self.store,
    self.kind, self.name, self.script, self.options, self.provided, method, ...))
end

---Raises what is wrong with the arguments of a method here, in the name of who called it.
local function check(self, name, ...)
  local of_method = require("rille." .. self.kind).checks[name]
  if not of_method then return end
  local ok, message = pcall(of_method, ...)
  if not ok then error(message, 3) end
end

local function method_of(name)
  return function(self, ...)
    check(self, name, ...)
    return pass_on(self, name, ...)
  end
end

---key, state by pages: each is of the moment at which it is fetched.
local function each(self, options)
  check(self, "each", options)
  local asked, list, is_last, i = {}, nil, nil, 0
  for name, value in pairs(options or {}) do asked[name] = value end
  local left = asked.limit or math.maxinteger
  return function()
    if list and i == #list and is_last or left <= 0 then return nil end
    if not list or i == #list then
      asked.limit = math.min(left, PAGE_KEYS)
      list, is_last = pass_on(self, "page", asked)
      if not list then error(is_last, 2) end -- the message
      i = 0
    end
    i = i + 1
    local found = list[i]
    if not found then return nil end
    left, asked.after = left - 1, found[1]
    return found[1], found[2]
  end
end

local function close(self)
  if self.closed then return true end
  local _, _, reason = self.store:head()
  if self.kind == "projection" and reason ~= "closed" then pass_on(self, "close") end
  self.closed = true
  poll.forget(self.store, self)
  return true
end

local function text(self)
  return ("rille %s %s (%s)"):format(self.kind, self.name, self.closed and "closed" or "isolated")
end

local METHODS = {
  projection = { "get", "mark", "lag", "update", "rebuild", "run" },
  processor = { "mark", "parked", "retry", "run" },
}
for kind, names in pairs(METHODS) do
  local class = { close = close, __close = close, __tostring = text, __name = "rille." .. kind }
  class.__index = class
  for _, name in ipairs(names) do class[name] = method_of(name) end
  Apart[kind] = class
end
Apart.projection.each = each

guard(Apart.projection, "rille.projection", { "get", "each", "mark", "lag", "update", "rebuild", "close" })
guard(Apart.processor, "rille.processor", { "run", "mark", "parked", "retry", "close" })

---@param kind string "projection" or "processor"
---@param options table with isolated = true, and limits
---@return table? handle, string message, string code, table detail
function apart.open(store, kind, name, script, options)
  local limits, rest = isolate.split(options)
  local provided = rest.provide
  rest.provide = nil
  if kind == "projection" then rest.cache = rest.cache or CACHE_KEYS end
  local self = setmetatable({ store = store, kind = kind, name = name, script = script, limits = limits,
    options = rest, provided = provided }, Apart[kind])
  local opened, message, code, detail = pass_on(self, "open")
  if not opened then return nil, message, code, detail end
  poll.register(store, self)
  return self
end

return apart
