-- clock_spec.lua: the wall's clock jumps hours forward and back (crash/clock.c), while a process
-- waits, between two of its calls, and for some processes of a store and not for others. Times of
-- events never go back; what waits, gives up or is tried again does so by a clock that nobody sets;
-- transactions stay whole. Delays are on the store's clock, and wait for it.
local clock = require "spec.crash.clock"
local rille = require "rille"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"

values.seed "clock_spec"

local SOAK = rounds.all
local TRIALS = SOAK and 60 or 4
local STORM_S = SOAK and 20 or 1
local PATIENCE_S = SOAK and 300 or 60

---Runs a program under a jumping clock; it must print "ok".
local function holds(code, ...)
  local output, status = clock.run("local rille = require 'rille'\nmath.randomseed(" .. math.random(1 << 30) .. ")\n" ..
    code .. "\nprint 'ok'", PATIENCE_S, ...)
  if status ~= 0 or output ~= "ok\n" then error(("status %d: %s"):format(status, output), 2) end
end

-- A clock that nobody sets, and how long something took by it.
local TOOK = [[
  local SOON_S = 15 -- a machine may be busy; jumps are of hours
  local core = require "spec.support.core"
  local function took(least, most, f, ...)
    local begun = core.monotonic()
    local results = table.pack(f(...))
    local seconds = core.monotonic() - begun
    if seconds < least or seconds > most then error(("it took %g s"):format(seconds), 2) end
    return table.unpack(results, 1, results.n)
  end
]]

describe("where the clock jumps", function()
  if not clock.works() then return pending "clocks are set on Linux, with a C compiler" end
  local path
  before_each(function() path = scratch.path() end)
  after_each(function() scratch.remove(path) end)

  it("times of events never go back, whoever appends", function()
    for _ = 1, 2 do
      holds([[
        local store = assert(rille.open(arg[1]))
        for i = 1, 40 do
          if math.random(3) == 1 then jump(math.random(-9, 9) * 3600) end
          assert(store:append("a", { type = "A" }))
          if math.random(10) == 1 then
            assert(store:close())
            store = assert(rille.open(arg[1]))
          end
        end
        assert(store:close())]], path)
      local store = assert(rille.open(path)) -- with the true clock
      assert(store:append("a", { type = "B" }))
      local last = 0
      for event in store:all() do
        assert(event.time >= last, "a time went back at position " .. event.position)
        last = event.time
      end
      assert(store:verify().ok and store:close())
    end
  end)

  it("waits last as long as was asked, and are woken", function()
    holds(TOOK .. [[
      local store = assert(rille.open(arg[1]))
      for _, seconds in ipairs { 3 * 3600, -5 * 3600 } do
        jump_later(seconds, 0.1)
        assert(took(0.4, SOON_S, store.wait, store, 1, 0.4) == false)
      end
      jump(-3600)
      local other = assert(rille.open(arg[1], { sync = "interval", sync_interval_ms = 20 }))
      assert(other:append("a", { type = "A" }))
      jump_later(-3600, 0.05)
      assert(took(0, SOON_S, store.wait, store, 1, 20) == true)
      assert(other:close() and store:close())]], path)
  end)

  it("a flush in the background comes in time", function()
    holds(TOOK .. [[
      local store = assert(rille.open(arg[1], { sync = "interval", sync_interval_ms = 50 }))
      for i = 1, 4 do
        jump(i % 2 == 0 and 7200 or -7200)
        assert(store:append("a", { type = "A" }))
        took(0, SOON_S, function() repeat core.pause(0.005) until store:durable() == i end)
      end
      assert(store:close())]], path)
  end)

  it("a transaction has the time that it was given", function()
    local policy = scratch.file("waits.lua", "return { decide = function() return 'wait' end }")
    holds(TOOK .. [[
      local here, there = assert(rille.open(arg[1])), assert(rille.open(arg[1] .. ".there"))
      local c = assert(rille.coordinator(here, { participants = { voter = { prepare = function() return true end } } }))
      local function work(tx)
        assert(tx:append(here, "a", { type = "A" }))
        assert(tx:append(there, "a", { type = "A" }))
        return assert(tx:enlist "voter")
      end
      for _, seconds in ipairs { -3 * 3600, 5 * 3600 } do
        jump_later(seconds, 0.1)
        local _, _, code = took(0.4, SOON_S, c.transact, c, { timeout = 0.4, policy = arg[2] }, work)
        assert(code == "aborted")
        assert(#there:indoubt() == 0 and #c:pending() == 0)
        assert(took(0, SOON_S, c.transact, c, { timeout = 60 }, function(tx)
          work(tx)
          jump(seconds)
          return true
        end))
      end
      assert(here:version "a" == 2 and there:version "a" == 2)
      assert(c:close() and there:close() and here:close())]], path, policy)
    scratch.remove(path .. ".there")
  end)

  it("transactions are whole, whoever is stopped or killed meanwhile", function()
    holds([[
      local raid = require "spec.crash.raid"
      local r = raid.new("2h", { timeout = 30 })
      local points = r:points()
      for _ = 1, tonumber(arg[1]) do
        local at = points[math.random(8, #points)]
        local ok, process = pcall(r.stop, r, at)
        if ok then
          jump(math.random(-9, 9) * 3600)
          r:with("m1", {}, function(store)
            for _, doubt in ipairs(assert(store:indoubt())) do assert(doubt.age >= 0) end
            assert((store:stats().oldest or 0) >= 0)
            assert(store:settle())
          end)
          jump(math.random(-9, 9) * 3600)
          if math.random(2) == 1 then r:go_on(process) else r:kill_stopped(process) end
        end
        r:judge()
      end
      for _ = 1, tonumber(arg[2]) * 10 do jump_later(math.random(-9, 9) * 3600, math.random() * tonumber(arg[2])) end
      r:storm(tonumber(arg[2]))
      r:remove()]], TRIALS, STORM_S)
  end)

  it("delays wait for the store's clock, and each is over once", function()
    local script = scratch.file("delays.lua", [[
      return { from = { types = { "A", "Late" } }, on = {
        A = function(event, ctx) ctx:emit("late", { type = "Late" }, { delay = 1800 }) end, Late = function() end } }]])
    holds([[
      local store = assert(rille.open(arg[1]))
      local w = assert(store:processor("w", arg[2]))
      local function run() return select(2, assert(w:run())) end
      assert(store:append("a", { type = "A" }))
      local due = run()
      assert(due > 1700 and due <= 1800, due)
      jump(-3600)
      due = run()
      assert(due > 1800 + 3500 and store:version "late" == 0, due)
      jump(3600 + 1801)
      run()
      assert(store:version "late" == 1)
      jump(-7200)
      run()
      assert(store:version "late" == 1)
      jump(9000)
      assert(run() == nil and store:version "late" == 1)
      assert(store:close())]], path, script)
  end)

  it("ages of what holds a lock are never negative", function()
    holds([[
      local core = require "spec.support.core"
      local stores = require "spec.support.stores"
      local means = core.transaction
      local here, there = assert(rille.open(arg[1])), assert(rille.open(arg[1] .. ".there"))
      local instance = assert(means.instance(here, "spec"))
      local id, home_end = instance:begin()
      local parts = { { stream = "a", events = { { type = "A" } } } }
      local done = assert(means.prepare(there, stores.work(there, parts), { id = id, name = "there",
        home_kind = "store", home_path = arg[1], home_end = home_end, coordinator = "spec" }))
      assert(means.flush(there, done.flush))
      for _, seconds in ipairs { -7200, 3600 } do
        jump(seconds)
        local _, _, code, detail = there:append("a", { type = "A" })
        assert(code == "locked" and detail.age >= 0)
        assert(there:indoubt()[1].age >= 0)
      end
      instance:close()
      assert(there:settle())
      assert(there:append("a", { type = "A" }, { expect = "none" }))
      assert(there:close() and here:close())]], path)
    scratch.remove(path .. ".there")
  end)
end)

it("a clock of the host's that goes back changes no order", function()
  local now = 2000000000
  local store, path = stores.new { clock = function() return now end }
  local last = 0
  for _ = 1, 30 do
    now = now + math.random(-7200, 7200)
    assert(store:append("a", { type = "A" }))
  end
  for event in store:all() do
    assert(event.time >= last)
    last = event.time
  end
  store:close()
  scratch.remove(path)
end)
