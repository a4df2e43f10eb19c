-- save.lua: the save file of a small game. It is always saved: what happens is an event, appended
-- in the frame in which it happens, and nobody presses a key for it.
--
-- With sync = "interval" an append never waits for the disk; ten times a second the background
-- thread flushes. is_safe() tells whether a power cut could still take something.

local rille = require "rille"

local save = {}
save.__index = save

save.WIDTH, save.HEIGHT = 20, 12
local PLAYER = "player-1"

---@param path string of the save file, a folder
---@param load? fun(name: string): string? where scripts come from: love.filesystem.read
---@param script? string the reducer: scripts/player.lua
function save.open(path, load, script)
  local store, message = rille.open(path, { sync = "interval", load = load })
  if not store then return nil, message end
  return setmetatable({ store = store, script = script or "scripts/player.lua" }, save)
end

---The player as all that happened has made it, with the script as it is now.
function save:player() return assert(self.store:fold(self.script, { stream = PLAYER })) end

---Where a star lies: a function of how many were taken, so that it needs no place in the save.
function save.star(player)
  return (player.stars * 7 + 3) % save.WIDTH, (player.stars * 5 + 2) % save.HEIGHT
end

---A step; a star that lies there is taken, in the same append.
function save:walk(dx, dy)
  local player = self:player()
  local x, y = player.x + dx, player.y + dy
  if x < 0 or x >= save.WIDTH or y < 0 or y >= save.HEIGHT then return end
  local events = { { type = "Moved", data = { by = { dx, dy } } } }
  local star_x, star_y = save.star(player)
  if x == star_x and y == star_y then events[2] = { type = "StarTaken" } end
  assert(self.store:append(PLAYER, events))
end

---Once a frame: at most `ms` milliseconds for rille's own work, which never wait for the disk.
function save:frame(ms) assert(self.store:poll(ms or 2)) end

---Whether all that has happened is on the disk.
function save:is_safe() return self.store:durable() == self.store:head() end

---Waits until it is; before "you may turn off the machine" is shown, say.
function save:finish()
  assert(self.store:wait(self.store:head(), 5), "the disk is slow")
  assert(self.store:close())
end

return save
