-- rehearsal.lua: a reducer's run with care: each event in a fresh load of the script, with
-- the state encoded and decoded in between.
--
-- A plain fold loads the script once and keeps the state as it is. So a counter in an
-- upvalue goes on counting, and one table in two places stays one: what a projection,
-- which may be closed after any event, has not. Where the two runs differ the script
-- keeps something outside the state, and the first event that shows it is told.

local core = ...
local rille = require "rille"
local difference = require "rille.difference"
local reducer = require "rille.reducer"
local sandbox = require "rille.sandbox"

---@class rille.rehearsal
local rehearsal = {}

---Whether the script's key is the stream.
function rehearsal.by_stream(store, name, params)
  local definition = reducer.load(name, core.loader(store), params)
  return definition ~= nil and definition.key == "stream"
end

---A state as bytes; false: the key was removed. nil, message where it can't be kept.
local function pack(state)
  if state == nil then return false end
  local bytes, message = rille.encode(state)
  if bytes then return bytes end
  return nil, (message:gsub("^value", "state"))
end

local function unpack_state(bytes)
  if bytes then return (rille.decode(bytes)) end
end

local function first_state(definition, key)
  if type(definition.initial) ~= "function" then return unpack_state(pack(definition.initial)) end
  local ok, state = sandbox.call(definition.initial, key)
  if not ok then error(state, 0) end
  return state
end

---A key function that lets through one event alone; the others are not even asked for.
local function only_at(position, definition, key)
  local key_of = definition.key
  return function(event)
    if event.position ~= position then return nil end
    if type(key_of) == "function" then return key_of(event) end
    return key_of == "stream" and event.stream or key
  end
end

---The handlers; without a key they get none.
local function handlers_of(definition)
  if definition.key then return definition.handlers end
  local handlers = {}
  for i, handler in ipairs(definition.handlers) do
    handlers[i] = function(state, event) return handler(state, event) end
  end
  return handlers
end

---The state, as bytes, after one event, in a fresh load. nil, message where it fails.
local function step(store, script, before, position)
  local definition, message = reducer.load(script.name, core.loader(store), script.params)
  if not definition then return nil, message end
  local key = definition.key and script.key or ""
  local function fresh() return first_state(definition, definition.key and key or nil) end
  local start = before
  if before == nil then start = assert(pack(fresh())) end
  local state, failure, code = core.fold_run(store, {
    before = position + 1, types = definition.types, every = definition.every,
    handlers = handlers_of(definition), state = unpack_state(start), fresh = fresh,
    key = key, key_of = only_at(position, definition, key),
  })
  if state == nil and type(code) == "string" then return nil, failure end
  return pack(state)
end

---The message with the event that it is about, where it has none yet.
local function told(event, message)
  if message:find "%(at position %d+: [^\n]*%)" then return message end
  return ("%s (at position %d: %s in stream %s)"):format(message, event.position, event.type, event.stream)
end

local ADVICE = "the script keeps something outside the state, or one table in two places of it"

---The events of a store, one by one.
---@return string? fault nil where both runs come to the same states
function rehearsal.compare(store, name, key, params)
  local script = { name = name, key = key and tostring(key), params = params }
  local bytes
  for event in store:all() do
    local message, plain, position
    bytes, message = step(store, script, bytes, event.position)
    if bytes == nil then return told(event, message) end
    plain, position = store:fold(name, { key = key, params = params, at = event.position })
    if plain == nil and type(position) == "string" then return told(event, position) end
    if pack(plain) ~= bytes then
      local text = difference.between(plain, unpack_state(bytes), "state")
      return told(event, "run afresh for each event, it makes another state: " .. ADVICE) .. "\n"
        .. (text or "")
    end
  end
end

return rehearsal
