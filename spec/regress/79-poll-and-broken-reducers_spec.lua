-- poll tells why a changed script is not taken up; but only those of processors.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("poll", function()
  it("tells of a projection's script that no longer loads", function()
    local text = [[return { initial = 0, on = { Counted = function(n) return n + 1 end } }]]
    for _, isolated in ipairs { false, true } do
      local now = text
      local store, path = stores.new { load = function() return now end }
      local p = assert(store:projection("p", "p.lua", { isolated = isolated }))
      assert.same({ 0 }, { store:poll() })
      now = "return {"
      local left, due, fault = store:poll()
      assert.same({ 0, nil }, { left, due })
      stores.contains(tostring(fault), "p.lua:1:")
      assert.equal(0, (p:update()))
      now = text
      assert.same({ 0 }, { store:poll() })
      store:close()
      scratch.remove(path)
    end
  end)
end)
