-- One way through the log serves 64 projections. Where a store had more of them, poll took
-- that for a failure, and threw away what all of them had in memory: with a budget they came
-- no further, however often it was called.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("poll with a budget", function()
  it("brings 65 projections to the head", function()
    local text = [[return { initial = 0, on = { Counted = function(n) return n + 1 end } }]]
    local store, path = stores.new { load = function() return text end }
    local list = {}
    for i = 1, 65 do list[i] = assert(store:projection("p" .. i, "p.lua")) end
    stores.fill(store, "s", 300)
    local calls, left = 0
    repeat
      left, calls = assert(store:poll(0)), calls + 1
    until left == 0 or calls == 1000
    assert.equal(0, left)
    for _, p in ipairs(list) do assert.equal(300, (p:get(nil, { consistency = "eventual" }))) end
    store:close()
    scratch.remove(path)
  end)
end)
