-- raid.lua: a bank's processes die at a point, or the power goes with all of them; others settle
-- meanwhile, and die in turn; then everybody must agree (bank.lua).
--
--   raid:kill(at)     the coordinator is killed at the point
--   raid:cut(at)      and so are all, and the disk has what was flushed (power.lua)
--   raid:visit(at, action)   nobody dies; something else happens at the point
--   raid:leave(at)    the coordinator is killed, and what is left is the caller's
--   raid:stop(at), raid:go_on(process)   it is stopped, and continued
--   raid:beside(times)   nothing happens to it; others die
--
-- One bank bears many raids: what was told in one must hold after all that follow.
local bank = require "spec.crash.bank"
local child = require "spec.crash.child"
local image = require "spec.crash.image"
local power = require "spec.crash.power"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local trap = require "spec.crash.trap"

local raid = {}
raid.__index = raid

local KILLED = 128 + 9
local RECOVERY_CALLS = 60 -- about as many calls change files in a recovery

---A bank with this plan. Options: fault, timeout (seconds), background = "no".
function raid.new(plan, options)
  local base = scratch.path "bank"
  scratch.shell("mkdir '%s'", base)
  bank.make(rille, base, plan)
  return setmetatable({ base = base, plan = plan, options = options or {}, told = {}, ids = {} }, raid)
end

function raid:remove()
  scratch.shell("rm -rf '%s'*", self.base)
end

local function words(self, given)
  local list = { "base=" .. self.base, "plan=" .. self.plan, "seed=" .. math.random(1 << 30) }
  for name, value in pairs(self.options) do list[#list + 1] = name .. "=" .. value end
  for name, value in pairs(given) do list[#list + 1] = name .. "=" .. value end
  return list
end

-- Starts a job; with settings, in a trap.
local function start(self, job, given, settings)
  if not settings then return child.start(job, words(self, given)) end
  settings.under = self.base
  return trap.start(settings, job, words(self, given))
end

---What a process said that must hold from now on.
local function hear(self, lines)
  for _, line in ipairs(lines) do
    if line:find "^told " or line:find "^saw " then self.told[#self.told + 1] = line
    elseif not (line:find "^point " or line:find "^stopped " or line == "crash") then error("it says: " .. line, 0)
    end
  end
end

local function wait(process, may_die)
  local lines, status = process:wait()
  if status ~= 0 and not (may_die and status == KILLED) then
    error(("it ended with %d: %s"):format(status, table.concat(lines, "\n")), 0)
  end
  return lines, status
end

local function is_alive(process)
  local stat = io.open(("/proc/%d/stat"):format(process.pid))
  if not stat then return false end
  local state = stat:read "a":match "%) (%a)"
  stat:close()
  return state ~= "Z"
end

local function new_id(self)
  local id = ("transfer-%d"):format(#self.ids + 1)
  self.ids[#self.ids + 1] = id
  return id
end

---The points of a transfer, in order.
function raid:points()
  local lines = wait(start(self, "transfer", { id = new_id(self), list = 1 }))
  local list = {}
  for _, line in ipairs(lines) do list[#list + 1] = line:match "^point (.*)" end
  hear(self, lines)
  assert(#list > 20, "a transfer has points")
  return list
end

function raid:judge() return bank.judge(rille, self.base, self.plan, self.told, self.ids) end

-- Those who come after ------------------------------------------------------------------------

-- Two at once, who settle and recover; each dies at some of its calls, or at none.
local function recoverers(self, record)
  local list = {}
  local ids = table.concat(self.ids, " ", math.max(1, #self.ids - 2))
  for _, job in ipairs { "settle", "recover" } do
    local settings = trap.works() and { kill = math.random(RECOVERY_CALLS), record = record } or nil
    list[#list + 1] = start(self, job, { ids = ids }, settings)
  end
  return list
end

local function recover_and_die(self)
  for _, process in ipairs(recoverers(self)) do hear(self, (wait(process, true))) end
end

---Whether it died at the point. Not every transfer reaches every point: what need not be
---flushed is not.
function raid:count(status)
  self.deaths = (self.deaths or 0) + (status == KILLED and 1 or 0)
end

-- Killing -------------------------------------------------------------------------------------

---The coordinator is killed at a point, while another process settles all the time.
function raid:kill(at)
  local stop = self.base .. ".stop"
  local settler = math.random(2) == 1 and start(self, "settle", { follow = 1 })
  local lines, status = wait(start(self, "transfer", { id = new_id(self), plot = at .. ":kill" }), true)
  self:count(status)
  hear(self, lines)
  if settler then
    scratch.shell(": > '%s'", stop)
    hear(self, (wait(settler)))
    os.remove(stop)
  end
  recover_and_die(self)
  return self:judge()
end

-- Power cuts ----------------------------------------------------------------------------------

-- Number of the call before which the power goes: where somebody says that it crashes.
local function end_of(calls)
  for i, call in ipairs(calls) do
    if call[1] == "A" and call[2] == "crash" then return i end
  end
  return #calls
end

-- The power goes at that call: the disk of then, and what was told until then.
local function go_dark(self, world, record, style)
  local calls = power.read(record)
  power.play(world, calls, end_of(calls))
  hear(self, world.notes)
  local files, folders = power.cut(world, style)
  power.put(files, folders, self.base)
  os.remove(record)
end

---The power goes when the coordinator is at a point, again while others recover.
---@param style? integer  see power.cut
function raid:cut(at, style)
  local world, record = power.world_of(self.base), scratch.path "record"
  local settler = math.random(2) == 1 and start(self, "settle", { follow = 1 }, { record = record })
  local process = start(self, "transfer", { id = new_id(self), plot = at .. ":kill" }, { record = record })
  local _, status = wait(process, true)
  self:count(status)
  if settler then
    settler:kill()
    wait(settler, true)
  end
  go_dark(self, world, record, style)
  world = power.world_of(self.base)
  for _, other in ipairs(recoverers(self, record)) do wait(other, true) end
  go_dark(self, world, record, style)
  return self:judge()
end

-- Visits ----------------------------------------------------------------------------------------

---Something happens at a point (teller.lua), and the transfer goes on.
function raid:visit(at, action)
  hear(self, (wait(start(self, "transfer", { id = new_id(self), plot = at .. ":" .. action }))))
  return self:judge()
end

---Starts a transfer that stops at a point: it is continued by `go_on`.
---@param given table  more arguments of the teller
function raid:stop(at, given)
  local arguments = { id = given and given.id or new_id(self), plot = at .. ":stop;" .. (given and given.plot or "") }
  for name, value in pairs(given or {}) do
    if name ~= "plot" then arguments[name] = value end
  end
  local process = start(self, "transfer", arguments)
  local line = process:line()
  while line and line ~= "stopped " .. at do
    hear(self, { line })
    line = process:line()
  end
  if not line then error("it did not stop there", 0) end
  local path = ("/proc/%d/stat"):format(process.pid)
  repeat until image.read(path):find("%) T ")
  return process
end

---Continues it, to its end.
---@return string[] lines
function raid:go_on(process)
  scratch.shell("kill -CONT %d", process.pid)
  local lines = wait(process, true)
  hear(self, lines)
  return lines
end

---A transfer whose coordinator dies at a point; nobody settles.
function raid:leave(at)
  local lines, status = wait(start(self, "transfer", { id = new_id(self), plot = at .. ":kill" }), true)
  if status ~= KILLED then error("it was not killed: the point was not reached", 0) end
  hear(self, lines)
end

---Transfers go on while others who have the same stores open die at any call.
function raid:beside(times)
  local id = new_id(self)
  local process = start(self, "transfer", { id = id, times = times })
  for i = 2, times do self.ids[#self.ids + 1] = id .. "-" .. i end
  while is_alive(process) do
    local settings = { kill = math.random(RECOVERY_CALLS) }
    hear(self, (wait(start(self, "settle", { follow = 1 }, settings), true)))
  end
  hear(self, (wait(process)))
  return self:judge()
end

function raid:path(name) return bank.path(self.base, name) end

return raid
