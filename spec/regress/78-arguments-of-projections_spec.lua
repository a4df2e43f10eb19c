-- Arguments that fell through: an integer as key of a state of the past, a name that is too
-- long only together with its share, a cache that is no number. Each raised what made no sense
-- to who had called.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("a projection", function()
  local store, path
  before_each(function()
    local text = [[return { initial = 0, key = "stream", on = { Counted = function(n) return n + 1 end } }]]
    store, path = stores.new { load = function() return text end }
    stores.fill(store, "7", 2)
  end)
  after_each(function()
    store:close()
    scratch.remove(path)
  end)

  it("takes an integer for the key of a past state, too", function()
    local p = assert(store:projection("p", "p.lua"))
    assert.equal(2, (p:get(7)))
    assert.equal(1, (p:get(7, { at = 1 })))
  end)

  it("refuses a name that is too long with its share", function()
    local _, code = stores.failure(store:projection(("x"):rep(253), "p.lua", { share = { 1, 2 } }))
    assert.equal("invalid", code)
    assert(store:projection(("x"):rep(251), "p.lua", { share = { 1, 2 } }))
  end)

  it("refuses a cache that is no number of states", function()
    for _, cache in ipairs { "many", 0, -1, 1.5, {} } do
      local message = stores.raised(store.projection, store, "p", "p.lua", { cache = cache })
      stores.contains(message, "cache must be an integer of at least 1")
    end
  end)
end)
