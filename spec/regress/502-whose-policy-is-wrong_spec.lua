-- A wrong policy, or wrong parameters of one, is misuse: the error named a line of rille's own
-- instead of the caller's.
local rille = require "rille"
local stores = require "spec.support.stores"

describe("a policy that is misuse", function()
  it("is the fault of the line that named it", function()
    local here = stores.new()
    local c = assert(rille.coordinator(here))
    for _, options in ipairs { { policy = 5 }, { policy = "quorum", params = { need = "x" } } } do
      stores.contains(stores.raised(function() c:transact(options, function() return true end) end), "502-whose")
      stores.contains(stores.raised(function() c:begin(options) end), "502-whose")
    end
    c:close()
    here:close()
  end)
end)
