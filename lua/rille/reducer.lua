-- reducer.lua: a reducer script, loaded and run: store:fold.
--
-- A reducer is a table { initial =, key =, on = { Type = function(state, event,
-- key) } }. What it has for which type is laid out once, as a list of types and
-- a list of handlers of the same order; then lfold.c runs the events through it.

local core = ...
local rille = require "rille"
local isolate = require "rille.isolate"
local sandbox = require "rille.sandbox"

---@class rille.reducer
local reducer = {}

local FIELDS = { initial = true, key = true, on = true }
local OPTIONS = { stream = true, key = true, at = true, version = true, params = true,
                  isolated = true, memory_bytes = true, instructions = true }
local WILDCARD = "*"

local function fail(message, code, detail) return nil, message, code or "script", detail end

---The name among `known` that is at most two letters from `word`.
local function unknown(what, word, known)
  for name in pairs(known) do
    if name:sub(1, 3) == tostring(word):sub(1, 3) then
      return ("unknown %s '%s' (did you mean '%s'?)"):format(what, tostring(word), name)
    end
  end
  return ("unknown %s '%s'"):format(what, tostring(word))
end

---What is wrong with a script's table, or nil.
local function fault(definition)
  for field in pairs(definition) do
    if not FIELDS[field] then return unknown("field of a reducer", field, FIELDS) end
  end
  if type(definition.on) ~= "table" then return "a reducer needs on = { Type = function }" end
  if definition.initial == nil then return "a reducer needs initial = a value, or function(key)" end
  local key = definition.key
  if key ~= nil and key ~= "stream" and type(key) ~= "function" then
    return 'key must be "stream" or a function, not ' .. type(key)
  end
  for name, handler in pairs(definition.on) do
    if type(name) ~= "string" then return "on has a key that is no type's name: " .. tostring(name) end
    if type(handler) ~= "function" then
      return ("on.%s must be a function, not %s"):format(name, type(handler))
    end
  end
end

---Types and their handlers in one order; the wildcard's comes last.
local function lay_out(on)
  local types, handlers = {}, {}
  for name in pairs(on) do
    if name ~= WILDCARD then types[#types + 1] = name end
  end
  table.sort(types)
  for i, name in ipairs(types) do handlers[i] = on[name] end
  handlers[#types + 1] = on[WILDCARD]
  return types, handlers, on[WILDCARD] ~= nil
end

---Loads a reducer. `read` is function(name) -> text, or nil for files.
---@return table? definition { initial, key, types, handlers, every, name }
---@return string? message
function reducer.load(name, read, params)
  local definition, message = sandbox.load(name, {
    read = read, params = params, rille = { null = rille.null, array = rille.array },
  })
  if not definition then return nil, message end
  local wrong = fault(definition)
  if wrong then return nil, ("%s: %s"):format(name, wrong) end
  local types, handlers, every = lay_out(definition.on)
  return { name = name, initial = definition.initial, key = definition.key,
           types = types, handlers = handlers, every = every }
end

---A state of its own for a key: tables are copied, functions asked.
local function fresh_state(definition)
  local initial = definition.initial
  if type(initial) == "function" then
    return function(key)
      local ok, state = sandbox.call(initial, key)
      if not ok then error(state, 0) end
      return state
    end
  end
  local bytes, message = rille.encode(initial)
  if not bytes then error(("%s: initial can't be a state: %s"):format(definition.name, message), 0) end
  return function() return rille.decode(bytes) end
end

---What to read for these options: nil, message where they do not fit the reducer.
local function plan(definition, options)
  local key = definition.key
  if key == nil then
    if options.key ~= nil then
      return nil, definition.name .. " has no key: it keeps one state, so key must not be given"
    end
    return { stream = options.stream }
  end
  local wanted = options.key
  if key == "stream" then
    wanted = wanted or options.stream
    if options.stream and wanted ~= options.stream then
      return nil, "stream and key differ, but the reducer's key is the stream"
    end
    if not wanted then return nil, definition.name .. " keeps a state for each stream: give stream" end
    return { stream = wanted, key = wanted }
  end
  if wanted == nil then
    return nil, definition.name .. " keeps a state for each key: give key"
  end
  return { stream = options.stream, key = tostring(wanted), key_of = key }
end

---Sets how far a pass over one stream goes. Its past is read as it was, whatever was
---truncated since.
---@return integer? version the stream's, or nil, message
local function set_stream_bounds(store, pass, options)
  local version = store:version(pass.stream)
  if options.version and options.version > version then
    return nil, ("version = %d is beyond the stream's, which is %d"):format(options.version, version)
  end
  pass.last_version = options.version
  if options.at then
    pass.within, pass.stream, pass.before = pass.stream, nil, options.at + 1
  end
  return options.version or version
end

---The bounds of the pass, the position it ends with, and for a stream the version that
---it has if no event of it is left to be read.
local function set_bounds(store, pass, options)
  local head, message, code = store:head()
  if not head then return fail(message, code) end
  local at = options.at or head
  if at > head then
    return fail(("at = %d is beyond the head, which is %d"):format(at, head), "invalid")
  end
  pass.at = at
  if pass.stream then
    local version
    version, message = set_stream_bounds(store, pass, options)
    if not version then return fail(message, "invalid") end
    return at, version
  end
  if options.version then return fail("version is of a stream: give stream", "invalid") end
  pass.before = at + 1
  return at
end

local function check_number(options, name)
  local value = options[name]
  if value ~= nil and (math.type(value) ~= "integer" or value < 0) then
    error(("%s must be an integer that is not negative"):format(name), 3)
  end
end

local function check_options(options)
  if type(options) ~= "table" then error("options must be a table", 3) end
  for name in pairs(options) do
    if not OPTIONS[name] then error(unknown("option", name, OPTIONS), 3) end
  end
  check_number(options, "at")
  check_number(options, "version")
  if options.stream ~= nil and type(options.stream) ~= "string" then
    error("stream must be a string, not " .. type(options.stream), 3)
  end
  if options.key ~= nil and type(options.key) ~= "string" and math.type(options.key) ~= "integer" then
    error("key must be a string or an integer, not " .. type(options.key), 3)
  end
end

---The first state, or nil, message.
local function first_state(definition, key)
  local ok, make = pcall(fresh_state, definition)
  if not ok then return nil, make end
  local made, state = pcall(make, key)
  if not made then return nil, ("%s: initial failed: %s"):format(definition.name, tostring(state)) end
  if state == nil then return nil, definition.name .. ": initial returned nothing" end
  return state, make
end

---The place at which a table stands that stands elsewhere, too; nil in a tree.
local function shared_place(value, place, seen)
  if type(value) ~= "table" then return nil end
  if seen[value] then return place end
  seen[value] = true
  for key, item in next, value do
    local found = shared_place(item, place .. "." .. tostring(key), seen)
    if found then return found end
  end
end

---Why a state can't be kept, or nil.
local function state_fault(state)
  if state == nil then return nil end
  local bytes, refusal = rille.encode(state)
  if not bytes then return (refusal:gsub("^value", "state")) end
  local place = shared_place(state, "state", {})
  return place and place .. " is a table that stands elsewhere, too: a state is a tree"
end

---@param store rille.store
---@param name string the script
---@param options? { stream: string, key: string|integer, at: integer, version: integer, params: table }
---@return any state, integer position, integer? version  | nil, message, code, detail
function reducer.fold(store, name, options)
  options = options or {}
  if type(name) ~= "string" then error("fold needs the name of a reducer script", 2) end
  check_options(options)
  if options.isolated then
    local limits, rest = isolate.split(options, 2)
    return isolate.call(store, limits, "rille.reducer", "fold", store, name, rest)
  end
  local head, message, code = store:head()
  if not head then return fail(message, code) end
  local definition
  definition, message = reducer.load(name, core.loader(store), options.params)
  if not definition then return fail(message) end
  local pass
  pass, message = plan(definition, options)
  if not pass then return fail(message, "invalid") end
  local position, last
  position, last, code = set_bounds(store, pass, options)
  if not position then return fail(last, code) end
  local state, make = first_state(definition, pass.key)
  if state == nil then return fail(make) end
  pass.types, pass.handlers, pass.every = definition.types, definition.handlers, definition.every
  pass.state, pass.fresh = state, make
  local result, version, failure, detail = core.fold_run(store, pass)
  if failure then return nil, version, failure, detail end
  core.budget_suspend() -- next and encode run no code of the script's
  local refusal = state_fault(result)
  if refusal then return fail(("%s: the state can't be kept: %s"):format(name, refusal)) end
  if pass.stream and version == 0 then version = last end
  return result, position, last and version
end

core.methods.fold = reducer.fold

return reducer
