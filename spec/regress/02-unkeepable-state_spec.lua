-- A handler that leaves a state which can't be stored: the fold's refusal names the place,
-- and is an answer, not an error in the fold itself.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

it("a state with keys of two kinds is refused by name", function()
  local store <close> = stores.new()
  assert(store:append("a", { type = "T" }))
  local script = scratch.file("mixed.lua", [[
return { initial = {}, on = { T = function(state) state[1], state.x = 1, 2 end } }]])
  local message, code = stores.failure(store:fold(script))
  stores.contains(message, "the state can't be kept: state ")
  assert.equal("script", code)
end)
