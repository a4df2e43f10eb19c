-- The outcome of an id whose transaction is under way was "none", which says that nothing is known of
-- it: asked by the same program it is "undecided", until it is answered.
local rille = require "rille"
local stores = require "spec.support.stores"

local EVENT = { type = "Moved" }

describe("an id whose transaction is under way", function()
  local here, there, c, other, seen
  before_each(function()
    here, there = stores.new(), stores.new()
    seen = {}
    c = assert(rille.coordinator(here, { participants = { look = {
      prepare = function()
        seen[#seen + 1] = other:outcome "order"
        return true
      end } } }))
    other = assert(rille.coordinator(here))
  end)
  after_each(function()
    other:close()
    c:close()
    here:close()
    there:close()
  end)

  local function both(tx)
    assert(tx:append(here, "a", EVENT))
    assert(tx:append(there, "a", EVENT))
    assert(tx:enlist "look")
    return true
  end

  it("is undecided until it is answered", function()
    assert.equal("none", c:outcome "order")
    local tx = assert(c:begin { id = "order" })
    assert.equal("undecided", c:outcome "order")
    assert.equal("none", c:outcome "another")
    assert(both(tx))
    assert(tx:commit())
    assert.same({ "undecided" }, seen)
    assert.equal("committed", c:outcome "order")
  end)

  it("is not, when it is given up, fails, or is forgotten", function()
    local tx = assert(c:begin { id = "order" })
    assert(tx:abort())
    assert.equal("none", c:outcome "order")
    assert.is_false(pcall(c.transact, c, { id = "order" }, function() error "in the midst of it" end))
    assert.equal("none", c:outcome "order")
    stores.failure(c:transact({ id = "order" }, function(t) return t:append(there, "a", EVENT, { expect = 7 }) end))
    assert.equal("none", c:outcome "order")
    assert(c:begin { id = "order" })
    collectgarbage()
    collectgarbage()
    assert.equal("none", c:outcome "order")
  end)

  it("can be aborted for good meanwhile", function()
    local tx = assert(c:begin { id = "order" })
    assert(both(tx))
    assert.equal("aborted", other:outcome("order", { settle = true }))
    assert.equal("aborted", c:outcome "order")
    local _, code = stores.failure(tx:commit())
    assert.equal("aborted", code)
    assert.equal(0, there:version "a")
  end)
end)
