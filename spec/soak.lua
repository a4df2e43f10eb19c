-- soak.lua: the tests with chance in them, over and over with new seeds, for SECONDS (600); what
-- has been tried is added up at the end. Stops at the first failure, whose seed is printed.
--
--   RILLE_BUILD=build SECONDS=3600 lua5.4 spec/soak.lua
--
-- A third of the time goes to the C programs that can go on for as long as they are told, the rest
-- to rounds of specs: first those that take longest, then the others in an order of chance. When the
-- time is up no other is begun. With fewer SECONDS than WHOLE_SECONDS none is as long as it could be.

local SECONDS = tonumber(os.getenv "SECONDS") or 600
local BUILD = os.getenv "RILLE_BUILD" or "build"
local LUA = os.getenv "RILLE_LUA" or "lua5.4"
local ROUND_SECONDS = 10 -- that a test with seconds of chance takes in one round
local WHOLE_SECONDS = 240 -- less are no time for tests that try all there is (RILLE_SOAK)

local PROGRAMS = { "power", "kill", "repair" }

local LONGEST = {
  "spec/mutants_spec.lua", "spec/resources_spec.lua", "spec/c/errors_test.c", "spec/c/resources_test.c",
  "spec/crash_spec.lua",
}
local SPECS = {
  "spec/model_spec.lua", "spec/handles_spec.lua", "spec/recovery_spec.lua", "spec/damage_spec.lua",
  "spec/index_spec.lua", "spec/full_spec.lua", "spec/oracle_spec.lua", "spec/kill_spec.lua",
  "spec/chaos_spec.lua", "spec/projection_kill_spec.lua", "spec/processor_kill_spec.lua",
  "spec/elsewhere_kill_spec.lua", "spec/policy_fuzz_spec.lua", "spec/lost_home_spec.lua",
  "spec/postgres_recovery_spec.lua", "spec/postgres_stall_spec.lua", "spec/c/lost_flush_test.c", "spec/c/lies_test.c",
  "spec/c/pages_test.c", "spec/fuzz_spec.lua", "spec/errors_spec.lua",
  "spec/clock_spec.lua", "spec/pause_spec.lua", "spec/c/processes_test.c", "spec/c/sharing_test.c",
  "spec/c/pause_test.c", "spec/c/simulator_test.c", "spec/c/share_test.c",
}

local tally = {}

---Runs a command, shows what it prints, and takes in its tallies.
local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  for line in pipe:lines() do
    print(line)
    local text = line:match "^tally: (.*)" or line:match "^tried: (.*)"
    for count, what in (text or ""):gmatch "(%d+) ([^,]+)" do
      tally[what] = (tally[what] or 0) + tonumber(count)
    end
  end
  local ok, how, status = pipe:close()
  if not ok then error(("%s %d: %s"):format(how, status, command), 0) end
end

local function report(began)
  local names = {}
  for what in pairs(tally) do names[#names + 1] = what end
  table.sort(names)
  print(("\nin %d seconds:"):format(os.time() - began))
  for _, what in ipairs(names) do print(("%14d %s"):format(tally[what], what)) end
end

---The specs of a round.
local function shuffled()
  for i = #SPECS, 2, -1 do
    local j = math.random(i)
    SPECS[i], SPECS[j] = SPECS[j], SPECS[i]
  end
  local first = SECONDS >= WHOLE_SECONDS and LONGEST or {}
  return table.concat(first, " ") .. " " .. table.concat(SPECS, " ")
end

local began = os.time()
local seed = tonumber(os.getenv "SEED") or began
local ok, message = pcall(function()
  for i, name in ipairs(PROGRAMS) do
    run(("SECONDS=%d SEED=%d %s/spec/%s_test"):format(SECONDS // (3 * #PROGRAMS), seed + i, BUILD, name))
  end
  math.randomseed(seed)
  local factor = SECONDS >= WHOLE_SECONDS and "RILLE_SOAK=1" or ""
  repeat
    seed = seed + 1000
    run(("SECONDS=%d UNTIL=%d %s RILLE_BUILD=%s SEED=%d %s spec/run.lua %s"):format(ROUND_SECONDS, began + SECONDS,
      factor, BUILD, seed, LUA, shuffled()))
  until os.time() - began >= SECONDS
end)
report(began)
if not ok then error(message, 0) end
