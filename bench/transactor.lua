-- transactor.lua: makes transactions over two stores, for peer_coordinator.c.
--   transactor.lua FOLDER NUMBER-OF-THIS-PROCESS
-- Reads lines: "transact N" makes N, "flushes 0" and "bytes 0" ask for what both stores
-- count. Each is answered by a line. Without a folder it says whether it is able to.
local build = os.getenv "RILLE_BUILD" or "build"
package.cpath = build .. "/?.so;" .. package.cpath
local rille = require "rille"

local folder = arg[1]
io.stdout:setvbuf "line"
if folder == "" then
  print(rille.coordinator and "able" or "not able")
  os.exit(0)
end

local STREAMS = 500
local DATA = { currency = "EUR", memo = ("m"):rep(28) } -- with the amount 60 bytes, as in bench.c

local home = assert(rille.open(folder .. "/home.rille"))
local other = assert(rille.open(folder .. "/other.rille"))
local coordinator = assert(rille.coordinator(home, { name = "bench" }))

-- Streams of this process alone.
local names, versions = {}, {}
for i = 1, STREAMS do names[i], versions[i] = ("account-%05d%03d"):format(arg[2] % 100000, i), 0 end

local turn = 0
local function transact()
  turn = turn % STREAMS + 1
  local name, expect = names[turn], { expect = versions[turn] }
  assert(coordinator:transact({}, function(tx)
    DATA.amount = turn
    assert(tx:append(home, name, { type = "Withdrawn", data = DATA }, expect))
    assert(tx:append(other, name, { type = "Deposited", data = DATA }, expect))
    return true
  end))
  versions[turn] = versions[turn] + 1
end

local answers = {
  transact = function(n)
    for _ = 1, n do transact() end
    return "done"
  end,
  flushes = function() return home:stats().flushes + other:stats().flushes end,
  bytes = function() return home:stats().log_bytes + other:stats().log_bytes end,
}

print "open"
for line in io.lines() do
  local what, n = line:match "^(%l+) (%d+)$"
  print(answers[what](math.tointeger(n)))
end
assert(coordinator:close())
assert(home:close())
assert(other:close())
