-- A name that was redacted has zeros in its place, and until the redaction is finished it still
-- stands there: queries compared these bytes. So names of zeros found what had lost its name, and
-- where a redaction could not be finished, category, prefix, tags beside others in a list, and
-- `unless` found events by the very name that was redacted.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local function positions(iterator)
  local list = {}
  for event in iterator do list[#list + 1] = event.position end
  return list
end

local function assert_unfound(store, queries)
  for number, query in ipairs(queries) do
    assert.same({}, positions(store:all(query)), "query " .. number)
    query.reverse = true
    assert.same({}, positions(store:all(query)), "query " .. number .. " backward")
    query.reverse = nil
    assert(store:append { unless = query })
  end
end

local function five(store)
  assert(store:append("ann-1", { { type = "A", tags = { "t" } }, { type = "A", tags = { "u" } } }))
  assert(store:append("bob-1", { { type = "B", data = ("damage"):rep(20), tags = { "w" } } }))
end

it("a name of zeros does not find what has lost its name", function()
  local store, path = stores.new()
  five(store)
  assert(store:redact({}, { tags = { "t" }, streams = { "ann-1" } }))
  assert_unfound(store, {
    { { tags = { "\0" } }, { category = "none" } }, { category = "\0\0\0\0\0" }, { prefix = "\0" },
  })
  assert(store:append("\0\0\0\0\0", { type = "A", tags = { "\0" } })) -- a name like another, for all that
  assert.same({ 4 }, positions(store:all { prefix = "\0" }))
  assert.same({ 4 }, positions(store:all { { tags = { "\0" } }, { category = "none" } }))
  assert(store:close())
  scratch.remove(path)
end)

it("what is redacted is not found by its name, though the redaction can't be finished", function()
  local store, path = stores.new()
  five(store)
  assert(store:close())
  local file = assert(io.open(path .. "/log/0000000000000000.seg", "r+b"))
  file:seek("set", assert(file:read("a"):find("damage", 1, true)) + 30)
  file:write "#"
  file:close()
  store = assert(rille.open(path))
  assert.equal("corrupt", (select(2, stores.failure(store:redact({}, { tags = { "u" }, streams = { "ann-1" } })))))
  for _ = 1, 2 do
    assert_unfound(store, {
      { category = "ann" }, { prefix = "an" }, { stream = "ann-1" }, { tags = { "u" } },
      { { tags = { "u" } }, { category = "none" } }, { { category = "ann" }, { types = { "none" } } },
    })
    assert.same({ 1 }, positions(store:all { { tags = { "t" } }, { category = "ann" } }))
    assert(store:close())
    store = assert(rille.open(path))
  end
  assert(store:append("ann-1", { type = "A", tags = { "u" } })) -- the name begins again
  assert.same({ 4 }, positions(store:all { category = "ann" }))
  assert.same({ 4 }, positions(store:all { { tags = { "u" } }, { category = "ann" } }))
  assert(store:close())
  scratch.remove(path)
end)
