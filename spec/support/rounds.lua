-- rounds.lua: how long the tests with chance in them go on. RILLE_SOAK, a number, is how many
-- times as long as they do in `make test`; under the sanitizers, where everything takes several
-- times as long, a part. From 1 on, what is only sampled else is tried whole, too.
--
--   local rounds = require "spec.support.rounds"
--   for _ = 1, rounds(20) do ... end          for step = 1, 40, rounds.all and 1 or 3 do ... end
--
-- In C: test_tries_all, test_part and test_tally in spec/c/test.h.
local rounds = {}

local asked = tonumber(os.getenv "RILLE_SOAK")
local factor = asked or 1

---Whether all is to be tried, whatever it takes.
rounds.all = asked ~= nil and asked >= 1

---How many rounds, at least one, instead of n.
function rounds.of(n) return math.max(1, math.floor(n * factor + 0.5)) end

---Seconds, or another measure of which there may be a part, instead of n.
function rounds.long(n) return n * factor end

---What has been tried, and how often: added up by spec/run.lua.
function rounds.tally(what, n) print(("tally: %d %s"):format(n, what)) end

return setmetatable(rounds, { __call = function(_, n) return rounds.of(n) end })
