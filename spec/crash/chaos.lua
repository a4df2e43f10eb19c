-- chaos.lua: a crowd of processes (crowd.lua) that do everything at once on two stores, are
-- killed and stopped at any moment, one by one and all at once; and what must be so when all are
-- dead, by the logs alone.
local LUA = os.getenv "RILLE_LUA" or "lua5.4"
local core = require "spec.support.core"
local digest = require "spec.crash.digest"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local chaos = {}
chaos.__index = chaos

local MODULE = assert(package.searchpath("rille", package.cpath))
local ACCOUNTS, START = 3, 1000
local STOPPED_MOST_S, BETWEEN_S = 0.15, 0.06
local ROLES = { "writer", "writer", "writer", "teller", "teller", "reactor", "reactor", "projector", "projector",
                "follower", "follower", "keeper", "scavenger", "redactor" }
local COUNT = [[return { initial = { n = 0 }, key = "stream",
  on = { Written = function(s, e) s.n, s.last = s.n + e.data.serial, e.data.text end,
         Effect = function(s) s.n = s.n + 1 end } }]]
local REACT = [[return { from = { types = { "Written" } }, key = "stream", on = { Written = function(event, ctx)
  local data = { writer = event.data.writer, serial = event.data.serial }
  ctx:emit("effects-" .. data.writer, { type = "Effect", data = data })
  local effect, late = { type = "Effect", data = data }, { type = "Late", data = data }
  if data.serial % 4 == 0 then ctx:emit("effects-" .. data.writer, effect, { to = "there" }) end
  if data.serial % 5 == 0 then ctx:emit("late", late, { delay = 0.005 }) end
end } }]]

local function fail(...) error(string.format(...), 0) end

local function path_of(self, name) return ("%s/%s.rille"):format(self.folder, name) end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  file:close()
end

function chaos.new()
  local self = { folder = scratch.path "chaos", list = {}, runs = 0, kills = 0, stops = 0, all = 0 }
  setmetatable(self, chaos)
  scratch.shell("mkdir -p '%s/told'", self.folder)
  write(self.folder .. "/count.lua", COUNT)
  write(self.folder .. "/react.lua", REACT)
  for _, name in ipairs { "here", "there" } do
    local store = assert(rille.open(path_of(self, name)))
    for i = 1, ACCOUNTS do assert(store:append("account-" .. i, { type = "Opened", data = { amount = START } })) end
    assert(store:close())
  end
  return self
end

-- Processes -------------------------------------------------------------------------------------

local function start(self, i)
  self.runs = self.runs + 1
  local command = "echo $$; exec env RILLE_MODULE='%s' '%s' spec/crash/crowd.lua %s '%s' %d %d >'%s/told/%d' 2>&1"
  local pipe = assert(io.popen(command:format(MODULE, LUA, ROLES[i], self.folder, i, math.random(1 << 30),
    self.folder, self.runs)))
  self.list[i] = { pipe = pipe, pid = pipe:read "l", role = ROLES[i] }
end

local function signal(process, name) os.execute(("kill -%s %s 2>/dev/null"):format(name, process.pid)) end

local function bury(self, process)
  process.pipe:close()
  self.kills = self.kills + 1
end

local function kill(self, i)
  local process = self.list[i]
  self.list[i] = nil
  signal(process, "KILL")
  bury(self, process)
end

---All at once, with one command; those who are stopped, too.
local function kill_all(self)
  local pids = {}
  for _, process in pairs(self.list) do pids[#pids + 1] = process.pid end
  os.execute("kill -KILL " .. table.concat(pids, " "))
  for _, process in pairs(self.list) do bury(self, process) end
  self.list = {}
  self.all = self.all + 1
end

-- Those whose time is over go on.
local function go_on(self)
  for _, process in pairs(self.list) do
    if process.till and core.monotonic() >= process.till then
      process.till = nil
      signal(process, "CONT")
    end
  end
end

local function stop(self, i)
  local process = self.list[i]
  if process.till then return end
  process.till = core.monotonic() + math.random() * STOPPED_MOST_S
  signal(process, "STOP")
  self.stops = self.stops + 1
end

local function disturb(self)
  local dice, i = math.random(100), math.random(#ROLES)
  go_on(self)
  if dice <= 3 then
    kill_all(self)
    if math.random(3) == 1 then scratch.remove(path_of(self, "here") .. "/index") end
    for k = 1, #ROLES do start(self, k) end
  elseif dice <= 40 then stop(self, i)
  elseif dice <= 80 then
    kill(self, i)
    start(self, i)
  end
end

function chaos:live(seconds)
  local till = core.monotonic() + seconds
  for i = 1, #ROLES do start(self, i) end
  repeat
    core.pause(math.random() * BETWEEN_S)
    disturb(self)
  until core.monotonic() >= till
  kill_all(self)
end

---Also where it failed.
function chaos:remove()
  if next(self.list) then kill_all(self) end
  scratch.remove(self.folder)
end

-- What they were told -----------------------------------------------------------------------------

---A line that was cut off by the signal was not told.
local function hear_one(self, text)
  for line in text:gmatch "([^\n]*)\n" do
    local writer, serial, position = line:match "^told append (%d+) (%d+) (%d+)$"
    local id, outcome = line:match "^told transfer (%S+) (%a+)$"
    local name, upto, number = line:match "^digest (%a+) (%d+) (%-?%d+)$"
    local told = self.told
    local how, position_of_it = line:match "^(%a+) redact (%d+)$"
    local tag, till = line:match "^told untag (%S+) (%d+)$"
    local kind, stream, version = line:match "^told (%a+) (chaff%-%d+) (%d+)$"
    if how then told[how][math.tointeger(tonumber(position_of_it))] = true
    elseif tag then told.tags[tag] = math.max(told.tags[tag] or 0, math.tointeger(tonumber(till)))
    elseif kind then told[kind][stream] = math.max(told[kind][stream] or 0, math.tointeger(tonumber(version)))
    elseif writer then told.appends[writer .. "-" .. serial] = math.tointeger(tonumber(position))
    elseif id then told.transfers[id] = outcome
    elseif name then told.digests[name][#told.digests[name] + 1] = { tonumber(upto), math.tointeger(tonumber(number)) }
    else fail("one said: %s", line) end
  end
end

local function hear(self)
  self.told = { appends = {}, transfers = {}, digests = { here = {}, there = {} },
                begun = {}, told = {}, tags = {}, chaff = {}, cut = {} }
  for run = 1, self.runs do
    local file = io.open(("%s/told/%d"):format(self.folder, run)) -- none: it was killed at once
    local text = file and file:read "a" or ""
    if file then file:close() end
    local ok, message = pcall(hear_one, self, text)
    if not ok then fail("process %d: %s", run, message) end
  end
end

-- Judgement -----------------------------------------------------------------------------------------

local function count(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n
end

---What a redaction may have taken of an event, and must have taken; all else of it is there.
local function check_content(self, event, writer)
  local begun, told, data = self.told.begun[event.position], self.told.told[event.position], event.data
  local text = ("secret-%d-%d-"):format(writer, event.version)
  if event.redacted then
    if not begun then fail("event %d is redacted, and nobody asked for that", event.position) end
    if data then fail("event %d is redacted, and has data", event.position) end
    self.redacted[#self.redacted + 1] = text
  elseif told then fail("event %d was told to be redacted", event.position)
  elseif data.writer ~= writer or data.serial ~= event.version or data.text:sub(1, #text) ~= text then
    fail("event %d has other data", event.position)
  end
end

---Where each append of a writer is, and which were redacted; its serials have no gap.
local function check_appends(self, here)
  local there, last = {}, {}
  self.redacted, self.forgotten = {}, {}
  for event in here:all { types = { "Written" } } do
    local writer = math.tointeger(tonumber(event.stream:match "^written%-(%d+)$"))
    local serial = event.version
    check_content(self, event, writer)
    if event.redacted then self.forgotten[writer .. "-" .. serial] = true end
    if serial ~= (last[writer] or 0) + 1 then fail("writer %d: %d after %d", writer, serial, last[writer] or 0) end
    last[writer] = serial
    there[writer .. "-" .. serial] = event.position
  end
  for name, position in pairs(self.told.appends) do
    if there[name] ~= position then fail("append %s was told to be at %d, is at %s", name, position, there[name]) end
  end
  return there
end

local function transfers_of(store)
  local seen, sum = {}, 0
  for event in store:all { types = { "Opened", "Moved" } } do
    local id = event.data.transfer
    sum = sum + event.data.amount
    if id and seen[id] then fail("transfer %s is there twice", id) end
    if id then seen[id] = true end
  end
  return seen, sum
end

local function check_transfers(self, here, there)
  local ours, a = transfers_of(here)
  local theirs, b = transfers_of(there)
  for id in pairs(ours) do if not theirs[id] then fail("transfer %s is here only", id) end end
  for id in pairs(theirs) do if not ours[id] then fail("transfer %s is there only", id) end end
  if a + b ~= 2 * ACCOUNTS * START then fail("the sum is %d", a + b) end
  for id, outcome in pairs(self.told.transfers) do
    if (outcome == "committed") ~= (ours[id] or false) and outcome ~= "unknown" then
      fail("transfer %s was told %s", id, outcome)
    end
  end
  return ours
end

---No file has what was redacted, no tag leads to what had it before, and of what was hidden
---nothing else went.
local function check_gone(self, here)
  local path, list = path_of(self, "here"), self.folder .. "/redacted"
  write(list, table.concat(self.redacted, "\n") .. "\n")
  if #self.redacted > 0 and os.execute(("grep -rqaFf '%s' '%s/log' '%s/index'"):format(list, path, path)) then
    fail "what was redacted is in a file"
  end
  for tag, upto in pairs(self.told.tags) do
    local event = here:all { tags = { tag } }()
    if event and event.position <= upto then fail("event %d has the tag %s", event.position, tag) end
  end
  assert(here:scavenge())
  for stream, version in pairs(self.told.chaff) do
    local cut, seen = self.told.cut[stream] or 1, 0
    for event in here:read(stream) do
      if event.version < cut then fail("%s has its event %d, before %d", stream, event.version, cut) end
      if #event.data.text % 6 ~= 0 or not event.data.text:find "^chaff " then fail("%s has other data", stream) end
      seen = event.version
    end
    if seen < version or here:version(stream) ~= seen then fail("%s ends at %d, not %d", stream, seen, version) end
  end
end

---Each input's, once; those of one kind in the order of the inputs. A redacted one may have been
---seen before.
local function check_effects(self, store, kind, appends, every)
  local seen = {}
  for event in store:all { types = { kind } } do
    local name = event.data.writer .. "-" .. event.data.serial
    if seen[name] then fail("%s of %s is there twice", kind, name) end
    if not appends[name] or event.data.serial % every ~= 0 then fail("%s of %s has no cause", kind, name) end
    seen[name] = true
  end
  for name in pairs(appends) do
    if tonumber(name:match "%d+$") % every == 0 and not seen[name] and not self.forgotten[name] then
      fail("%s of %s is missing", kind, name)
    end
  end
end

local function come_to_rest(w, store)
  local left, due
  repeat
    left, due = assert(w:run())
    if due then store:wait(store:head() + 1, due) end
  until left == 0 and not due
end

local function check_states(self, here)
  local p = assert(here:projection("counts", self.folder .. "/count.lua"))
  local n = 0
  for key, state in p:each() do
    local expected = assert(here:fold(self.folder .. "/count.lua", { stream = key }))
    if rille.encode(expected) ~= rille.encode(state) then
      fail("the state of %s is %d, not %d", key, state.n, expected.n)
    end
    n = n + 1
  end
  if n < 3 then fail("the projection has %d keys", n) end
end

local function check_digests(list, store)
  local of, d = {}, digest.new()
  for event in store:all() do
    digest.add(d, event)
    of[d.last] = d.number
  end
  for _, told in ipairs(list) do
    local position, number = told[1], told[2]
    if position > 0 and of[position] ~= number then fail("one saw another log, up to %d", position) end
  end
end

local function check_over(here, there, c)
  for _, store in ipairs { there, here } do
    assert(store:settle())
    if #assert(store:indoubt()) > 0 then fail("%s is in doubt for ever", store:indoubt()[1].id) end
  end
  assert(c:recover())
  if #c:pending() > 0 then fail("%s is pending for ever", c:pending()[1].id) end
end

local function judge(self, here, there, c)
  check_over(here, there, c)
  local options = { stores = { there = there }, coordinator = c }
  local w = assert(here:processor("reactor", self.folder .. "/react.lua", options))
  come_to_rest(w, here)
  if #w:parked() > 0 then fail("parked: %s", w:parked()[1].message) end
  local appends = check_appends(self, here)
  local transfers = check_transfers(self, here, there)
  check_effects(self, here, "Effect", appends, 1)
  check_effects(self, there, "Effect", appends, 4)
  check_effects(self, here, "Late", appends, 5)
  check_states(self, here)
  check_gone(self, here)
  check_digests(self.told.digests.here, here)
  check_digests(self.told.digests.there, there)
  for _, store in ipairs { here, there } do
    local verified = assert(store:verify { deep = true })
    if not verified.ok then fail("verify: %s", verified.problems[1].message) end
  end
  return { kills = self.kills, all = self.all, stops = self.stops, appends = count(appends),
           transfers = count(transfers), digests = #self.told.digests.here + #self.told.digests.there,
           redacted = count(self.told.told), cuts = count(self.told.cut),
           torn = #stores.list(io.popen(("ls '%s'/*/log | grep torn"):format(self.folder)):lines()) }
end

---When all are dead: what was told and seen is so, everything is over, each effect is there once.
function chaos:judge()
  hear(self)
  local here, there = assert(rille.open(path_of(self, "here"))), assert(rille.open(path_of(self, "there")))
  local c = assert(rille.coordinator(here, { name = "judge" }))
  local ok, result = pcall(judge, self, here, there, c)
  c:close()
  there:close()
  here:close()
  if not ok then error(result, 0) end
  return result
end

return chaos
