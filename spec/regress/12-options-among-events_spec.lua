-- store:append("a", { { type = "T" }, expect = "none" }) wrote without a condition: a
-- list of events took no notice of names in it, nor the form of several streams of a
-- third argument.
local stores = require "spec.support.stores"

describe("an option in the wrong place", function()
  local store
  before_each(function() store = stores.new() end)
  after_each(function()
    assert.equal(0, store:head())
    store:close()
  end)

  it("raises in a list of events", function()
    stores.contains(stores.raised(store.append, store, "a", { { type = "T" }, expect = "none" }), "expect")
    stores.contains(stores.raised(store.append, store,
      { { stream = "a", events = { { type = "T" }, expect = 3 } } }), "expect")
  end)

  it("raises behind a list of streams", function()
    local parts = { { stream = "a", events = { { type = "T" } } } }
    stores.raised(store.append, store, parts, { expect = "exists" })
  end)
end)
