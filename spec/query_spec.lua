-- query_spec.lua: reading by types, tags, streams and categories gives the same whichever
-- way it takes: along the log, or along chains. `explain` tells which.
--
-- Random queries are compared with a model that holds each event against each item. One
-- store has few names, so that chains are long and the log is the cheaper way; in the other
-- each event has a rare tag of its own besides.
local rille = require "rille"
local core = require "spec.support.core"
local model = require "spec.support.model"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"

local QUERIES = rounds(600)
local EVENTS = 4000
local RARE = 50 -- events that share a rare tag, and that have a rare type
local TWO_SEGMENTS = 64 << 10

local STREAMS = { "a", "a-1", "a-1-x", "b-1", "b-2", "-", "never" }
local TYPES = { "Opened", "Closed", "Moved", "$Own", "Never" }
local TAGS = { "x", "y", "z", "never" }
local CATEGORIES = { "a", "b", "", "a-1" }

local any = math.random
local function one_in(n) return any(n) == 1 end
local function pick(list) return list[any(#list)] end

local store, path, facts

local function some_tags()
  local tags = { "rare-" .. any(EVENTS // RARE) }
  for i = 2, any(1, 4) do tags[i] = TAGS[any(#TAGS - 1)] end
  return tags
end

local function fill()
  local done = 0
  while done < EVENTS do
    local events, stream = {}, STREAMS[any(#STREAMS - 1)]
    for i = 1, any(1, 30) do
      local type = one_in(RARE) and "Rare" or TYPES[any(#TYPES - 1)]
      events[i] = { type = type, tags = some_tags(), data = ("d"):rep(any(0, 200)) }
    end
    assert(core.append_internal(store, stream, events))
    facts:append { { stream = stream, events = events } }
    done = done + #events
  end
end

local function some_names(names, rare)
  local list = {}
  for i = 1, any(0, 3) do list[i] = rare and one_in(2) and rare() or pick(names) end
  return one_in(4) and #list == 1 and list[1] or list
end

local function rare_tag() return "rare-" .. any(EVENTS // RARE) end
local function rare_type() return "Rare" end

local function some_item()
  return {
    types = one_in(2) and some_names(TYPES, rare_type) or nil,
    tags = one_in(2) and some_names(TAGS, rare_tag) or nil,
    stream = one_in(4) and pick(STREAMS) or nil,
    category = one_in(5) and pick(CATEGORIES):match ".+" or nil,
    prefix = one_in(5) and pick(STREAMS):sub(1, any(1, 9)) or nil,
  }
end

local function some_bounds(last)
  return {
    after = one_in(2) and any(0, last) or nil,
    before = one_in(3) and any(1, last + 2) or nil,
    limit = one_in(3) and any(1, one_in(2) and 5 or 500) or nil,
    reverse = one_in(2),
  }
end

local function some_query()
  local query = some_bounds(facts:head())
  local n = any(0, 4)
  if n == 0 then
    for name, value in pairs(some_item()) do query[name] = value end
    return query
  end
  for i = 1, n do
    query[i] = some_item()
    if one_in(5) then query[i].after = any(0, facts:head()) end
  end
  return query
end

---One string stands for a list of one; the model knows lists.
local function listed(item)
  local copy = {}
  for name, value in pairs(item) do
    copy[name] = (name == "types" or name == "tags") and type(value) == "string" and { value } or value
  end
  return copy
end

local function as_the_model_takes_it(query)
  local copy = listed(query)
  for i, item in ipairs(query) do copy[i] = listed(item) end
  return copy
end

local function show(query)
  return rille.json.encode(query)
end

local function same(expected, iterate, number, query)
  local list = stores.fields(number, iterate())
  local wanted = {}
  for i, event in ipairs(expected) do wanted[i] = event[number] end
  local a, b = table.concat(wanted, " "), table.concat(list, " ")
  if a ~= b then error(("%s: expected %s, got %s"):format(show(query), a, b), 0) end
end

---The answer, and that what explain tells of it can be true.
local function check_all(query)
  local expected = facts:all(as_the_model_takes_it(query))
  same(expected, function() return store:all(query) end, "position", query)
  query.explain = true
  local how = store:all(query)
  query.explain = nil
  if how.way == "chains" and #expected > how.members then
    error(("%s: %d events out of %d members"):format(show(query), #expected, how.members), 0)
  end
  return how.way
end

local function check_stream(stream)
  local options = some_bounds(facts:version(stream))
  local item = some_item()
  options.types, options.tags = item.types, item.tags
  same(facts:read(stream, listed(options)), function() return store:read(stream, options) end, "version",
    options)
end

describe("a query", function()
  setup(function()
    values.seed "query_spec"
    store, path = stores.new { segment_bytes = TWO_SEGMENTS }
    facts = model.new()
    fill()
  end)
  teardown(function()
    store:close()
    scratch.remove(path)
  end)

  ---Some queries, and by which ways they went.
  local function try(n)
    local ways = { chains = 0, scan = 0 }
    for _ = 1, n do
      local way = check_all(some_query())
      ways[way] = ways[way] + 1
    end
    for _ = 1, n / 4 do check_stream(pick(STREAMS)) end
    assert(ways.chains > n / 10 and ways.scan > n / 10, "one way was hardly taken: " .. show(ways))
  end

  it("gives what a plain look at each event gives", function() try(QUERIES) end)

  it("... also from the index, and from a store that goes on growing", function()
    store:close()
    store = assert(rille.open(path, { sync = "never" }))
    try(QUERIES / 4)
    local iterate, ahead = store:all { tags = { "x" } }, facts:all { tags = { "x" } }
    fill()
    for _, event in ipairs(ahead) do assert.equal(event.position, iterate().position) end
    assert.is_nil(iterate())
    try(QUERIES / 4)
  end)
end)

describe("explain", function()
  setup(function()
    store, path = stores.new()
    for i = 1, 2000 do
      local tags = { "all" }
      if i % 200 == 0 then tags[2] = "rare" end
      local stream = i % 100 == 0 and "seldom" or "often"
      assert(store:append(stream, { type = i % 500 == 0 and "Rare" or "Usual", tags = tags }))
    end
  end)
  teardown(function()
    store:close()
    scratch.remove(path)
  end)

  local function explain(query)
    query.explain = true
    return store:all(query)
  end

  it("tells the rarest tag's chain", function()
    assert.same({ way = "chains", events = 2000, members = 10,
      chains = { { kind = "tag", name = "rare", count = 10 } } }, explain { tags = { "all", "rare" } })
  end)

  it("tells the cheapest of tag, stream and types", function()
    assert.same({ { kind = "type", name = "Rare", count = 4 } },
      explain { types = { "Rare" }, tags = { "rare" }, stream = "seldom" }.chains)
    assert.same({ { kind = "stream", name = "seldom", count = 20 } },
      explain { types = { "Rare", "Usual" }, tags = { "all" }, stream = "seldom" }.chains)
  end)

  it("tells the chains of all items, each once", function()
    assert.same({ way = "chains", events = 2000, members = 34, chains = {
      { kind = "tag", name = "rare", count = 10 }, { kind = "type", name = "Rare", count = 4 },
      { kind = "stream", name = "seldom", count = 20 } } },
      explain { { tags = { "rare" } }, { types = { "Rare" } }, { tags = { "rare" }, category = "often" },
        { stream = "seldom" } })
  end)

  it("tells what lies between bounds, or little more", function()
    local how = explain { tags = { "rare" }, after = 1500, before = 1701 }
    assert.equal(200, how.events)
    assert(how.members >= 1 and how.members <= 10, how.members)
    assert.same({ way = "chains", events = 0, members = 0, chains = {} },
      explain { tags = { "rare" }, after = 2000 })
  end)

  it("of what nobody has is empty at once", function()
    assert.same({ way = "chains", events = 2000, members = 0,
      chains = { { kind = "tag", name = "nobody", count = 0 } } }, explain { tags = { "all", "nobody" } })
    local how = explain { { types = { "Nothing" } }, { stream = "nobody" } }
    assert.equal("chains", how.way)
    assert.equal(0, how.members)
  end)

  it("tells that the log is read", function()
    assert.equal("scan", explain({ tags = { "all" } }).way)
    assert.same({ way = "scan", events = 2000, members = 2000, chains = {} }, explain { category = "seldom" })
    assert.same({ way = "scan", events = 2000, members = 2000, chains = {} }, explain {})
    assert.equal("scan", explain({ { tags = { "rare" } }, {} }).way)
  end)

  it("takes a limit into account", function()
    assert.equal("chains", explain({ types = { "Usual" }, limit = 1, reverse = true }).way)
    assert.equal("scan", explain({ types = { "Usual" }, limit = 100 }).way)
  end)

  it("of a stream tells its chain, or that the log is shorter", function()
    assert.same({ way = "chains", events = 20, members = 20,
      chains = { { kind = "stream", name = "seldom", count = 20 } } }, store:read("seldom", { explain = true }))
    assert.same({ way = "scan", events = 1980 }, (function(how)
      return { way = how.way, events = how.events }
    end)(store:read("often", { explain = true })))
    assert.equal("chains", store:read("often", { explain = true, limit = 10 }).way)
  end)

  it("false is as if it were not there", function()
    assert.equal("function", type((store:all { explain = false })))
    assert.same(stores.range(1, 20), stores.versions(store:read("seldom", { explain = false })))
  end)

  it("raises what reading would raise", function()
    stores.contains(stores.raised(store.all, store, { explain = true, after = 2001 }), "beyond the end")
    stores.contains(stores.raised(store.all, store, { explain = 1 }), "explain must be a boolean")
  end)
end)
