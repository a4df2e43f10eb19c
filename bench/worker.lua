-- worker.lua: rebuilds a share of a projection, for bench.lua.
--   worker.lua STORE REDUCER TURN WHICH OF
local build = os.getenv "RILLE_BUILD" or "build"
package.cpath = build .. "/?.so;" .. package.cpath
local rille = require "rille"

local path, reducer, turn, which, of = table.unpack(arg)
local store = assert(rille.open(path))
local p = assert(store:projection("bench " .. turn .. " " .. of, reducer, {
  params = { turn = math.tointeger(turn) }, share = { math.tointeger(which), math.tointeger(of) } }))
assert(p:update())
assert(p:close())
assert(store:close())
