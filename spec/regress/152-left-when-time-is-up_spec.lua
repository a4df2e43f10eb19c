-- What is left is counted object by object, each when its turn is over. Where the time was up
-- after one of them had appended, poll answered what the first had told before that: 0, though
-- an event was there that they had not seen. Who polls until nothing is left stopped too early.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local FILES = {
  ["count.lua"] = "return { initial = 0, on = { B = function(n) return n + 1 end } }",
  ["emit.lua"] = "return { on = { A = function(e, ctx) ctx:emit('s', { type = 'B' }) end } }",
  ["slow.lua"] = "return { on = { B = function(e, ctx) ctx.host.sleep() end } }",
}
local BUDGET_MS = 1000 -- in which those before it have their turns, on a busy machine, too

describe("poll whose time is up", function()
  it("counts what has been appended behind those whose turn was over", function()
    local store, path = stores.new { load = function(name) return FILES[name] end }
    local projection = assert(store:projection("count", "count.lua"))
    assert(store:processor("emit", "emit.lua"))
    local function sleep() store:wait(1000, 2 * BUDGET_MS / 1000) end
    assert(store:processor("slow", "slow.lua", { provide = { sleep = sleep } }))
    assert(store:append("s", { type = "A" }))
    local left = assert(store:poll(BUDGET_MS))
    assert.equal(2, store:head())
    assert(left > 0, "nothing is left")
    repeat until store:poll(BUDGET_MS) == 0
    assert.equal(1, (projection:get(nil, { consistency = "weak" })))
    store:close()
    scratch.remove(path)
  end)
end)
