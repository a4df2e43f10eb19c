-- own_spec.lua: names that begin with "$" are rille's own. Users can't write them, and
-- find events of such types only where they name the type or the stream.
local core = require "spec.support.core"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, failure = stores.contains, stores.failure

local store, path

local function positions(query) return stores.positions(store:all(query)) end

local function refuses(query)
  local done, _, code, detail = store:append { unless = query }
  if done then return nil end
  assert.equal("conflict", code)
  return detail.position
end

describe('a name with "$"', function()
  setup(function()
    store, path = stores.new()
    assert(store:append("a", { type = "A", tags = { "t" } }))
    assert(core.append_internal(store, "a", { type = "$A", tags = { "t" } }))
    assert(core.append_internal(store, "$b", { { type = "$B", data = 1 }, { type = "B" } }))
    local part = { stream = "a", events = { type = "$A" }, expect = 2 }
    assert(core.append_internal(store, { part, mark = { "m", 0, 1 } }))
  end)
  teardown(function()
    store:close()
    scratch.remove(path)
  end)

  it("is refused to users", function()
    for _, name in ipairs { "$b", "a" } do
      local message, code = failure(store:append(name, { type = name == "a" and "$A" or "B" }))
      assert.equal("invalid", code)
      contains(message, 'begins with "$"')
    end
    assert.equal(5, store:head())
  end)

  it("is checked like any other", function()
    local message, code = failure(core.append_internal(store, ("$"):rep(256), { type = "A" }))
    assert.equal("invalid", code)
    contains(message, "256 bytes")
    assert.equal("conflict", select(2, failure(core.append_internal(store, "$b", { type = "$B" }, { expect = 1 }))))
  end)

  it("is not among all events", function()
    assert.same({ 1, 4 }, positions())
    assert.same({ 4, 1 }, positions { reverse = true })
    assert.same({ 4 }, positions { after = 1, limit = 1 })
    assert.same({ 1 }, positions { reverse = true, limit = 1, before = 4 })
  end)

  it("is not found by tag, category or prefix", function()
    assert.same({ 1 }, positions { tags = { "t" } })
    assert.same({ 1 }, positions { category = "a" })
    assert.same({ 4 }, positions { prefix = "$" })
  end)

  it("is found by type and by stream", function()
    assert.same({ 2, 5 }, positions { types = { "$A" } })
    assert.same({ 2, 5 }, positions { types = { "$A" }, category = "a" })
    assert.same({ 2 }, positions { types = { "$A", "$B" }, tags = { "t" } })
    assert.same({ 1, 2, 5 }, positions { stream = "a" })
    assert.same({ 1, 2 }, positions { stream = "a", tags = { "t" } })
    assert.same({ 3, 4 }, positions { stream = "$b" })
    assert.same({ 1, 3, 4 }, positions { { tags = { "t" } }, { stream = "$b" } })
  end)

  it("is read with its stream", function()
    assert.same({ 1, 2, 3 }, stores.versions(store:read "a"))
    assert.same({ 3, 2 }, stores.versions(store:read("a", { reverse = true, limit = 2 })))
    assert.same({ 1, 2 }, stores.versions(store:read("a", { tags = { "t" } })))
    assert.same({ 1, 2 }, stores.versions(store:read "$b"))
  end)

  it("counts for `unless` where it is named", function()
    assert.equal(4, refuses {})
    assert.is_nil(refuses { after = 4 })
    assert.equal(5, refuses { types = { "$A" } })
    assert.equal(5, refuses { stream = "a", after = 4 })
    assert.equal(1, refuses { tags = { "t" } })
  end)
end)
