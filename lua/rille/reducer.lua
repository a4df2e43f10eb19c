-- reducer.lua: a reducer script, loaded and run: store:fold.
--
-- A reducer is a table { initial =, key =, on = { Type = function(state, event,
-- key) } }. What it has for which type is laid out once, as a list of types and
-- a list of handlers of the same order; then lfold.c runs the events through it.

local core = ...
local rille = require "rille"
local failure = require "rille.failure"
local handle = require "rille.handle"
local isolate = require "rille.isolate"
local ladder = require "rille.ladder"
local options_of = require "rille.options"
local sandbox = require "rille.sandbox"
local script = require "rille.script"

---@class rille.reducer
local reducer = {}

local FIELDS = { initial = true, key = true, on = true, upcast = true, redacted = true }
local OPTIONS = { stream = true, key = true, at = true, version = true, params = true,
                  isolated = true, memory_bytes = true, instructions = true }
local WILDCARD = "*"
local TRIES = 100 -- so often may others take content out of the log while it is folded

local function fail(message, code, detail) return nil, message, code or "script", detail end

---What is wrong with a script's upcast, or nil.
function reducer.upcast_fault(upcast)
  if upcast == nil then return nil end
  if type(upcast) ~= "table" then return "upcast must be { OldName = function }, not " .. type(upcast) end
  for name, old in next, upcast do
    if type(name) ~= "string" or name == "" or name == WILDCARD then
      return "upcast has a key that is no type's name: " .. tostring(name)
    end
    if type(old) ~= "function" then
      return ("upcast.%s must be a function, not %s"):format(name, type(old))
    end
  end
end

---What is wrong with a script's table, or nil.
local function fault(definition)
  for field in pairs(definition) do
    if not FIELDS[field] then return options_of.unknown("field of a reducer", field, FIELDS) end
  end
  if type(definition.on) ~= "table" then return "a reducer needs on = { Type = function }" end
  if definition.initial == nil then return "a reducer needs initial = a value, or function(key)" end
  if definition.initial == rille.null then return "initial is rille.null: it gives the first state" end
  if type(definition.initial) ~= "function" then
    local bytes, refusal = core.encode_state(definition.initial)
    if not bytes then return "initial can't be a state: " .. refusal end
  end
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
  if definition.redacted ~= nil and type(definition.redacted) ~= "boolean" then
    return "redacted must be a boolean, not " .. type(definition.redacted)
  end
  return reducer.upcast_fault(definition.upcast)
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

---A copy that the script can't change while it is read by; nil where there is nothing.
function reducer.own_upcast(upcast)
  if not upcast or next(upcast) == nil then return nil end
  local copy = {}
  for name, old in next, upcast do copy[name] = old end
  return copy
end

---What a script's table means.
---@param definition table what the script returned
---@param files? { name: string, text: string }[] that it was loaded from: they tell which fields
---  of the data its functions look at; without them all of the data is made for each
---@return table? definition { initial, key, types, handlers, every, upcast, picks, name }
---@return string? message
function reducer.define(definition, name, files)
  local wrong = fault(definition)
  if wrong then return nil, ("%s: %s"):format(name, wrong) end
  local types, handlers, every = lay_out(definition.on)
  return { name = name, initial = definition.initial, key = definition.key,
           types = types, handlers = handlers, every = every, redacted = definition.redacted or false,
           upcast = reducer.own_upcast(definition.upcast),
           picks = files and core.picks(handlers, definition.key, files) }
end

---Loads a reducer. `read` is function(name) -> text, or nil for files.
---@return table? definition, string? message, { name: string, text: string }[] files
function reducer.load(name, read, params)
  local definition, message, files = sandbox.load(name, {
    read = read, params = params, rille = { null = rille.null, array = rille.array },
  })
  if not definition then return nil, message end
  definition, message = sandbox.define(reducer.define, definition, name, files)
  return definition, message, files
end

---A function that makes the first state of a key: tables are copied, functions asked. It
---raises what is wrong.
function reducer.fresh(definition)
  local initial, name = definition.initial, definition.name
  if type(initial) ~= "function" then
    local bytes = core.encode_state(initial)
    return function() return (rille.decode(bytes)) end
  end
  return function(key)
    local ok, state = sandbox.call(initial, key)
    if not ok then error(state, 0) end
    if state == nil or state == rille.null then
      error(("%s: initial returned nothing: it gives the first state"):format(name), 0)
    end
    return state
  end
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
---@return integer? version the stream's, or nil, message, code
local function set_stream_bounds(store, pass, options)
  local version, message, code = store:version(pass.stream)
  if not version then return nil, message, code end
  if options.version and options.version > version then
    return nil, ("version = %d is beyond the stream's, which is %d"):format(options.version, version), "invalid"
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
    version, message, code = set_stream_bounds(store, pass, options)
    if not version then return fail(message, code) end
    return at, version
  end
  if options.version then return fail("version is of a stream: give stream", "invalid") end
  pass.before = at + 1
  return at
end

local function check_number(options, name)
  local value = options[name]
  if value ~= nil and math.type(value) ~= "integer" then
    error(("%s must be an integer that is not negative"):format(name), 4)
  end
end

local function check_options(options)
  options_of.check(options, OPTIONS, 3)
  options_of.check_limits(options, 3)
  check_number(options, "at")
  check_number(options, "version")
  if options.stream ~= nil and type(options.stream) ~= "string" then
    error("stream must be a string, not " .. type(options.stream), 3)
  end
  if options.key ~= nil and type(options.key) ~= "string" and math.type(options.key) ~= "integer" then
    error("key must be a string or an integer, not " .. type(options.key), 3)
  end
end

-- store:fold -----------------------------------------------------------------------------

---Another text once content has gone out of the log, or is not shown any more.
local function content(store)
  local form, message, code, detail = core.log_form(store)
  if not form then return nil, message, code, detail end
  local redacting
  redacting, message, code, detail = core.is_redacting(store)
  if redacting == nil then return nil, message, code, detail end
  return ("%s %d %s"):format(form, core.log_generation(store) or 0, redacting)
end

---Calls f(), which reads the log, until it has read what was there at one moment.
local function undisturbed(store, name, f)
  for _ = 1, TRIES do
    local before, message, code, detail = content(store)
    if not before then return nil, message, code, detail end
    local results = table.pack(f())
    local after
    after, message, code, detail = content(store)
    if not after then return nil, message, code, detail end
    if after == before then return table.unpack(results, 1, results.n) end
  end
  return nil, name .. ": others take content out of the log all the time", "busy"
end

---Whether a stream was truncated, so that what it reads is not all of its past.
local function is_cut(store, stream)
  local first = core.read(store, stream, { limit = 1, consistency = "eventual" })()
  return not first or first.version > 1
end

---The ladder to begin and to leave rungs on, if there is one for such a pass.
local function ladder_of(store, pass, options, identity)
  if pass.stream and is_cut(store, pass.stream) then return nil end
  local form, message, code, detail = core.log_form(store)
  if not form then error({ message = message, code = code, detail = detail }, 0) end
  local own = identity()
  if form ~= "" then own = script.identity({}, own .. form) end
  return ladder.scope(own, pass.stream or pass.within, options.key and tostring(options.key))
end

---Begins at the nearest rung.
local function begin(store, pass, scope)
  local state, position, version = ladder.nearest(store, scope, pass.at, pass.last_version)
  if state == nil then return nil end
  pass.state, pass.after = state, pass.stream and version or position
  return version
end

---Runs a pass from rung to rung. The version is that of the last event, if one was read.
---@return any state, integer version, nil, boolean touched  | nil, message, code, detail
local function climb(store, pass, scope, name)
  local rung = scope and begin(store, pass, scope)
  local reached, touched = rung or 0, rung ~= nil
  local steps = scope and ladder.climb(store, scope, name)
  while true do
    pass.most = steps and steps.spacing
    local state, version, position, done, was_touched = core.fold_run(store, pass)
    if type(position) == "string" then return nil, version, position, done end -- a failure
    core.budget_suspend() -- to encode a state runs no code of the script's
    reached, touched = version > 0 and version or reached, touched or was_touched
    if not done then steps:leave(position, version, state) end
    if done then
      if steps then steps:save() end
      return state, reached, nil, touched
    end
    pass.state, pass.after = state, pass.stream and version or position
  end
end

---Runs the events of a pass through its handlers. A state that can't be kept is found at the
---end; then all is run again, state by state, to name the event.
local function run(store, definition, pass, scope)
  local name = definition.name
  pass.fresh = reducer.fresh(definition)
  for attempt = 1, 2 do
    local made, state = pcall(pass.fresh, pass.key)
    if not made then return nil, ("%s: initial failed: %s"):format(name, tostring(state)), "script" end
    local bytes, refusal = core.encode_state(state)
    if not bytes then return fail(("%s: initial can't be kept: %s"):format(name, refusal)) end
    pass.state, pass.after, pass.check = nil, nil, attempt == 2
    local result, version, code, detail = climb(store, pass, attempt == 1 and scope or nil, name)
    if code then return nil, version, code, detail end
    if not detail then
      if pass.only_touched then state = nil end
      return state, version
    end
    if result ~= nil then bytes, refusal = core.encode_state(result) end
    if bytes then return result, version end
    if attempt == 2 then return fail(("%s: the state can't be kept: %s"):format(name, refusal)) end
  end
end

---Folds by a reducer that is loaded already; the options are checked.
---@param identity fun(): string of the script: asked where there may be rungs
---@param only_touched? boolean nil for a state that no event has reached, not the first one
---@return any state, integer position, integer? version  | nil, message, code, detail
function reducer.fold_by(store, definition, identity, options, only_touched)
  local pass, message = plan(definition, options)
  if not pass then return fail(message, "invalid") end
  local position, last, code = set_bounds(store, pass, options)
  if not position then return fail(last, code) end
  pass.types, pass.handlers, pass.every = definition.types, definition.handlers, definition.every
  pass.redacted = definition.redacted
  pass.upcast, pass.only_touched, pass.strong = definition.upcast, only_touched, true
  pass.picks = definition.picks
  local result, version, detail
  result, version, code, detail = undisturbed(store, definition.name, function()
    local scope, why, of, more = failure.returned(pcall(ladder_of, store, pass, options, identity))
    if of then return nil, why, of, more end
    return run(store, definition, pass, scope)
  end)
  if code then return nil, version, code, detail end
  if pass.stream and version == 0 then version = last end
  return result, position, last and version
end

---@param store rille.store
---@param name string the script
---@param options? { stream: string, key: string|integer, at: integer, version: integer, params: table }
---@return any state, integer position, integer? version  | nil, message, code, detail
function reducer.fold(store, name, options)
  options = options or {}
  if type(name) ~= "string" then error("fold needs the name of a reducer script", 2) end
  check_options(options)
  for _, n in ipairs { "at", "version" } do
    if options[n] and options[n] < 0 then return fail(n .. " must be an integer that is not negative", "invalid") end
  end
  if options.isolated then
    local limits, rest = isolate.split(options)
    return isolate.named(name, isolate.call(store, limits, "rille.reducer", "fold", store, name, rest))
  end
  local head, message, code = store:head()
  if not head then return fail(message, code) end
  local definition, files
  definition, message, files = reducer.load(name, core.loader(store), options.params)
  if not definition then return fail(message) end
  local function identity()
    return script.identity(files, options.params ~= nil and rille.encode(options.params) or nil)
  end
  return reducer.fold_by(store, definition, identity, options)
end

handle.store_method("fold", function(store, name, options) return reducer.fold(store, name, options) end)

return reducer
