-- When poll carried several projections on together and the save of one of them failed, those
-- behind it had the events in their states but not in their marks: they took them again.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("a save that fails in poll", function()
  it("leaves the other projections right", function()
    local files = {
      ["large.lua"] = [[return { initial = "",
        key = function(event)
          if event.position == 1 then return { 1, 2, 3, 4, 5 } end -- too much for one write
          return event.stream
        end,
        on = { Counted = function(_, event)
          return event.position == 1 and ("x"):rep(1 << 20):rep(60) or "" -- in few pieces: each is a memcpy
        end } }]],
      ["count.lua"] = [[return { initial = 0, on = { Counted = function(n) return n + 1 end } }]],
    }
    local store, path = stores.new { load = function(name) return files[name] end }
    for i = 1, 80 do stores.fill(store, "s" .. i, 1) end
    assert(store:projection("large", "large.lua", { cache = 64 }))
    local count = assert(store:projection("count", "count.lua"))
    local message, code = stores.failure(store:poll())
    stores.contains(message, "256 MiB")
    assert.equal("invalid", code)
    assert.equal(80, (count:get()))
    store:close()
    scratch.remove(path)
  end)
end)
