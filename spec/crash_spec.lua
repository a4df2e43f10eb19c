-- crash_spec.lua: transactions whose processes are killed, or whose power goes, at each point;
-- others settle meanwhile, and die while they recover (crash/raid.lua, crash/points.lua).
-- Then everybody agrees, nothing that was told or seen is taken back, and no lock remains.
--
-- A part of the points is tried, by chance; with RILLE_SOAK all, under every plan, or as many as
-- there is time for: SECONDS for each kind.
local faults = require "spec.crash.faults"
local raid = require "spec.crash.raid"
local rille = require "rille"
local transaction = require("spec.support.core").transaction
local rounds = require "spec.support.rounds"
local trap = require "spec.crash.trap"
local values = require "spec.support.values"

values.seed "crash_spec"

local PLANS = { "1", "1h", "2", "2h", "3", "3h", "1hc", "2c", "1ho" } -- see crash/bank.lua
local WITH_LEDGER = { "1f", "2hf" }                                    -- which no power cut can reach
local TRIALS = rounds(8)                                       -- of a kind, unless all are tried
local TELLING = 8                                              -- trials, of which not all are killed too late ...
local CERTAIN = 40                                             -- ... and not all are decided
local CALLS = 70                                               -- of a transfer that change a file, about
local EPOCH_CALL = 17                                          -- the one that flushes the epoch
local RECOVERY_CALLS = 40                                      -- of a recovery, about
local STORMS_MOST = 10
local STORM_S = rounds.all and 10 or 1
local FAULT_TRIALS = 8
local LATE_S = 0.05
local SECONDS = rounds.all and tonumber(os.getenv "SECONDS") or math.huge

local points_of = {}

---The points of a transfer under this plan.
local function points(plan)
  if not points_of[plan] then
    local r = raid.new(plan)
    points_of[plan] = r:points()
    r:remove()
  end
  return points_of[plan]
end

---In some order; all, or only a few.
local function some(list)
  for i = #list, 2, -1 do
    local j = math.random(i)
    list[i], list[j] = list[j], list[i]
  end
  return rounds.all and list or table.move(list, 1, TRIALS, 1, {})
end

---Every point of every plan, or some of them: list of { plan, at }.
local function chosen_points(plans)
  local list = {}
  for _, plan in ipairs(plans or PLANS) do
    for _, at in ipairs(points(plan)) do list[#list + 1] = { plan, at } end
  end
  return some(list)
end

local function chosen_calls()
  local list = {}
  for _, plan in ipairs(PLANS) do
    for call = 1, CALLS do list[#list + 1] = { plan, call } end
  end
  return some(list)
end

---Tries each, in a bank for each plan, while there is time.
---@return { tried: integer, committed: integer, deaths: integer }
local function try(list, options, f)
  local banks, counts, stop = {}, { tried = 0, committed = 0, deaths = 0 }, os.time() + SECONDS
  for _, chosen in ipairs(list) do
    local plan, at = chosen[1], chosen[2]
    local r = banks[plan] or raid.new(plan, options)
    banks[plan] = r
    local ok, all = pcall(f, r, at)
    if not ok then error(("plan %s, %s: %s"):format(plan, at, all), 0) end
    if all[r.ids[#r.ids]] then counts.committed = counts.committed + 1 end
    counts.tried = counts.tried + 1
    if os.time() >= stop then break end
  end
  for _, r in pairs(banks) do
    counts.deaths = counts.deaths + r.deaths
    r:remove()
  end
  rounds.tally("interrupted transactions", counts.tried)
  rounds.tally("kills", counts.deaths)
  return counts
end

describe("a transaction", function()
  if not trap.works() then return pending "calls are recorded on Linux, with a C compiler" end

  it("is whole or nothing when its coordinator is killed at any point, and who settles after it", function()
    local n = try(chosen_points(), nil, function(r, at) return r:kill(at .. ":kill") end)
    assert(n.deaths > n.tried // 2 or n.tried < TELLING, "it was not killed")
    assert(n.committed < n.tried or n.tried < CERTAIN, n.committed)
    assert(n.committed > 0 or not rounds.all, n.committed)
  end)

  it("is whole or nothing with a participant that is no store, when it is killed or late at any point", function()
    try(chosen_points(WITH_LEDGER), nil, function(r, at) return r:kill(at .. ":kill") end)
    try(chosen_points(WITH_LEDGER), { timeout = LATE_S }, function(r, at) return r:visit(at .. ":late") end)
  end)

  it("is whole or nothing when its coordinator is killed at any call that changes a file", function()
    local n = try(chosen_calls(), nil, function(r, call) return r:kill_call(call) end)
    assert(n.deaths > 0 or n.tried < TELLING, "it was not killed")
  end)

  it("is whole or nothing when the power goes at any point, and again while it is settled", function()
    try(chosen_points(), { forget = 1 }, function(r, at) return r:cut(at .. ":kill") end)
  end)

  it("is whole or nothing when nothing arrives on the disk that is not flushed", function()
    try(chosen_points(), nil, function(r, at) return r:cut(at .. ":kill", 0) end)
  end)

  it("is whole or nothing when the power goes at any call that changes a file", function()
    try(chosen_calls(), nil, function(r, call) return r:cut_call(call % 2 == 0 and 0 or nil) end)
  end)

  it("goes on when others settle at any point: its coordinator lives", function()
    local n = try(chosen_points(), nil, function(r, at) return r:visit(at .. ":settle") end)
    assert.equal(n.tried, n.committed)
  end)

  it("is aborted by who settles when its deadline has passed, unless it is decided", function()
    try(chosen_points(), { timeout = LATE_S }, function(r, at) return r:visit(at .. ":late") end)
  end)
end)

-- Each row of the failure matrix by itself (docs/transactions-proof.md): the raid, what happens,
-- and whether the transfer is there at last; nil: one or the other. Of the flushes of plan "2h"
-- the third is home's, of the decision.
local ROWS = {
  { "killed before prepare", "kill", "before prepare 1:kill", false },
  { "killed before decide", "kill", "before decide 1:kill", false },
  { "killed before force", "kill", "before flush 3:kill", true },
  { "power cut before force", "cut", "before flush 3:kill", nil },
  { "killed after force", "kill", "after flush 3:kill", true },
  { "killed after a commit", "kill", "after commit 1:kill", true },
  { "killed before end", "kill", "before ended 1:kill", true },
  { "power cut after end", "cut", "after ended 1:kill", true },
  { "coordinator stopped past its deadline", "visit", "before decide 1:late", false, timeout = LATE_S },
  { "settling races decide", "visit", "before decide 1:race", nil, timeout = LATE_S },
  { "power cut before flush", "cut", "before flush 1:kill", false },
  { "power cut after flush", "cut", "after flush 1:kill", false },
  { "power cut after commit", "cut", "after commit 1:kill", true },
  { "power cut of all", "cut", "after answer 1:kill", true },
}

describe("a transaction:", function()
  if not trap.works() then return pending "calls are recorded on Linux, with a C compiler" end
  local r
  after_each(function() r:remove() end)

  for _, row in ipairs(ROWS) do
    it(row[1], function()
      r = raid.new("2h", { timeout = row.timeout })
      for i = 1, row[4] == nil and 3 or 1 do
        local all = r[row[2]](r, row[3], i % 2 == 1 and 0 or nil)
        if row[4] ~= nil then assert.equal(row[4], all[r.ids[i]] ~= nil) end
      end
    end)
  end

  it("killed before its epoch is durable", function()
    r = raid.new "2h"
    for call = EPOCH_CALL - 3, EPOCH_CALL do assert.same({}, r:kill_call(call)) end
  end)

  it("a dead epoch is closed", function()
    r = raid.new "2h"
    r:leave "before decide 1:kill"
    local home = assert(rille.open(r:path "home"))
    local c = assert(rille.coordinator(home))
    r:with("m1", { readonly = true }, function(m1) -- which settles nothing
      local told = assert(transaction.outcome(home, m1:indoubt()[1].id))
      assert.equal("aborted", told.outcome)
    end)
    c:close()
    home:close()
    assert.same({}, r:judge())
  end)

  it("killed in recovery", function()
    r = raid.new "2h"
    for _, at in ipairs { "before commit 1", "after commit 1", "before commit 2", "before ended 1", "after ended 1" } do
      r:leave "before commit 1:kill"
      r:succeed(at .. ":kill")
      assert(r:judge()[r.ids[#r.ids]])
    end
    for call = 1, rounds.all and RECOVERY_CALLS or 1 do
      r:leave "before commit 1:kill"
      r:succeed("", rounds.all and call or math.random(RECOVERY_CALLS))
      assert(r:judge()[r.ids[#r.ids]])
    end
  end)
end)

describe("many coordinators", function()
  if not trap.works() then return pending "calls are recorded on Linux, with a C compiler" end

  local function storm(plan, dark)
    local r = raid.new(plan, { forget = 1 })
    local all, told
    for _ = 1, STORMS_MOST do -- a machine may be busy
      all, told = r:storm(STORM_S, dark)
      if told > 0 and next(all) then break end
    end
    assert(told > 0 and next(all), "nothing happened")
    r:remove()
  end

  it("that are killed, others in their places, leave no money in between", function() storm "2h" end)
  it("lose no money when the power goes", function() storm("3hc", true) end)
end)

describe("a fault is found:", function()
  if not trap.works() then return pending "calls are recorded on Linux, with a C compiler" end

  ---What is wrong, in a number of trials; nil: nothing.
  local function found(fault, how)
    for _ = 1, FAULT_TRIALS do
      local r = raid.new("2h", { fault = fault, timeout = how.timeout, forget = how.forget })
      local ok, message = pcall(r[how[1]], r, how[2], how[3])
      r:remove()
      if not ok then return message end
    end
  end

  for fault, how in pairs(faults.found_by) do
    it(fault, function()
      local message = assert(found(fault, how), "it was not found")
      assert(message:find " has not$" or message:find "it is not there" or message:find "it is there" or
        message:find "still in doubt", message)
    end)
  end
end)
