-- conf.lua: the window of the game, for LÖVE.

function love.conf(t)
  t.identity = "rille-savefile"
  t.window.title = "a save file that is always saved"
  t.window.width, t.window.height = 20 * 32, 12 * 32 + 32
  t.modules.audio, t.modules.physics, t.modules.joystick = false, false, false
end
