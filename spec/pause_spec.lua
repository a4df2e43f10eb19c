-- pause_spec.lua: who takes part in a transaction, or recovers one, is stopped (SIGSTOP) at any of
-- its points and of its calls that change a file, with whatever locks it holds then; others
-- transfer, settle and recover meanwhile, and meet it; then it goes on, or is killed as it stands.
-- Everybody agrees at last, nothing told is taken back, and who had a deadline was answered.
-- (A single store: c/pause_test.c.)
local child = require "spec.crash.child"
local core = require "spec.support.core"
local raid = require "spec.crash.raid"
local rounds = require "spec.support.rounds"
local trap = require "spec.crash.trap"
local values = require "spec.support.values"

values.seed "pause_spec"

local SOAK = rounds.all
local TRIALS = SOAK and 150 or 8        -- of a kind
local PLANS = { "2h", "1", "1hc", "2" } -- see crash/bank.lua
local CALLS = { transfer = 70, recover = 40, settle = 40 } -- that change a file, about
local TIMEOUT_S, LATE_S = 0.3, 30       -- a deadline, and what a busy machine may need beyond it
local REACHED_S = 1                     -- a deadline that is not over before a point is reached
local MEET_S = 0.03                     -- until others have met who is stopped
local KILLED = 128 + 9

local function words(r, given)
  local list = { "base=" .. r.base, "plan=" .. r.plan, "seed=" .. math.random(1 << 30) }
  for name, value in pairs(given) do list[#list + 1] = name .. "=" .. value end
  return list
end

---What a process has told must hold from now on.
local function hear(r, process, may_be_killed)
  local lines, status = process:wait()
  if status ~= 0 and not (may_be_killed and status == KILLED) then
    error(("it ended with %d: %s"):format(status, table.concat(lines, "\n")), 0)
  end
  for _, line in ipairs(lines) do r.told[#r.told + 1] = line end
end

local function new_id(r)
  r.ids[#r.ids + 1] = ("pause-%d"):format(#r.ids + 1)
  return r.ids[#r.ids]
end

local function start_transfer(r)
  return child.start("transfer", words(r, { id = new_id(r), timeout = TIMEOUT_S }))
end

---"T": it is stopped; "gone": it has ended.
local function state_of(process)
  local file = io.open(("/proc/%d/stat"):format(process.pid))
  local state = file and file:read "a":match "%) (%a)"
  if file then file:close() end
  return (not state or state == "Z") and "gone" or state
end

---Starts a job that is stopped before its n-th call; nil: it did not make as many.
local function start_stopped(r, job, n)
  local given = job == "transfer" and { id = new_id(r) } or { ids = table.concat(r.ids, " ") }
  local process = trap.start({ under = r.base, stop = n }, job, words(r, given))
  local state
  repeat
    core.pause(0.001)
    state = state_of(process)
  until state == "T" or state == "gone"
  return process, state == "T"
end

---The others come to what they can, or wait; then the stopped one goes on or dies.
local function meet(r, job, n)
  if job ~= "transfer" then r:leave "before commit 1:kill" end
  local process, stopped = start_stopped(r, job, n)
  local others = { start_transfer(r), child.start("settle", words(r, {})),
                   child.start("recover", words(r, { ids = table.concat(r.ids, " ") })) }
  core.pause(MEET_S)
  local killed = stopped and math.random(2) == 1
  if stopped then os.execute(("kill -%s %d"):format(killed and "KILL" or "CONT", process.pid)) end
  for _, other in ipairs(others) do hear(r, other) end
  hear(r, process, killed)
  r:judge()
  return stopped
end

local function try(f)
  local banks = {}
  for _ = 1, TRIALS do
    local plan = PLANS[math.random(#PLANS)]
    banks[plan] = banks[plan] or raid.new(plan)
    local ok, message = pcall(f, banks[plan])
    if not ok then error(("plan %s: %s"):format(plan, message), 0) end
  end
  for _, r in pairs(banks) do r:remove() end
end

describe("who is stopped", function()
  if not trap.works() then return pending "calls are counted on Linux, with a C compiler" end

  it("at any point of a transaction keeps nobody beyond a deadline, and undoes nothing", function()
    local points = {}
    try(function(r)
      if not points[r.plan] then points[r.plan] = r:points() end
      local list = points[r.plan]
      r.options.timeout = math.random(2) == 1 and 20 or 0.01
      local ok, process = pcall(r.stop, r, list[math.random(#list)])
      r.options.timeout = nil
      if not ok and process == "it did not stop there" then return end
      if not ok then error(process, 0) end
      local begun = core.monotonic()
      hear(r, start_transfer(r))
      local took = core.monotonic() - begun
      if took > TIMEOUT_S + LATE_S then error(("the other was answered after %g s"):format(took)) end
      hear(r, child.start("settle", words(r, {})))
      if math.random(2) == 1 then r:go_on(process) else r:kill_stopped(process) end
      r:judge()
    end)
  end)

  for job, calls in pairs(CALLS) do
    it("at any call of a process that has to " .. job .. " is waited for, or taken over", function()
      local stopped = 0
      try(function(r)
        if meet(r, job, math.random(calls)) then stopped = stopped + 1 end
      end)
      rounds.tally("stops", stopped)
      assert(stopped > 0, "nobody was stopped")
    end)
  end

  it("and goes on after others have aborted it learns that", function()
    local r = raid.new("2h", { timeout = REACHED_S })
    local process = r:stop "before decide 1"
    core.pause(REACHED_S + 0.1)
    hear(r, child.start("settle", words(r, {})))
    local lines = r:go_on(process)
    assert(table.concat(lines, "\n"):find "told %S+ aborted")
    assert.is_nil(r:judge()[r.ids[1]])
    r:remove()
  end)
end)
