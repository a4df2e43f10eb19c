-- crash_spec.lua: transactions whose processes are killed, or whose power goes, at each point;
-- others settle meanwhile, and die while they recover (crash/raid.lua, crash/points.lua).
-- Then everybody agrees, nothing that was told is taken back, and no lock remains.
--
-- A part of the points is tried, by chance; with RILLE_SOAK all, for every plan.
local raid = require "spec.crash.raid"
local trap = require "spec.crash.trap"
local values = require "spec.support.values"

values.seed "crash_spec"

local SOAK = os.getenv "RILLE_SOAK"
local PLANS = { "1", "1h", "2", "2h", "3", "3h", "1hc", "2c" }
local TRIALS = 12 -- of a kind, without RILLE_SOAK
local LATE_S = 0.05

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

---Every point of every plan, or some of them: list of { plan, at }, plan by plan.
local function choose(plans, wanted)
  local list = {}
  for _, plan in ipairs(plans) do
    for _, at in ipairs(points(plan)) do list[#list + 1] = { plan, at } end
  end
  if SOAK then return list end
  while #list > wanted do table.remove(list, math.random(#list)) end
  return list
end

---Tries each; the bank is the same as long as the plan is.
local function try(list, options, f)
  local r, plan, committed = nil, nil, 0
  for _, chosen in ipairs(list) do
    if chosen[1] ~= plan then
      if r then r:remove() end
      plan = chosen[1]
      r = raid.new(plan, options)
    end
    local ok, message = pcall(f, r, chosen[2])
    if not ok then error(("plan %s, %s: %s"):format(plan, chosen[2], message), 0) end
    if message[r.ids[#r.ids]] then committed = committed + 1 end
  end
  r:remove()
  return committed
end

describe("a transaction", function()
  if not trap.works() then return pending "calls are recorded on Linux, with a C compiler" end

  it("is whole or nothing when its coordinator is killed at any point, and who settles after it", function()
    local list = choose(PLANS, TRIALS)
    local committed = try(list, nil, function(r, at) return r:kill(at) end)
    assert(not SOAK or committed > #list // 4 and committed < #list * 3 // 4, committed)
  end)

  it("is whole or nothing when the power goes at any point, and again while it is settled", function()
    try(choose(PLANS, TRIALS), nil, function(r, at) return r:cut(at) end)
  end)

  it("is whole or nothing when nothing arrives on the disk that is not flushed", function()
    try(choose(PLANS, TRIALS), nil, function(r, at) return r:cut(at, 0) end)
  end)

  it("goes on when others settle at any point: its coordinator lives", function()
    local list = choose(PLANS, TRIALS)
    assert.equal(#list, try(list, nil, function(r, at) return r:visit(at, "settle") end))
  end)

  it("is aborted by who settles when its deadline has passed, unless it is decided", function()
    try(choose(PLANS, TRIALS), { timeout = LATE_S }, function(r, at) return r:visit(at, "late") end)
  end)
end)
