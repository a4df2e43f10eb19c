-- A fold that was under way while content went added what it had seen before to what was left behind it: a state
-- of no moment.
local core = require "spec.support.core"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local RUNG = 1024 -- a fold of more events than that goes through the log in several pieces
local COUNT = scratch.file("count.lua", "return { initial = 0, on = { Counted = function(s) return s + 1 end } }")
local SUM = scratch.file("sum.lua",
  "return { initial = 0, on = { Counted = function(s, e) return s + e.data.n end } }")

describe("a fold", function()
  local store, other, run
  local pieces, act

  before_each(function()
    local path
    store, path = stores.new()
    stores.fill(store, "a", 3000)
    other = assert(rille.open(path, { sync = "never" }))
    run, pieces = core.fold_run, 0
    core.fold_run = function(...)
      pieces = pieces + 1
      local results = table.pack(run(...))
      act()
      return table.unpack(results, 1, results.n)
    end
  end)
  after_each(function()
    core.fold_run = run
    assert(other:close())
    assert(store:close())
  end)

  it("sees what was there at one moment, where others scavenge meanwhile", function()
    assert(other:truncate("a", { before = 2501 }))
    act = function()
      if pieces == 1 then assert.equal(2500, assert(other:scavenge()).events) end
    end
    assert.equal(500, (store:fold(COUNT)))
    assert.equal(3, pieces) -- one, and the rest; and all of it
    assert.equal(0, (store:fold(COUNT, { at = 2000 })))
  end)

  it("or redact", function()
    act = function()
      if pieces == 1 then assert(other:redact { RUNG, RUNG + 1 }) end
    end
    assert.equal(3000 * 3001 // 2 - RUNG - (RUNG + 1), (store:fold(SUM)))
  end)

  it("gives it up where that never ends", function()
    local generation, told = core.log_generation, 0
    act = function() told = told + 1 end
    core.log_generation = function() return told end -- as one who redacts all the time would make it
    local results = table.pack(pcall(store.fold, store, COUNT))
    core.log_generation = generation
    assert(results[1], results[2])
    local _, code = stores.failure(table.unpack(results, 2, results.n))
    assert.equal("busy", code)
  end)
end)
