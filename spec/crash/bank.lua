-- bank.lua: money that is moved between stores by transactions, and what must hold whatever
-- happens to those who do it.
--
-- A plan is text: how many participants there are beside home, and letters:
--   h  home has an account too          c  one more store takes part, with conditions only
--   f  a ledger of files takes part (ledger.lua); not where the power goes
--   o  one more promises an event, votes yes, and is left out by the policy
-- "2h" is three accounts. Every account is a store with one stream, that began with START.
local ledger = require "spec.crash.ledger"

local bank = {}

local START = 100
local STREAM = "account"

local function has(plan, letter) return plan:find(letter, 1, true) ~= nil end

---Names of the stores of a plan, home first; and which have accounts.
function bank.names(plan)
  local names, accounts = { "home" }, {}
  if has(plan, "h") then accounts[1] = "home" end
  for i = 1, tonumber(plan:match "%d+") do
    names[#names + 1] = "m" .. i
    accounts[#accounts + 1] = "m" .. i
  end
  if has(plan, "c") then names[#names + 1] = "limits" end
  if has(plan, "o") then names[#names + 1] = "extra" end
  return names, accounts
end

---What a coordinator of the bank is opened with.
function bank.coordinator(base, plan, name)
  return { name = name, participants = has(plan, "f") and { ledger = ledger.functions(base) } or nil }
end

function bank.path(base, name) return ("%s/%s.rille"):format(base, name) end

---Opens all of them: name -> store.
function bank.open(rille, base, plan, options)
  local stores = {}
  for _, name in ipairs(bank.names(plan)) do stores[name] = assert(rille.open(bank.path(base, name), options)) end
  return stores
end

function bank.close(stores)
  for _, store in pairs(stores) do assert(store:close()) end
end

---Makes the stores, with money in them, closed and durable.
function bank.make(rille, base, plan)
  local stores = bank.open(rille, base, plan, { segment_bytes = 65536 })
  if has(plan, "f") then ledger.make(base) end
  local _, accounts = bank.names(plan)
  for _, name in ipairs(accounts) do
    assert(stores[name]:append(STREAM, { type = "Opened", data = { amount = START } }))
  end
  if stores.limits then assert(stores.limits:append("limits", { type = "Limited" })) end
  assert(stores.home:append("notes", { type = "Opened" }))
  bank.close(stores)
end

---Moves money: the first account gives each other one 1.
---@param given table  options of transact
---@param only? string  this account alone, which then gets 0
function bank.transfer(c, stores, plan, given, only)
  local _, accounts = bank.names(plan)
  if only then accounts = { only } end
  if stores.extra then given.policy = "spec/crash/leaves_out.lua" end
  return c:transact(given, function(tx)
    for i, name in ipairs(accounts) do
      local event = { type = "Moved", data = { transfer = given.id, amount = i == 1 and 1 - #accounts or 1 } }
      assert(tx:append(stores[name], STREAM, event, { expect = stores[name]:version(STREAM) }))
    end
    if stores.limits then
      assert(tx:append(stores.limits, "limits", {}, { expect = stores.limits:version "limits" }))
    end
    if has(plan, "f") then assert(tx:enlist("ledger", { work = { transfer = given.id } })) end
    if stores.extra then
      assert(tx:append(stores.extra, STREAM, { type = "Moved", data = { transfer = given.id, amount = 0 } }))
      assert(tx:enlist(stores.extra, { optional = true }))
    end
    return true
  end)
end

---The transfers that are seen in a store: id -> how often; and the money in it.
function bank.seen(store, consistency)
  local seen, sum = {}, 0
  for event in store:read(STREAM, { consistency = consistency }) do
    sum = sum + event.data.amount
    local id = event.data.transfer
    if id then seen[id] = (seen[id] or 0) + 1 end
  end
  return seen, sum
end

-- Judging -----------------------------------------------------------------------------------

local function fail(...) error(string.format(...), 0) end

local function check_over(name, store)
  for _, doubt in ipairs(assert(store:indoubt())) do fail("%s: %s is still in doubt", name, doubt.id) end
  for _, stream in ipairs { STREAM, "limits", "notes" } do
    local done, message = store:append(stream, { type = "After", data = { amount = 0 } })
    if not done then fail("%s: an append to %s: %s", name, stream, message) end
  end
  local verified = assert(store:verify {})
  if not verified.ok then fail("%s: verify: %s", name, verified.problems[1].message) end
end

---All accounts saw the same transfers, each once, and no money came or went.
local function check_agreement(stores, accounts)
  local all, sum = {}, 0
  local left_out = stores.extra and next((bank.seen(stores.extra)))
  if left_out then fail("extra has %s and was left out", left_out) end
  for i, name in ipairs(accounts) do
    local seen, money = bank.seen(stores[name])
    sum = sum + money
    if i == 1 then all = seen end
    for id, times in pairs(seen) do
      if times ~= 1 then fail("%s has %s %d times", name, id, times) end
      if not all[id] then fail("%s has %s, %s has not", name, id, accounts[1]) end
    end
    for id in pairs(all) do
      if not seen[id] then fail("%s has %s, %s has not", accounts[1], id, name) end
    end
  end
  if sum ~= START * #accounts then fail("there are %d, there were %d", sum, START * #accounts) end
  return all
end

---What somebody was told, or saw, before is so now:
---"told ID committed", "told ID aborted", "saw ID".
local function check_told(all, told)
  for _, line in ipairs(told) do
    local id, outcome = line:match "^told (%S+) (%S+)"
    if not id then id, outcome = line:match "^saw (%S+)", "committed" end
    if id and outcome == "committed" and not all[id] then fail("%q, and it is not there", line) end
    if id and outcome == "aborted" and all[id] then fail("%q, and it is there", line) end
  end
end

local function check_outcome(id, outcome, is_there, may_forget)
  if outcome == "unknown" and may_forget then return end
  if outcome == "undecided" or outcome == "unknown" or (outcome == "committed") ~= is_there then
    fail("home says that %s is %s, and it is %s", id, outcome, is_there and "there" or "not there")
  end
end

local function check_outcomes(c, all, ids, may_forget)
  assert(c:recover())
  for _, id in ipairs(ids) do check_outcome(id, assert(c:outcome(id)), all[id] ~= nil, may_forget) end
  if #c:pending() > 0 then fail("%s is pending for ever", c:pending()[1].id) end
end

-- Those who come last: they recover what is left.
local function check_home(rille, base, plan, stores, all, ids, may_forget)
  local c = assert(rille.coordinator(stores.home, bank.coordinator(base, plan, "judge")))
  local ok, message = pcall(check_outcomes, c, all, ids, may_forget)
  assert(c:close())
  if not ok then error(message, 0) end
  local fault = has(plan, "f") and ledger.fault(base, all)
  if fault then fail("%s", fault) end
end

---Everything is opened, by whoever comes first, and must agree; and once more.
---@param told string[] lines of those who were told something
---@param ids string[] of transfers that were tried
---@param may_forget? any  home may have forgotten what has ended
---@return table all  the transfers that are there
function bank.judge(rille, base, plan, told, ids, may_forget)
  local names, accounts = bank.names(plan)
  local all
  for round = 1, 2 do
    local order, stores = table.move(names, 1, #names, 1, {}), {}
    for i = #order, 2, -1 do
      local j = math.random(i)
      order[i], order[j] = order[j], order[i]
    end
    for _, name in ipairs(order) do stores[name] = assert(rille.open(bank.path(base, name), { create = false })) end
    local ok, message = pcall(function()
      for name, store in pairs(stores) do check_over(name, store) end
      all = check_agreement(stores, accounts)
      check_told(all, told)
      if round == 2 then check_home(rille, base, plan, stores, all, ids, may_forget) end
    end)
    bank.close(stores)
    if not ok then error(message, 0) end
  end
  return all
end

return bank
