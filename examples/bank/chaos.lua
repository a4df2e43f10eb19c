-- chaos.lua: several processes transfer money, and are killed wherever they are: over and over.
-- After each round no money is missing, none is too much, and all that was told is so.
--
--   RILLE_BUILD=build lua5.4 examples/bank/chaos.lua [SECONDS] [FOLDER]
--
-- SEED=n: the same accounts, transfers and times again (but not the same moments: the machine's
-- are its own). LEDGER=postgresql:///bank: with the ledger. A worker that is killed while the
-- others go on leaves promises in both stores and in the database, which whoever meets them settles.

local HERE = arg[0]:match "^(.*)/[^/]*$" or "."
local BUILD = os.getenv "RILLE_BUILD" or "build"
local LUA = arg[-1]
package.path = HERE .. "/?.lua;" .. HERE .. "/../?.lua;" .. package.path
package.cpath = BUILD .. "/?.so;" .. package.cpath

local bank = require "bank"
local ledger = require "ledger"
local show = require "show"

local WORKERS = 3
local ACCOUNTS, START = 6, 100 -- in each store; money in each account
local ROUND_MOST_MS = 150      -- from "all are ready" to the first kill
local NEXT_MOST_MS = 20        -- from a kill to the next
local REST_S = 15              -- within which all is settled after a round

local seconds = tonumber(arg[1] or 5)
local folder = arg[2] or BUILD .. "/chaos"
local seed = math.tointeger(tonumber(os.getenv "SEED")) or os.time()
local place = ledger.place()
local b
local seen = { after = {}, balances = {}, withdrawn = {}, deposited = {} } -- what the stores say, read on
local told = {}                                                      -- what workers have said, by transfer
local count = { rounds = 0, kills = 0, committed = 0, aborted = 0, in_doubt = 0 }

local function fail(format, ...) error(("round %d (SEED=%d): "):format(count.rounds, seed) .. format:format(...), 0) end

local function pause(ms) os.execute(("sleep %.3f"):format(ms / 1000)) end

-- Workers ------------------------------------------------------------------------------------------

local function start(number)
  local words = { "echo $$; exec", show.word(LUA), show.word(HERE .. "/worker.lua"), show.word(folder),
    ("r%d-w%d"):format(count.rounds, number), tostring(math.random(1 << 30)), place and show.word(place) or "" }
  local pipe = assert(io.popen(table.concat(words, " ") .. " 2>&1"))
  return { pipe = pipe, pid = pipe:read "l" }
end

local function expect_ready(worker)
  local line = worker.pipe:read "l"
  if line ~= "ready" then fail("a worker did not start: %s", (line or "") .. worker.pipe:read "a") end
end

---Kills it and hears what it had said by then, but for a line that the signal cut.
local function kill(worker)
  os.execute("kill -9 " .. worker.pid)
  for line in worker.pipe:read "a":gmatch "([^\n]*)\n" do
    local word, id = line:match "^(%a+) (%S+)"
    if word == "committed" or word == "aborted" then
      told[id] = word
      count[word] = count[word] + 1
    elseif word ~= "unknown" then fail("a worker said: %s", line)
    end
  end
  worker.pipe:close()
  count.kills = count.kills + 1
end

-- Looking ------------------------------------------------------------------------------------------

---What has come since the last round. A transfer that is there twice is found here.
local function read_on(branch)
  local head = b.stores[branch]:head()
  local query = { types = { "Deposited", "Withdrawn" }, after = seen.after[branch] or 0, before = head + 1 }
  seen.after[branch] = head
  for event in b.stores[branch]:all(query) do
    local account, id, out = branch .. event.stream, event.data.transfer, event.type == "Withdrawn"
    seen.balances[account] = (seen.balances[account] or 0) + (out and -1 or 1) * event.data.amount
    if seen.balances[account] < 0 then fail("%s is overdrawn by %s", account, id) end
    local list = out and seen.withdrawn or seen.deposited
    if id and list[id] then fail("%s is there twice", id) end
    if id then list[id] = event.data.amount end
  end
end

local function check_transfers()
  for id, amount in pairs(seen.withdrawn) do
    if seen.deposited[id] ~= amount then fail("%s was withdrawn, and not deposited", id) end
    if told[id] == "aborted" then fail("%s was told to be aborted, and is there", id) end
  end
  for id in pairs(seen.deposited) do
    if not seen.withdrawn[id] then fail("%s was deposited, and not withdrawn", id) end
  end
  for id, word in pairs(told) do
    if word == "committed" and not seen.withdrawn[id] then fail("%s was told to be committed, and is not there", id) end
  end
end

local function check_ledger()
  local rows = {}
  for _, id in ipairs(ledger.rows(place)) do
    if not seen.withdrawn[id] then fail("%s is in the ledger only", id) end
    rows[id] = true
  end
  for id in pairs(seen.withdrawn) do
    if not rows[id] then fail("%s is not in the ledger", id) end
  end
end

local function sum()
  local all = 0
  for _, balance in pairs(seen.balances) do all = all + balance end
  return all
end

-- Rounds -------------------------------------------------------------------------------------------

---One look, and what can be done about it. Whether all is settled.
local function settle_once(doubts)
  local unsettled = b:unsettled()
  for id in pairs(unsettled) do doubts[id] = true end
  b:settle()
  return next(unsettled) == nil and (not place or ledger.prepared(place) == 0)
end

---Until nothing is in doubt any more, here or in the database; counts what was.
local function settle()
  local doubts, till = {}, os.time() + REST_S
  while not settle_once(doubts) do
    if os.time() > till then fail("still in doubt: %s", next(b:unsettled()) or "a transaction in the ledger") end
    pause(5)
  end
  for _ in pairs(doubts) do count.in_doubt = count.in_doubt + 1 end
end

local function round()
  count.rounds = count.rounds + 1
  local workers = {}
  for i = 1, WORKERS do workers[i] = start(i) end
  for _, worker in ipairs(workers) do expect_ready(worker) end
  pause(math.random(ROUND_MOST_MS))
  while #workers > 0 do
    kill(table.remove(workers, math.random(#workers)))
    pause(math.random(0, NEXT_MOST_MS))
  end
  settle()
  for _, branch in ipairs(bank.BRANCHES) do read_on(branch) end
  check_transfers()
  if place then check_ledger() end
  if sum() ~= 2 * ACCOUNTS * START then fail("the sum is %d, not %d", sum(), 2 * ACCOUNTS * START) end
end

local function prepare()
  math.randomseed(seed)
  assert(os.execute(("rm -rf %s && mkdir -p %s"):format(show.word(folder), show.word(folder))))
  if place then ledger.clear(place) end
  b = bank.open(folder, place)
  for _, branch in ipairs(bank.BRANCHES) do
    for i = 1, ACCOUNTS do b:open_account(branch, "account-" .. i, START) end
  end
end

---Transfers that are there though nobody heard of it: the answer was cut off.
local function unheard()
  local n = 0
  for id in pairs(seen.withdrawn) do n = n + (told[id] and 0 or 1) end
  return n
end

show.line(show.styled("bold", ("The same, by %d processes that are killed at any moment"):format(WORKERS)))
prepare()
local till = os.time() + seconds
repeat round() until os.time() >= till
show.table({ ("SEED=%d"):format(seed), "" }, {
  { "rounds", show.number(count.rounds) },
  { "kills", show.number(count.kills) },
  { "transfers told committed", show.number(count.committed) },
  { "... aborted", show.number(count.aborted) },
  { "committed, and the answer cut off", show.number(unheard()) },
  { "in doubt when all were dead, settled", show.number(count.in_doubt) },
  { "PostgreSQL ledger", place and "as the stores" or "none (LEDGER=...)" },
  { "money", ("%d of %d"):format(sum(), 2 * ACCOUNTS * START) },
})
b:close()
