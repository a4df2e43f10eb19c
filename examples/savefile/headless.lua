-- headless.lua: the game without a window, played by chance.
--
--   RILLE_BUILD=build lua5.4 examples/savefile/headless.lua SAVE [FRAMES] [SEED]
--
-- Prints, ten times a second at most, how many steps no power cut can take any more; kill it where
-- you like, and start it again.

local HERE = arg[0]:match "^(.*)/[^/]*$" or "."
local BUILD = os.getenv "RILLE_BUILD" or "build"
package.path = HERE .. "/?.lua;" .. package.path
package.cpath = BUILD .. "/?.so;" .. package.cpath

local save = require "save"

local STEPS = { { -1, 0 }, { 1, 0 }, { 0, -1 }, { 0, 1 } }
local frames = tonumber(arg[2] or 600)
math.randomseed(tonumber(arg[3]) or os.time())

local game = assert(save.open(arg[1], nil, HERE .. "/scripts/player.lua"))
local player = game:player()
print(("welcome back: %d stars, %d steps"):format(player.stars, player.steps))
io.stdout:setvbuf "line"

local told = 0
for _ = 1, frames do
  local step = STEPS[math.random(#STEPS)]
  game:walk(step[1], step[2])
  game:frame(2)
  local durable = game.store:durable()
  if durable > told then
    told = durable
    print("safe", durable)
  end
end
player = game:player()
game:finish()
print(("saved: %d stars, %d steps"):format(player.stars, player.steps))
