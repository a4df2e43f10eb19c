-- player.lua: plays a game for LÖVE: its text is put behind that of the game's main.lua. It presses the
-- keys that are named, one a frame, and ends the game after so many frames, with a picture of the last:
--
--   love GAME --keys=right,down --frames=9 --shot=NAME.png
local love = love
local keys, options = {}, {}
local load, update, frames = love.load, love.update, 0

function love.load(arguments)
  for _, word in ipairs(arguments) do
    local name, value = word:match "^%-%-(%w+)=(.*)$"
    options[name] = value
  end
  for key in options.keys:gmatch "%w+" do keys[#keys + 1] = key end
  load(arguments)
end

function love.update(seconds)
  frames = frames + 1
  if keys[frames] then love.keypressed(keys[frames]) end
  update(seconds)
  if frames == tonumber(options.frames) - 1 then love.graphics.captureScreenshot(options.shot) end
  if frames > tonumber(options.frames) then love.event.quit() end
end
