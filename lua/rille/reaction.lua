-- reaction.lua: a processor's script: what it must look like, and one reaction of it.
--
-- A reaction is a function of an event and a state to a list of emitted events. Nothing is
-- written here: all that a handler emits is looked at and copied when it emits it, so that
-- what can't be written is refused at the script's line.

local rille = require "rille"
local options = require "rille.options"
local reducer = require "rille.reducer"
local sandbox = require "rille.sandbox"
local upcasting = require "rille.upcasting"

---@class rille.reaction
local reaction = {}

local EMITS_MOST = 10000 -- events of one reaction
local EMIT_MIB_MOST = 64 -- ... and what they take: as much as an append
local MIB = 1024 * 1024
local NAME_BYTES = 255   -- of streams and types
local ATTEMPTS = 5       -- where the script doesn't say
local WILDCARD = "*"
local FIELDS = { from = true, key = true, state = true, on = true, upcast = true, on_error = true,
                 attempts = true, redacted = true }
local ON_ERROR = { retry = true, skip = true, park = true, stop = true }
local EVENT = { type = true, data = true, tags = true, meta = true, id = true, time = true,
                position = true, version = true, stream = true, redacted = true }
local EMIT = { expect = true, delay = true, to = true }
local EXPECT = { none = true, exists = true, any = true }

-- What the script must return ---------------------------------------------------------------

local function fault_of_handlers(on)
  if type(on) ~= "table" then return "a processor needs on = { Type = function(event, ctx) }" end
  for name, handler in pairs(on) do
    if type(name) ~= "string" then return "on has a key that is no type's name: " .. tostring(name) end
    if name:find "^%$" then return ("on.%s: types that begin with \"$\" are rille's own"):format(name) end
    if type(handler) ~= "function" then return ("on.%s must be a function, not %s"):format(name, type(handler)) end
  end
end

---What is wrong with a script's table, or nil.
local function fault(value)
  for field in pairs(value) do
    if not FIELDS[field] then return options.unknown("field of a processor", field, FIELDS) end
  end
  local wrong = fault_of_handlers(value.on)
  if wrong then return wrong end
  local key, on_error, attempts = value.key, value.on_error, value.attempts
  if key ~= nil and key ~= "stream" and type(key) ~= "function" then
    return 'key must be "stream" or a function, not ' .. type(key)
  end
  if on_error ~= nil and not ON_ERROR[on_error] then
    return options.unknown("word for on_error", on_error, ON_ERROR)
  end
  if attempts ~= nil and (math.type(attempts) ~= "integer" or attempts < 1) then
    return "attempts must be an integer of at least 1"
  end
  if value.from ~= nil and type(value.from) ~= "table" then
    return "from must be an item of a query or a list of them, not " .. type(value.from)
  end
  if value.redacted ~= nil and type(value.redacted) ~= "boolean" then
    return "redacted must be a boolean, not " .. type(value.redacted)
  end
  return reducer.upcast_fault(value.upcast)
end

---The types that have a handler, or may become one that has, in order; nil: all.
local function types_of(on, upcast)
  if on[WILDCARD] then return nil end
  local types = {}
  for name in pairs(on) do types[#types + 1] = name end
  for name in pairs(upcast) do
    if not on[name] then types[#types + 1] = name end
  end
  table.sort(types)
  return types
end

---The types that an item of `from` names and that the script takes; nil: all.
local function narrowed(named, types, takes)
  if named == nil then return types end
  if type(named) == "string" then named = { named } end
  if types == nil then return named end
  local both = {}
  for _, name in ipairs(named) do
    if takes(name) then both[#both + 1] = name end
  end
  return both
end

---The query that finds the events, without bounds; nil: there is nothing to find.
local function query_of(from, on, upcast)
  local types, query = types_of(on, upcast), {}
  local function takes(name) return on[name] or upcast[name] end
  local list = from == nil and { {} } or #from > 0 and from or { from }
  for _, item in ipairs(list) do
    if type(item) ~= "table" then return nil, "an item of from must be a table, not " .. type(item) end
    local copy = {}
    for field, value in pairs(item) do copy[field] = value end
    copy.types = narrowed(item.types, types, takes)
    if next(copy) == nil then return {} end
    if not copy.types or #copy.types > 0 then query[#query + 1] = copy end
  end
  return #query > 0 and query or nil
end

---The reducer of its state, which has the processor's key, and upcasts as it does unless it
---says how itself.
local function define_state(value, name, files)
  local state = value.state
  if state == nil then return false end
  if type(state) ~= "table" then
    return nil, ("%s: state must be a reducer { initial =, on = }, not %s"):format(name, type(state))
  end
  if state.key ~= nil then return nil, name .. ": state has no key of its own: it is the processor's" end
  local copy = { key = value.key, upcast = value.upcast }
  for field, part in pairs(state) do copy[field] = part end
  return reducer.define(copy, name .. ": state", files)
end

---What a script returned, checked and laid out.
---@param files? table that it was loaded from
---@return table? definition, string message
function reaction.define(value, name, files)
  local wrong = fault(value)
  if wrong then return nil, ("%s: %s"):format(name, wrong) end
  local state, message = define_state(value, name, files)
  if state == nil then return nil, message end
  local on = {}
  for type_name, handler in pairs(value.on) do on[type_name] = handler end
  local query
  local upcast = reducer.own_upcast(value.upcast)
  query, wrong = query_of(value.from, on, upcast or {})
  if wrong then return nil, ("%s: %s"):format(name, wrong) end
  return { name = name, key = value.key, on = on, state = state, query = query, upcast = upcast,
           redacted = value.redacted or false,
           on_error = value.on_error or "stop", attempts = value.attempts or ATTEMPTS }
end

---A traceback without what rille has below the script.
local function tidy(traceback)
  if not traceback then return nil end
  return (traceback:gsub("\n%s+%[C%]: in [^\n]+\n%s+rille%.%l+:.*", ""))
end

---The handler of a type. rille's own types are nobody's by the wildcard.
local function handler_of(definition, name)
  return definition.on[name] or not name:find "^%$" and definition.on[WILDCARD] or nil
end

---What an event is to the script: the events that have handlers, one where it upcasts nothing.
---@return table[]? events, string? message, string? traceback
function reaction.view(definition, event)
  local events, message, traceback = upcasting.events(definition.upcast, event)
  if not events and traceback then return nil, message, tidy(traceback) end
  if not events then return nil, ("%s: %s"):format(definition.name, message) end
  local view = {}
  for _, one in ipairs(events) do
    if handler_of(definition, one.type) then view[#view + 1] = one end
  end
  return view
end

local function key_of(definition, event)
  local key = definition.key
  if key == nil then return true end
  if key == "stream" then return true, event.stream end
  sandbox.at(event.position)
  local ok, value, traceback = sandbox.traced(key, event)
  if not ok then return nil, value, traceback end
  if value == nil then return false end
  if type(value) ~= "string" and math.type(value) ~= "integer" then
    return nil, ("%s: key returned a %s: a processor's key is a string or an integer, or nil to skip the event")
      :format(definition.name, type(value))
  end
  if #tostring(value) > NAME_BYTES then
    return nil, ("%s: key returned %d bytes: a key has at most %d"):format(definition.name, #value, NAME_BYTES)
  end
  return true, tostring(value)
end

local function common_key(definition, view)
  local wanted, key = {}, nil
  for _, event in ipairs(view) do
    local has, its, traceback = key_of(definition, event)
    if has == nil then return nil, its, traceback end
    if has and wanted[1] and its ~= key then
      return nil, ("%s: upcast made events of different keys, %q and %q: a processor takes an event for one key")
        :format(definition.name, key, its)
    end
    if has then wanted[#wanted + 1], key = event, its end
  end
  for i = 1, math.max(#view, #wanted) do view[i] = wanted[i] end
  return #wanted > 0, key
end

---Calls f(...), where what is asked of the script for one event has one budget.
local function held(view, f, ...)
  if not view[2] then return f(...) end
  sandbox.hold(true)
  local results = table.pack(f(...))
  sandbox.hold(false)
  return table.unpack(results, 1, results.n)
end

---The one key of all that is in a view: a string, or nil where the processor has no key. What
---is to be skipped is taken out.
---@return boolean wanted, string? key  or nil, message, traceback
function reaction.key(definition, view)
  if view[1] then sandbox.seed(view[1].position) end
  return held(view, common_key, definition, view)
end

-- What it emits ----------------------------------------------------------------------------

local function refuse(message, ...) error(message:format(...), 0) end

local function check_name(name, what)
  if type(name) ~= "string" then refuse("emit: the %s must be a string, not %s", what, type(name)) end
  if #name == 0 or #name > NAME_BYTES then
    refuse("emit: the %s has %d bytes: it needs 1 to %d", what, #name, NAME_BYTES)
  end
  if name:find "^%$" then
    refuse("emit: the %s begins with \"$\": such names are rille's own", what)
  end
end

local function check_fields(given, known, what)
  for name in next, given do
    if not known[name] then refuse("emit: %s", options.unknown(what, name, known)) end
  end
end

---The fields of a script's table that may have metamethods, in one that has none. Called on the
---script's side, where they find what scripts find.
local function plain(given, known)
  if type(given) ~= "table" then return given end
  local copy = {}
  for name, value in pairs(given) do copy[name] = value end
  for name in next, known do
    if copy[name] == nil then copy[name] = given[name] end
  end
  return copy
end

local function plain_list(given)
  if type(given) ~= "table" then return given end
  local copy, many = {}, 0
  for name, value in pairs(given) do copy[name], many = value, many + 1 end
  if many == 0 then
    for i, value in ipairs(given) do copy[i] = value end
  end
  return copy
end

local function plain_event(given)
  local event = plain(given, EVENT)
  if type(event) ~= "table" then return event end
  event.tags, event.meta = plain_list(event.tags), plain_list(event.meta)
  return event
end

local function check_tags(tags)
  if tags == nil then return end
  local ok = type(tags) == "table"
  for _, tag in ipairs(ok and tags or {}) do ok = ok and type(tag) == "string" and #tag > 0 and #tag <= NAME_BYTES end
  if not ok then refuse "emit: tags must be a list of strings of 1 to 255 bytes" end
end

local function check_event(event)
  if type(event) ~= "table" then refuse("emit takes an event, a table, not a %s", type(event)) end
  check_fields(event, EVENT, "field of an event")
  check_name(event.type, "type")
  check_tags(event.tags)
  local id, time, meta = event.id, event.time, event.meta
  if id ~= nil and (type(id) ~= "string" or #id == 0 or #id > NAME_BYTES) then
    refuse "emit: id must be a string of 1 to 255 bytes"
  end
  if time ~= nil and (type(time) ~= "number" or not (time > 0 and time < 9e12)) then
    refuse "emit: time must be a number of seconds since 1970"
  end
  if meta ~= nil and (type(meta) ~= "table" or #meta > 0) then
    refuse "emit: meta must be a map: what caused the event is kept in it"
  end
end

local function check_how(how, event)
  if type(how) ~= "table" then refuse("emit: options must be a table, not %s", type(how)) end
  check_fields(how, EMIT, "option")
  local expect, delay = how.expect, how.delay
  if expect ~= nil and not EXPECT[expect] and (math.type(expect) ~= "integer" or expect < 0) then
    refuse "emit: expect must be a version, \"none\", \"exists\" or \"any\""
  end
  if delay == nil then return end
  if type(delay) ~= "number" or not (delay >= 0 and delay < 9e12) then
    refuse "emit: delay must be a number of seconds that is not negative"
  end
  if expect ~= nil then refuse "emit: a delayed event can't expect a version: look at it when it comes" end
  if event.id ~= nil then refuse "emit: a delayed event can't have an id: it is delivered once anyway" end
end

---Whether the store is known, and the reaction one that can be had exactly once.
local function check_place(run, event, how)
  if how.to ~= nil then
    local stores = run.elsewhere and run.elsewhere.stores or {}
    if type(how.to) ~= "string" then refuse("emit: to must be the name of a store, not %s", type(how.to)) end
    if not stores[how.to] then
      refuse("emit: %s: they are named in the option stores of the processor", options.unknown("store", how.to, stores))
    end
  end
  local leaves = run.leaves or how.to ~= nil
  local has_id, expects = run.has_id or event.id ~= nil, run.expects or how.expect ~= nil
  if leaves and has_id then
    refuse "emit: an event for another store gets its id from rille, and no other of the reaction can have one"
  end
  if leaves and expects and not run.elsewhere.coordinator then
    refuse("emit: a reaction that has an event for another store can expect a version only where a transaction"
      .. " does both: with the option coordinator of the processor")
  end
  run.leaves, run.has_id, run.expects = leaves, has_id, expects
end

---The emitted event as it will be written, or an error.
local function add(run, stream, event, how)
  if run.over then refuse "emit: the reaction is over" end
  check_name(stream, "stream")
  check_event(event)
  check_how(how, event)
  check_place(run, event, how)
  if #run.emits >= EMITS_MOST then refuse("emit: one reaction emits at most %d events", EMITS_MOST) end
  local bytes, message = rille.encode { type = event.type, data = event.data, tags = event.tags,
    meta = event.meta, id = event.id, time = event.time }
  if not bytes then refuse("emit: %s", (message:gsub("^value", "event"))) end
  run.emits.bytes = run.emits.bytes + #bytes
  if run.emits.bytes > EMIT_MIB_MOST * MIB then refuse("emit: one reaction emits at most %d MiB", EMIT_MIB_MOST) end
  run.emits[#run.emits + 1] = { stream = stream, event = rille.decode(bytes), expect = how.expect,
                                delay = how.delay, to = how.to }
end

---ctx:emit of one reaction. Errors name the script's line.
local function emitter(run)
  return function(ctx, stream, event, how)
    if type(ctx) ~= "table" then error("emit is a method: ctx:emit(stream, event)", 2) end
    event, how = plain_event(event), plain(how or {}, EMIT)
    local ok, message = pcall(sandbox.host, add, run, stream, event, how)
    if not ok then error(message, 2) end
  end
end

-- What the host provides -------------------------------------------------------------------

---Values cross as copies, so that neither side holds a table of the other's.
local function copies(what, ...)
  local values = table.pack(...)
  for i = 1, values.n do
    local kind = type(values[i])
    if kind ~= "nil" and kind ~= "boolean" and kind ~= "number" and kind ~= "string" then
      local bytes, message = rille.encode(values[i])
      if not bytes then refuse("%s %d can't be passed: %s", what, i, message) end
      values[i] = rille.decode(bytes)
    end
  end
  return table.unpack(values, 1, values.n)
end

local function cross(name, f, ...)
  return copies(("host.%s: result"):format(name), f(copies(("host.%s: argument"):format(name), ...)))
end

local function wrapped(name, f)
  return function(...)
    local results = table.pack(pcall(sandbox.host, cross, name, f, ...))
    if not results[1] then error(results[2], 2) end
    return table.unpack(results, 2, results.n)
  end
end

---What `ctx.host` is made of: functions are wrapped, everything else is copied.
function reaction.host(provide)
  local host = {}
  for name, value in pairs(provide) do
    host[name] = type(value) == "function" and wrapped(name, value) or copies("provide." .. name, value)
  end
  return host
end

-- One reaction -------------------------------------------------------------------------------

---How often handlers have caused each other, up to this event.
local function depth_of(event)
  local cause = type(event.meta) == "table" and event.meta["$cause"]
  local depth = type(cause) == "table" and cause.depth
  return math.type(depth) == "integer" and depth or 0
end

---ctx.random, or ctx:random. Errors name the script's line.
local function random(...)
  local ok, value
  if type((...)) == "table" then ok, value = pcall(sandbox.random, select(2, ...))
  else ok, value = pcall(sandbox.random, ...) end
  if not ok then error((tostring(value):gsub("to '[^']*'", "to 'random'")), 2) end
  return value
end

local function context(run, event, key, state, host)
  local own = {}
  for name, value in pairs(host) do own[name] = value end
  return {
    state = state, key = key, time = event.time, host = own, emit = emitter(run),
    random = random,
  }
end

---Gives the events to their handlers, until one fails: true, or false, message, traceback.
local function handle(definition, view, ctx)
  for _, event in ipairs(view) do
    sandbox.at(event.position)
    local ok, message, traceback = sandbox.traced(handler_of(definition, event.type), event, ctx)
    if not ok then return false, message, traceback end
  end
  return true
end

---Lets the script react to what an event is to it. `around` has what the processor was opened
---with: host, elsewhere.
---@param view table[] of reaction.view
---@return table? emits { stream, event, expect, delay, to }..., with depth, and bytes that they take
---@return string? message, string? traceback
function reaction.react(definition, view, key, state, around)
  local run = { emits = { depth = 0, bytes = 0 }, elsewhere = around.elsewhere }
  if not view[1] then return run.emits end
  local depth = depth_of(view[1])
  sandbox.seed(view[1].position)
  local ctx = context(run, view[1], key, state, around.host)
  local ok, message, traceback = held(view, handle, definition, view, ctx)
  run.over = true
  if not ok then return nil, message, tidy(traceback) end
  run.emits.depth = depth
  return run.emits
end

return reaction
