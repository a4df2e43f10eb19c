-- processor_kill_spec.lua: two processes run the same processor and are killed, at any moment,
-- again and again, while events come: each event has each of its effects exactly once.
local effects = require "spec.support.effects"
local rille = require "rille"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local values = require "spec.support.values"

values.seed "processor_kill_spec"

local KILLS = rounds(24)

-- Each has one effect now and one later.
local EMITS = [[
    ctx:emit("effects-" .. event.stream, { type = "Effect", data = data })
    ctx:emit("effects-" .. event.stream, { type = "Later", data = data }, { delay = 0.005 })
]]

local PROCESSOR = [[local w = assert(store:processor("p", script))]]

describe("a processor whose processes are killed at any moment", function()
  it("has each effect exactly once", function()
    local path, script = scratch.path(), effects.script("kill.lua", EMITS, 7)
    local store = assert(rille.open(path))
    local n = effects.kill_often(store, KILLS, function() return effects.start(PROCESSOR, path, script) end)
    effects.script("kill.lua", EMITS, 99)
    local w = assert(store:processor("p", script))
    effects.come_to_rest(store, w)
    effects.check(store, "Effect", n)
    effects.check(store, "Later", n)
    assert.equal(store:head(), w:mark())
    assert(store:version "$delayed-p" >= 2 * n)
    store:close()
    scratch.remove(path)
  end)
end)
