-- decider.lua: store:decide: a script reads, decides, and what it decided is appended
-- only if all that it read still holds.
--
-- A decider is a table { decide = function(command, ctx) }. It reads through ctx, and
-- each read leaves behind the condition under which it may be relied upon:
--
--   a stream's state            its version, expected again
--   any other state             no later event of the types that the reducer handles
--   the events of a query       no later event that the query would have found
--
-- "Later" is after the head that was taken before the first read, so that nothing
-- falls between. Where a condition fails the script is run again, on what there is by
-- then: who writes a decider names no versions.
--
-- Invariant: what is answered, a refusal and an error included, followed from a state
-- that the store was in at one moment. Reads that are no stream's end at the head; where
-- a stream has gone on meanwhile, the conditions are checked before a refusal is believed.

local core = ...
local rille = require "rille"
local failure = require "rille.failure"
local handle = require "rille.handle"
local options_of = require "rille.options"
local reducer = require "rille.reducer"
local sandbox = require "rille.sandbox"

---@class rille.decider
local decider = {}

local ATTEMPTS = 10         -- of a decision, where the options do not say
local PATIENCE_SECONDS = 1  -- for an event that is written, but not yet to be seen
local PAUSE_SECONDS = 1e-3  -- the longest before the third attempt; before each later one twice as long
local PAUSE_MOST = 0.05     -- and not longer
local FAR = 1000000000000000 -- a position that does not come

local FIELDS = { decide = true }
local OPTIONS = { attempts = true, params = true, wait = true }
local STATE_OPTIONS = { key = true, stream = true, params = true }
-- What in a query bounds the answer, and does not say which events are meant.
local BOUNDS = { after = true, before = true, limit = true, reverse = true }

-- Loading -----------------------------------------------------------------------------

---The script's function, or nil, message.
local function load_script(store, name, params)
  local script, message = sandbox.load(name, {
    read = core.loader(store), params = params, rille = { null = rille.null, array = rille.array },
  })
  if not script then return nil, message end
  for field in next, script do
    if not FIELDS[field] then
      return nil, ("%s: %s"):format(name, options_of.unknown("field of a decider", field, FIELDS))
    end
  end
  local decide = rawget(script, "decide")
  if type(decide) == "function" then return decide end
  return nil, ("%s: a decider needs decide = function(command, ctx), not %s"):format(name, type(decide))
end

---The name of a script that a decider names: of the one beside it, if there is one;
---else as store:fold takes it.
local function locate(run, name)
  local folder = run.name:match "^.*[/\\]"
  if not folder or name:find "^[/\\]" or name:find "^%a:" then return name end
  local found, text = pcall(core.loader(run.store) or sandbox.read_file, folder .. name)
  return found and type(text) == "string" and folder .. name or name
end

-- Reading -----------------------------------------------------------------------------

---Ends the script's call; what it makes of the error does not matter.
local function give_up(run, message, code, detail)
  run.failure = run.failure or { message = message, code = code, detail = detail }
  error(message, 0)
end

---Remembers that nothing may have come after the head that `item` matches.
local function refuse_later(run, item)
  local bytes = assert(rille.encode(item))
  if run.known[bytes] then return end
  run.known[bytes] = true
  local copy = rille.decode(bytes)
  copy.after = run.head
  run.unless[#run.unless + 1] = copy
end

local function expect_version(run, stream, version)
  if run.versions[stream] then return end
  run.versions[stream] = version
  run.checks[#run.checks + 1] = { stream = stream, expect = version }
end

---The condition of a state that is no stream's. Types that begin with "$" are found
---only by their names.
local function refuse_later_handled(run, definition)
  local types = {}
  local function add(name)
    if name ~= "*" and (not definition.every or name:sub(1, 1) == "$") then types[#types + 1] = name end
  end
  for _, name in ipairs(definition.types) do add(name) end
  for name in next, definition.upcast or {} do add(name) end
  table.sort(types)
  if definition.every then refuse_later(run, {}) end
  if #types > 0 then refuse_later(run, { types = types }) end
end

local function check_state_options(options)
  if type(options) ~= "table" then error("ctx:state: options must be a table, not " .. type(options), 0) end
  local plain = {}
  for name, value in next, options do
    if not STATE_OPTIONS[name] then error(options_of.unknown("option of ctx:state", name, STATE_OPTIONS), 0) end
    plain[name] = value
  end
  return plain
end

---ctx:state(script, { key =, stream =, params = }) -> state
local function read_state(run, name, options)
  if type(name) ~= "string" then error("ctx:state needs the name of a reducer script", 0) end
  options = check_state_options(options or {})
  local file = locate(run, name)
  local definition, message = reducer.load(file, core.loader(run.store), options.params)
  if not definition then give_up(run, message, "script") end
  local stream = options.stream or (definition.key == "stream" and options.key) or nil
  if not stream then options.at = run.head end
  local state, position, version, detail = run.store:fold(file, options)
  if state == nil and type(position) == "string" then give_up(run, position, version, detail) end
  if stream then expect_version(run, stream, version) else refuse_later_handled(run, definition) end
  return state
end

---The items of a query without its bounds; those of an item begin where the query does.
local function items_of(query)
  local list, single = {}, {}
  for name, value in next, query do
    if math.type(name) ~= "integer" and not BOUNDS[name] then single[name] = value end
  end
  if next(single) ~= nil or #query == 0 then return { single } end
  for i, entry in ipairs(query) do
    list[i] = {}
    for name, value in next, entry do
      if not BOUNDS[name] then list[i][name] = value end
    end
  end
  return list
end

---Lets `for event in list` go over the list, too, as over what store:all gives.
local function iterable(list)
  local follower = {}
  for i, event in ipairs(list) do follower[event] = list[i + 1] end
  return setmetatable(list, {
    __metatable = false,
    __call = function(_, _, last)
      if last == nil then return list[1] end
      return follower[last]
    end,
  })
end

---ctx:all(query) -> the events, as a list that `for event in` goes over, too
local function read_events(run, query)
  if type(query) ~= "table" then error("ctx:all needs a query, not " .. type(query), 0) end
  if rawget(query, "explain") ~= nil then error("ctx:all has no option 'explain'", 0) end
  local bounded = {}
  for name, value in next, query do bounded[name] = value end
  local past = math.type(bounded.before) == "integer" and bounded.before <= run.head + 1
  if bounded.before == nil then bounded.before = run.head + 1 end
  local list = {}
  local _, message, code, detail = failure.returned(pcall(function()
    for event in core.all(run.store, bounded) do list[#list + 1] = event end
  end))
  if code then give_up(run, message, code, detail) end
  if not past then
    for _, item in ipairs(items_of(query)) do refuse_later(run, item) end
  end
  return iterable(list)
end

---A method of ctx: `read` on the host's side. What is wrong with its arguments names the script's line.
local function method(run, ctx, name, read)
  return function(self, ...)
    if self ~= ctx then error(("it is ctx:%s(...), with a colon"):format(name), 2) end
    if run.over then error("ctx is valid only during the call of decide", 2) end
    run.reads = run.reads + 1
    local ok, result = pcall(sandbox.host, read, run, ...)
    if not ok then error(tostring(result):gsub("^rille%.decider:%d+: ", ""), 2) end
    sandbox.seed(run.head + run.reads * 4294967296) -- a read may have run a reducer
    return result
  end
end

---A pass of the decider: what it reads, and on which condition.
local function begin(store, name, head)
  return { store = store, name = name, head = head, reads = 0,
           known = {}, unless = {}, versions = {}, checks = {} }
end

-- Deciding ----------------------------------------------------------------------------

---The parts of the append that the script wants, as a list of their own; or nil, message.
local function parts_of(answer)
  if type(answer) ~= "table" then
    return nil, "decide must return the parts of an append, or nil and a reason, not " .. type(answer)
  end
  if rawget(answer, "stream") ~= nil then answer = { answer } end
  local parts = {}
  for key in next, answer do
    if key == "unless" or key == "mark" or key == "wait" then
      return nil, ("decide returned '%s': what it has read is the condition"):format(key)
    elseif math.type(key) ~= "integer" then
      return nil, "decide returned a table that is no list of { stream =, events = }: it has the field "
        .. tostring(key)
    end
  end
  for i = 1, rawlen(answer) do parts[i] = rawget(answer, i) end
  return parts
end

---What a decider says when it refuses: nil, reason, "refused", detail.
local function refusal(name, reason, detail)
  if type(reason) == "table" then reason, detail = rawget(reason, "message"), reason end
  if detail ~= nil then
    local bytes, fault = rille.encode(detail)
    if not bytes then return nil, ("%s: the reason can't be given: %s"):format(name, fault), "script" end
    detail = rille.decode(bytes)
  end
  if reason == nil and detail == nil then
    return nil, name .. ": decide returned nothing: it must return parts ({} for none), or nil and a reason",
      "script"
  end
  return nil, reason ~= nil and tostring(reason) or name .. " refused", "refused", detail
end

---Appends parts under the conditions of the run.
local function append(run, parts, wait)
  local whole = { unless = run.unless[1] and run.unless, wait = wait, table.unpack(run.checks) }
  for _, part in ipairs(parts) do whole[#whole + 1] = part end
  local ok, result, message, code, detail = pcall(run.store.append, run.store, whole)
  if ok and code == "invalid" then message = ("%s: what decide returned: %s"):format(run.name, message) end
  if ok then return result, message, code, detail end
  if result == "not enough memory" then error(result, 0) end
  return nil, ("%s: what decide returned: %s"):format(run.name, result), "script"
end

---Whether an answer that appends nothing is to be believed: one read is of one moment.
local function holds(run)
  if run.reads < 2 or run.store:head() == run.head then return true end
  local _, _, code, detail = append(run, {})
  return code ~= "conflict", detail
end

---Runs the script once.
---@return table? result, string? message, string? code, table? detail
local function attempt(run, decide, command, options, time)
  local ctx = { time = time }
  ctx.state = method(run, ctx, "state", read_state)
  ctx.all = method(run, ctx, "all", read_events)
  sandbox.seed(run.head)
  local ok, answer, reason, detail = sandbox.call(decide, command and rille.decode(command), ctx)
  run.over = true
  local parts, fault
  if ok and answer and not run.failure then
    parts, fault = parts_of(answer)
    if parts then return append(run, parts, options.wait) end
  end
  local believed, conflict = holds(run)
  if not believed then return nil, run.name .. ": what it read has changed", "conflict", conflict end
  local given_up = run.failure
  if given_up then return nil, given_up.message, given_up.code, given_up.detail end
  if not ok then return nil, answer, "script" end
  if fault then return nil, ("%s: %s"):format(run.name, fault), "script" end
  return refusal(run.name, reason, detail)
end

---Waits for what a conflict told of, where it is not yet to be seen: events are
---shown when they are as safe as the handle's sync makes them.
local function catch_up(store, detail)
  local position = detail and detail.position
  if detail and detail.stream and detail.version and store:version(detail.stream) < detail.version then
    position = store:head() + 1
  end
  if position and position > store:head() then store:wait(position, PATIENCE_SECONDS) end
end

---Who has lost twice waits a little, each another while: else some would lose for ever.
local function give_way(store, attempts)
  if attempts < 2 then return end
  local longest = math.min(PAUSE_MOST, PAUSE_SECONDS * 2 ^ (attempts - 2))
  store:wait(FAR, longest * (os.clock() * 1e6 % 1000) / 1000)
end

local function check_options(options)
  options_of.check(options, OPTIONS, 3)
  local attempts = options.attempts
  if attempts ~= nil and (math.type(attempts) ~= "integer" or attempts < 1) then
    error("attempts must be an integer, at least 1", 3)
  end
  local wait = options.wait
  if wait ~= nil and type(wait) ~= "number" then error("wait must be a number of seconds", 3) end
end

---@param store rille.store
---@param name string the script
---@param command any plain data
---@param options? { attempts: integer, params: table, wait: number }
---@return table? result as of an append to several streams | nil, message, code, detail
function decider.decide(store, name, command, options)
  options = options or {}
  if type(name) ~= "string" then error("decide needs the name of a decider script", 2) end
  check_options(options)
  local no_time = options_of.time_fault(options.wait, "wait")
  if no_time then return nil, no_time, "invalid" end
  local bytes, fault
  if command ~= nil then
    bytes, fault = rille.encode(command)
    if not bytes then return nil, (fault:gsub("^value", "command")), "invalid" end
  end
  local head, message, code, detail = store:head()
  if not head then return nil, message, code, detail end
  local decide
  decide, message = load_script(store, name, options.params)
  if not decide then return nil, message, "script" end
  local time, result = core.now(store), nil
  local most = options.attempts or ATTEMPTS
  for i = 1, most do
    result, message, code, detail = attempt(begin(store, name, store:head()), decide, bytes, options, time)
    if code ~= "conflict" or i == most then break end
    catch_up(store, detail)
    give_way(store, i)
  end
  return result, message, code, detail
end

handle.store_method("decide", decider.decide)

return decider
