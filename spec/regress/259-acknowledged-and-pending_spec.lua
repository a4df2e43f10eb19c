-- A handler or database that had acknowledged at once was listed as pending until the other members had, too: by the
-- very coordinator whose answer had said that it was told.
local rille = require "rille"
local stores = require "spec.support.stores"

describe("who has acknowledged", function()
  it("is not pending beside who has not", function()
    local here, there = stores.new(), stores.new { background = false }
    local function done() return true end
    local c = assert(rille.coordinator(here, { participants = {
      mail = { prepare = done, commit = done, abort = done } } }))
    local result = assert(c:transact({ id = "order" }, function(tx)
      assert(tx:append(there, "a", { type = "Moved" }))
      return tx:enlist "mail"
    end))
    assert.same({}, result.pending)
    local word, told = c:outcome "order"
    assert.equal("committed", word)
    assert.same({ result.members[1] }, told.pending) -- its commit is not durable yet
    assert.same({ result.members[1] }, c:pending()[1].participants)
    assert(c:recover())
    assert.same({}, c:pending())
    assert.same({}, c.acknowledged)
    assert.same({}, select(2, c:outcome "order").pending)
    c:close()
    here:close()
    there:close()
  end)
end)
