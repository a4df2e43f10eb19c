-- verify reads the log once while others append, and then the rest while they wait; it had
-- read ahead into the rest, before that was written, and took what it had then for damage.
local stores = require "spec.support.stores"

it("what is appended while verify reads is no damage", function()
  local store = stores.new { sync = "always" }
  local large, small = ("x"):rep(1 << 20), ("x"):rep(3000)
  for i = 1, 16 do assert(store:append("a", { type = "A", data = large:sub(i == 16 and 10000 or 1) })) end
  for _ = 1, 8 do assert(store:append("a", { type = "A", data = small })) end -- zeros stand behind them
  local told = 0
  local verified = assert(store:verify { progress = function()
    told = told + 1
    assert(store:append("a", { type = "A", data = small }))
  end })
  assert.equal(1, told)
  assert.same({}, verified.problems)
  assert.equal(25, verified.events)
  assert(store:close())
end)
