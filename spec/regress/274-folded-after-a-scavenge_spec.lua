-- A fold began at a rung that had events which a scavenge has taken since, and added what was left of the others:
-- a state that is neither of then nor of now, and another one when the index was made anew.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local count = scratch.file("count.lua", "return { initial = 0, on = { Counted = function(s) return s + 1 end } }")

it("a fold sees what is left after a scavenge, and nothing else", function()
  local store, path = stores.new()
  stores.fill(store, "a", 3000)
  assert.equal(3000, (store:fold(count)))
  assert.equal(1500, (store:fold(count, { at = 1500 })))
  for _, left in ipairs { 500, 200 } do
    assert(store:truncate("a", { before = 3001 - left }))
    assert(store:scavenge())
    assert.equal(left, (store:fold(count)))
    assert.equal(0, (store:fold(count, { at = 1500 })))
    stores.fill(store, "b", 1500)
    assert.equal(left + 1500, (store:fold(count)))
    assert(store:delete "b")
    assert(store:scavenge())
    assert.equal(left, (store:fold(count)))
  end
  assert(store:close())
  scratch.shell("rm -r '%s/index'", path)
  store = assert(rille.open(path))
  assert.equal(200, (store:fold(count)))
  assert(store:close())
end)
