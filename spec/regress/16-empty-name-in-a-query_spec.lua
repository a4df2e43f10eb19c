-- stream = "" and category = "" in a query meant "any": a name that was lost on the way
-- gave every event of the store.
local stores = require "spec.support.stores"

it("an empty name in a query gives nothing, or is refused", function()
  local store <close> = stores.new()
  stores.fill(store, "s", 3)
  for _, query in ipairs { { stream = "" }, { category = "" }, { { stream = "" } },
    { { types = { "Nothing" } }, { category = "" } } } do
    local ok, found = pcall(function() return #stores.list(store:all(query)) end)
    assert(not ok or found == 0, tostring(found) .. " events")
  end
end)
