-- read_spec.lua: reading a stream, everything, or what a query asks for, in both
-- directions, between bounds that are exclusive, to the head of the moment of the call.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, raised, range = stores.contains, stores.raised, stores.range
local positions, versions = stores.positions, stores.versions

local SEGMENT_BYTES_LEAST = 64 << 10
local BLOCK = 256 -- versions that a stream's reader resolves at once
local TAGS = 64

local store, path

local function drop_store()
  store:close()
  scratch.remove(path)
end

---What is left of a list of numbers by these options.
local function within(numbers, options)
  local list = {}
  for _, n in ipairs(numbers) do
    if n > (options.after or 0) and (not options.before or n < options.before) then
      table.insert(list, options.reverse and 1 or #list + 1, n)
    end
  end
  return { table.unpack(list, 1, options.limit) }
end

---Every combination of these bounds, both directions, with and without a limit.
local function each_window(last, try)
  local edges = { false, 1, 2, 3, last // 2, last - 1, last, last + 1 }
  for _, after in ipairs { 0, 1, 2, last // 2, last - 1, last } do
    for _, before in ipairs(edges) do
      for _, limit in ipairs { false, 1, 3, last, last + 1 } do
        for _, reverse in ipairs { false, true } do
          try { after = after, before = before or nil, limit = limit or nil, reverse = reverse }
        end
      end
    end
  end
end

local function show(options)
  return ("after=%s before=%s limit=%s reverse=%s"):format(options.after, options.before,
    options.limit, options.reverse)
end

local function same_numbers(expected, got, what)
  local a, b = table.concat(expected, " "), table.concat(got, " ")
  if a ~= b then error(("%s: expected %s, got %s"):format(what, a, b), 2) end
end

describe("a stream", function()
  setup(function()
    store, path = stores.new()
    for i = 1, 20 do
      assert(store:append("a", { type = i % 2 == 0 and "Even" or "Odd", data = i,
        tags = i % 3 == 0 and { "three" } or nil }))
      assert(store:append("b-1", { { type = "Noise" }, { type = "Noise" } }))
    end
  end)
  teardown(drop_store)

  it("is read between versions", function()
    each_window(20, function(options)
      same_numbers(within(range(1, 20), options), versions(store:read("a", options)), show(options))
    end)
  end)

  it("gives whole events", function()
    local event = stores.list(store:read("a", { after = 2, limit = 1 }))[1]
    assert.same({ "a", "Odd", 3, 3, 7, { "three" } },
      { event.stream, event.type, event.data, event.version, event.position, event.tags })
    assert.equal("integer", math.type(event.position))
    assert.equal("float", math.type(event.time))
    assert.equal("string", type(event.id))
  end)

  it("gives tables that are yours", function()
    local first = stores.list(store:read "a")
    first[1].data, first[1].tags[1] = "changed", "changed"
    assert.equal(1, stores.list(store:read "a")[1].data)
    assert.is_nil(getmetatable(first[1]))
  end)

  it("is read by types and tags", function()
    assert.same({ 2, 4 }, versions(store:read("a", { types = { "Even" }, limit = 2 })))
    assert.same({ 18, 12, 6 },
      versions(store:read("a", { types = { "Even" }, tags = { "three" }, reverse = true })))
    assert.same({}, versions(store:read("a", { types = { "Noise" } })))
  end)

  it("that has no event is empty", function()
    assert.same({}, versions(store:read "nobody"))
    assert.same({}, versions(store:read("nobody", { reverse = true, before = 7, limit = 1 })))
    assert.equal(0, store:version "nobody")
  end)

  it("is no other stream whose name begins alike", function()
    assert.same({}, versions(store:read "b"))
    assert.same({}, versions(store:read "b-"))
    assert.equal(40, #versions(store:read "b-1"))
  end)

  it("has nothing behind its end", function()
    assert.same({}, versions(store:read("a", { after = 20 })))
    contains(raised(store.read, store, "a", { after = 21 }), "after = 21 is beyond the end")
    contains(raised(store.read, store, "nobody", { after = 1 }), "beyond the end")
    contains(raised(store.read, store, "a", { after = 21, reverse = true }), "beyond the end")
    assert.equal(20, #versions(store:read("a", { before = 1 << 60 })))
  end)
end)

describe("everything", function()
  setup(function()
    store, path = stores.new()
    for i = 1, 30 do
      assert(store:append("s-" .. i % 3, { type = "T" .. i % 5, data = i }))
    end
  end)
  teardown(drop_store)

  it("is read between positions", function()
    each_window(30, function(options)
      same_numbers(within(range(1, 30), options), positions(store:all(options)), show(options))
    end)
  end)

  it("is everything without options", function()
    assert.same(range(1, 30), positions(store:all()))
    assert.same(range(1, 30), positions(store:all {}))
  end)

  it("has nothing behind its end", function()
    assert.same({}, positions(store:all { after = 30 }))
    contains(raised(store.all, store, { after = 31 }), "after = 31 is beyond the end")
    contains(raised(store.all, store, { after = 31, reverse = true }), "beyond the end")
  end)

  it("of an empty store is nothing", function()
    local empty, empty_path = stores.new()
    assert.same({}, positions(empty:all()))
    assert.same({}, positions(empty:all { reverse = true, types = { "A" } }))
    contains(raised(empty.all, empty, { after = 1 }), "beyond the end")
    empty:close()
    scratch.remove(empty_path)
  end)
end)

describe("a query", function()
  local all = {}

  setup(function()
    store, path = stores.new()
    for i = 1, 60 do
      local event = { type = "T" .. i % 4, tags = {}, data = i }
      if i % 2 == 0 then event.tags[1] = "even" end
      if i % 3 == 0 then table.insert(event.tags, "three") end
      local stream = ({ "a", "a-1", "a-2-x", "b-1" })[i % 5 % 4 + 1]
      assert(store:append(stream, event))
      all[i] = { stream = stream, type = event.type, even = i % 2 == 0, three = i % 3 == 0 }
    end
  end)
  teardown(drop_store)

  ---Both directions give what `matches` takes of the events.
  local function gives(query, matches)
    local expected = {}
    for i, event in ipairs(all) do
      if matches(event, i) then expected[#expected + 1] = i end
    end
    same_numbers(expected, positions(store:all(query)), "forward")
    query.reverse = true
    same_numbers(within(expected, query), positions(store:all(query)), "backward")
    query.limit = 2
    same_numbers(within(expected, query), positions(store:all(query)), "the last two")
    assert(#expected > 0 or query.none, "the query is no test: nothing matches")
  end

  it("of types takes any of them", function()
    gives({ types = { "T1" } }, function(e) return e.type == "T1" end)
    gives({ types = "T1" }, function(e) return e.type == "T1" end)
    gives({ types = { "T1", "T3", "T3", "Nothing" } },
      function(e) return e.type == "T1" or e.type == "T3" end)
  end)

  it("of tags needs all of them", function()
    gives({ tags = { "even" } }, function(e) return e.even end)
    gives({ tags = "three" }, function(e) return e.three end)
    gives({ tags = { "three", "even" } }, function(e) return e.even and e.three end)
    assert.same({}, positions(store:all { tags = { "even", "nobody" } }))
  end)

  it("of a stream takes it alone", function()
    gives({ stream = "a" }, function(e) return e.stream == "a" end)
    gives({ stream = "a-1" }, function(e) return e.stream == "a-1" end)
  end)

  it('of a category takes names up to their first "-"', function()
    gives({ category = "a" }, function(e) return e.stream:match "^[^-]*" == "a" end)
    gives({ category = "b" }, function(e) return e.stream == "b-1" end)
    assert.same({}, positions(store:all { category = "a-2" }))
    assert.same({}, positions(store:all { category = "b-" }))
  end)

  it("needs all that is in it", function()
    gives({ types = { "T0", "T2" }, tags = { "three" }, category = "a" }, function(e)
      return (e.type == "T0" or e.type == "T2") and e.three and e.stream:sub(1, 1) == "a"
    end)
  end)

  it("of several items takes what any of them takes, once", function()
    gives({ { types = { "T1" }, tags = { "three" } }, { stream = "b-1" }, { types = { "T1" } } },
      function(e) return e.type == "T1" or e.stream == "b-1" end)
    gives({ { category = "b" }, { types = { "T2" } }, { tags = { "even", "three" } } },
      function(e) return e.stream == "b-1" or e.type == "T2" or (e.even and e.three) end)
  end)

  it("has bounds, and items have an `after` of their own", function()
    gives({ { types = { "T1" } }, { stream = "b-1", after = 30 }, after = 10 }, function(e, i)
      return i > 10 and (e.type == "T1" or (e.stream == "b-1" and i > 30))
    end)
    gives({ { after = 58 }, { types = { "T1" } } },
      function(e, i) return i > 58 or e.type == "T1" end)
    assert.same({ 5, 9 }, positions(store:all { types = { "T1" }, after = 1, before = 13, limit = 2 }))
  end)

  it("of an empty item takes everything", function()
    gives({ {} }, function() return true end)
    gives({ types = {} }, function() return true end)
  end)

  it("takes hundreds of types and items", function()
    local types, items = {}, {}
    for i = 1, 300 do types[i] = "Other" .. i end
    for i = 1, 300 do items[i] = { stream = "other" .. i } end
    types[151], items[77] = "T2", { types = types }
    gives({ types = types }, function(e) return e.type == "T2" end)
    gives(items, function(e) return e.type == "T2" end)
  end)

  it("that can't be meant raises", function()
    local function message(...) return raised(store.all, store, ...) end
    contains(message { tipes = {} }, "unknown option 'tipes' (did you mean 'types'?)")
    contains(message { { tag = {} } }, "unknown field of a query's item 'tag' (did you mean 'tags'?)")
    contains(message { { before = 7 } }, "unknown field of a query's item 'before'")
    contains(message { { types = { "A" } }, types = { "B" } }, "a list of items or one item, not both")
    contains(message { 7 }, "item 1 of the query must be a table, not number")
    contains(message { types = { 7 } }, "types must be a list of strings, not number")
    contains(message { tags = 7 }, "tags must be a list of strings, not number")
    contains(message { stream = 7 }, "stream must be a string")
    contains(message { after = -1 }, "after must not be negative")
    contains(message { before = -1 }, "before must not be negative")
    contains(message { limit = -1 }, "limit must not be negative")
    contains(message { after = 1.5 }, "after must be an integer")
    contains(message { limit = "1" }, "limit must be an integer")
    contains(message { reverse = 1 }, "reverse must be a boolean")
    contains(message(7), "table expected")
    contains(raised(store.read, store, "a", { stream = "b" }), "unknown option 'stream'")
    contains(raised(store.read, store, "a", { rewerse = true }), "(did you mean 'reverse'?)")
    contains(raised(store.read, store, 7), "string expected")
    contains(raised(store.read, store), "string expected")
    contains(raised(store.read, store, ""), "it needs 1 to 255")
    contains(raised(store.read, store, ("x"):rep(256)), "it needs 1 to 255")
    contains(raised(store.version, store, 7), "string expected")
    assert.equal("invalid", select(3, store:version ""))
    assert.equal("invalid", select(3, store:version(("x"):rep(256))))
    assert.same({}, versions(store:read(("x"):rep(255))))
  end)
end)

describe("over many segments", function()
  local EVENTS = 3000

  setup(function()
    store, path = stores.new { segment_bytes = SEGMENT_BYTES_LEAST }
    for i = 1, EVENTS, 10 do
      local events = {}
      for j = 0, 9 do
        events[j + 1] = { type = "T" .. (i + j) % 7, data = { i + j, ("x"):rep((i + j) % 900) } }
      end
      assert(store:append("s-" .. i % 100 // 10, events))
    end
    assert(store:stats().segments > 10, "too few segments for a test")
  end)
  teardown(drop_store)

  local function check()
    local i = 0
    for event in store:all() do
      i = i + 1
      if event.position ~= i or event.data[1] ~= i or #event.data[2] ~= i % 900 then
        error("wrong event at position " .. i)
      end
    end
    assert.equal(EVENTS, i)
    for event in store:all { reverse = true } do
      if event.position ~= i or event.data[1] ~= i then error("wrong event, backward, at " .. i) end
      i = i - 1
    end
    assert.equal(0, i)
  end

  it("is read forward and backward", check)

  it("is entered anywhere", function()
    for at = 2, EVENTS - 2, 37 do
      assert.same({ at + 1, at + 2 }, positions(store:all { after = at, limit = 2 }))
      local options = { before = at + 1, limit = 2, reverse = true, after = at - 2 }
      assert.same({ at, at - 1 }, positions(store:all(options)))
    end
  end)

  it("finds streams and types", function()
    assert.equal(EVENTS // 10, #versions(store:read "s-3"))
    assert.same(range(1, EVENTS // 10), versions(store:read "s-3"))
    assert.same(range(EVENTS // 10, 1), versions(store:read("s-3", { reverse = true })))
    local types = positions(store:all { types = { "T3" } })
    for i, position in ipairs(types) do assert(position == 7 * i - 4) end
    assert.equal(EVENTS // 7 + 1, #types)
  end)

  it("reads the same after reopening, and without an index", function()
    store:close()
    store = assert(rille.open(path, { sync = "never" }))
    check()
    store:close()
    scratch.remove(path .. "/index")
    store = assert(rille.open(path, { sync = "never" }))
    check()
    assert.same(range(1, EVENTS // 10), versions(store:read "s-7"))
  end)
end)

describe("a long stream", function()
  for _, n in ipairs { BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1, 5000 } do
    it(("of %d events is read in blocks%s"):format(n, n > BLOCK + 1 and " #large" or ""), function()
      store, path = stores.new()
      stores.fill(store, "s", n, 97)
      stores.fill(store, "other", 3)
      same_numbers(range(1, n), versions(store:read "s"), "forward")
      same_numbers(range(n, 1), versions(store:read("s", { reverse = true })), "backward")
      for _, edge in ipairs { 1, 2, 255, 256, 257, 511, 512, 513, n - 1, n } do
        if edge <= n then
          local options = { after = edge - 1, limit = 300 }
          same_numbers(within(range(1, n), options), versions(store:read("s", options)), show(options))
          options = { before = edge + 1, limit = 300, reverse = true }
          same_numbers(within(range(1, n), options), versions(store:read("s", options)), show(options))
          options = { types = { "Counted" }, after = edge - 1, limit = 1 }
          same_numbers({ edge }, versions(store:read("s", options)), show(options))
        end
      end
      drop_store()
    end)
  end
end)

describe("large records", function()
  local KIB = 1 << 10
  local SIZES = { 1, 900, KIB - 200, KIB - 100, KIB, KIB + 1, 4 * KIB, 64 * KIB, 255 * KIB, 256 * KIB,
    257 * KIB, 512 * KIB + 1, 1024 * KIB, 1024 * KIB + 1, 3 << 20 }

  local function text(i) return string.char(96 + i):rep(SIZES[i]) end

  setup(function()
    store, path = stores.new { segment_bytes = 1 << 20 }
    for i = 1, #SIZES do
      assert(store:append("large", { type = "A", data = text(i) }))
      assert(store:append("small", { type = "B", data = i }))
      assert(store:append("large", { type = "A", meta = text(i), data = i }))
    end
  end)
  teardown(drop_store)

  local function check(event)
    local i = (event.version + 1) // 2
    local bytes = event.version % 2 == 1 and event.data or event.meta
    assert(bytes == text(i), "different bytes in version " .. event.version)
  end

  it("come back whole, along the stream and along the log #large", function()
    local n = 0
    for _, reverse in ipairs { false, true } do
      for event in store:read("large", { reverse = reverse }) do check(event) n = n + 1 end
      for event in store:all { reverse = reverse, stream = "large" } do check(event) n = n + 1 end
    end
    assert.equal(8 * #SIZES, n)
    assert.same(range(1, #SIZES), stores.fields("data", store:read "small"))
  end)

  it("are passed over when others are wanted", function()
    assert.same(range(1, #SIZES), stores.fields("data", store:all { types = { "B" } }))
    assert.same(range(#SIZES, 1), stores.fields("data", store:all { types = { "B" }, reverse = true }))
  end)
end)

describe("records with 64 tags", function()
  it("are read and found", function()
    store, path = stores.new()
    local function tags(i)
      local list = {}
      for t = 1, TAGS do list[t] = ("%d:%d:%s"):format(t, i % t, ("y"):rep(240)) end
      return list
    end
    local EVENTS = 40
    for i = 1, EVENTS do assert(store:append("s-" .. i % 2, { type = "A", tags = tags(i), data = i })) end
    local i = 0
    for event in store:all() do
      i = i + 1
      assert.same(tags(i), event.tags)
    end
    assert.equal(EVENTS, i)
    assert.same({ 7, 14, 21, 28, 35 }, stores.fields("data", store:all { tags = { tags(0)[7] } }))
    assert.same({ 12, 24, 36 }, stores.fields("data", store:all { tags = { tags(0)[4], tags(0)[6] } }))
    assert.same({ 39, 37 }, stores.fields("data", store:read("s-1", { reverse = true, limit = 2 })))
    drop_store()
  end)
end)

describe("an iterator", function()
  before_each(function()
    store, path = stores.new()
    stores.fill(store, "a", 5)
  end)
  after_each(drop_store)

  it("ends at the head of the moment of the call", function()
    local seen = {}
    for event in store:read "a" do
      seen[#seen + 1] = event.version
      assert(store:append("a", { type = "More" }))
    end
    assert.same(range(1, 5), seen)
    seen = {}
    for event in store:all() do
      seen[#seen + 1] = event.position
      assert(store:append("b", { type = "More" }))
    end
    assert.same(range(1, 10), seen)
    local backward = store:all { reverse = true }
    local forward = store:read("b", { after = 9 })
    assert(store:append("b", { type = "More" }))
    assert.equal(20, backward().position)
    assert.equal(10, forward().version)
    assert.is_nil(forward())
  end)

  it("sees the same however much is appended behind it, and folded", function()
    local iterator = store:read "a"
    assert.equal(1, iterator().version)
    for i = 1, 50 do stores.fill(store, "a", 100, 100, function() return { type = "X", data = i } end) end
    assert.same({ 2, 3, 4, 5 }, versions(iterator))
    assert.equal(5005, store:version "a")
  end)

  it("is over when it has ended", function()
    local iterator = store:read("a", { limit = 1 })
    assert.equal(1, iterator().version)
    assert.is_nil(iterator())
    assert(store:append("a", { type = "More" }))
    assert.is_nil(iterator())
  end)

  it("is many at once", function()
    local iterators = {}
    for i = 1, 100 do iterators[i] = store:read("a", { reverse = i % 2 == 0 }) end
    for version = 1, 5 do
      for i = 1, 100 do
        assert.equal(i % 2 == 0 and 6 - version or version, iterators[i]().version)
      end
    end
    for i = 1, 100 do assert.is_nil(iterators[i]()) end
  end)
end)

describe("with sync", function()
  it("always, head and durable are one", function()
    store, path = stores.new { sync = "always" }
    for i = 1, 5 do
      assert(store:append("a", { type = "A" }))
      assert.equal(i, store:head())
      assert.equal(i, store:durable())
    end
    drop_store()
  end)

  it("never, durable follows", function()
    store, path = stores.new()
    stores.fill(store, "a", 10)
    assert.equal(10, store:head())
    assert(store:durable() <= 10)
    assert.is_true(store:sync())
    assert.equal(10, store:durable())
    drop_store()
  end)

  it("of each handle its own: always reads the durable end", function()
    store, path = stores.new()
    local always = assert(rille.open(path))
    assert(store:append("a", { type = "A" }))
    assert.equal(1, store:head())
    assert.equal(0, always:head())
    assert.same({}, positions(always:all()))
    assert.equal(0, always:version "a")
    assert(always:append("a", { type = "B" }, { expect = 1 }))
    assert.same({ "A", "B" }, stores.fields("type", always:all()))
    always:close()
    drop_store()
  end)
end)
