-- Two parts of one stream with nothing but a check of another stream between them: their
-- records follow each other in the log, and so the second part's first id is not kept. The
-- repeat of such an append was refused as another one with the same ids.
local stores = require "spec.support.stores"

describe("an append with a check between two parts of one stream", function()
  it("is recognised when it is repeated", function()
    local store <close> = stores.new()
    assert(store:append("t", { type = "A" }))
    local function parts()
      return { { stream = "s", events = { { type = "A", id = "1" } } },
        { stream = "t", expect = "exists" },
        { stream = "s", events = { { type = "A", id = "2" } } } }
    end
    local told = assert(store:append(parts()))
    for _ = 1, 2 do
      local again = assert(store:append(parts()))
      assert.is_true(again.duplicate)
      again.duplicate = false
      assert.same(told, again)
    end
    assert.equal(3, store:head())
  end)
end)
