-- What a value of the right type can't be is returned by an append, for its caller has an answer to
-- look at. In `unless` it was raised: a negative `after`, and a name that is empty.
local rille = require "rille"
local scratch = require "spec.support.scratch"

describe("A query in unless", function()
  local store

  before_each(function() store = assert(rille.open(scratch.path "unless")) end)
  after_each(function() store:close() end)

  local function refused(unless)
    local message
    for _, done in ipairs {
      { store:append("a", { type = "A" }, { unless = unless }) },
      { store:append { { stream = "a", events = { { type = "A" } } }, unless = unless } },
    } do
      assert.is_nil(done[1])
      assert.equal("invalid", done[3])
      message = done[2]
    end
    assert.equal(0, store:head())
    return message
  end

  it("with a value that can't be is refused like any other field", function()
    assert.equal("unless: after must not be negative", refused { after = -1 })
    assert.equal("unless: after must not be negative", refused { { types = { "A" }, after = -1 } })
    assert.equal("unless: stream is empty: it needs 1 to 255 bytes", refused { stream = "" })
    assert.equal("unless: prefix is empty: it needs 1 to 255 bytes", refused { { types = { "A" } }, { prefix = "" } })
  end)

  it("is what stands in its tables, not what they inherit", function()
    assert(store:append("a", { { type = "A" }, { type = "A" } }))
    local item = setmetatable({ types = { "A" } }, { __index = { after = 1 } })
    assert(store:append("b", { type = "B" }, { unless = { item, after = 2 } }))
    assert.is_nil(store:append("b", { type = "B" }, { unless = { item } }))
  end)

  it("of a wrong type raises, and so does one that is read", function()
    assert.error_matches(function() store:append("a", { type = "A" }, { unless = { after = "1" } }) end, "integer")
    assert.error_matches(function() store:all { after = -1 } end, "after must not be negative")
    assert.error_matches(function() store:all { category = "" } end, "category is empty")
  end)
end)
