-- transfer.lua: money goes from one store to another, in one transaction, or stays where it is.
--
--   RILLE_BUILD=build lua5.4 examples/bank/transfer.lua [FOLDER]
--
-- LEDGER=postgresql:///bank: each transfer is a row in a table of that database, too.

local HERE = arg[0]:match "^(.*)/[^/]*$" or "."
local BUILD = os.getenv "RILLE_BUILD" or "build"
package.path = HERE .. "/?.lua;" .. HERE .. "/../?.lua;" .. package.path
package.cpath = BUILD .. "/?.so;" .. package.cpath

local bank = require "bank"
local ledger = require "ledger"
local show = require "show"

local folder = arg[1] or BUILD .. "/bank"
assert(os.execute(("rm -rf %s && mkdir -p %s"):format(show.word(folder), show.word(folder))))

local place = ledger.place()
if place then ledger.clear(place) end
local b = bank.open(folder, place)
b:open_account("north", "account-1", 100)
b:open_account("north", "account-2", 2000)
b:open_account("south", "account-7", 50)
b:open_account("south", "account-13", 0)

-- What is tried: what it shows, from, to, how much, and by which policy.
local TRIES = {
  { "a transfer", "account-1", "account-7", 30 },
  { "more than there is", "account-1", "account-7", 400 },
  { "to an account that is not there", "account-1", "account-8", 30 },
  { "the same, where the majority decides", "account-1", "account-8", 30, "majority" },
  { "one examiner of three is against it", "account-2", "account-13", 30 },
  { "two examiners are against it", "account-2", "account-7", 1000 },
}

local function without(text, id) return (text:gsub("^the transaction is aborted: ", ""):gsub(id, "it")) end

show.line(show.styled("bold", "Money from one store to another: one transaction"))
local rows = {}
for i, try in ipairs(TRIES) do
  local move = { id = "transfer-" .. i, from_branch = "north", from = try[2], to_branch = "south", to = try[3],
                 amount = try[4] }
  local result, message = b:transfer(move, try[5])
  rows[i] = { try[1], try[4], result and result.outcome or "aborted", result and "" or without(message, move.id) }
end
show.table({ "what", "money", "outcome", "why" }, rows)

print ""
local sum, states = 0, {}
for _, row in ipairs { { "north", "account-1" }, { "north", "account-2" }, { "south", "account-7" },
                       { "south", "account-13" } } do
  local balance = b:balance(row[1], row[2])
  sum = sum + balance
  states[#states + 1] = { row[1], row[2], balance }
end
show.table({ "store", "account", "money" }, states)
print(("   sum %d of %d"):format(sum, 2150))
if place then print(("   %s in the ledger"):format(show.count(#ledger.rows(place), "row"))) end

-- Said again, it is known by its id, and nothing moves.
local again = assert(b:transfer { id = "transfer-1", from_branch = "north", from = "account-1", to_branch = "south",
  to = "account-7", amount = 30 })
print(("   transfer-1 again: %s, duplicate: %s"):format(again.outcome, again.duplicate))
b:close()
os.exit(sum == 2150 and again.duplicate)
