-- bank.lua: two stores with accounts, and a transfer from one to the other: one transaction.
--
--   north.rille, south.rille    streams account-1, account-2 ...: Deposited, Withdrawn
--   ledger (may be missing)     a PostgreSQL table: one row a transfer
--
-- Each store has a coordinator, since a transfer is decided where the money comes from. What a
-- transfer reads, it expects: so nobody is overdrawn, however many transfer at once. Three
-- examiners only vote; the policy, examples/policies/voters.lua, wants two of them.

local rille = require "rille"

local HERE = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "."
local EXAMPLES = HERE:match "^(.*)/bank$" or HERE .. "/.."
local ACCOUNT, POLICY = EXAMPLES .. "/reducers/account.lua", EXAMPLES .. "/policies/voters.lua"
local ATTEMPTS, TIMEOUT_S = 100, 5

---@class bank
local Bank = {}
Bank.__index = Bank

local bank = { BRANCHES = { "north", "south" } }

-- Examiners: what they have is an opinion.
local EXAMINERS = {
  amount = function(move) return move.amount <= 500 or nil, "more than 500 at once" end,
  round = function(move) return move.amount % 1000 ~= 0 or nil, "a suspiciously round sum" end,
  person = function(move) return move.to ~= "account-13" or nil, "account-13 is being watched" end,
}

local function participants(self)
  local list = { ledger = self.ledger }
  for name, opinion in pairs(EXAMINERS) do
    list[name] = { prepare = function(_, move) return opinion(move) end }
  end
  return list
end

---@param folder string where the stores are, or will be
---@param ledger? string how to reach PostgreSQL
function bank.open(folder, ledger)
  local self = setmetatable({ stores = {}, coordinators = {} }, Bank)
  self.ledger = ledger and assert(rille.postgres(ledger))
  for _, branch in ipairs(bank.BRANCHES) do
    self.stores[branch] = assert(rille.open(("%s/%s.rille"):format(folder, branch)))
  end
  for _, branch in ipairs(bank.BRANCHES) do
    self.coordinators[branch] = assert(rille.coordinator(self.stores[branch],
      { name = branch, participants = participants(self) }))
  end
  return self
end

---Opens an account, with money from outside.
function Bank:open_account(branch, account, amount)
  assert(self.stores[branch]:append(account, { type = "Deposited", data = { amount = amount } }, { expect = "none" }))
end

---What is there, and the version of the account that says so.
function Bank:balance(branch, account)
  local state, _, version = self.stores[branch]:fold(ACCOUNT, { stream = account })
  if state == nil then return nil, version end
  return state.balance, version
end

local function write(self, tx, move)
  local data = { amount = move.amount, transfer = move.id }
  local balance, version = self:balance(move.from_branch, move.from)
  if balance == nil then return nil, "the account can't be read" end
  if balance < move.amount then return nil, ("only %d left in %s"):format(balance, move.from) end
  assert(tx:append(self.stores[move.from_branch], move.from, { type = "Withdrawn", data = data }, { expect = version }))
  assert(tx:append(self.stores[move.to_branch], move.to, { type = "Deposited", data = data }, { expect = "exists" }))
  for name in pairs(EXAMINERS) do assert(tx:enlist(name, { work = move })) end
  if not self.ledger then return true end
  local branch, message = tx:enlist "ledger"
  if not branch then return nil, "ledger: " .. message end
  local done
  done, message = branch:exec("insert into moves (id, amount) values ($1, $2)", move.id, move.amount)
  return done and true, message
end

---Moves money, all of it or nothing.
---@param move { id: string, from_branch: string, from: string, to_branch: string, to: string, amount: integer }
---@param policy? string another than the bank's own
---@return table? result, string message, string code, table detail
function Bank:transfer(move, policy)
  return self.coordinators[move.from_branch]:transact({ id = move.id, policy = policy or POLICY, attempts = ATTEMPTS,
    timeout = TIMEOUT_S }, function(tx) return write(self, tx, move) end)
end

---What is in doubt here, or decided and not told to all: ids.
function Bank:unsettled()
  local ids = {}
  for _, branch in ipairs(bank.BRANCHES) do
    for _, list in ipairs { assert(self.stores[branch]:indoubt()), assert(self.coordinators[branch]:pending()) } do
      for _, entry in ipairs(list) do ids[entry.id] = true end
    end
  end
  return ids
end

---Does what the bank would do by itself in time: asks the homes, tells the members.
function Bank:settle()
  for _, branch in ipairs(bank.BRANCHES) do assert(self.coordinators[branch]:recover()) end
end

function Bank:close()
  for _, branch in ipairs(bank.BRANCHES) do
    self.coordinators[branch]:close()
    self.stores[branch]:close()
  end
end

return bank
