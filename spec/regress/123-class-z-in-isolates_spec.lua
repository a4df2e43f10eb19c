-- The class %z, which Lua's manual has dropped and Lua has not, was the letter z to the pattern
-- functions of the isolated tier: the same script gave another state there. (Found by the fuzzer.)
local stores = require "spec.support.stores"

local SCRIPT = [[
return { initial = {}, on = { T = function(state, event)
  state[1] = ("a\0b"):find("%z")
  state[2] = ("z\0"):match("^%Z+()")
  state[3] = (("a\0b"):gsub("[%z]", "-"))
end } }]]

describe("%z in a pattern", function()
  it("is the NUL byte, isolated or not", function()
    local store = stores.new { load = function() return SCRIPT end }
    assert(store:append("s", { type = "T" }))
    local here = assert(store:fold "z.lua")
    assert.same({ 2, 2, "a-b" }, here)
    assert.same(here, assert(store:fold("z.lua", { isolated = true })))
    store:close()
  end)
end)
