-- A projection goes on with the script that it has while the file is one that does not load; but a
-- state of the past was computed by the file, and so failed, though each other reading gave an answer.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("a state of the past", function()
  it("is computed by the script that is in use", function()
    local text = [[return { initial = 0, key = "stream", on = { Counted = function(n) return n + 1 end } }]]
    for _, isolated in ipairs { false, true } do
      local now = text
      local store, path = stores.new { load = function() return now end }
      stores.fill(store, "s", 3)
      local p = assert(store:projection("p", "p.lua", { isolated = isolated }))
      assert.equal(3, (p:get "s"))
      for _, broken in ipairs { "return {", "return 1", "" } do
        now = broken
        assert.equal(3, (p:get "s"))
        assert.equal(2, (p:get("s", { at = 2 })))
      end
      now = text:gsub("n %+ 1", "n + 10")
      assert.equal(20, (p:get("s", { at = 2 })))
      now = nil
      assert.equal(20, (p:get("s", { at = 2 })))
      store:close()
      scratch.remove(path)
    end
  end)
end)
