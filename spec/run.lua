-- run.lua: runs every test: the C programs made of spec/c/*_test.c, then the specs.
--
--   RILLE_BUILD=build lua5.4 spec/run.lua [FILE ...]     spec/x_spec.lua, spec/c/x_test.c
--
-- Each has a process of its own, so that a crash has a name; WORKERS of them run at
-- a time. RILLE_PRELOAD is a library (AddressSanitizer's) to be loaded into those
-- that run Lua. The last line is "N passed, N failed, N skipped"; exit 0 only if
-- something passed and nothing failed. What hangs is ended after HANG_SECONDS, where the
-- system has `timeout`: it has failed.

local WORKERS = 2
local HANG_SECONDS = os.getenv "RILLE_SOAK" and 36000 or 600
local BUILD = os.getenv "RILLE_BUILD" or "build"
local PRELOAD = os.getenv "RILLE_PRELOAD" or ""

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

local function lua_job(path)
  local preload = PRELOAD == "" and "" or
    "LD_PRELOAD=" .. quoted(PRELOAD) .. " ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0} "
  local lua = quoted(interpreter())
  return { name = path, command = ("env RILLE_LUA=%s RILLE_BUILD=%s LUA_CPATH=%s %s%s %s -o %s %s")
    :format(lua, quoted(BUILD), quoted(BUILD .. "/?.so;;"), preload, lua, "spec/support/busted.lua",
      "spec/support/report.lua", quoted(path)) }
end

local function job_of(path)
  if path:find "_test%.c$" then return c_job(path) end
  return lua_job(path)
end

local function all_paths()
  local paths = lines "ls spec/c/*_test.c"
  for _, path in ipairs(lines "find spec -name '*_spec.lua' | LC_ALL=C sort") do
    paths[#paths + 1] = path
  end
  return paths
end

-- Running -----------------------------------------------------------------------

---A folder for what the tests write, removed at the end even if they crash.
local scratch = lines 'mktemp -d "${TMPDIR:-/tmp}/rille-tests-XXXXXX"'[1]
assert(scratch and scratch ~= "", "can't make a temporary folder")

local bound = lines "command -v timeout"[1] and ("timeout -k 5 %d "):format(HANG_SECONDS) or ""

local function start(job)
  job.pipe = assert(io.popen(("TMPDIR=%s exec %s%s 2>&1"):format(quoted(scratch), bound,
    job.command)))
end

---Counts in the last line, and what is wrong with the process itself.
local function judge(job, how, status)
  local passed, failed, rest = job.output:match "(%d+) passed, (%d+) failed([^\n]*)\n*$"
  job.passed, job.failed = tonumber(passed) or 0, tonumber(failed) or 0
  job.skipped = tonumber(rest and rest:match "(%d+) skipped") or 0
  if how == "signal" or status > 128 then
    job.fault = "crashed: signal " .. (how == "signal" and status or status - 128)
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

local function finish(job)
  job.output = job.pipe:read "a"
  local _, how, status = job.pipe:close()
  judge(job, how, status)
end

local function report(job)
  local seed = job.output:match "SEED=(%d+)" or job.output:match ": seed (%d+)"
  if job.failed > 0 then io.write("---- ", job.name, "\n", job.output) end
  io.write(("%s %s: %d passed, %d failed%s%s%s\n"):format(
    job.failed > 0 and "FAILED" or "ok    ", job.name, job.passed, job.failed,
    job.skipped > 0 and (", %d skipped"):format(job.skipped) or "",
    seed and " (SEED=" .. seed .. ")" or "", job.fault and ": " .. job.fault or ""))
  for line in job.output:gmatch "[^\n]*: skipped: [^\n]*" do io.write("       ", line, "\n") end
  io.stdout:flush()
end

local function main(paths)
  local passed, failed, skipped, started = 0, 0, 0, 0
  local jobs = {}
  for i, path in ipairs(paths) do jobs[i] = job_of(path) end
  for i, job in ipairs(jobs) do
    while started < #jobs and started < i - 1 + WORKERS do
      started = started + 1
      start(jobs[started])
    end
    finish(job)
    report(job)
    passed, failed, skipped = passed + job.passed, failed + job.failed, skipped + job.skipped
  end
  return passed, failed, skipped
end

local ok, passed, failed, skipped = pcall(main, #arg > 0 and { table.unpack(arg) } or all_paths())
os.execute("rm -rf " .. quoted(scratch))
if not ok then error(passed, 0) end
print(("%d passed, %d failed, %d skipped"):format(passed, failed, skipped))
os.exit(failed == 0 and passed > 0)
