-- States are written at once, which has a limit in bytes. How large they are was looked at
-- only when they were written: so the first read of many large ones failed.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("a projection of large states", function()
  it("saves them in parts, each with its mark", function()
    local text = [[return { initial = "", key = "stream", on = { Counted = function(_, _, key)
      return key:rep(1 << 9):rep(1 << 9) end } }]] -- in few pieces: each is a memcpy
    local store, path = stores.new { load = function() return text end }
    for i = 1, 270 do stores.fill(store, ("k%03d"):format(i), 1) end
    local p = assert(store:projection("large", "large.lua"))
    assert.equal(1 << 20, #assert(p:get "k001"))
    local keys = 0
    for key, state in p:each() do
      assert(state == key:rep(1 << 9):rep(1 << 9))
      keys = keys + 1
    end
    assert.equal(270, keys)
    store:close()
    scratch.remove(path)
  end)
end)
