-- append_spec.lua: an append is all or nothing, on conditions, within limits.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

local NAME_BYTES = 255
local TAGS = 64
local MIB = 1 << 20
local EVENT_BYTES = 16 * MIB
local APPEND_BYTES = 64 * MIB
local STRING_HEAD = 5 -- of a long string's encoding

---In few pieces: each that a string is made of is a memcpy.
local function bytes(n, letter)
  letter = letter or "x"
  return letter:rep(1 << 16):rep(n // 65536) .. letter:rep(n % 65536)
end

---Checks that an append was refused, that nothing was written, and gives why.
local function refused(store, ...)
  local before = store:head()
  local message, code, detail = failure(store:append(...))
  assert.equal(before, store:head())
  return message, code, detail
end

local function invalid(store, ...)
  local message, code = refused(store, ...)
  assert.equal("invalid", code)
  return message
end

local function tags(n)
  local list = {}
  for i = 1, n do list[i] = "tag" .. i end
  return list
end

local store, path

local function new_store()
  store, path = stores.new()
end

local function drop_store()
  store:close()
  scratch.remove(path)
end

describe("append", function()
  before_each(new_store)
  after_each(drop_store)

  it("takes one event", function()
    local r = assert(store:append("a", { type = "Opened", data = { n = 1 } }))
    assert.same({ first = 1, last = 1, version = 1, duplicate = false }, r)
    local event = stores.list(store:read "a")[1]
    assert.equal("Opened", event.type)
    assert.equal("a", event.stream)
    assert.same({ n = 1 }, event.data)
    assert.same({}, event.tags)
    assert.is_nil(event.meta)
  end)

  it("takes a list", function()
    local r = assert(store:append("a", { { type = "A" }, { type = "B" }, { type = "C" } }))
    assert.same({ first = 1, last = 3, version = 3, duplicate = false }, r)
    r = assert(store:append("a", { { type = "D" } }))
    assert.same({ first = 4, last = 4, version = 4, duplicate = false }, r)
    assert.same({ "A", "B", "C", "D" }, stores.fields("type", store:read "a"))
  end)

  it("takes several streams, in their order", function()
    assert(store:append("b", { { type = "B" }, { type = "B" } }))
    local r = assert(store:append {
      { stream = "a", events = { { type = "A", data = 1 }, { type = "A", data = 2 } } },
      { stream = "b", events = { type = "B", data = 3 } },
      { stream = "c" },
    })
    assert.same({ first = 3, last = 5, duplicate = false, versions = { a = 2, b = 3, c = 0 } }, r)
    assert.same({ 1, 2, 3 }, stores.fields("data", store:all { after = 2 }))
    assert.same({ 1, 2, 3 }, stores.versions(store:read "b"))
  end)

  it("takes a stream twice", function()
    local r = assert(store:append {
      { stream = "a", events = { { type = "A" } }, expect = 0 },
      { stream = "b", events = { { type = "B" } } },
      { stream = "a", events = { { type = "A" } }, expect = 0 }, -- about the moment before
    })
    assert.same({ a = 2, b = 1 }, r.versions)
    assert.same({ "a", "b", "a" }, stores.fields("stream", store:all()))
  end)

  it("takes no events: nothing is written", function()
    assert.same({ version = 0, duplicate = false }, assert(store:append("a", {})))
    assert(store:append("a", { type = "A" }))
    assert.same({ version = 1, duplicate = false }, assert(store:append("a", {}, { expect = 1 })))
    assert.same({ duplicate = false, versions = { a = 1 } },
      assert(store:append { { stream = "a", expect = "exists" } }))
    assert.same({ duplicate = false, versions = {} }, assert(store:append {}))
    assert.equal(1, store:head())
  end)

  it("numbers positions and versions without gaps", function()
    for i = 1, 50 do assert(store:append("s" .. i % 7, { type = "A" })) end
    assert.same(stores.range(1, 50), stores.positions(store:all()))
    for s = 0, 6 do
      local versions = stores.versions(store:read("s" .. s))
      assert.same(stores.range(1, #versions), versions)
      assert.equal(#versions, store:version("s" .. s))
    end
  end)
end)

describe("expect", function()
  before_each(new_store)
  after_each(drop_store)

  local function try(expect) return store:append("a", { type = "A" }, { expect = expect }) end

  local function conflicts(expect, version, text)
    local message, code, detail = refused(store, "a", { type = "A" }, { expect = expect })
    assert.equal("conflict", code)
    assert.same({ stream = "a", version = version }, detail)
    assert.equal(('stream "a" is at version %d, expected %s'):format(version, text), message)
  end

  it("none, and 0", function()
    assert(try "none")
    conflicts("none", 1, "no event")
    conflicts(0, 1, "no event")
    assert(store:append("b", { type = "A" }, { expect = 0 }))
  end)

  it("exists", function()
    conflicts("exists", 0, "an event")
    assert(try "any")
    assert.equal(2, assert(try "exists").version)
  end)

  it("a version", function()
    conflicts(1, 0, "version 1")
    assert(try())
    assert.equal(2, assert(try(1)).version)
    conflicts(1, 2, "version 1")
    conflicts(3, 2, "version 3")
    assert.equal(3, assert(try(2.0)).version)
    conflicts(math.maxinteger, 3, "version " .. math.maxinteger)
  end)

  it("any", function()
    assert(try "any")
    assert(try "any")
    assert(try(nil))
  end)

  it("of one stream stops all", function()
    assert(try())
    local message, code, detail = refused(store, {
      { stream = "b", events = { { type = "B" } } },
      { stream = "a", expect = 2 },
      { stream = "c", expect = 9 },
    })
    assert.equal("conflict", code)
    assert.same({ stream = "a", version = 1 }, detail)
    contains(message, 'stream "a"')
    assert.equal(0, store:version "b")
    assert.same({}, stores.list(store:read "b"))
  end)

  it("holds for streams that are only checked", function()
    assert(try())
    local b = { stream = "b", events = { { type = "B" } } }
    assert(store:append { b, { stream = "a", expect = 1 } })
    assert.equal(1, store:version "a")
    assert.equal("conflict", select(2, refused(store, { { stream = "zz", expect = "exists" } })))
  end)

  it("survives reopening", function()
    assert(try())
    assert(try())
    store:close()
    store = assert(rille.open(path, { sync = "never" }))
    conflicts(1, 2, "version 1")
    assert(try(2))
  end)

  it("is nothing else", function()
    for _, wrong in ipairs { -1, 1.5, "nobody", "", "1", -0.5, 0 / 0, 1 / 0 } do
      contains(invalid(store, "a", { type = "A" }, { expect = wrong }), "expect must be a version")
    end
    contains(raised(store.append, store, "a", { type = "A" }, { expect = {} }), "expect must be")
    contains(raised(store.append, store, "a", { type = "A" }, { expect = true }), "not boolean")
  end)
end)

describe("names", function()
  before_each(new_store)
  after_each(drop_store)

  local long, too_long = bytes(NAME_BYTES), bytes(NAME_BYTES + 1)

  it("of streams: 1 to 255 bytes", function()
    assert(store:append(long, { type = "A" }))
    assert(store:append("x", { type = "A" }))
    assert.equal(1, store:version(long))
    assert.same({ long, "x" }, stores.fields("stream", store:all()))
    assert.equal("stream has 256 bytes: at most 255 are allowed",
      invalid(store, too_long, { type = "A" }))
    contains(invalid(store, "", { type = "A" }), "stream is empty")
    contains(invalid(store, { { stream = "", events = {} } }), "stream is empty")
  end)

  it("of types: 1 to 255 bytes", function()
    assert(store:append("a", { { type = long }, { type = "x" } }))
    assert.same({ long, "x" }, stores.fields("type", store:read "a"))
    contains(invalid(store, "a", { type = too_long }), "type has 256 bytes: at most 255")
    contains(invalid(store, "a", { { type = "A" }, { type = "" } }), "event 2: type is empty")
  end)

  it("of tags: 1 to 255 bytes", function()
    assert(store:append("a", { type = "A", tags = { long, "x" } }))
    assert.same({ long, "x" }, stores.list(store:read "a")[1].tags)
    contains(invalid(store, "a", { type = "A", tags = { "x", too_long } }), "tags[2] has 256 bytes")
    contains(invalid(store, "a", { type = "A", tags = { "" } }), "tags[1] is empty")
  end)

  it("of ids: 1 to 255 bytes", function()
    assert(store:append("a", { { type = "A", id = long }, { type = "A", id = "x" } }))
    assert.same({ long, "x" }, stores.fields("id", store:read "a"))
    contains(invalid(store, "a", { type = "A", id = too_long }), "id has 256 bytes")
    contains(invalid(store, "a", { type = "A", id = "" }), "id is empty")
  end)

  it('that begin with "$" are refused, for streams and types', function()
    contains(invalid(store, "$a", { type = "A" }), 'stream begins with "$"')
    contains(invalid(store, "$", { type = "A" }), 'stream begins with "$"')
    contains(invalid(store, "a", { type = "$A" }), 'type begins with "$"')
    assert(store:append("a$", { type = "A$", tags = { "$t" } }))
  end)

  it("are any bytes", function()
    local odd = "a\0b\xff\n\""
    assert(store:append(odd, { type = odd, tags = { odd, "a\0" }, id = odd }, { expect = "none" }))
    assert(store:append("a", { type = "A" }, { expect = "none" }))
    local event = stores.list(store:read(odd))[1]
    assert.same({ odd, odd, odd, { odd, "a\0" } }, { event.stream, event.type, event.id, event.tags })
    assert.equal(1, store:version(odd))
    assert.equal(1, #stores.list(store:all { types = { odd } }))
    local message = refused(store, odd, { type = "A" }, { expect = "none" })
    assert.is_nil(message:find "[%c]", message)
  end)
end)

describe("tags", function()
  before_each(new_store)
  after_each(drop_store)

  it("are at most 64", function()
    assert(store:append("a", { type = "A", tags = tags(TAGS) }))
    assert.same(tags(TAGS), stores.list(store:read "a")[1].tags)
    contains(invalid(store, "a", { type = "A", tags = tags(TAGS + 1) }),
      "tags has 65 entries: at most 64")
  end)

  it("count once, where they came first", function()
    assert(store:append("a", { type = "A", tags = { "x", "y", "x", "z", "y" } }))
    assert.same({ "x", "y", "z" }, stores.list(store:read "a")[1].tags)
    assert.equal(3, store:stats().tags)
    assert.equal(1, #stores.list(store:all { tags = { "x", "x" } }))
  end)
end)

describe("data and meta", function()
  before_each(new_store)
  after_each(drop_store)

  it("are any plain value, or none", function()
    local list = { 1, 1.0, -0.0, "s", "a\0b", true, false, rille.null, rille.array {}, {},
      { 1, { 2, { three = 3 } } }, { [7] = "seven", [-1] = 0 }, math.mininteger, 1 / 0 }
    local events = { { type = "A" } }
    for i, value in ipairs(list) do events[i + 1] = { type = "A", data = value, meta = value } end
    assert(store:append("a", events))
    local values = require "spec.support.values"
    local i = 0
    for event in store:read "a" do
      assert(values.same(list[i], event.data), "data " .. i)
      assert(values.same(list[i], event.meta), "meta " .. i)
      i = i + 1
    end
    assert.equal(#list + 1, i)
  end)

  it("that can't be kept are named by their path", function()
    local function at(data)
      return invalid(store, "a", { { type = "A" }, { type = "B", data = data } })
    end
    contains(at { items = { 1, 2, print } }, "event 2: data.items[3] is a function")
    local loop = {}
    loop.again = { loop }
    contains(at(loop), "event 2: data.again[1]")
    contains(at { [1] = 1, x = 2 }, "event 2: data")
    contains(at { [1.5] = 1 }, "event 2: data")
    contains(at(print), "event 2: data is a function")
    contains(invalid(store, "a", { type = "A", data = io.stdout }), "data is a")
    contains(invalid(store, "a", { type = "A", meta = { by = print } }), "meta.by is a function")
    assert.equal(0, store:head())
  end)

  it("are at most 16 MiB together #large", function()
    local most = EVENT_BYTES - STRING_HEAD
    assert(store:append("a", { type = "A", data = bytes(most) }))
    assert(store:append("a", { type = "A", meta = bytes(most, "m") }))
    local event = stores.list(store:read "a")[1]
    assert(event.data == bytes(most), "16 MiB came back different")
    contains(invalid(store, "a", { type = "A", data = bytes(most + 1) }), "more than 16 MiB")
    contains(invalid(store, "a", { type = "A", meta = bytes(most + 1) }), "more than 16 MiB")
    contains(invalid(store, "a", { type = "A", data = bytes(most), meta = 1 }), "more than 16 MiB")
  end)
end)

describe("one append", function()
  before_each(new_store)
  after_each(drop_store)

  ---Four events with n bytes of data altogether.
  local function four(n)
    local quarter = n // 4 - STRING_HEAD
    local events = {}
    for i = 1, 4 do events[i] = { type = "A", data = bytes(quarter, tostring(i)) } end
    return events
  end

  it("is at most 64 MiB, names and bookkeeping included #large", function()
    local fits, too_much = APPEND_BYTES - 1024, APPEND_BYTES - 8
    assert.equal(4, assert(store:append("a", four(fits))).last)
    contains(invalid(store, "a", four(too_much)), "more than 64 MiB")
    local parts = {}
    for i, event in ipairs(four(too_much)) do parts[i] = { stream = "s" .. i, events = event } end
    contains(invalid(store, parts), "more than 64 MiB")
    for event in store:read "a" do
      assert(event.data == bytes(#event.data, tostring(event.version)), "came back different")
    end
  end)

  it("has many small events #large", function()
    local events = {}
    for i = 1, 20000 do events[i] = { type = "T" .. i % 10, data = i } end
    assert.equal(20000, assert(store:append("many", events)).last)
    local n = 0
    for event in store:read "many" do
      n = n + 1
      if event.data ~= n then error(("event %d has data %s"):format(n, event.data)) end
    end
    assert.equal(20000, n)
  end)

  it("is nothing when one event is bad", function()
    for _, bad in ipairs { { type = "" }, { type = "A", data = print }, { type = "A", time = -1 },
      { type = "A", tags = { "" } }, { type = "A", id = "" } } do
      local events = { { type = "A" }, { type = "A" }, bad }
      contains(invalid(store, "a", events), "event 3: ")
      contains(invalid(store, { { stream = "b", events = { { type = "B" } } },
        { stream = "a", events = events } }), ": ")
      contains(raised(store.append, store, "a", { { type = "A" }, 7 }), "an event must be a table")
      assert.equal(0, store:head())
    end
    assert.equal(1, assert(store:append("a", { type = "A" })).first)
  end)
end)

describe("time", function()
  after_each(drop_store)

  it("is given, in seconds", function()
    new_store()
    assert(store:append("a", { { type = "A", time = 1700000000.25 }, { type = "A", time = 1 },
      { type = "A", time = 0.000001 } }))
    assert.same({ 1700000000.25, 1.0, 0.000001 }, stores.fields("time", store:read "a"))
    for _, wrong in ipairs { -1, 0, 0 / 0, 1 / 0, 9e12 } do
      contains(invalid(store, "a", { type = "A", time = wrong }), "time is no time")
    end
    assert(store:append("a", { type = "A", time = 8.9e12 }))
    contains(raised(store.append, store, "a", { type = "A", time = "now" }), "time must be a number")
  end)

  it("is the computer's, else", function()
    new_store()
    local before = os.time()
    assert(store:append("a", { type = "A" }))
    local time = stores.list(store:read "a")[1].time
    assert(time >= before and time <= os.time() + 1, time)
  end)

  it("is the store's clock, which never goes back", function()
    local now = 1000
    store, path = stores.new { clock = function() return now end }
    assert(store:append("a", { type = "A" }))
    now = 2000.5
    assert(store:append("a", { { type = "A" }, { type = "A", time = 3 } }))
    now = 500
    assert(store:append("a", { type = "A" }))
    assert.same({ 1000.0, 2000.5, 3.0, 2000.5 }, stores.fields("time", store:read "a"))
  end)

  it("must come out of the clock", function()
    local now
    store, path = stores.new { clock = function() return now end }
    for _, wrong in ipairs { "noon", -5, 0, 0 / 0, true } do
      now = wrong
      contains(raised(store.append, store, "a", { type = "A" }), "clock must return")
    end
    now = nil
    contains(raised(store.append, store, "a", { type = "A" }), "clock must return")
    assert.equal(0, store:head())
  end)
end)

describe("an event as it was read", function()
  before_each(new_store)
  after_each(drop_store)

  it("can be appended elsewhere", function()
    assert(store:append("a", { type = "A", data = { 1, { x = 1.5 } }, tags = { "t", "u" },
      meta = { by = "me" }, id = "id-1", time = 12.5 }))
    assert(store:append("a", { type = "B" }))
    local other, other_path = stores.new()
    for event in store:read "a" do assert(other:append("copy", event)) end
    local from, to = stores.list(store:read "a"), stores.list(other:read "copy")
    for i, event in ipairs(from) do
      event.stream = "copy"
      assert.same(event, to[i])
    end
    assert.equal(2, #to)
    other:close()
    scratch.remove(other_path)
  end)

  it("has an id of its own that stays", function()
    assert(store:append("a", { { type = "A" }, { type = "A" } }))
    local first, second = table.unpack(stores.fields("id", store:read "a"))
    assert.truthy(first:find "^%x+%-%x+%-8%x+%-%x+%-%x+$", first)
    assert.equal(36, #first)
    assert.not_equal(first, second)
    store:close()
    store = assert(rille.open(path))
    assert.same({ second, first }, stores.fields("id", store:read("a", { reverse = true })))
    assert.same({ first, second }, stores.fields("id", store:all()))
  end)
end)

describe("misuse", function()
  before_each(new_store)
  after_each(function()
    assert.equal(0, store:head())
    drop_store()
  end)

  local function message(...) return raised(store.append, store, ...) end

  it("of names raises, with the nearest", function()
    contains(message("a", { tipe = "A" }), "unknown field of an event 'tipe' (did you mean 'type'?)")
    contains(message("a", { { type = "A", tag = {} } }), "'tag' (did you mean 'tags'?)")
    contains(message("a", { type = "A" }, { expected = 1 }),
      "unknown option 'expected' (did you mean 'expect'?)")
    contains(message("a", { type = "A" }, { zzzzzzz = 1 }), "unknown option 'zzzzzzz'")
    contains(message { { stream = "a", event = {} } }, "'event' (did you mean 'events'?)")
    contains(message { { stream = "a", events = {} }, wat = 1 }, "unknown option 'wat'")
    contains(message("a", { { type = "A", [1] = 2 } }), "must have a name, not a number")
  end)

  it("of types raises", function()
    contains(message(7, { type = "A" }), "string expected")
    contains(message("a", 7), "table expected")
    contains(message "a", "table expected")
    contains(message(), "string expected")
    contains(message("a", { 7 }), "an event must be a table, not number")
    contains(message("a", { type = 7 }), "type must be a string, not number")
    contains(message("a", { {} }), "type must be a string, not nil")
    contains(message("a", { type = "A", tags = "t" }), "tags must be a list of strings, not string")
    contains(message("a", { type = "A", tags = { 1 } }), "tags must be a list of strings, not number")
    contains(message("a", { type = "A", id = 7 }), "id must be a string")
    contains(message("a", { type = "A" }, 7), "table expected")
    contains(message { 7 }, "part 1 of the append must be a table")
    contains(message { { events = {} } }, "stream is missing in part 1")
    contains(message { { stream = 7 } }, "stream must be a string")
    contains(message { { stream = "a", events = 7 } }, "must be an event or a list of them")
    contains(raised(store.append, {}, "a", {}), "rille.store expected")
    contains(raised(store.append, io.stdout, "a", {}), "rille.store expected")
  end)
end)

describe("a store for reading only", function()
  it("refuses an append", function()
    new_store()
    assert(store:append("a", { type = "A" }))
    store:close()
    store = assert(rille.open(path, { readonly = true }))
    assert.equal("readonly", select(2, refused(store, "a", { type = "A" })))
    assert.equal("readonly", select(2, refused(store, { { stream = "a", expect = 1 } })))
    drop_store()
  end)
end)
