-- A coordinator whose store the host had closed began transactions all the same, and told of them
-- that they were aborted: the use of what is closed answers "closed".
local rille = require "rille"
local stores = require "spec.support.stores"

local EVENT = { type = "Moved" }

describe("a coordinator whose store is closed", function()
  it("answers closed, with an id and without", function()
    local here, there = stores.new(), stores.new()
    local c = assert(rille.coordinator(here))
    here:close()
    for _, options in ipairs { {}, { id = "order" } } do
      local _, code = stores.failure(c:begin(options))
      assert.equal("closed", code)
      _, code = stores.failure(c:transact(options, function(tx)
        assert(tx:append(there, "a", EVENT))
        return true
      end))
      assert.equal("closed", code)
    end
    assert.equal(0, there:head())
    assert.is_true(c:close())
    there:close()
  end)

  it("aborts what was begun before", function()
    local here, there = stores.new(), stores.new()
    local c = assert(rille.coordinator(here))
    local tx = assert(c:begin())
    assert(tx:append(here, "a", EVENT))
    assert(tx:append(there, "a", EVENT))
    here:close()
    local _, code = stores.failure(tx:commit())
    assert.equal("aborted", code)
    assert.equal(0, there:head())
    c:close()
    there:close()
  end)
end)
