-- truncate_spec.lua: hiding events of a stream from those who read the stream, and that
-- nothing else about them changes.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, failure, raised, range = stores.contains, stores.failure, stores.raised, stores.range

local REDUCER = [[return {
  initial = { n = 0, sum = 0 },
  on = { Counted = function(s, e) s.n, s.sum = s.n + 1, s.sum + e.data.n end },
}]]

local OPTIONS = { sync = "never", load = function() return REDUCER end }

local store, path

before_each(function()
  store, path = stores.new(OPTIONS)
  stores.fill(store, "a", 10, 3)
  stores.fill(store, "other", 5)
end)

after_each(function()
  store:close()
  scratch.remove(path)
end)

local function open(options)
  store:close()
  local with = {}
  for name, value in pairs(OPTIONS) do with[name] = value end
  for name, value in pairs(options or {}) do with[name] = value end
  store = assert(rille.open(path, with))
end

---The ways in which a store may come back, and stay the same.
local AGAIN = {
  { "as it is", function() end },
  { "reopened", open },
  { "with a new index", function()
    store:close()
    scratch.remove(path .. "/index")
    open()
  end },
  { "rebuilt", function() open { rebuild = true } end },
}

local function versions(options) return stores.versions(store:read("a", options)) end

describe("truncate", function()
  it("hides what is before a version", function()
    assert.is_true(store:truncate("a", { before = 4 }))
    for _, again in ipairs(AGAIN) do
      again[2]()
      assert.same(range(4, 10), versions(), again[1])
      assert.same(range(10, 4), versions { reverse = true }, again[1])
      assert.same({ 4, 5 }, versions { limit = 2 })
      assert.same(range(4, 5), versions { before = 6 })
      assert.same({}, versions { before = 4 })
      assert.same(range(7, 10), versions { after = 6 })
      assert.same(range(4, 10), versions { after = 2 })
      assert.equal(10, store:version "a")
      assert.same(range(1, 5), stores.versions(store:read "other"))
    end
    assert.is_true(store:verify().ok)
  end)

  it("takes nothing from who reads everything", function()
    assert(store:truncate("a", { before = 4 }))
    assert.same(range(1, 15), stores.positions(store:all()))
    assert.same(range(1, 10), stores.versions(store:all { stream = "a" }))
    assert.same(range(1, 10), stores.versions(store:all { category = "a" }))
    assert.equal(15, store:head())
    assert.equal(2, store:stats().streams)
  end)

  it("is seen by folds of the stream, and not by its past", function()
    assert(store:truncate("a", { before = 4 }))
    for _, again in ipairs(AGAIN) do
      again[2]()
      local state, position, version = store:fold("x.lua", { stream = "a" })
      assert.same({ n = 7, sum = 49 }, state)
      assert.same({ 15, 10 }, { position, version })
      assert.same({ n = 2, sum = 9 }, (store:fold("x.lua", { stream = "a", version = 5 })))
      assert.same({ n = 15, sum = 70 }, (store:fold "x.lua"))
      state, position, version = store:fold("x.lua", { stream = "a", at = 5 })
      assert.same({ n = 5, sum = 15 }, state)
      assert.same({ 5, 5 }, { position, version })
      state, _, version = store:fold("x.lua", { stream = "a", at = 5, version = 2 })
      assert.same({ n = 2, sum = 3 }, state)
      assert.equal(2, version)
    end
  end)

  it("lets versions go on", function()
    assert(store:truncate("a", { before = 4 }))
    assert.same({ first = 16, last = 16, version = 11, duplicate = false },
      store:append("a", { type = "Counted", data = { n = 11 } }, { expect = 10 }))
    assert.same(range(4, 11), versions())
    assert.equal("conflict", select(2, failure(store:append("a", { type = "A" }, { expect = "none" }))))
  end)

  it("only goes forward", function()
    assert(store:truncate("a", { before = 4 }))
    assert(store:truncate("a", { before = 7 }))
    assert.same(range(7, 10), versions())
    assert(store:truncate("a", { before = 11 }))
    assert.same({}, versions())
    assert.equal(10, store:version "a")
  end)

  it("hides nothing at version 1", function()
    assert(store:truncate("a", { before = 1 }))
    assert.same(range(1, 10), versions())
  end)

  it("at most what there is", function()
    local message, code = failure(store:truncate("a", { before = 12 }))
    assert.equal("invalid", code)
    contains(message, "before")
    assert.equal("invalid", select(2, failure(store:truncate("a", { before = -1 }))))
    assert.equal("notfound", select(2, failure(store:truncate("never", { before = 1 }))))
    assert.equal("invalid", select(2, failure(store:truncate("", { before = 1 }))))
    assert.same(range(1, 10), versions())
  end)

  it("does not disturb an iterator", function()
    local step = store:read "a"
    assert.equal(1, step().version)
    assert(store:delete "a")
    for version = 2, 10 do assert.equal(version, step().version) end
    assert.is_nil(step())
  end)

  it("leaves the time to the clock of those who append", function()
    local now = 1000
    store:close()
    scratch.remove(path)
    store = assert(rille.open(path, { sync = "never", clock = function() now = now + 1 return now end }))
    stores.fill(store, "a", 2, 1)
    assert(store:truncate("a", { before = 2 }))
    stores.fill(store, "a", 1)
    assert.same({ 1001.0, 1002.0, 1003.0 }, stores.fields("time", store:all()))
  end)

  it("takes a stream and { before = version }", function()
    contains(raised(store.truncate, store, "a"), "table expected")
    contains(raised(store.truncate, store, "a", {}), "truncate needs { before = version }")
    contains(raised(store.truncate, store, "a", { befor = 1 }), "(did you mean 'before'?)")
    contains(raised(store.truncate, store, "a", { before = "1" }), "before must be an integer")
    contains(raised(store.truncate, store, 7, { before = 1 }), "string expected")
    contains(raised(store.delete, store), "string expected")
  end)
end)

describe("delete", function()
  it("hides all events, and versions go on", function()
    assert.is_true(store:delete "a")
    for _, again in ipairs(AGAIN) do
      again[2]()
      assert.same({}, versions())
      assert.equal(10, store:version "a")
      assert.same(range(1, 10), stores.versions(store:all { stream = "a" }))
      local state, _, version = store:fold("x.lua", { stream = "a" })
      assert.same({ n = 0, sum = 0 }, state)
      assert.equal(10, version)
      assert.equal(3, select(3, store:fold("x.lua", { stream = "a", version = 3 })))
    end
    local message, code, detail = failure(store:append("a", { type = "Counted" }, { expect = "none" }))
    assert.equal("conflict", code)
    assert.same({ stream = "a", version = 10 }, detail)
    contains(message, "version 10")
    assert(store:append("a", {}, { expect = "exists" }))
    assert.equal(11, assert(store:append("a", { type = "Counted", data = { n = 1 } }, { expect = 10 })).version)
    assert.same({ 11 }, versions())
    assert.is_true(store:verify().ok)
  end)

  it("may be repeated", function()
    assert(store:delete "a")
    assert(store:delete "a")
    assert.same({}, versions())
  end)

  it("of a stream that never was is told", function()
    local message, code = failure(store:delete "never")
    assert.equal("notfound", code)
    contains(message, "never")
  end)

  it("keeps ids: a repeat stays one", function()
    assert(store:append("ids", { type = "A", id = "one" }))
    assert(store:delete "ids")
    assert.same({ first = 16, last = 16, version = 1, duplicate = true },
      store:append("ids", { type = "A", id = "one" }))
  end)

  it("is refused where a store is only read", function()
    open { readonly = true }
    assert.equal("readonly", select(2, failure(store:delete "a")))
    assert.equal("readonly", select(2, failure(store:truncate("a", { before = 2 }))))
    assert.same(range(1, 10), versions())
  end)
end)
