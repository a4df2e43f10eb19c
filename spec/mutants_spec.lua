-- mutants_spec.lua: the tests of several processes and of power cuts find the faults they are for: each is
-- planted in a copy of one file of the core (crash/mutants.lua), which is linked with the
-- rest of the library, and the test must fail then. Without a fault it must pass.
--
-- Most tests find a fault by chance, in a bounded time: one that finds it nine times in ten is good,
-- and would fail here every tenth time. So a fault counts as not found only when TRIES tries, each
-- with another seed and twice as much time or rounds as the one before, have not found it. What finds
-- it with the first try, the usual case, takes no longer for that; what needs more tells so in the
-- tally. What is sound is tried once.
--
-- One in PART is tried, by chance (PART=1: each); with RILLE_SOAK=1 all, also what needs minutes.
local mutants = require "spec.crash.mutants"
local process = require "spec.support.process"
local raid = require "spec.crash.raid"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local trap = require "spec.crash.trap"
local trial = require "spec.crash.trial"
local values = require "spec.support.values"
local read = scratch.read

values.seed("mutants_spec")

local BUILD = os.getenv "RILLE_BUILD" or "build"
local COMPILE = "${CC:-cc} -std=c11 -O1 -fPIC -fvisibility=hidden -Icore $(pkg-config --cflags lmdb 2>/dev/null) "
local PART = tonumber(os.getenv "PART") or 5
local TRIES = 5
local PATIENCE = 600 -- seconds more than it needs, on a busy machine ...
local WAITING = 30   -- ... and for each second of it, of a program that the fault makes wait for ever

-- Of the first try. A fault that is found ends it.
local PROGRAM = 1    -- seconds, for a program that heeds them
local RAIDS = 8
local POWER = 4      -- seconds of states
local CONTEST = 2    -- seconds
local KILLING = 20   -- seconds
local FUZZING = 20000 -- mutations

local function shell(command, ...)
  local output, status = process.run(command:format(...))
  if status ~= 0 then error(("%d: %s\n%s"):format(status, command:format(...), output)) end
end

---The file that a fault is planted in, and where.
local function find(mutant)
  local text = read(mutant.file)
  local from, to = text:find(mutant.text, 1, true)
  assert(from, ("%s: its text is not in %s"):format(mutant.name, mutant.file))
  assert(not text:find(mutant.text, to, true), mutant.name .. ": its text is in the file twice")
  return text, from, to
end

-- The object file of the mutated file.
local function mutate(mutant, flags)
  local text, from, to = find(mutant)
  local name = mutant.file:match "[^/]+$"
  local path = scratch.file(name, text:sub(1, from - 1) .. mutant.with .. text:sub(to + 1))
  shell(COMPILE .. "%s -c '%s' -o '%s.o'", flags or "", path, path)
  return path .. ".o", name
end

local programs = {}

-- Object file of a program of spec/c, compiled once.
local function object_of(program)
  if not programs[program] then
    programs[program] = ("%s/%s.o"):format(scratch.folder, program)
    shell(COMPILE .. "-Ispec -c spec/c/%s_test.c -o '%s'", program, programs[program])
  end
  return programs[program]
end

local function patience(mutant, seconds) return mutant.waits and WAITING * seconds or PATIENCE + seconds end

---Whether a program passed, by its status. One that did not end has found only what it told: nothing
---yet, where it waits and the machine is busy.
local function has_passed(mutant, status, output)
  if status == 124 and not output:find("failed: ", 1, true) then
    if mutant.waits then return true end
    error(mutant.name .. ": it did not end in time\n" .. output, 0)
  end
  return status == 0
end

local function run_program(seconds, mutant, object, program, part)
  local path = scratch.path(program)
  shell("${CC:-cc} -o '%s' '%s' '%s' %s/librille.a -llmdb -lpthread", path, object_of(program), object, BUILD)
  -- What finds it in `make test` is enough.
  local how = "RILLE_SOAK= SECONDS=%d ALL=1 CASES=%d TMPDIR='%s' timeout %d '%s' %d '%s'"
  local output, status = process.run(how:format(seconds, 12 * seconds, scratch.folder, patience(mutant, seconds),
    path, math.random(1 << 30), part))
  assert(status == 0 or not output:find "\n0 passed, 0 failed", "no test has that name: " .. part)
  return has_passed(mutant, status, output) and not output:find "^0 passed" and not output:find "\n0 passed", output
end

local function run_power(seconds, mutant, object, name)
  local path, workload = scratch.path "power", mutant.power
  shell("${CC:-cc} -o '%s' '%s' '%s' $(ls %s/spec/power/*.o %s/spec/power/small/*.o | grep -v '/%s') %s/librille.a " ..
    "-llmdb -lpthread", path, object_of "power", object, BUILD, BUILD, name:gsub("c$", "o"), BUILD)
  local output, status = process.run(("SECONDS=%d timeout %d '%s' %d '%s'"):format(seconds, patience(mutant, seconds),
    path, math.random(1 << 30), workload))
  assert(not output:find "\n0 passed, 0 failed", "no workload has that name: " .. workload)
  return has_passed(mutant, status, output), output
end

-- A module with the fault.
local function link_module(object, name)
  local path = scratch.path "module"
  shell("mkdir '%s'", path)
  path = path .. "/rille.so"
  shell("${CC:-cc} -shared -o '%s' '%s' $(ls %s/core/*.o | grep -v '/%s') %s/lua/*.o -llmdb -lpthread", path, object,
    BUILD, name:gsub("c$", "o"), BUILD)
  return path
end

local function run_contest(seconds, object, name)
  return pcall(trial.hold, seconds, link_module(object, name))
end

local function run_raids(n, object, name, how)
  local module, passed, message = link_module(object, name), true, nil
  for _ = 1, n do
    local r = raid.new(how.plan or "2h", { timeout = how.timeout }, module)
    passed, message = pcall(r[how[1]], r, how[2], how[3])
    r:remove()
    if not passed then break end
  end
  return passed, message
end

local function run_spec(_, object, name, how)
  local module = link_module(object, name)
  local output = process.run(("RILLE_SOAK= SEED=%d LUA_CPATH='%s' timeout %d '%s' spec/support/busted.lua " ..
    "-o spec/support/report.lua --filter='%s' spec/%s_spec.lua"):format(math.random(1 << 30),
    (module:gsub("rille.so$", "?.so;;")), PATIENCE, os.getenv "RILLE_LUA" or "lua5.4", how[2], how[1]))
  local passed, failed = output:match "(%d+) passed, (%d+) failed"
  assert(passed and passed + failed > 0, "no test has that name: " .. how[2] .. output)
  return tonumber(failed) == 0, output
end

-- A target of the fuzzer with its corpus; AddressSanitizer watches the faulty file alone.
local function run_fuzz(n, mutant)
  local target, folder = mutant.fuzz, mutant.file:match "^%a+"
  local object, name = mutate(mutant, "-g -fsanitize=address -Ilua $(pkg-config --cflags lua5.4 2>/dev/null)")
  local path, binding, lua = scratch.path(target), "", ""
  if folder == "lua" then
    binding = ("$(ls %s/lua/*.o | grep -v '/%s')"):format(BUILD, (name:gsub("c$", "o")))
    lua = "$(pkg-config --libs lua5.4 2>/dev/null || echo -llua) -lm"
  end
  shell(COMPILE .. "-Ilua $(pkg-config --cflags lua5.4 2>/dev/null) -fsanitize=address -o '%s' spec/fuzz/%s.c " ..
    "spec/fuzz/replay.c '%s' %s %s/librille.a -llmdb -lpthread %s", path, target, object, binding, BUILD, lua)
  local output, status = process.run(("ASAN_OPTIONS=detect_leaks=0 timeout %d '%s' spec/fuzz/corpus/%s %d %d"):format(
    PATIENCE, path, target, n, math.random(1 << 30)))
  return has_passed(mutant, status, output), output
end

---Whether the tests behave: pass where there is no fault, else fail in one of the tries.
---@param budget integer of the first try
---@param run fun(budget: integer, ...): boolean, any whether they passed, and what they said
local function check(mutant, how, budget, run, ...)
  local passed, output
  for number = 1, mutant.sound and 1 or TRIES do
    passed, output = run(budget << number - 1, ...)
    if passed == (mutant.sound or false) then return end
    if not mutant.sound then rounds.tally("tries that did not find a planted fault", 1) end
  end
  error(("%s, %s: %s"):format(mutant.name, how, mutant.sound and tostring(output) or "it was not found"), 0)
end

local function is_sanitized() return (os.getenv "LD_PRELOAD" or ""):find "asan" end

---By each of what is to find it.
local function check_all(mutant)
  if mutant.fuzz then
    return check(mutant, "fuzz " .. mutant.fuzz, mutant.rounds or FUZZING, run_fuzz, mutant)
  end
  local object, name = mutate(mutant, mutant.power and "-include spec/power/small.h")
  if mutant.c and not (mutant.sound and not rounds.all) then
    check(mutant, mutant.c[1], PROGRAM, run_program, mutant, object, mutant.c[1], mutant.c[2])
  end
  if mutant.raid then check(mutant, mutant.raid[1], RAIDS, run_raids, object, name, mutant.raid) end
  if mutant.spec then check(mutant, mutant.spec[1], 1, run_spec, object, name, mutant.spec) end
  if mutant.power then check(mutant, mutant.power, POWER, run_power, mutant, object, name) end
  if mutant.contest and (rounds.all or not mutant.c) then
    check(mutant, "contest", CONTEST, run_contest, object, name)
  end
  if mutant.kills and rounds.all then
    check(mutant, "kill", mutant.sound and 10 or KILLING, run_program, mutant, object, "kill", "")
  end
end

it("each fault has its place", function()
  for _, mutant in ipairs(mutants) do find(mutant) end
end)

describe("a fault is found:", function()
  local chosen = math.random(PART) - 1
  for number, mutant in ipairs(mutants) do
    local is_quick = mutant.c or mutant.power or mutant.raid or mutant.spec or mutant.fuzz or mutant.contest
    if rounds.all or is_quick and not mutant.slow and number % PART == chosen then
      it(mutant.name, function()
        if is_sanitized() then return pending "the mutants are linked with a library that is not instrumented" end
        if mutant.raid and not trap.works() then return pending "calls are recorded on Linux, with a C compiler" end
        check_all(mutant)
      end)
    end
  end
end)
