-- The states of two projections were mixed where two programs had the same seed of math.random:
-- their slots had the same name.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

it("projections keep apart whatever the host's math.random gives", function()
  local text = [[local params = ... return { initial = 0, key = "stream",
    on = { Counted = function(n) return n + params.by end } }]]
  local store, path = stores.new { load = function() return text end }
  stores.fill(store, "s", 3)
  for by = 1, 3 do
    math.randomseed(7)
    local p = assert(store:projection("by" .. by, "by.lua", { params = { by = by } }))
    assert.equal(3 * by, (p:get "s"))
    assert(p:close())
  end
  store:close()
  scratch.remove(path)
end)
