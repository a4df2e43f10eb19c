-- How many states a projection holds in memory was told by their mean size in the log, once some
-- had been written: an isolated one of large states was stopped for the memory of rille's own cache,
-- and so were the pages of its `each`.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local TEXT = [[return { initial = {}, key = "stream", on = { Counted = function(state, event)
  for i = 1, 400 do state[event.stream .. i] = i end end } }]]

describe("an isolated projection of large states", function()
  local store, path
  before_each(function() store, path = stores.new { load = function() return TEXT end } end)
  after_each(function()
    store:close()
    scratch.remove(path)
  end)

  it("keeps as many in memory as there is room for", function()
    for i = 1, 150 do stores.fill(store, ("k%03d"):format(i), 1) end
    local p = assert(store:projection("large", "large.lua", { isolated = true, memory_bytes = 2 * 1024 * 1024 }))
    assert.equal(0, (assert(p:update())))
    local keys = {}
    for key, state in p:each() do
      keys[#keys + 1] = key
      assert.equal(400, state[key .. "400"])
    end
    assert.equal(150, #keys)
    assert.equal("k001", keys[1])
    assert.equal("k150", keys[150])
    for i = 1, 150 do
      local key = ("k%03d"):format(i)
      assert.equal(7, assert(p:get(key))[key .. "7"])
    end
    local some = {}
    for key in p:each { after = "k010", limit = 140 } do some[#some + 1] = key end
    assert.equal("k150", some[140])
  end)

  it("goes on in slices of time", function()
    for i = 1, 60 do stores.fill(store, ("k%03d"):format(i), 2) end
    local p = assert(store:projection("large", "large.lua", { isolated = true, memory_bytes = 2 * 1024 * 1024 }))
    local till = os.time() + 60
    while assert(p:update { ms = 5 }) > 0 do assert(os.time() < till) end
    for i = 1, 60 do assert.equal(1, assert(p:get(("k%03d"):format(i)))[("k%03d1"):format(i)]) end
  end)
end)
