-- teller.lua: what the processes of a bank do that will be killed, or run while others are:
-- jobs of worker.lua. Arguments are words NAME=VALUE; plot=POINT:ACTION;POINT:ACTION ... says
-- what happens at which point (points.lua).
--
-- Each tells what it was told, and what it saw, in lines, and to trap.c, which puts that into
-- the record at its place.
local rille = require "rille"
local core = require "spec.support.core"
local bank = require "spec.crash.bank"
local faults = require "spec.crash.faults"
local points = require "spec.crash.points"

local teller = {}

local OPTIONS = { create = false, segment_bytes = 65536 } -- the log has many files

local function say(...)
  local line = table.concat({ ... }, " ")
  os.rename("ack:" .. line, "")
  io.stdout:write(line, "\n")
end

local function read_arguments(...)
  local a = {}
  for _, word in ipairs { ... } do
    local name, value = word:match "^(%w+)=(.*)$"
    a[name] = value
  end
  return a
end

-- At a point --------------------------------------------------------------------------------

local actions = {}

---The process ends here; what others do after this line comes after its death.
function actions.kill()
  say "crash"
  os.execute "kill -9 $PPID"
end

---It is stopped, until somebody continues it.
function actions.stop(_, name)
  say("stopped", name)
  os.execute "kill -STOP $PPID"
end

local function start_settler(a)
  local lua = os.getenv "RILLE_LUA" or "lua5.4"
  local command = "'%s' spec/crash/worker.lua settle base='%s' plan='%s' fault='%s'"
  return assert(io.popen(command:format(lua, a.base, a.plan, a.fault or "")))
end

local function wait_for(pipe)
  for line in pipe:lines() do io.stdout:write(line, "\n") end
  assert(pipe:close())
end

---Another process settles everything, to its end.
function actions.settle(a) wait_for(start_settler(a)) end

local racing -- a settler that is still at it

---It does so when the deadline has passed, and this one goes on at the same time.
function actions.race(a)
  core.pause(tonumber(a.timeout) + 0.01)
  racing = start_settler(a)
  core.pause(math.random() * 0.03)
end

---The same after the transaction's deadline has passed.
function actions.late(a, name)
  core.pause(tonumber(a.timeout) + 0.01)
  actions.settle(a, name)
end

local home -- the store, where the job has it open

---What has ended is forgotten; by home to about 64 KiB, so there come two events as large.
function actions.forget()
  for _ = 1, 2 do assert(home:append("notes", { type = "Large", data = { amount = 0, text = ("x"):rep(80000) } })) end
  assert(points.means[1].forget(home, core.wall()))
end

local function prepare(...)
  local a = read_arguments(...)
  math.randomseed(tonumber(a.seed) or 1)
  if a.fault and a.fault ~= "" then
    for _, means in ipairs(points.means) do faults[a.fault](means, core) end
  end
  local plot = {}
  for at, action in (a.plot or ""):gmatch "([^:;]+):(%w+)" do
    plot[at] = function(name) actions[action](a, name) end
  end
  points.install(plot, not a.list and not next(plot) and (a.fault or "") == "")
  return a
end

---A coordinator on home, whose ledger, if there is one, has points too.
local function coordinate(a, name)
  local options = bank.coordinator(a.base, a.plan, name)
  local functions = options.participants and options.participants.ledger or {}
  for what, f in pairs(functions) do functions[what] = points.wrapped("ledger " .. what, f) end
  return assert(rille.coordinator(home, options))
end

-- Jobs --------------------------------------------------------------------------------------

local jobs = {}

local function tell(id, result, message, code)
  say("told", id, result and "committed" or code, result and "" or message)
end

---Moves money once, or `times` times.
function jobs.transfer(...)
  local a = prepare(...)
  local stores = bank.open(rille, a.base, a.plan, OPTIONS)
  home = stores.home
  local c = coordinate(a, "teller")
  for i = 1, tonumber(a.times or 1) do
    local id = a.id .. (i > 1 and "-" .. i or "")
    local results = table.pack(bank.transfer(c, stores, a.plan, { id = id, timeout = tonumber(a.timeout or 20),
      attempts = tonumber(a.attempts or 1) }, a.only))
    points.reach("before answer " .. i)
    tell(id, table.unpack(results))
    points.reach("after answer " .. i)
  end
  if racing then wait_for(racing) end
  assert(c:close())
  bank.close(stores)
  if a.list then
    for _, name in ipairs(points.reached()) do say("point", name) end
  end
end

local said = {}

---What can be seen in the accounts that are open, and has not been said. What is locked can't.
local function look(stores, accounts)
  for _, name in ipairs(accounts) do
    local ok, seen = pcall(bank.seen, stores[name])
    for id in pairs(ok and seen or {}) do
      if not said[id] then say("saw", id, name) end
      said[id] = true
    end
  end
end

---Opens the participants one after the other, settles, and looks.
local function settle_round(a, names, accounts)
  local with_account = {}
  for _, name in ipairs(accounts) do with_account[name] = true end
  for i = #names, 1, -1 do
    local name = table.remove(names, math.random(i))
    local store = assert(rille.open(bank.path(a.base, name), OPTIONS))
    assert(store:settle())
    look({ [name] = store }, with_account[name] and { name } or {})
    assert(store:close())
  end
end

---Settles once, or until the file BASE.stop is there.
function jobs.settle(...)
  local a = prepare(...)
  repeat
    settle_round(a, bank.names(a.plan))
    local stop = not a.follow or io.open(a.base .. ".stop")
    if a.follow then core.pause(math.random() * 0.005) end
  until stop
  if a.list then
    for _, name in ipairs(points.reached()) do say("point", name) end
  end
end

---What a coordinator does that comes after one that died.
function jobs.recover(...)
  local a = prepare(...)
  local stores = bank.open(rille, a.base, a.plan, OPTIONS)
  home = stores.home
  local c = coordinate(a, "successor")
  assert(c:recover())
  if a.forget then assert(points.means[1].forget(home, core.wall())) end
  for id in (a.ids or ""):gmatch "%S+" do
    local outcome = assert(c:outcome(id))
    if outcome == "committed" or outcome == "aborted" then say("told", id, outcome) end
  end
  look(stores, select(2, bank.names(a.plan)))
  assert(c:close())
  bank.close(stores)
  if a.list then
    for _, name in ipairs(points.reached()) do say("point", name) end
  end
end

teller.jobs = jobs

return teller
