-- elsewhere_kill_spec.lua: two processes run a processor that writes to another store, and are
-- killed, at any moment, again and again: each event has its effect there and here exactly once.
local effects = require "spec.support.effects"
local rille = require "rille"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local values = require "spec.support.values"

values.seed "elsewhere_kill_spec"

local KILLS = rounds(16)

-- Each has effects there and one here, and one there later.
local EMITS = [[
    ctx:emit("effects-" .. event.stream, { type = "There", data = data }, { to = "other" })
    ctx:emit("effects-" .. event.stream, { type = "There2", data = data }, { to = "other" })
    ctx:emit("effects-" .. event.stream, { type = "Here", data = data })
    ctx:emit("later", { type = "Later", data = data }, { to = "other", delay = 0.005 })
]]

local PROCESSOR = [[
  local there = assert(rille.open(other))
  local c = way == "a transaction" and assert(rille.coordinator(store)) or nil
  local w = assert(store:processor("p", script, { stores = { other = there }, coordinator = c }))
]]

for _, way in ipairs { "ids", "a transaction" } do
  describe("a processor that writes to another store by " .. way .. ", killed at any moment", function()
    it("has each effect exactly once", function()
      local here_path, there_path = scratch.path "here.rille", scratch.path "there.rille"
      local script = effects.script("elsewhere.lua", EMITS, 7)
      local store, there = assert(rille.open(here_path)), assert(rille.open(there_path))
      local n = effects.kill_often(store, KILLS, function() -- "locked": by the other process, or one that is dead
        return effects.start(PROCESSOR, here_path, script, "locked", there_path, way)
      end)
      effects.script("elsewhere.lua", EMITS, 99)
      local c = way == "a transaction" and assert(rille.coordinator(store)) or nil
      local w = assert(store:processor("p", script, { stores = { other = there }, coordinator = c }))
      effects.come_to_rest(store, w)
      for _, kind in ipairs { "There", "There2", "Later" } do effects.check(there, kind, n) end
      effects.check(store, "Here", n)
      assert.equal(store:head(), w:mark())
      assert.same({}, there:indoubt())
      store:close()
      there:close()
      scratch.remove(here_path)
      scratch.remove(there_path)
    end)
  end)
end
