-- The work of a handler that was enlisted a second time was dropped without a word; and a work of false came as nil.
local rille = require "rille"
local stores = require "spec.support.stores"

describe("the work of a handler", function()
  local here, c, seen

  before_each(function()
    here, seen = stores.new(), {}
    local function see(_, work)
      seen[#seen + 1] = { work = work }
      return true
    end
    c = assert(rille.coordinator(here, { participants = { mail = { prepare = see, commit = see,
      abort = function() return true end } } }))
  end)

  after_each(function()
    c:close()
    here:close()
  end)

  it("is given once", function()
    assert(c:transact(function(tx)
      local branch = assert(tx:enlist("mail", { work = { "one" } }))
      local message, code = stores.failure(tx:enlist("mail", { work = { "two" } }))
      assert.equal("invalid", code)
      stores.contains(message, "mail takes part already")
      assert.equal(branch, tx:enlist("mail", { weight = 2 }))
      return true
    end))
    assert.same({ { work = { "one" } }, { work = { "one" } } }, seen)
  end)

  it("may be false", function()
    assert(c:transact(function(tx) return tx:enlist("mail", { work = false }) end))
    assert.same({ { work = false }, { work = false } }, seen)
  end)
end)
