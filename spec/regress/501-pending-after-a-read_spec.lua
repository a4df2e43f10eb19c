-- Who voted "read" has nothing to do after its vote and is not told; the result of the transaction
-- listed it as pending all the same, though nobody waited for it.
local rille = require "rille"
local stores = require "spec.support.stores"

local EVENT = { type = "Moved" }

describe("a participant that voted read", function()
  it("is a member, and not pending", function()
    local here, there = stores.new(), stores.new()
    local told = 0
    local function tell()
      told = told + 1
      return true
    end
    local c = assert(rille.coordinator(here, { participants = { shop = {
      prepare = function() return "read" end, commit = tell, abort = tell, recover = function() return {} end } } }))
    local result = assert(c:transact({ id = "order" }, function(tx)
      assert(tx:append(here, "a", EVENT))
      assert(tx:append(there, { { stream = "a", expect = "none" } }))
      assert(tx:enlist "shop")
      return true
    end))
    assert.same({}, result.pending)
    assert.equal(3, #result.members)
    assert.same({}, select(2, c:outcome "order").pending)
    assert.same({}, c:pending())
    assert.equal(0, told)
    c:close()
    here:close()
    there:close()
  end)
end)
