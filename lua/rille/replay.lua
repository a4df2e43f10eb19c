-- replay.lua: the states of a processor's own reducer, in memory, replayed from the log.
--
-- A reaction sees the state as of its event, neither older nor newer: `mark` is the position
-- up to which events are in the states, and goes forward only. Who has to go back begins anew.

local rille = require "rille"
local sandbox = require "rille.sandbox"
local states = require "rille.states"

---@class rille.replay
local Replay = {}
Replay.__index = Replay

local replay = {}

local function script_failure(message, event)
  return nil, ("%s (at position %d: %s in stream %s)"):format(message, event.position, event.type, event.stream),
    "script", { position = event.position }
end

---The keys that an event belongs to, as strings.
local function keys_of(definition, event)
  local key = definition.key
  if key == nil then return { "" } end
  if key == "stream" then return { event.stream } end
  local ok, value = sandbox.call(key, event)
  if not ok then return nil, value end
  local list = {}
  for i, one in ipairs(type(value) == "table" and value or { value }) do
    if type(one) ~= "string" and math.type(one) ~= "integer" then
      return nil, ("%s: key returned a %s: a key is a string or an integer"):format(definition.name, type(one))
    end
    list[i] = tostring(one)
  end
  return list
end

---The state of a key, or the first one it has; nil, message.
local function state_of(self, key)
  local state = self.states[key]
  if state ~= nil then return state end
  local ok, first = pcall(self.fresh, key)
  if not ok then return nil, ("%s: initial failed: %s"):format(self.definition.name, tostring(first)) end
  if first == nil then return nil, self.definition.name .. ": initial returned nothing" end
  return first
end

---Lets one handler change the state of one key.
local function apply(self, handler, event, key)
  local state, message = state_of(self, key)
  if state == nil then return nil, message end
  local ok, result = sandbox.call(handler, state, event, key)
  if not ok then return nil, result end
  if result == nil and type(state) ~= "table" then
    return nil, ("%s: the handler returned nothing, but the state is a %s: return the new one")
      :format(self.definition.name, type(state))
  end
  if result == rille.null then self.states[key] = nil
  elseif result ~= nil then self.states[key] = result
  else self.states[key] = state
  end
  return true
end

local function handle(self, event)
  local handler = self.handlers[event.type] or self.wildcard
  sandbox.seed(event.position)
  local keys, message = keys_of(self.definition, event)
  if not keys then return script_failure(message, event) end
  for _, key in ipairs(keys) do
    local done
    done, message = apply(self, handler, event, key)
    if not done then return script_failure(message, event) end
  end
  return true
end

---Applies the events up to a position.
---@return boolean? done, string message, string code, table detail
function Replay:advance(options)
  local definition, to = self.definition, options.to
  if to <= self.mark then return true end
  local query = { after = self.mark, before = to + 1 }
  if not definition.every then query.types = definition.types end
  if definition.every or #definition.types > 0 then
    for event in self.store:all(query) do
      local done, message, code, detail = handle(self, event)
      if not done then return nil, message, code, detail end
      self.mark = event.position
    end
  end
  self.mark = to
  return true
end

---An own copy of a key's state, or nil, message, code.
function Replay:get(key)
  local state, message = state_of(self, key)
  if state == nil then return nil, message, "script" end
  local bytes
  bytes, message = rille.encode(state)
  if bytes then return (rille.decode(bytes)) end
  return nil, ("%s: the state of key %q can't be kept: %s")
    :format(self.definition.name, key, message:gsub("^value", "state")), "script"
end

---@param definition table of rille.reducer
function replay.open(store, definition)
  local self = setmetatable({ store = store, definition = definition, mark = 0, states = {}, handlers = {},
    fresh = states.first_state(definition) }, Replay)
  for i, name in ipairs(definition.types) do self.handlers[name] = definition.handlers[i] end
  self.wildcard = definition.every and definition.handlers[#definition.types + 1] or nil
  return self
end

return replay
