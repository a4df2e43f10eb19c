-- The thread that watches isolated scripts slept until a time of the wall's clock: where that was
-- set back meanwhile, an endless script ran on for as long.
local clock = require "spec.crash.clock"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("an endless script", function()
  if not clock.works() then return pending "clocks are set on Linux, with a C compiler" end

  it("is stopped although the clock is set back three hours while it runs", function()
    local path = scratch.path()
    local script = scratch.file("endless.lua", "return { initial = {}, on = { A = function() while true do end end } }")
    local output, status = clock.run([[
      local store = assert(require "rille".open(arg[1]))
      assert(store:append("a", { type = "A" }))
      jump_later(-3 * 3600, 0.2)
      local state, message, code, detail = store:fold(arg[2], { isolated = true, instructions = 1 << 52 })
      assert(state == nil and code == "budget", message)
      print(detail.limit)
      assert(store:close())
    ]], 20, path, script)
    assert.equal(0, status, output)
    stores.contains(output, "time")
  end)
end)
