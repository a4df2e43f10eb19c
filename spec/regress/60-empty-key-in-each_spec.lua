-- A reducer without a key has one state, under the empty key; `each` passed over it, and over
-- an empty key that a reducer's own function gave.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("each", function()
  it("gives the state of the empty key, kept or not", function()
    local text = [[return { initial = 0, on = { Counted = function(n) return n + 1 end } }]]
    local store, path = stores.new { load = function() return text end }
    stores.fill(store, "s", 3)
    local p = assert(store:projection("count", "count.lua"))
    for round = 1, 3 do
      local list = {}
      for key, state in p:each() do list[#list + 1] = { key, state } end
      assert.same({ { "", 2 + round } }, list)
      assert(p:update())
      stores.fill(store, "s", 1)
    end
    assert.is_true(assert(store:verify { deep = true }).ok)
    store:close()
    scratch.remove(path)
  end)
end)
