-- verify{ deep } read the mark of kept states first and the states later: those of a projection
-- that another carried on in between were called wrong.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("verify deep", function()
  it("compares kept states with the mark that they are of", function()
    local text = [[return { initial = 0, key = "stream", on = { Counted = function(n) return n + 1 end } }]]
    local on_load
    local store, path = stores.new { load = function()
      if on_load then on_load() end
      return text
    end }
    local other = assert(rille.open(path, { sync = "never", load = function() return text end }))
    for i = 1, 3 do stores.fill(store, "s" .. i, 1) end
    local p = assert(other:projection("p", "p.lua"))
    assert(p:update())
    assert(store:projection("p", "p.lua"))
    local times = 0
    on_load = function() -- between the two looks
      times = times + 1
      stores.fill(other, "s1", 1)
      assert(p:update())
    end
    assert.same({}, assert(store:verify { deep = true }).problems)
    assert(times > 0)
    other:close()
    store:close()
    scratch.remove(path)
  end)
end)
