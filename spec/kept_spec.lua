-- kept_spec.lua: bytes that the embedded scripts keep in the index: a sorted map, written
-- under an expectation. spec/c/kept_test.c has other processes, kills and damage.
local rille = require "rille"
local core = require "spec.support.core"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

values.seed "kept_spec"

local RANDOM_STEPS = 3000
local KEY_BYTES = 511

local store, path

local function keep(...) return assert(core.kept_write(store, ...)) end
local function get(key) return core.kept_get(store, key) end

---All keys with a prefix, each with its value, as one text.
local function all(prefix)
  local list = {}
  local key, value = core.kept_next(store, nil, prefix)
  while key do
    list[#list + 1] = key .. "=" .. value
    key, value = core.kept_next(store, key, prefix)
  end
  return table.concat(list, " ")
end

local function invalid(...)
  local message, code = failure(...)
  assert.equal("invalid", code)
  return message
end

describe("kept bytes", function()
  before_each(function() store, path = stores.new() end)
  after_each(function()
    store:close()
    scratch.remove(path)
  end)

  it("are what was put, and stay", function()
    assert.same({ n = 1 }, table.pack(get "a"))
    local bytes = "\0\xff" .. ("x"):rep(100000)
    keep { { "a", bytes }, { "b", "" }, { "\0", "zero" } }
    assert.equal(bytes, get "a")
    assert.equal("", get "b")
    assert.equal("zero", get "\0")
    store:close()
    store = assert(rille.open(path))
    assert.equal(bytes, get "a")
    keep { { "a", false }, { "never", false } }
    assert.is_nil(get "a")
    assert.equal("\0=zero b=", all())
  end)

  it("are written in order, a later entry after an earlier one", function()
    keep { { "a", "1" }, { "a", "2" }, { "b", "1" }, { "b", false } }
    assert.equal("a=2", all())
    keep {}
    assert.equal("a=2", all())
  end)

  it("are all written, or none where the expectation fails", function()
    assert.is_false(core.kept_write(store, { { "a", "1" }, { "m", "1" } }, "m", "0"))
    assert.equal("", all())
    assert.is_true(core.kept_write(store, { { "a", "1" }, { "m", "1" } }, "m", false))
    assert.is_false(core.kept_write(store, { { "a", "2" } }, "m", false))
    assert.is_false(core.kept_write(store, { { "a", "2" } }, "m", ""))
    assert.is_true(core.kept_write(store, { { "a", "2" }, { "m", false } }, "m", "1"))
    assert.equal("a=2", all())
  end)

  it("are removed by prefix, so many at a time", function()
    keep { { "a", "1" }, { "p1", "1" }, { "p2", "1" }, { "p3", "1" }, { "q", "1" } }
    assert.equal(2, core.kept_erase(store, "p", 2))
    assert.equal("a=1 p3=1 q=1", all())
    assert.equal(1, core.kept_erase(store, "p", 2))
    assert.equal(0, core.kept_erase(store, "p", 2))
    assert.equal(2, core.kept_erase(store, "", 100))
  end)

  it("are refused where a key or a position can't be", function()
    keep { { ("k"):rep(KEY_BYTES), "v" } }
    contains(invalid(core.kept_write(store, { { ("k"):rep(KEY_BYTES + 1), "v" } })), "a kept key has 512 bytes")
    contains(invalid(core.kept_write(store, { { "a", "1" }, { "", "v" } })), "a kept key has 0 bytes")
    contains(invalid(get ""), "it needs 1 to 511")
    contains(invalid(core.kept_next(store, ("k"):rep(KEY_BYTES + 1))), "a kept key has 512 bytes")
    contains(invalid(core.kept_erase(store, ("k"):rep(KEY_BYTES + 1), 1)), "a kept key has 512 bytes")
    contains(invalid(core.kept_write(store, {}, nil, nil, 1)), "position 1 is beyond the end: the last one is 0")
    assert.equal(("k"):rep(KEY_BYTES) .. "=v", all())
  end)

  it("raise where a type is wrong", function()
    contains(raised(core.kept_write, store, { "a" }), "entry 1 must be { key, bytes or false }")
    contains(raised(core.kept_write, store, { { "a" } }), "string expected")
    contains(raised(core.kept_write, store, { { 1, "v" } }), "string expected")
    contains(raised(core.kept_get, store, 1), "string expected")
    contains(raised(core.kept_get, {}, "a"), "rille.store")
    assert.equal("", all())
  end)

  it("are durable only after what they follow from", function()
    assert(store:append("s", { type = "A" }))
    assert.equal(0, store:durable())
    keep { { "a", "1" } }
    assert.equal(1, store:durable())
    assert(store:append("s", { type = "A" }))
    keep({ { "a", "1" } }, nil, nil, 1)
    assert.equal(1, store:durable())
    keep({ { "a", "1" } }, nil, nil, 2)
    assert.equal(2, store:durable())
  end)

  it("go with the index", function()
    assert(store:append("s", { type = "A" }))
    keep { { "a", "1" } }
    store:close()
    scratch.remove(path .. "/index")
    store = assert(rille.open(path))
    assert.equal("", all())
    keep { { "a", "1" } }
    store:close()
    store = assert(rille.open(path, { rebuild = true }))
    assert.equal("", all())
    assert.equal(1, store:head())
  end)

  it("are read by who only reads, and not written", function()
    keep { { "a", "1" } }
    store:close()
    store = assert(rille.open(path, { readonly = true }))
    assert.equal("a=1", all())
    assert.equal("readonly", select(2, failure(core.kept_write(store, { { "a", "2" } }))))
    assert.equal("readonly", select(2, failure(core.kept_erase(store, "", 1))))
    assert.equal("a=1", all())
  end)

  it("say that a store is closed", function()
    store:close()
    for _, call in ipairs {
      function() return core.kept_get(store, "a") end,
      function() return core.kept_next(store) end,
      function() return core.kept_write(store, {}) end,
      function() return core.kept_erase(store, "", 1) end,
    } do
      assert.equal("closed", select(2, failure(call())))
    end
  end)

  it("are what a table would be, after anything", function()
    local facts, any = {}, math.random
    local function a_key() return ("abc"):sub(any(3), any(3)) .. any(0, 30) end
    local function expected(prefix)
      local list = {}
      for key, value in pairs(facts) do
        if key:sub(1, #prefix) == prefix then list[#list + 1] = { key, value } end
      end
      table.sort(list, function(a, b) return a[1] < b[1] end)
      return list
    end
    local function write()
      local puts, mark = {}, a_key()
      for i = 1, any(0, 5) do puts[i] = { a_key(), any(4) > 1 and ("v"):rep(any(0, 3000)) or false } end
      local guess = any(2) == 1 and (facts[mark] or false) or "no"
      local met = core.kept_write(store, puts, mark, guess)
      assert.equal(guess == (facts[mark] or false), met)
      if not met then return end
      for _, put in ipairs(puts) do facts[put[1]] = put[2] or nil end
    end
    local function erase()
      local prefix, most = a_key():sub(1, any(0, 2)), any(0, 3)
      local list = expected(prefix)
      assert.equal(math.min(most, #list), core.kept_erase(store, prefix, most))
      for i = 1, math.min(most, #list) do facts[list[i][1]] = nil end
    end
    local function walk()
      local prefix = a_key():sub(1, any(0, 2))
      local list = {}
      for i, entry in ipairs(expected(prefix)) do list[i] = entry[1] .. "=" .. entry[2] end
      assert.equal(table.concat(list, " "), all(prefix))
    end
    for _ = 1, RANDOM_STEPS do
      local what, key = any(20), a_key()
      if what < 14 then write() elseif what < 16 then erase() elseif what == 16 then walk()
      else assert.equal(facts[key], (get(key))) end
    end
    walk()
    assert.is_true(store:verify {}.ok)
  end)
end)
