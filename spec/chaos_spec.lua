-- chaos_spec.lua: everything at once: fourteen processes write, read, fold, react, transact, follow,
-- copy, verify, scavenge and redact two stores, and are killed and stopped at any moment
-- (crash/chaos.lua). Judged by the logs: what was told is there, but for the content that was
-- redacted, which is nowhere, and for what was hidden; money is conserved, each effect is there
-- once, states are what a fold gives, nothing is in doubt for ever, verify finds nothing.
local chaos = require "spec.crash.chaos"
local rounds = require "spec.support.rounds"
local values = require "spec.support.values"

values.seed "chaos_spec"

local SECONDS = rounds.all and tonumber(os.getenv "SECONDS") or rounds.long(6)
local ROUNDS = rounds.all and 3 or 1
local TRIES = 5

---A crowd's life: what there is to count at its end.
local function live()
  local crowd = chaos.new()
  local ok, counts = pcall(function()
    crowd:live(SECONDS)
    return crowd:judge()
  end)
  crowd:remove()
  if not ok then error(counts, 0) end
  return counts
end

local function is_enough(counts)
  return SECONDS < 4 or counts.appends > 20 and counts.transfers > 0 and counts.digests > 0
end

it("a crowd of processes that are killed and stopped leaves two sound stores", function()
  for _ = 1, ROUNDS do
    local counts
    for _ = 1, TRIES do -- a machine may be busy
      counts = live()
      if is_enough(counts) then break end
    end
    print(("       %d kills, %d of all at once, %d stops; %d appends, %d transfers, %d looks, %d redactions; "
      .. "%d torn tails"):format(counts.kills, counts.all, counts.stops, counts.appends, counts.transfers,
      counts.digests, counts.redacted, counts.torn))
    rounds.tally("kills", counts.kills)
    rounds.tally("stops", counts.stops)
    assert(is_enough(counts), "they came to nothing")
  end
end)
