-- A list was read up to its first hole, and what stood behind was passed over without a word: a
-- condition that was not checked, an event that was not written, a position that was not redacted.
-- So was a table of names as keys, which is no list.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local raised, contains = stores.raised, stores.contains

local function lists(first, other)
  return { { [1] = first, [3] = other }, { [1] = first, [0] = other }, { [1] = first, [1.5] = other } }
end

describe("a list with a hole is refused:", function()
  local store, path
  before_each(function()
    store, path = stores.new()
    assert(store:append("a", { { type = "A" }, { type = "B" } }))
  end)
  after_each(function()
    assert.equal(2, store:head())
    assert.same({ "A", "B" }, { store:all()().type, store:all { reverse = true }().type })
    store:close()
    scratch.remove(path)
  end)

  local function check(word, give, first, other)
    for _, list in ipairs(lists(first, other)) do contains(raised(give, list), word) end
  end

  it("events", function()
    local function give(list) store:append("a", list) end
    check("without a hole", give, { type = "C" }, { type = "D" })
    check("without a hole", function(list) store:append { { stream = "a", events = list } } end,
      { type = "C" }, { type = "D" })
  end)

  it("parts of an append, with what they expect", function()
    check("without a hole", function(list) store:append(list) end,
      { stream = "a", events = { type = "C" } }, { stream = "b", expect = 77 })
  end)

  it("items of a query", function()
    local function unless(list) store:append("a", { type = "C" }, { unless = list }) end
    check("without a hole", unless, { types = { "none" } }, { types = { "A" } })
    check("without a hole", function(list) store:all(list) end, { types = { "none" } }, { types = { "A" } })
  end)

  it("types and tags", function()
    check("without a hole", function(list) store:all { types = list } end, "none", "A")
    check("without a hole", function(list) store:read("a", { tags = list }) end, "none", "t")
    check("without a hole", function(list) store:append("a", { type = "C", tags = list }) end, "t", "u")
    contains(raised(function() store:all { types = { A = true } } end), "types must be a list of strings")
    contains(raised(function() store:append("a", { type = "C", tags = { t = true } }) end),
      "tags must be a list of strings")
  end)

  it("what is to be redacted", function()
    check("positions must be a list", function(list) store:redact(list) end, 1, 2)
    check("tags must be a list", function(list) store:redact({}, { tags = list }) end, "t", "u")
  end)
end)
