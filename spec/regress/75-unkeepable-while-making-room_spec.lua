-- Where a state that can't be kept was found while room was made for others, which one it was
-- got lost: room was never made, and a run with a budget said that all was well.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("a state that can't be kept", function()
  it("is named when room is made", function()
    local text = [[return { initial = "", key = "stream", on = { Counted = function(_, event)
      return event.position == 3 and string.rep or "" end } }]]
    local store, path = stores.new { load = function() return text end }
    for i = 1, 200 do stores.fill(store, "s" .. i, 1) end
    local p = assert(store:projection("p", "p.lua", { cache = 64 }))
    local message, code, detail = stores.failure(p:update { ms = 10000 })
    stores.contains(message, "state is a function (at position 3: Counted in stream s3)")
    assert.equal("script", code)
    assert.same({ position = 3 }, detail)
    store:close()
    scratch.remove(path)
  end)
end)
