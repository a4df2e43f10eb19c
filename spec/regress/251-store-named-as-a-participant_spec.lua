-- A store whose folder is named as a registered participant is took that one's name, where it came first: then two
-- of one name were in the transaction, and what the store acknowledged was not told to the other any more.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("a store named as a registered participant is", function()
  local folder, here, shop, c, told, ready

  before_each(function()
    folder = scratch.path "names"
    scratch.shell("mkdir '%s'", folder)
    here, shop = assert(rille.open(folder .. "/here.rille")), assert(rille.open(folder .. "/shop.rille"))
    told, ready = 0, false
    c = assert(rille.coordinator(here, { participants = { shop = { prepare = function() return true end,
      commit = function()
        told = told + 1
        return ready
      end, abort = function() return true end } } }))
  end)

  after_each(function()
    c:close()
    here:close()
    shop:close()
    scratch.remove(folder)
  end)

  it("gets another name, and both are told", function()
    local result = assert(c:transact(function(tx)
      assert(tx:append(shop, "a", { type = "Moved" }))
      assert.is_table(tx:enlist "shop")
      assert.equal("shop#2", tx:enlist(shop))
      return true
    end))
    assert.same({ "shop#2", "shop" }, result.members)
    assert.same({ ["shop#2"] = { a = 1 } }, result.versions)
    assert.same({ "shop" }, result.pending)
    assert(c:recover())
    assert.equal(2, told)
    assert.same({ "shop" }, c:pending()[1].participants)
    ready = true
    assert(c:recover())
    assert.equal(3, told)
    assert.same({}, c:pending())
  end)

  it("can't be given that name", function()
    local tx = assert(c:begin())
    local message, code = stores.failure(tx:enlist(shop, { name = "shop" }))
    assert.equal("invalid", code)
    stores.contains(message, "another is")
    assert.equal("warehouse", tx:enlist(shop, { name = "warehouse" }))
    tx:abort()
  end)
end)
