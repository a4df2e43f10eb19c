-- worker.lua: a process that transfers money at random, and tells what became of it: somebody to
-- kill. Called by chaos.lua: worker.lua FOLDER NAME SEED [LEDGER]

local HERE = arg[0]:match "^(.*)/[^/]*$" or "."
local BUILD = os.getenv "RILLE_BUILD" or "build"
package.path = HERE .. "/?.lua;" .. HERE .. "/../?.lua;" .. package.path
package.cpath = BUILD .. "/?.so;" .. package.cpath

local bank = require "bank"

local ACCOUNTS = 6    -- in each store
local MOST = 60       -- money in one transfer
local LIFE_S = 60     -- it does not outlive its parent for long

local folder, name, seed, place = arg[1], arg[2], math.tointeger(tonumber(arg[3])), arg[4]
math.randomseed(seed)
io.stdout:setvbuf "line"

local function somewhere() return bank.BRANCHES[math.random(#bank.BRANCHES)], "account-" .. math.random(ACCOUNTS) end

local function random_move(n)
  local move = { id = ("%s-%d"):format(name, n), amount = math.random(MOST) }
  move.from_branch, move.from = somewhere()
  repeat move.to_branch, move.to = somewhere() until move.to ~= move.from or move.to_branch ~= move.from_branch
  return move
end

local b = bank.open(folder, place)
print "ready"
local n, till = 0, os.time() + LIFE_S
while os.time() < till do
  n = n + 1
  local move = random_move(n)
  local result, message, code = b:transfer(move)
  if result then print("committed " .. move.id)
  elseif code == "aborted" then print("aborted " .. move.id)
  else print(("%s %s %s"):format(code, move.id, message))
  end
end
