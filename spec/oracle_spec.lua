-- oracle_spec.lua: forty processes append to one store under conditions of all kinds, and
-- others follow; afterwards a judge who reads nothing but the log says whether what each of
-- them was told can be true (contest.lua, judge.lua).
--
-- RILLE_SOAK=n makes it n times as long. RILLE_MODULE is another module for the processes.
local child = require "spec.crash.child"
local judge = require "spec.crash.judge"
local oracle = require "spec.crash.oracle"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local values = require "spec.support.values"

values.seed("oracle_spec")

local SOAK = math.max(1, tonumber(os.getenv "RILLE_SOAK") or 1)
local WRITERS, FOLLOWERS, SECONDS = 40, 4, 2.5

-- Starts them, lets them run, and returns how many appends were tried.
local function run(path, seconds)
  local children, tried, with = {}, 0, "CONTEST_SEED=" .. math.random(1 << 30)
  for w = 1, WRITERS + FOLLOWERS do
    local job = w <= WRITERS and "compete" or "follow"
    children[w] = child.start(job, { path, w }, nil, with)
  end
  scratch.shell("sleep %g; : > '%s.stop'", seconds, path)
  for w, c in ipairs(children) do
    local lines, status = c:wait()
    if status ~= 0 then error(("process %d ended with %d: %s"):format(w, status, table.concat(lines, "\n"))) end
    tried = tried + (w <= WRITERS and tonumber(lines[1]) or 0)
  end
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

describe("forty processes", function()
  it("are told nothing that can't be true", function()
    local path = scratch.path()
    assert(rille.open(path)):close()
    local tried = run(path, SECONDS * SOAK)
    local store, remark = assert(rille.open(path))
    assert.is_nil(remark)
    local judged = judge.new(store)
    assert.equal(tried, hear_all(judged, path))
    oracle.check_verified(store)
    store:close()
    local counts = judged.counts
    print(("       %d appends: %d written, %d refused, %d repeated, %d only checked; %d events"):format(tried,
      counts.written, counts.refused, counts.repeated, counts.checked, #judged.events))
    for _, count in pairs(counts) do assert(count > 0) end
    scratch.shell("rm -rf '%s'*", path)
  end)
end)
