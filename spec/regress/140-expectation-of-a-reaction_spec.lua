-- A reaction that is written by a transaction, and expects a version that is not there, was
-- repeated for the five seconds that a transaction has, and that for each of its attempts: what
-- it expected could not become true by itself. Nothing else of the processor happened meanwhile.
local core = require "spec.support.core"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local SCRIPT = [[return { on_error = "park", on = { Sold = function(event, ctx)
  ctx:emit("sent", { type = "Told" }, { expect = %s })
  ctx:emit("picks", { type = "Picked" }, { to = "warehouse", expect = %s })
end } }]]

describe("a reaction by a transaction that expects what is not there", function()
  for where, expects in pairs { ["its own"] = { '"exists"', '"any"' }, ["the other"] = { '"any"', '"exists"' } } do
    it("in " .. where .. " store is not tried again as it was", function()
      local shop, warehouse = stores.new(), stores.new()
      local c <close> = assert(rille.coordinator(shop))
      assert(shop:append("sales", { type = "Sold" }))
      local script = scratch.file("expects.lua", SCRIPT:format(table.unpack(expects)))
      local w = assert(shop:processor("ship", script, { stores = { warehouse = warehouse }, coordinator = c }))
      local began = core.monotonic()
      w:run()
      assert(core.monotonic() - began < 4, "it took as long as one transaction may")
      assert.equal(5, w:parked()[1].attempts)
      assert.same({}, stores.fields("type", shop:all { types = { "Told", "Picked" } }))
      assert.equal(0, warehouse:head())
    end)
  end
end)
