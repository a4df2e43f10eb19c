-- days.lua: a program for resources_spec.lua: days of work with everything that there is for
-- Lua, and with errors on the way; it tells what the process has, in lines:
--
--   first|early|late|last FILES MAPS THREADS LUA_KB RSS_KB INDEX_KB NAMES
--
-- "first" and "last" are when everything is closed and collected; "early" and "late" the most
-- there was in the two halves of the days, but for the first of them. Arguments: a folder, how many
-- days, a seed, a fault to be planted (resources_spec.lua tells which it must find), and trim.c's
-- library, where there is one.
local rille = require "rille"

local folder, days, seed, fault, library = ...
local trim = library and assert(package.loadlib(library, "trim")) or function() end
math.randomseed(math.tointeger(tonumber(seed)))
days = math.tointeger(tonumber(days))

local function write(name, text)
  local file = assert(io.open(folder .. "/" .. name, "w"))
  assert(file:write(text))
  assert(file:close())
  return folder .. "/" .. name
end

-- What the process has --------------------------------------------------------------------------

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local function lines(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  pipe:close()
  return text
end

local PID = read "/proc/self/stat":match "^%d+"

---Descriptors but for the log's files, of which some stay open as the log grows, and the pipes of
---this very look.
local function count_files()
  local n = 0
  for line in lines(("ls -l /proc/%s/fd"):format(PID)):gmatch "[^\n]+" do
    if line:find "->" and not line:find "%.seg$" and not line:find "pipe:" then n = n + 1 end
  end
  return n
end

local function count_maps()
  return select(2, read "/proc/self/maps":gsub(folder:gsub("%p", "%%%0") .. "[^\n]*", ""))
end

local function look(store)
  collectgarbage()
  collectgarbage()
  trim()
  local status = read "/proc/self/status"
  return { count_files(), count_maps(), tonumber(status:match "Threads:%s*(%d+)"),
           math.ceil(collectgarbage "count"), tonumber(status:match "VmRSS:%s*(%d+)"),
           store and store:stats().index_bytes // 1024 or 0,
           select(2, lines(("ls '%s'; ls '%s'/*.rille/log | grep -v seg"):format(folder, folder)):gsub("\n", "")) }
end

local function tell(when, what) print(when, table.concat(what, " ")) end

-- A day ------------------------------------------------------------------------------------------

local COUNT = [[return { initial = { n = 0 }, key = "stream",
  on = { A = function(s, e) s.n = s.n + %d + #e.data.text %% 2 end, Broken = function() error "broken" end } }]]
local REACT = [[return { from = { types = { "A" } }, key = "stream", on_error = "park",
  on = { A = function(event, ctx)
    if event.data.n % 17 == 0 then error "not this one" end
    ctx:emit("effects", { type = "Effect", data = event.data.n })
    ctx:emit("effects", { type = "Late" }, { delay = 0.001 })
  end } }]]
local GREEDY = "return { initial = {}, on = { A = function(s) local t = ('x'):rep(1 << 30) end } }"
local ENDLESS = "return { initial = {}, on = { A = function() while true do end end } }"
local DECIDE = [[return { decide = function(command, ctx)
  if command.no then return nil, "no" end
  return { stream = "decided", events = { type = "Decided", data = command } }
end }]]

local paths = { count = write("count.lua", COUNT:format(1)), react = write("react.lua", REACT),
                greedy = write("greedy.lua", GREEDY), endless = write("endless.lua", ENDLESS),
                decide = write("decide.lua", DECIDE) }
local OPTIONS = { sync = "never", segment_bytes = 1 << 20 }
local here, there, kept

local function open()
  here = assert(rille.open(folder .. "/here.rille", OPTIONS))
  there = assert(rille.open(folder .. "/there.rille", OPTIONS))
end

local function append_some(day)
  for i = 1, 12 do
    local text = ("x"):rep(math.random(0, 200))
    assert(here:append("s-" .. i, { type = "A", data = { n = day * 12 + i, text = text }, tags = { "t" .. i } }))
  end
end

local function be_refused()
  assert(select(3, here:append("s-1", { type = "A" }, { expect = 999999 })) == "conflict")
  assert(select(3, here:append("", { type = "A" })) == "invalid")
  assert(not pcall(here.append, here, "s-1", { type = "A", unknown = 1 }))
  assert(select(3, here:append("s-1", { type = "A", data = print })) == "invalid")
  assert(select(3, here:decide(paths.decide, { no = true })) == "refused")
  assert(select(3, here:fold(folder .. "/absent.lua")) == "script")
  assert(here:wait(here:head() + 1, 0) == false)
end

local function read_some()
  local left = here:all { limit = 500 } -- not to its end
  for _ = 1, 5 do left() end
  here:read("s-1", { reverse = true, limit = 20 })() -- one of them
  for _ in here:all { types = { "Effect" }, limit = 50 } do end -- luacheck: ignore
end

local function fold_some()
  local after = here:head() - 30
  assert(here:fold(paths.count, { stream = "s-2" }))
  assert(here:fold(paths.count, { stream = "s-2", at = math.max(0, after) }))
  assert(here:fold(paths.count, { stream = "s-3", isolated = true }))
  for _, name in ipairs { "greedy", "endless" } do
    local _, _, code = here:fold(paths[name], { stream = "s-1", isolated = true, memory_bytes = 2 << 20,
      instructions = 10000 })
    assert(code == "budget" or code == "script", code)
  end
end

---Edited now and then, and broken in between.
local function edit_scripts(day)
  if day % 10 ~= 0 then return end
  write("count.lua", "return {")
  assert(select(3, here:fold(paths.count, { stream = "s-1" })) == "script")
  write("count.lua", COUNT:format(day // 10 % 2 + 1))
end

local function project_some(day)
  local p = assert(here:projection("p", paths.count, { cache = 8 }))
  assert(p:get("s-" .. math.random(12)))
  assert(p:get("s-1", { consistency = "eventual" }))
  p:get("s-1", { at = here:head() // 2 })
  local each, a, b = p:each { limit = 3 }
  each(a, b)
  if day % 20 == 0 then assert(p:rebuild()) end
  if day % 2 == 0 then assert(p:close()) end -- else it is collected
end

local function react_some()
  local w = assert(here:processor("w", paths.react))
  assert(w:run())
  local parked = w:parked()
  if parked[1] then w:retry(parked[1].position) end
  assert(w:close())
end

local function transact_some(day)
  local voter = { prepare = function() return true end }
  local c = assert(rille.coordinator(here, { name = "c", participants = { voter = voter } }))
  for i = 1, 3 do
    local result, message, code = c:transact({ id = i == 2 and "day-" .. day or nil }, function(tx)
      assert(tx:append(here, "moved", { type = "Moved" }))
      assert(tx:append(there, "moved", { type = "Moved" }, { expect = i == 3 and 999999 or "any" }))
      if i == 2 then assert(tx:enlist "voter") end
      return true
    end)
    assert(i == 3 and code == "aborted" or result, message)
  end
  assert(not pcall(c.transact, c, {}, function() error "in the midst of it" end))
  local tx = c:begin {}
  tx:append(there, "moved", { type = "Moved" })
  if day % 2 == 0 then tx:abort() end -- else it is collected
  assert(c:recover())
  if day % 2 == 0 then assert(c:close()) end
end

local function copy_some(day)
  if day % 16 ~= 0 then return end
  local copy = folder .. "/copy.rille"
  assert(here:backup(copy))
  local store = assert(rille.open(copy, { readonly = true }))
  assert(store:verify().ok)
  assert(store:close())
  os.execute(("rm -rf '%s'"):format(copy))
  assert(here:verify { deep = day % 64 == 0 }.ok)
end

local function spend_day(day)
  append_some(day)
  be_refused()
  read_some()
  fold_some()
  edit_scripts(day)
  project_some(day)
  react_some()
  transact_some(day)
  copy_some(day)
  assert(here:poll())
  if fault == "greed" then
    kept = { kept, io.open(paths.count), ("x"):rep(5000) .. day,
             rille.open(("%s/%d.rille"):format(folder, day), OPTIONS) }
  end
  if day % 8 == 0 then
    here:close()
    there:close()
    open()
  end
end

-- The days ----------------------------------------------------------------------------------------

local WARM = 24

local function close()
  here:close()
  there:close()
  here, there = nil, nil
end

local function most_of(most, now)
  for i, n in ipairs(now) do most[i] = math.max(most[i] or 0, n) end
end

open()
for day = 1, WARM do spend_day(day) end
close()
tell("first", look())
open()
local most = { {}, {} }
for day = WARM + 1, WARM + days do
  spend_day(day)
  most_of(most[day - WARM > days // 2 and 2 or 1], look(here))
end
tell("early", most[1])
tell("late", most[2])
close()
tell("last", look())
