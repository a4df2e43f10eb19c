-- raid.lua: a bank's processes die at a point, or the power goes with all of them; others settle
-- meanwhile, and die in turn; then everybody must agree (bank.lua).
--
--   raid:kill(plot)   what happens to the coordinator at which points (teller.lua): it dies
--   raid:kill_call(n) it is killed at its n-th call that changes a file (trap.c)
--   raid:cut(plot)    all die at the point, and the disk has what was flushed (power.lua)
--   raid:cut_call()   the same at any call that changed a file
--   raid:visit(plot)  nobody dies; something else happens
--   raid:leave(plot)  the coordinator is killed, and what is left is the caller's
--   raid:stop(at), raid:go_on(process)   it is stopped, and continued
--   raid:beside(times)   nothing happens to it; others die
--   raid:succeed(plot)   a coordinator that comes after, and dies
--   raid:storm(seconds)  many coordinators, and all die, now and then; or the power goes
--
-- One bank bears many raids: what was told in one must hold after all that follow.
local bank = require "spec.crash.bank"
local child = require "spec.crash.child"
local image = require "spec.crash.image"
local ledger = require "spec.crash.ledger"
local power = require "spec.crash.power"
local rille = require "rille"
local core = require "spec.support.core"
local scratch = require "spec.support.scratch"
local trap = require "spec.crash.trap"

local raid = {}
raid.__index = raid

local KILLED = 128 + 9
local RECOVERY_CALLS = 60 -- about as many calls change files in a recovery

-- A folder in memory where there is one: what a process that is killed has written stays, and
-- a power cut is made by power.lua. Removed when this state ends.
local folder, banks = nil, 0
local remover = setmetatable({}, { __gc = function() os.execute("rm -rf '" .. folder .. "'") end })

local function make_folder()
  local pipe = assert(io.popen "mktemp -d /dev/shm/rille-banks-XXXXXX 2>/dev/null")
  folder = pipe:read "l" or scratch.path "banks"
  pipe:close()
  scratch.shell("mkdir -p '%s'", folder)
  remover.folder = folder
end

---A bank with this plan. Options: fault (faults.lua), timeout (seconds), forget: home forgets
---what has ended, whenever somebody recovers.
---@param module? string  another rille.so, for all but who judges
function raid.new(plan, options, module)
  if not folder then make_folder() end
  banks = banks + 1
  local base = ("%s/%d"):format(folder, banks)
  scratch.shell("mkdir '%s'", base)
  bank.make(rille, base, plan)
  return setmetatable({ base = base, plan = plan, options = options or {}, told = {}, ids = {}, deaths = 0,
    stopped = {}, module = module }, raid)
end

---Also ends those who are still stopped, because a test failed.
function raid:remove()
  for process in pairs(self.stopped) do process:kill() end
  scratch.shell("rm -rf '%s'*", self.base)
  ledger.remove(self.base)
end

local function words(self, given)
  local list = { "base=" .. self.base, "plan=" .. self.plan, "seed=" .. math.random(1 << 30) }
  for name, value in pairs(self.options) do list[#list + 1] = name .. "=" .. value end
  for name, value in pairs(given) do list[#list + 1] = name .. "=" .. value end
  return list
end

-- Starts a job; with settings, in a trap.
local function start(self, job, given, settings)
  local with = self.module and ("RILLE_MODULE='%s'"):format(self.module) or nil
  if not settings then return child.start(job, words(self, given), nil, with) end
  settings.under = self.base
  return trap.start(settings, job, words(self, given), with)
end

---What a process said that must hold from now on.
local function hear(self, lines)
  for _, line in ipairs(lines) do
    if line:find "^told " or line:find "^saw " then
      if not self.told[line] then self.told[#self.told + 1] = line end
      self.told[line] = true
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

function raid:judge() return bank.judge(rille, self.base, self.plan, self.told, self.ids, self.options.forget) end

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
  self.deaths = self.deaths + (status == KILLED and 1 or 0)
end

-- Killing -------------------------------------------------------------------------------------

-- A process that settles all the time, or none; and a function that ends it.
local function maybe_settler(self)
  if math.random(2) == 1 then return function() end end
  local settler, stop = start(self, "settle", { follow = 1 }), self.base .. ".stop"
  return function()
    scratch.shell(": > '%s'", stop)
    hear(self, (wait(settler)))
    os.remove(stop)
  end
end

local function kill(self, given, settings)
  given.id = new_id(self)
  local end_settler = maybe_settler(self)
  local lines, status = wait(start(self, "transfer", given, settings), true)
  self:count(status)
  hear(self, lines)
  end_settler()
  recover_and_die(self)
  return self:judge()
end

---The coordinator is killed as the plot says, while another process settles all the time.
function raid:kill(plot) return kill(self, { plot = plot }) end

function raid:kill_call(n) return kill(self, {}, { kill = n }) end

-- Power cuts ----------------------------------------------------------------------------------

-- Number of the call at which the power goes: where somebody says that it crashes.
local function end_of(calls)
  for i, call in ipairs(calls) do
    if call[1] == "A" and call[2] == "crash" then return i end
  end
  return #calls
end

-- The power goes: the disk of then, and what was told until then.
local function go_dark(self, world, record, style, anywhere)
  local calls = {} -- who died before it wrote anything has left no record
  if os.rename(record, record) then calls = power.read(record) end
  local at = end_of(calls)
  power.play(world, calls, anywhere and math.random(0, at) or at)
  hear(self, world.notes)
  local files, folders = power.cut(world, style)
  power.put(files, folders, self.base)
  os.remove(record)
end

-- It goes again while others recover.
local function recover_in_the_dark(self, style)
  local world, record = power.world_of(self.base), scratch.path "record"
  for _, process in ipairs(recoverers(self, record)) do wait(process, true) end
  go_dark(self, world, record, style, true)
end

local function cut(self, given, style, anywhere)
  local world, record = power.world_of(self.base), scratch.path "record"
  given.id = new_id(self)
  local settler = math.random(2) == 1 and start(self, "settle", { follow = 1 }, { record = record })
  local _, status = wait(start(self, "transfer", given, { record = record }), true)
  self:count(status)
  if settler then
    settler:kill()
    wait(settler, true)
  end
  go_dark(self, world, record, style, anywhere)
  recover_in_the_dark(self, style)
  return self:judge()
end

---The power goes when the coordinator dies as the plot says, again while others recover.
---@param style? integer  see power.cut
function raid:cut(plot, style) return cut(self, { plot = plot }, style) end

function raid:cut_call(style) return cut(self, {}, style, true) end

-- Visits ----------------------------------------------------------------------------------------

---Something happens at points, and the transfer goes on.
function raid:visit(plot)
  hear(self, (wait(start(self, "transfer", { id = new_id(self), plot = plot }))))
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
  self.stopped[process] = true
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
  self.stopped[process] = nil
  local lines = wait(process, true)
  hear(self, lines)
  return lines
end

function raid:kill_stopped(process)
  process:kill()
  self.stopped[process] = nil
  hear(self, (wait(process, true)))
end

---A transfer whose coordinator dies as the plot says; nobody settles.
function raid:leave(plot)
  local lines, status = wait(start(self, "transfer", { id = new_id(self), plot = plot }), true)
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

-- Storms ------------------------------------------------------------------------------------------

local COORDINATORS, SETTLERS = 3, 2
local MANY = 1000000 -- transfers, of which a process is killed long before the last

local function start_one(self, i, record)
  local settings = record and { record = record } or nil
  if i > COORDINATORS then return start(self, "settle", { follow = 1 }, settings) end
  self.storms = (self.storms or 0) + 1
  return start(self, "transfer", { id = "storm-" .. self.storms, times = MANY, attempts = 20,
                                   timeout = math.random() }, settings)
end

-- At once, or when it has told something and some time has passed.
local function kill_one(self, process, record, at_once)
  local line = not at_once and process:line()
  if not at_once then scratch.shell("sleep %.3f", math.random() * 0.2) end
  process:kill()
  local lines = wait(process, true)
  lines[#lines + 1] = line or nil
  if not record then hear(self, lines) end
end

---Many coordinators move money at once, others settle, and all are killed now and then.
---@param dark? boolean  at last the power goes, for all
---@return table all, integer transfers
function raid:storm(seconds, dark)
  local world = dark and power.world_of(self.base)
  local record = dark and scratch.path "record"
  local list, told, stop = {}, #self.told, core.monotonic() + seconds
  for i = 1, COORDINATORS + SETTLERS do list[i] = start_one(self, i, record) end
  repeat
    local i = math.random(#list)
    kill_one(self, list[i], record, i > COORDINATORS or math.random(3) == 1)
    list[i] = start_one(self, i, record)
  until core.monotonic() >= stop
  for i, process in ipairs(list) do kill_one(self, process, record, i > 1) end
  if dark then go_dark(self, world, record, nil, true) end
  return self:judge(), #self.told - told
end

---A coordinator comes after one that died, and dies as the plot says, or at a call.
function raid:succeed(plot, call)
  local ids = table.concat(self.ids, " ", math.max(1, #self.ids - 2))
  hear(self, (wait(start(self, "recover", { ids = ids, plot = plot }, call and { kill = call }), true)))
end

---Calls f(store) on one of the stores, which is opened for that.
function raid:with(name, options, f)
  local store = assert(rille.open(self:path(name), options))
  local results = table.pack(pcall(f, store))
  store:close()
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2)
end

function raid:path(name) return bank.path(self.base, name) end

return raid
