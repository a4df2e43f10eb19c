-- limit = 0 and before = 0 meant "none given", as in rille.h: who asked for at most no
-- events got all of them.
local stores = require "spec.support.stores"

it("a limit of 0 gives nothing, as does before = 0", function()
  local store <close> = stores.new()
  stores.fill(store, "s", 3)
  for _, reverse in ipairs { false, true } do
    assert.same({}, stores.versions(store:read("s", { limit = 0, reverse = reverse })))
    assert.same({}, stores.versions(store:read("s", { before = 0, reverse = reverse })))
    assert.same({}, stores.positions(store:all { limit = 0, reverse = reverse }))
    assert.same({}, stores.positions(store:all { before = 0, reverse = reverse }))
    assert.same({}, stores.positions(store:all { types = { "Counted" }, limit = 0, reverse = reverse }))
  end
end)
