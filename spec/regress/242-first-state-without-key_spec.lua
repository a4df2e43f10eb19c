-- A reducer without key has none to give to `initial` and to its handlers: store:fold gave them nil, a
-- projection the empty string, so the two made different states of the same events.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local TEXT = [[return {
  initial = function(key) return { first = type(key) } end,
  on = { Counted = function(state, event, key) state['p' .. event.position] = type(key) end },
}]]

describe("a reducer without key", function()
  it("gets the same from whoever runs it", function()
    local expected = { first = "nil", p1 = "nil" }
    local store, path = stores.new { load = function() return TEXT end }
    stores.fill(store, "s", 1)
    for _, isolated in ipairs { false, true } do
      local p = assert(store:projection("p" .. tostring(isolated), "p.lua", { isolated = isolated }))
      assert.same(expected, (store:fold("p.lua", { isolated = isolated })))
      assert.same(expected, (p:get(nil, { at = 1 })))
      assert.same(expected, (p:get()))
    end
    assert.is_true(assert(store:verify { deep = true }).ok)
    store:close()
    scratch.remove(path)
  end)
end)
