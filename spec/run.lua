-- run.lua: runs every test: the C programs made of spec/c/*_test.c, then the specs.
--
--   RILLE_BUILD=build lua5.4 spec/run.lua [FILE ...]     spec/x_spec.lua, spec/c/x_test.c
--
-- Each has a process of its own, so that a crash has a name. Three run at a time for every two
-- processors, since most wait now and then (WORKERS=n: n); the longest begin first, each of the
-- others when one has ended.
-- RILLE_PRELOAD is a library (AddressSanitizer's) to be loaded into those that run Lua; those
-- that need no second run then are left out. The last line is "N passed, N failed, N skipped";
-- before it stands what the tests tell that they have tried ("tally: 12 kills"), added up. Exit 0
-- only if something passed and nothing failed. What hangs is ended after HANG_SECONDS, where the
-- system has `timeout`: it has failed. UNTIL is a time (date +%s) after which nothing is begun any
-- more: what then is left out is told, and is no failure.

local HANG_SECONDS = (tonumber(os.getenv "RILLE_SOAK") or 0) >= 1 and 36000 or 600
local UNTIL = math.tointeger(tonumber(os.getenv "UNTIL")) or math.maxinteger
local BUILD = os.getenv "RILLE_BUILD" or "build"
local PRELOAD = os.getenv "RILLE_PRELOAD" or ""

-- Those that take longest, as the seconds at the end of their lines say. Whichever begins last
-- is waited for by idle processors.
local LONGEST = {
  "spec/spin_spec.lua", "spec/c/power_test.c", "spec/c/errors_test.c", "spec/memory_spec.lua",
  "spec/c/lies_test.c", "spec/embed_spec.lua", "spec/cli_spec.lua", "spec/mutants_spec.lua",
  "spec/crash_spec.lua", "spec/install_spec.lua", "spec/postgres_recovery_spec.lua", "spec/recovery_spec.lua",
  "spec/handles_spec.lua", "spec/isolate_spec.lua", "spec/index_spec.lua", "spec/errors_spec.lua",
  "spec/policy_fuzz_spec.lua", "spec/json_spec.lua", "spec/bank_spec.lua", "spec/damage_spec.lua",
  "spec/resources_spec.lua", "spec/examples_spec.lua", "spec/append_spec.lua", "spec/value_spec.lua",
  "spec/house_spec.lua", "spec/query_spec.lua", "spec/steps_spec.lua", "spec/locks_spec.lua",
  "spec/pause_spec.lua", "spec/full_spec.lua", "spec/policy_spec.lua", "spec/report_spec.lua",
  "spec/script_spec.lua", "spec/regress/74-large-states_spec.lua", "spec/regress/196-killed-while-redacting_spec.lua",
}

-- They run nothing of ours in a process that loads the sanitizer, or Lua that calls, for a reader,
-- what other specs call as well.
local NO_SECOND_RUN = {
  ["spec/cli_spec.lua"] = "starts the command hundreds of times; what it calls of C has specs of its own",
  ["spec/bank_spec.lua"] = "plays an example; transactions, kills and PostgreSQL have specs of their own",
  ["spec/docs_spec.lua"] = "runs what the pages show",
  ["spec/examples_spec.lua"] = "runs the examples; each call in them has a spec of its own",
  ["spec/played_spec.lua"] = "plays the examples",
  ["spec/frames_spec.lua"] = "is about slices of time, which a sanitizer makes others; poll_spec has the calls",
  ["spec/postgres_stall_spec.lua"] = "is about the Lua half of the participant; postgres_spec has the calls of libpq",
  ["spec/report_spec.lua"] = "is the Lua half, over calls that have specs of their own",
  ["spec/report_page_spec.lua"] = "asks a browser",
  ["spec/completion_spec.lua"] = "asks shells, which run the command as users have it",
  ["spec/manual_spec.lua"] = "has man show a page",
  ["spec/terminal_spec.lua"] = "types at a screen, where the command is run as users have it",
  ["spec/house_spec.lua"] = "reads sources",
  ["spec/embed_spec.lua"] = "builds with flags of its own",
  ["spec/install_spec.lua"] = "has the rock built, by its own rules",
  ["spec/locks_spec.lua"] = "is a model in Lua",
  ["spec/mutants_spec.lua"] = "links faults with the library as users have it",
  ["spec/proof_spec.lua"] = "reads sources",
  ["spec/spin_spec.lua"] = "is a model for Spin",
  ["spec/steps_spec.lua"] = "compiles a part of the core by itself",
  ["spec/regress/155-timers-for-ever_spec.lua"] = "is about the Lua half of processors",
  ["spec/regress/196-killed-while-redacting_spec.lua"] = "kills at each call what retention_test calls",
  ["spec/regress/712-killed-with-a-file-replaced_spec.lua"] = "kills at each call what retention_test calls",
}

---The program that runs this file.
local function interpreter()
  local i = -1
  while arg[i - 1] do i = i - 1 end
  return arg[i]
end

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

---The lines that a shell command prints.
local function lines(command)
  local pipe = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

-- What there is to run ----------------------------------------------------------

---A job is { name, command }.
local function c_job(path)
  return { name = path, command = ("%s/spec/%s"):format(BUILD, path:match "([^/]+)%.c$") }
end

-- Specs of the binding that LuaJIT runs as well, with the module that is made for it. Those that
-- take more than a few seconds, or start Lua 5.4 by its name, are left out; of the others
-- spec/support/luajit_lacks.lua says which tests are for 5.4 alone.
local LUAJIT_BUILD = os.getenv "RILLE_LUAJIT_BUILD" or BUILD .. "/luajit"
local LUAJIT = { "append", "apart", "condition", "deep", "doubting", "fold", "isolate", "kept", "ladder", "meter",
  "open", "pick", "policy", "poll", "processor", "projection", "query", "read", "retention", "sandbox", "testkit",
  "transact", "transaction", "truncate", "upcast", "wait" }
local LUAJIT_SOAK = { "json", "value", "script", "decide", "cli", "handles", "report" }

local function luajit_job(path)
  return { name = path .. " (LuaJIT)", command = ("env RILLE_LUA=luajit RILLE_BUILD=%s LUA_CPATH=%s luajit %s "
    .. "--helper=spec/support/luajit.lua -o %s %s"):format(quoted(LUAJIT_BUILD), quoted(LUAJIT_BUILD .. "/?.so;;"),
      "spec/support/busted.lua", "spec/support/report.lua", quoted(path)) }
end

local function lua_job(path)
  local preload = PRELOAD == "" and "" or
    "LD_PRELOAD=" .. quoted(PRELOAD) .. " ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0} "
  local lua = quoted(interpreter())
  return { name = path, command = ("env RILLE_LUA=%s RILLE_BUILD=%s LUA_CPATH=%s %s%s %s -o %s %s")
    :format(lua, quoted(BUILD), quoted(BUILD .. "/?.so;;"), preload, lua, "spec/support/busted.lua",
      "spec/support/report.lua", quoted(path)) }
end

local function job_of(path)
  local of_luajit = path:match "^luajit:(.*)"
  if of_luajit then return luajit_job(of_luajit) end
  if path:find "_test%.c$" then return c_job(path) end
  return lua_job(path)
end

---None, and a line that says so, where there is no LuaJIT.
local function luajit_paths()
  local paths, there = {}, io.open(LUAJIT_BUILD .. "/rille.so", "rb")
  if PRELOAD ~= "" then return paths end
  if not there or not lines "command -v luajit"[1] then
    print "left out the specs under LuaJIT: it is not installed, or the module is not made for it (make luajit)"
    return paths
  end
  there:close()
  local names = { table.unpack(LUAJIT) }
  if os.getenv "RILLE_SOAK" then table.move(LUAJIT_SOAK, 1, #LUAJIT_SOAK, #names + 1, names) end
  for i, name in ipairs(names) do paths[i] = ("luajit:spec/%s_spec.lua"):format(name) end
  return paths
end

local function all_paths()
  local paths, listed = {}, {}
  local function add(path)
    if not listed[path] then paths[#paths + 1] = path end
    listed[path] = true
  end
  for _, path in ipairs(LONGEST) do add(path) end
  for _, path in ipairs(luajit_paths()) do add(path) end
  for _, path in ipairs(lines "ls spec/c/*_test.c") do add(path) end
  for _, path in ipairs(lines "find spec -name '*_spec.lua' | LC_ALL=C sort") do add(path) end
  return paths
end

---Without those that need no second run; says which.
local function instrumented(paths)
  local rest = {}
  for _, path in ipairs(paths) do
    local reason = NO_SECOND_RUN[path]
    if reason then print(("left out %s: it %s"):format(path, reason))
    else rest[#rest + 1] = path end
  end
  return rest
end

-- Running -----------------------------------------------------------------------

---A folder for what the tests write, removed at the end even if they crash.
local scratch = lines 'mktemp -d "${TMPDIR:-/tmp}/rille-tests-XXXXXX"'[1]
assert(scratch and scratch ~= "", "can't make a temporary folder")

local bound = lines "command -v timeout"[1] and ("timeout -k 5 %d "):format(HANG_SECONDS) or ""

-- Runs the job of the number $1, and tells when it begins, and when it ends with what.
local RUNNER = [[
if [ "$(date +%%s)" -ge %d ]; then echo "$1 late"; exit; fi
echo "$1 begins"
export TMPDIR=%s
case $1 in
%sesac >"$TMPDIR/$1.out" 2>&1 </dev/null
status=$?
times >"$TMPDIR/$1.times"
echo "$1 $status"
]]

---Writes RUNNER for the jobs; returns the command that runs them all.
local function runner(jobs)
  local cases, path = {}, scratch .. "/runner"
  for i, job in ipairs(jobs) do cases[i] = ("%d) %s%s ;;\n"):format(i, bound, job.command) end
  local file = assert(io.open(path, "w"))
  file:write((RUNNER:format(UNTIL, quoted(scratch), table.concat(cases))))
  assert(file:close())
  local processors = tonumber(lines "getconf _NPROCESSORS_ONLN"[1]) or 2
  local workers = math.tointeger(tonumber(os.getenv "WORKERS")) or processors * 3 // 2
  return ("seq %d | xargs -n 1 -P %d sh %s"):format(#jobs, workers, quoted(path))
end

local function read(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read "a"
  file:close()
  return text
end

---Seconds of processors that the programs of a job took, as `times` tells them.
local function processor_seconds(text)
  local sum = 0
  for minutes, seconds in (text:match "\n(.*)" or ""):gmatch "(%d+)m([%d.]+)s" do
    sum = sum + 60 * minutes + tonumber(seconds)
  end
  return sum
end

---Counts in the last line, and what is wrong with the process itself.
local function judge(job, status)
  local passed, failed, rest = job.output:match "(%d+) passed, (%d+) failed([^\n]*)\n*$"
  job.passed, job.failed = tonumber(passed) or 0, tonumber(failed) or 0
  job.skipped = tonumber(rest and rest:match "(%d+) skipped") or 0
  if status > 128 then
    job.fault = "crashed: signal " .. status - 128
  elseif bound ~= "" and status == 124 then
    job.fault = ("did not end in %d s"):format(HANG_SECONDS)
  elseif not passed then
    job.fault = "ended without a result, with status " .. status
  elseif status ~= 0 and job.failed == 0 then
    job.fault = "ended with status " .. status
  elseif job.passed + job.failed + job.skipped == 0 then
    job.fault = "ran no test"
  end
  if job.fault then job.failed = job.failed + 1 end
end

local tally = {}

local function add_tally(output)
  for count, what in ("\n" .. output):gmatch "\ntally: (%d+) ([^\n]+)" do
    tally[what] = (tally[what] or 0) + tonumber(count)
  end
end

local function report_tally()
  local names, list = {}, {}
  for what in pairs(tally) do names[#names + 1] = what end
  table.sort(names)
  for i, what in ipairs(names) do list[i] = ("%d %s"):format(tally[what], what) end
  if #list > 0 then print("tried: " .. table.concat(list, ", ")) end
end

---Takes in what a job that has ended, with a status of the shell's, left behind.
local function finish(job, number, status)
  job.output = read(("%s/%d.out"):format(scratch, number))
  job.seconds = os.time() - job.began
  job.processor = processor_seconds(read(("%s/%d.times"):format(scratch, number)))
  judge(job, status)
  add_tally(job.output)
end

local function report(job)
  local seed = job.output:match "SEED=(%d+)" or job.output:match ": seed (%d+)"
  if job.failed > 0 then io.write("---- ", job.name, "\n", job.output) end
  io.write(("%s %s: %d passed, %d failed%s, %d s (%.1f s of a processor)%s%s\n"):format(
    job.failed > 0 and "FAILED" or "ok    ", job.name, job.passed, job.failed,
    job.skipped > 0 and (", %d skipped"):format(job.skipped) or "", job.seconds, job.processor,
    seed and " (SEED=" .. seed .. ")" or "", job.fault and ": " .. job.fault or ""))
  for line in job.output:gmatch "[^\n]*: skipped: [^\n]*" do io.write("       ", line, "\n") end
  io.stdout:flush()
end

local function main(paths)
  local sum = { passed = 0, failed = 0, skipped = 0, processor = 0, late = 0 }
  local jobs, began = {}, os.time()
  for i, path in ipairs(paths) do jobs[i] = job_of(path) end
  local pipe = assert(io.popen(runner(jobs)))
  for line in pipe:lines() do
    local number, status = line:match "^(%d+) (%w+)$"
    number = tonumber(number)
    local job = assert(jobs[number], line)
    if status == "begins" then
      job.began = os.time()
    elseif status == "late" then
      job.passed, sum.late = 0, sum.late + 1
    else
      finish(job, number, tonumber(status))
      report(job)
      for name, count in pairs(sum) do sum[name] = count + (job[name] or 0) end
    end
  end
  pipe:close()
  for _, job in ipairs(jobs) do
    if not job.passed then
      sum.failed = sum.failed + 1
      print(("FAILED %s: its shell was ended"):format(job.name))
    end
  end
  report_tally()
  if sum.late > 0 then print(("left out %d of %d: the time was up"):format(sum.late, #jobs)) end
  print(("%d s, %.0f s of processors"):format(os.time() - began, sum.processor))
  return sum
end

local paths = #arg > 0 and { table.unpack(arg) } or PRELOAD == "" and all_paths() or instrumented(all_paths())
local ok, sum = pcall(main, paths)
os.execute("rm -rf " .. quoted(scratch))
if not ok then error(sum, 0) end
print(("%d passed, %d failed, %d skipped"):format(sum.passed, sum.failed, sum.skipped))
os.exit(sum.failed == 0 and sum.passed + sum.late > 0)
