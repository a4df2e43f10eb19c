-- A weak read was answered from memory even where that held states of an edited script which
-- were not complete: neither the old state nor one that any position has.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("weak", function()
  it("shows the old state until the edited script's are complete", function()
    local text = [[return { initial = 0, on = { Counted = function(n) return n + %d end } }]]
    local step = 1
    local store, path = stores.new { load = function() return text:format(step) end }
    stores.fill(store, "s", 5)
    local p = assert(store:projection("count", "count.lua"))
    assert(p:update())
    step = 100
    stores.fill(store, "s", 20)
    for _ = 1, 3 do
      assert(p:update { ms = 0 })
      assert.equal(5, (p:get(nil, { consistency = "weak" })))
    end
    assert(p:update())
    assert.equal(2500, (p:get(nil, { consistency = "weak" })))
    store:close()
    scratch.remove(path)
  end)
end)
