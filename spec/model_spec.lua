-- model_spec.lua: random operations on a store and on a model of it must give the same.
--
-- SEED=n repeats a run; RILLE_SOAK=n makes it n times as long.
local rille = require "rille"
local model = require "spec.support.model"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local values = require "spec.support.values"

local SECONDS = rounds.long(5)
local ROUND_OPERATIONS = 400 -- then another store is begun
local SEGMENT_BYTES = 64 << 10
local FOLD = "return { initial = { n = 0, versions = 0 }, on = { ['*'] = function(s, e) " ..
  "s.n = s.n + 1 s.versions = s.versions + e.version end } }"

local any = math.random
local function one_in(n) return any(n) == 1 end
local function pick(list) return list[any(#list)] end

local STREAMS = { "a", "a-1", "a-1-x", "b-1", "-", "account-1", "account-2", "long" .. ("x"):rep(251),
  "nul\0\xff", "never" }
local TYPES = { "Opened", "Closed", "Moved", "T", "a type", ("t"):rep(255) }
local TAGS = { "x", "y", "branch:7", "z\0", ("g"):rep(255), "rare" }

-- What is the same ---------------------------------------------------------------

local function show(value)
  if type(value) == "string" then return #value > 40 and ("%q..."):format(value:sub(1, 40)) or ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local list, keys = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do list[#list + 1] = tostring(key) .. "=" .. show(value[key]) end
  local text = "{" .. table.concat(list, " ") .. "}"
  return #text > 2000 and text:sub(1, 2000) .. "..." or text
end

local function expect_same(expected, got, what)
  if not values.same(expected, got) then
    error(("%s: expected %s, got %s"):format(what, show(expected), show(got)), 0)
  end
end

local PLAIN = { "stream", "type", "version", "position", "tags", "data", "meta" }

local function same_event(expected, got)
  for _, field in ipairs(PLAIN) do
    expect_same(expected[field], got[field], field .. " of position " .. tostring(expected.position))
  end
  if expected.id then expect_same(expected.id, got.id, "id") end
  if expected.time then expect_same(expected.time, got.time, "time") end
end

---The events of an iterator are those of a list.
local function same_events(list, ...)
  local n = 0
  for event in ... do
    n = n + 1
    if not list[n] then error(("event %d too many: %s"):format(n, show(event)), 0) end
    same_event(list[n], event)
  end
  if n < #list then error(("%d events, expected %d"):format(n, #list), 0) end
end

-- Operations: each gives what it is going to do, and a function that does it -----

local world -- { store, model, path, other }

local function some_tags()
  local tags = {}
  for i = 1, any(0, 4) do tags[i] = pick(TAGS) end
  return tags
end

local function some_data()
  if one_in(60) then return ("d"):rep(any(300 << 10)) end
  if one_in(4) then return nil end
  return values.random(2)
end

local function some_event()
  return { type = pick(TYPES), data = some_data(), tags = one_in(2) and some_tags() or nil,
    meta = one_in(4) and values.random(1) or nil, id = one_in(4) and "id-" .. any(1 << 30) or nil,
    time = one_in(5) and any(1 << 30) + 0.5 or nil }
end

local function some_events(most)
  local events = {}
  for i = 1, any(0, most) do events[i] = some_event() end
  return events
end

---Right as often as wrong.
local function some_expect(stream)
  local version = world.model:version(stream)
  return pick { nil, "any", "none", "exists", version, version, math.max(0, version - 1), version + 1,
    any(0, 20) }
end

local function check_append(parts, call, several)
  local expected, stream, version = world.model:append(parts)
  local result, message, code, detail = call()
  if not expected then
    expect_same(nil, result, "result of a wrong expectation")
    expect_same("conflict", code, "code (" .. tostring(message) .. ")")
    expect_same(version, detail.version, "detail.version")
    expect_same(stream:match "^%Z*", detail.stream:match "^%Z*", "detail.stream")
    return
  end
  if not result then error("refused: " .. message, 0) end
  expect_same(expected.first, result.first, "first")
  expect_same(expected.last, result.last, "last")
  expect_same(false, result.duplicate, "duplicate")
  if several then expect_same(expected.versions, result.versions, "versions")
  else expect_same(expected.versions[parts[1].stream], result.version, "version") end
end

local operations = {}

local function operation(weight, make)
  for _ = 1, weight do operations[#operations + 1] = make end
end

operation(8, function()
  local stream, event = pick(STREAMS), some_event()
  local expect = some_expect(stream)
  return "append one, expect " .. tostring(expect) .. " " .. show(event), function()
    check_append({ { stream = stream, events = { event }, expect = expect } }, function()
      return world.store:append(stream, event, { expect = expect })
    end)
  end
end)

operation(8, function()
  local stream, events = pick(STREAMS), some_events(30)
  local expect = some_expect(stream)
  return ("append %d, expect %s, to %q"):format(#events, expect, stream), function()
    check_append({ { stream = stream, events = events, expect = expect } }, function()
      return world.store:append(stream, events, { expect = expect })
    end)
  end
end)

operation(6, function()
  local parts = {}
  for i = 1, any(0, 5) do
    local stream = pick(STREAMS)
    parts[i] = { stream = stream, expect = one_in(2) and some_expect(stream) or nil,
      events = not one_in(4) and some_events(6) or nil }
  end
  return "append several " .. show(parts), function()
    check_append(parts, function() return world.store:append(parts) end, true)
  end
end)

local function bad_value() return pick { print, function() end, io.stdout, { [1.5] = 1 }, { 1, x = 2 } } end

local BAD = {
  function(event) event.type = "" end,
  function(event) event.type = "$T" end,
  function(event) event.type = ("t"):rep(256) end,
  function(event) event.type = 7 end,
  function(event) event.data = bad_value() end,
  function(event) event.meta = { deep = { bad_value() } } end,
  function(event) event.tags = { "x", "" } end,
  function(event) event.tags = { "x", 7 } end,
  function(event) event.id = "" end,
  function(event) event.time = -1 end,
  function(event) event.tag = { "x" } end,
}

operation(5, function()
  local stream, events, nth = pick(STREAMS), some_events(5), any(#BAD)
  local event = some_event()
  BAD[nth](event)
  table.insert(events, any(#events + 1), event)
  return "append bad input " .. nth, function()
    local ok, result, _, code = pcall(world.store.append, world.store, stream, events)
    if ok then
      expect_same(nil, result, "result of bad input")
      expect_same("invalid", code, "code")
    end
  end
end)

---Bounds on numbers up to `last`.
local function some_bounds(last, options)
  if one_in(2) then options.after = any(0, last) end
  if one_in(2) then options.before = any(1, last + 3) end
  if one_in(2) then options.limit = any(1, pick { 3, 300 }) end
  if one_in(2) then options.reverse = one_in(2) end
  return options
end

local function some_of(list)
  local chosen = {}
  for i = 1, any(1, 3) do chosen[i] = pick(list) end
  return chosen
end

operation(12, function()
  local stream = pick(STREAMS)
  local options = some_bounds(world.model:version(stream), {})
  if one_in(3) then options.types = some_of(TYPES) end
  if one_in(4) then options.tags = some_of(TAGS) end
  return ("read %q %s"):format(stream, show(options)), function()
    same_events(world.model:read(stream, options), world.store:read(stream, options))
  end
end)

local function some_item()
  local item = {}
  if one_in(2) then item.types = some_of(TYPES) end
  if one_in(3) then item.tags = { pick(TAGS), one_in(2) and pick(TAGS) or nil } end
  if one_in(3) then item.stream = pick(STREAMS) end
  if one_in(3) then item.category = pick { "a", "b", "account", "", "nul\0\xff" } end
  if item.category == "" then item.category = nil end
  return item
end

operation(12, function()
  local query = one_in(2) and some_item() or {}
  if next(query) == nil and one_in(2) then
    for i = 1, any(4) do
      query[i] = some_item()
      if one_in(4) then query[i].after = any(0, world.model:head()) end
    end
  end
  some_bounds(world.model:head(), query)
  return "all " .. show(query), function()
    same_events(world.model:all(query), world.store:all(query))
  end
end)

operation(6, function()
  return "version, head, durable", function()
    for _, stream in ipairs(STREAMS) do
      expect_same(world.model:version(stream), world.store:version(stream), "version of " .. stream)
    end
    expect_same(world.model:head(), world.store:head(), "head")
    assert(world.store:durable() <= world.store:head(), "durable is beyond the head")
  end
end)

operation(4, function()
  local stream, head = one_in(2) and pick(STREAMS) or nil, world.model:head()
  local options = { stream = stream, at = one_in(2) and any(0, head) or nil }
  if stream and one_in(2) then options.version = any(0, world.model:version(stream)) end
  return "fold " .. show(options), function()
    local n, versions, last = 0, 0, 0
    for _, event in ipairs(world.model.events) do
      if event.position <= (options.at or head) and (not stream or event.stream == stream)
        and event.version <= (options.version or event.version) then
        n, versions, last = n + 1, versions + event.version, event.version
      end
    end
    local state, position, version = world.store:fold("count.lua", options)
    if not state then error(position, 0) end
    expect_same({ n = n, versions = versions }, state, "state")
    expect_same(options.at or head, position, "position")
    if stream then expect_same(last, version, "version") end
  end
end)

local function open()
  local message
  world.store, message = rille.open(world.path, { sync = "never", segment_bytes = SEGMENT_BYTES,
    load = function() return FOLD end })
  if not world.store then error(message, 0) end
end

operation(2, function() return "close and open", function()
  if not one_in(3) then expect_same(true, world.store:close(), "close") end
  world.store = nil
  collectgarbage()
  collectgarbage()
  open()
end end)

operation(1, function() return "delete the index", function()
  world.store:close()
  scratch.remove(world.path .. "/index")
  open()
end end)

operation(1, function() return "sync", function()
  expect_same(true, world.store:sync(), "sync")
  expect_same(world.model:head(), world.store:durable(), "durable")
end end)

operation(1, function() return "another handle", function()
  local other = world.store
  open()
  if one_in(2) then other:close() end
end end)

operation(1, function() return "stats", function()
  local streams, types, tags = {}, {}, {}
  local function count(set)
    local n = 0
    for _ in pairs(set) do n = n + 1 end
    return n
  end
  for _, event in ipairs(world.model.events) do
    streams[event.stream], types[event.type] = true, true
    for _, tag in ipairs(event.tags) do tags[tag] = true end
  end
  local stats = world.store:stats()
  expect_same({ count(streams), count(types), count(tags) }, { stats.streams, stats.types, stats.tags },
    "streams, types, tags")
end end)

-- Running ------------------------------------------------------------------------

local function run_round(seed)
  math.randomseed(seed)
  world = { path = scratch.path(), model = model.new() }
  open()
  for i = 1, ROUND_OPERATIONS do
    local name, act = pick(operations)()
    local ok, message = pcall(act)
    if not ok then
      error(("SEED=%d, operation %d: %s\n%s"):format(seed, i, name, message), 0)
    end
  end
  same_events(world.model.events, world.store:all())
  local found = assert(world.store:verify())
  expect_same({}, found.problems, "verify")
  expect_same(world.model:head(), found.events, "events that verify saw")
  world.store:close()
  scratch.remove(world.path)
end

describe("a store", function()
  it("does what its model does", function()
    values.seed "model_spec"
    -- The first round is of SEED itself, so that a failure's seed begins with it.
    local seed = math.tointeger(tonumber(os.getenv "SEED") or os.time())
    local stop, done = os.time() + SECONDS, 0
    repeat
      run_round(seed)
      done, seed = done + 1, any(1 << 40)
    until os.time() >= stop
    rounds.tally("operations against a model", done * ROUND_OPERATIONS)
    assert(done > 0)
  end)
end)
