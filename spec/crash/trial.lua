-- trial.lua: a contest and its judgement (contest.lua, judge.lua). The processes may use
-- another module than the one that is used to judge them.
local child = require "spec.crash.child"
local judge = require "spec.crash.judge"
local oracle = require "spec.crash.oracle"
local rille = require "rille"
local scratch = require "spec.support.scratch"

local trial = {}

local WRITERS, FOLLOWERS = 40, 4
local PATIENCE = 60 -- seconds, for a process to end

local function start_all(path, module, folder)
  local with = ("CONTEST_SEED=%d TMPDIR='%s' %s timeout %d"):format(math.random(1 << 30), folder,
    module and "RILLE_MODULE='" .. module .. "'" or "", PATIENCE)
  local children = {}
  for w = 1, WRITERS + FOLLOWERS do
    children[w] = child.start(w <= WRITERS and "compete" or "follow", { path, w }, nil, with)
  end
  return children
end

-- Lets them run, and returns how many appends were tried.
local function run(path, seconds, module)
  local children, tried, wrong = start_all(path, module, scratch.folder), 0, nil
  scratch.shell("sleep %g; : > '%s.stop'", seconds, path)
  for w, c in ipairs(children) do
    local lines, status = c:wait()
    if status ~= 0 then wrong = ("process %d ended with %d: %s"):format(w, status, table.concat(lines, "\n")) end
    tried = tried + (w <= WRITERS and tonumber(lines[1]) or 0)
  end
  if wrong then error(wrong, 0) end
  return tried
end

local function hear_all(judged, path)
  local n = 0
  for w = 1, WRITERS do
    for line in io.lines(("%s.%d"):format(path, w)) do
      judged:hear(assert(load("return " .. line))())
      n = n + 1
    end
  end
  judged:check_all_heard()
  return n
end

local function hold(path, seconds, module)
  assert(rille.open(path)):close()
  local tried = run(path, seconds, module)
  local store, remark = assert(rille.open(path))
  local ok, judged = pcall(function()
    assert(not remark, remark)
    local made = judge.new(store)
    assert(hear_all(made, path) == tried, "a journal is cut")
    oracle.check_verified(store)
    return made
  end)
  store:close()
  if not ok then error(judged, 0) end
  return judged.counts, tried, #judged.events
end

---Runs a contest for so many seconds. What is wrong is an error.
---@return table counts, integer tried, integer events
function trial.hold(seconds, module)
  local path = scratch.path()
  local results = table.pack(pcall(hold, path, seconds, module))
  scratch.shell("rm -rf '%s'*", path)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2)
end

return trial
