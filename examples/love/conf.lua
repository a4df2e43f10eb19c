-- conf.lua: what LÖVE asks a game before it begins.
function love.conf(t)
  t.identity = "rille-coins" -- the folder of its saves
  t.version = "11.4"
  t.window.title = "Coins, saved by rille"
  t.window.width, t.window.height = 480, 320
  t.modules.audio, t.modules.sound, t.modules.joystick, t.modules.physics = false, false, false, false
end
