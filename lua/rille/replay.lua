-- replay.lua: the states of a processor's own reducer, in memory, made of the log.
--
-- A reaction sees the state as of its event, neither older nor newer: `mark` is the position
-- up to which events are in the states, and goes forward only. Who has to go back begins anew,
-- and so does who has seen a handler fail: the states may hold half a change.

local core = ...
local rille = require "rille"
local states = require "rille.states"

---@class rille.replay
local Replay = {}
Replay.__index = Replay

local replay = {}

---Applies the events up to a position.
---@param options { to: integer }
---@return boolean? done, string message, string code, table detail
function Replay:advance(options)
  local to, pass = options.to, self.pass
  if to <= self.mark then return true end
  pass.after = self.mark
  local done, message, code, detail = core.project_run(self.store, { passes = { pass }, before = to + 1 })
  local failure = pass.failure
  if failure then return nil, failure.message, failure.code, failure.detail end
  if done == nil then return nil, message, code, detail end
  self.mark = to
  return true
end

---The state of a key, or the first one it has; nil, message.
local function state_of(self, key)
  local state = self.pass.states[key]
  if state ~= nil and state ~= rille.null then return state end
  local ok, first = pcall(self.pass.fresh, key)
  if not ok then return nil, ("%s: initial failed: %s"):format(self.name, tostring(first)) end
  if first == nil then return nil, self.name .. ": initial returned nothing" end
  return first
end

---An own copy of a key's state, or nil, message, code.
function Replay:get(key)
  local state, message = state_of(self, key)
  if state == nil then return nil, message, "script" end
  local bytes
  bytes, message = rille.encode(state)
  if bytes then return (rille.decode(bytes)) end
  return nil, ("%s: the state of key %q can't be kept: %s")
    :format(self.name, key, message:gsub("^value", "state")), "script"
end

---@param definition table of rille.reducer
function replay.open(store, definition)
  local pass = { definition = definition, states = {}, dirty = {}, find = function() end,
                 fresh = states.first_state(definition) }
  return setmetatable({ store = store, name = definition.name, mark = 0, pass = pass }, Replay)
end

return replay
