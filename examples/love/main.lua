-- main.lua: a tiny game for LÖVE 11 whose save file is a store of rille.
--
--   make luajit && love examples/love        arrow keys move, u takes a step back in time
--
-- Nothing is ever "saved": each step is an event, appended when it is made. When the game begins
-- it folds them, so it goes on where it was, also after a crash. sync = "interval" leaves the
-- flush to a thread, so no frame waits for the disk.

package.cpath = love.filesystem.getSource() .. "/../../build/luajit/?.so;" .. package.cpath
local rille = require "rille"

local CELL, COLUMNS, ROWS, COINS = 40, 12, 8, 9
local STEPS = { right = { 1, 0 }, left = { -1, 0 }, up = { 0, -1 }, down = { 0, 1 } }

local store, state, shown, version -- shown: the version on the screen, smaller while looking back

local function look(at)
  local message
  state, message, version = store:fold("game.lua", { stream = "game", version = at })
  assert(state, message)
  shown = version
end

local function begin()
  local coins = {}
  for i = 1, COINS do coins[i] = { x = love.math.random(2, COLUMNS), y = love.math.random(1, ROWS) } end
  assert(store:append("game", { type = "Began", data = { coins = coins } }, { expect = "none" }))
end

local function move(by)
  look() -- from the past back to now
  local x, y = state.x + by[1], state.y + by[2]
  if x < 1 or y < 1 or x > COLUMNS or y > ROWS then return end
  assert(store:append("game", { type = "Moved", data = { x = x, y = y } }))
  look()
end

function love.load()
  love.filesystem.createDirectory "saves"
  local path = love.filesystem.getSaveDirectory() .. "/saves/coins.rille"
  store = assert(rille.open(path, { load = love.filesystem.read, sync = "interval" }))
  if store:version "game" == 0 then begin() end
  look()
end

function love.keypressed(key)
  if key == "escape" then return love.event.quit() end
  if key == "u" then return look(math.max(1, shown - 1)) end
  if STEPS[key] then move(STEPS[key]) end
end

function love.update()
  store:poll(2) -- at most 2 ms of what is left to do
end

local function square(x, y, inset)
  love.graphics.rectangle("fill", (x - 1) * CELL + inset, (y - 1) * CELL + inset, CELL - 2 * inset, CELL - 2 * inset, 6)
end

function love.draw()
  love.graphics.clear(0.09, 0.1, 0.13)
  love.graphics.setColor(0.95, 0.75, 0.2)
  for _, coin in ipairs(state.coins) do square(coin.x, coin.y, 13) end
  love.graphics.setColor(0.35, 0.65, 1)
  square(state.x, state.y, 5)
  love.graphics.setColor(1, 1, 1)
  local past = shown < store:version "game" and "  (version %d: the past; move to go on)" or "  (version %d)"
  love.graphics.print(("%d coins, %d steps"):format(state.score, state.steps) .. past:format(shown), 10, 298)
end

function love.quit()
  store:close()
  return false
end
