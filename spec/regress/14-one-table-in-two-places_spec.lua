-- A state is a tree. One table in two places was written twice and came back as two, so
-- that a state kept differed from the one the script had.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

it("a state with one table in two places is refused by name", function()
  local store <close> = stores.new()
  stores.fill(store, "s", 1)
  local script = scratch.file("shared.lua", [[
return { initial = {}, on = { Counted = function(state)
  local list = { 1 }
  state.a, state.b = list, { deep = list }
end } }]])
  local message, code = stores.failure(store:fold(script))
  assert.equal("script", code)
  assert.truthy(message:find("state.a", 1, true) or message:find("state.b.deep", 1, true), message)
end)
