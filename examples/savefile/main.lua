-- main.lua: walk with the arrow keys, take the stars; escape ends it. Whatever ends it, escape, a crash
-- or the plug, the next start goes on from there.
--
--   make luajit && love examples/savefile            (LÖVE 11)
--
-- The disk in the corner is red while a power cut could still take the last steps.

package.cpath = love.filesystem.getSource() .. "/../../build/luajit/?.so;" .. package.cpath

local save = require "save"

local CELL = 32
local STEPS = { left = { -1, 0 }, right = { 1, 0 }, up = { 0, -1 }, down = { 0, 1 } }
local game

function love.load()
  love.filesystem.createDirectory "saves"
  game = assert(save.open(love.filesystem.getSaveDirectory() .. "/saves/walk.rille", love.filesystem.read))
end

function love.keypressed(key)
  if key == "escape" then love.event.quit() end
  if STEPS[key] then game:walk(STEPS[key][1], STEPS[key][2]) end
end

function love.update() game:frame(2) end

function love.draw()
  local player = game:player()
  local star_x, star_y = save.star(player)
  love.graphics.clear(0.09, 0.10, 0.13)
  love.graphics.setColor(1, 0.85, 0.3)
  love.graphics.circle("fill", (star_x + 0.5) * CELL, (star_y + 0.5) * CELL, CELL / 4, 5)
  love.graphics.setColor(0.55, 0.75, 1)
  love.graphics.rectangle("fill", player.x * CELL + 6, player.y * CELL + 6, CELL - 12, CELL - 12, 6)
  love.graphics.setColor(0.8, 0.8, 0.8)
  love.graphics.print(("%d stars, %d steps"):format(player.stars, player.steps), 8, save.HEIGHT * CELL + 8)
  if not game:is_safe() then love.graphics.setColor(0.9, 0.3, 0.3) end
  love.graphics.circle("fill", save.WIDTH * CELL - 16, save.HEIGHT * CELL + 16, 6)
end

function love.quit() game:finish() end
