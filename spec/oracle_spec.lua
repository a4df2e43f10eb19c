-- oracle_spec.lua: forty processes append to one store under conditions of all kinds, and
-- others follow; afterwards a judge who reads nothing but the log says whether what each of
-- them was told can be true (crash/trial.lua, contest.lua, judge.lua).
--
-- RILLE_SOAK=n makes it n times as long.
local rounds = require "spec.support.rounds"
local trial = require "spec.crash.trial"
local values = require "spec.support.values"

values.seed("oracle_spec")

local SECONDS = 2.5
local TRIES = 5

local function has_all(counts)
  for _, count in pairs(counts) do
    if count == 0 then return false end
  end
  return true
end

describe("forty processes", function()
  it("are told nothing that can't be true", function()
    local seconds, counts, tried, events = rounds.long(SECONDS), nil, nil, nil
    for _ = 1, TRIES do -- a machine may be busy
      counts, tried, events = trial.hold(seconds)
      if has_all(counts) then break end
      seconds = 2 * seconds
    end
    print(("       %d appends: %d written, %d refused, %d repeated, %d only checked; %d events"):format(tried,
      counts.written, counts.refused, counts.repeated, counts.checked, events))
    rounds.tally("contested appends", tried)
    assert(has_all(counts), "something never came about")
  end)
end)
