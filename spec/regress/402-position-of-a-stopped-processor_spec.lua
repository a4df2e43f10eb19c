-- A processor's script that was stopped did not tell at which event.
local stores = require "spec.support.stores"

local store, body

before_each(function()
  store = stores.new { load = function() return body end }
  assert(store:append("a", { { type = "B" }, { type = "A" } }))
end)
after_each(function() store:close() end)

local SCRIPTS = {
  handler = "return { on = { A = function() while true do end end } }",
  key = "return { key = function() while true do end end, on = { A = function() end } }",
  upcast = "return { upcast = { A = function() while true do end end }, on = { C = function() end } }",
}

describe("the event at which a processor was stopped, in its", function()
  for name, text in pairs(SCRIPTS) do
    it(name, function()
      body = text
      local p = assert(store:processor("p", "p.lua", { isolated = true, instructions = 100000 }))
      local left, message, code, detail = p:run()
      assert.equal(nil, left)
      assert.equal("budget", code)
      assert.equal(2, detail.position)
      stores.contains(message, "p.lua:1: ")
      stores.contains(message, "(at position 2)")
    end)
  end
end)
