-- Two instances of a processor react by transactions. One that was overtaken, between the look at
-- its own conditions and the other store's promise, met the other's ids there, took them for its
-- own of an earlier life, and wrote what it did not find under an id: of a run of events to one
-- stream only the first is found. So effects were there twice, though its mark was refused then.
local points = require "spec.crash.points"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local SHIP = [[return { on = { Sold = function(event, ctx)
  ctx:emit("picks", { type = "Picked", data = event.data }, { to = "warehouse" })
end } }]]

describe("a processor that another instance overtakes in the midst of its transaction", function()
  it("writes nothing", function()
    local other
    local overtaken = false
    points.install { ["before prepare 1"] = function() overtaken = assert(other:run()) == 0 end }
    local paths = { scratch.path "shop.rille", scratch.path "warehouse.rille" }
    local shop <close> = assert(rille.open(paths[1], { load = function() return SHIP end }))
    local warehouse <close> = assert(rille.open(paths[2]))
    local function instance()
      local c = assert(rille.coordinator(shop))
      return assert(shop:processor("ship", "p.lua", { stores = { warehouse = warehouse }, coordinator = c })), c
    end
    local one, c1 <close> = instance()
    local another, c2 <close> = instance()
    other = another
    for n = 1, 3 do assert(shop:append("sales", { type = "Sold", data = n })) end
    assert(one:run())
    assert.is_true(overtaken)
    assert.same({ 1, 2, 3 }, stores.fields("data", warehouse:all()))
    assert.equal(shop:head(), one:mark())
    assert(c1 and c2)
  end)
end)
