-- memory.lua: the most anonymous memory, in KiB, while a projection is made, for bench.lua.
--   memory.lua STORE REDUCER TURN
-- It is looked at between slices of 20 ms, which see each generation of states at its largest
-- but for a slice. Nothing is printed where the system does not tell.
local build = os.getenv "RILLE_BUILD" or "build"
package.cpath = build .. "/?.so;" .. package.cpath
local rille = require "rille"

local SLICE_MS = 20

local function anonymous_kib()
  local file = io.open("/proc/self/status")
  if not file then return nil end
  local kib = file:read "a":match "RssAnon:%s+(%d+) kB"
  file:close()
  return math.tointeger(tonumber(kib))
end

local path, reducer, turn = table.unpack(arg)
local store = assert(rille.open(path))
local p = assert(store:projection("memory " .. turn, reducer, { params = { turn = math.tointeger(turn) } }))
local most = 0
repeat
  local left = assert(p:run { ms = SLICE_MS })
  most = math.max(most, anonymous_kib() or 0)
until left == 0
assert(p:update())
most = math.max(most, anonymous_kib() or 0)
assert(p:close())
assert(store:close())
if most > 0 then print(most) end
