-- past.lua: states of the past, and which event made what of them.
--
-- All of it is replayed in memory, from the log's beginning: nothing is kept.

local core = ...
local rille = require "rille"
local event_of = require "rille.event"
local states = require "rille.states"

---@class rille.past
local past = {}

local Replay = {}
Replay.__index = Replay

local function fail(failure)
  error(setmetatable(failure, { __tostring = function(f) return f.message end }), 0)
end

---@param definition table of a reducer
---@param only? string the one key that counts
function past.replay(store, definition, only)
  return setmetatable({ store = store, definition = definition, only = only, mark = 0,
    states = {}, dirty = {}, fresh = states.first_state(definition) }, Replay)
end

---Applies the events behind the mark up to a position.
function Replay:to(position)
  local pass = { definition = self.definition, after = self.mark, states = self.states, dirty = self.dirty,
                 find = function() return nil end, fresh = self.fresh, only = self.only }
  local done, message, code, detail = core.project_run(self.store, { passes = { pass }, before = position + 1 })
  if done == nil then fail { message = message, code = code, detail = detail } end
  if pass.failure then fail(pass.failure) end
  self.mark = position
end

---An own copy of a key's state, or nil.
function Replay:get(key)
  local state = self.states[key]
  if state == nil or state == rille.null then return nil end
  local bytes, message = rille.encode(state)
  if not bytes then fail { message = message, code = "script" } end
  return (rille.decode(bytes))
end

---The keys that were touched, in byte order.
function Replay:touched()
  local keys = {}
  for key in pairs(self.dirty) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

---What became of the states from one position to another.
---@return fun(): string?, any, any  key, before, after
function past.diff(store, definition, from, to, only)
  local later = past.replay(store, definition, only)
  later:to(from)
  later.dirty = {}
  later:to(to)
  local earlier = past.replay(store, definition, only)
  earlier:to(from)
  local keys, i = later:touched(), 0
  return function()
    i = i + 1
    local key = keys[i]
    if key then return key, earlier:get(key), later:get(key) end
  end
end

---A query for the events that a reducer has an interest in, of a stream if one is named. The
---wildcard's are all but rille's own; of these, those that have a name.
function past.query_of(definition, stream)
  local types = { table.unpack(definition.types) }
  for name in pairs(definition.upcast or {}) do types[#types + 1] = name end
  local query = { { stream = stream, types = types } }
  if #types == 0 then query[1] = nil end
  if definition.every then query[#query + 1] = { stream = stream } end
  return query
end

---Each event that touched a key, with the state before and after it.
---@param anew? fun(): table gives the definition of a fresh load: one for each event
---@return fun(): table?, any, any  event, before, after
function past.why(store, definition, key, anew)
  local replay = past.replay(store, definition, key)
  local stream = definition.key == "stream" and key or nil
  local query = past.query_of(definition, stream)
  if #query == 0 or stream and event_of.name_fault("key", stream) then return function() end end
  local events = store:all(query)
  return function()
    while true do
      local event = events()
      if not event then return nil end
      local before = replay:get(key)
      replay.mark, replay.dirty = event.position - 1, {}
      if anew then replay.definition, replay.states[key] = anew(), before end
      replay:to(event.position)
      if next(replay.dirty) then return event, before, replay:get(key) end
    end
  end
end

return past
