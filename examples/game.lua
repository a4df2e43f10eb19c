-- game.lua: a game that saves all the time and never waits for the disk.
--
--   RILLE_BUILD=build lua5.4 examples/game.lua [SECONDS] [FOLDER]
--
-- What happens in a frame is appended in that frame; with sync = "interval" an append
-- returns at once and the background thread flushes ten times a second. durable() tells
-- how far behind the disk is; only who says "saved" waits for it.

local HERE = arg[0]:match "^(.*)/[^/]*$" or "."
local BUILD = os.getenv "RILLE_BUILD" or "build"
package.path = HERE .. "/?.lua;" .. package.path
package.cpath = BUILD .. "/?.so;" .. package.cpath

local rille = require "rille"
local stopwatch = require "stopwatch"

local FRAMES_PER_SECOND = 60
local POLL_MS = 2        -- of a frame for rille's own work
local SAVE_SECONDS = 5   -- the longest that "saving" may take

local seconds, folder = tonumber(arg[1] or 3), arg[2] or BUILD .. "/game"
assert(os.execute(("mkdir -p '%s'"):format(folder)))
local now = stopwatch(folder .. "/clock.rille") -- a game has a better one: love.timer.getTime
local store = assert(rille.open(folder .. "/save.rille", { sync = "interval" }))

-- A game of walking about ---------------------------------------------------------

local player = store:fold(HERE .. "/reducers/player.lua", { stream = "player-1" })
print(("welcome back: x = %d, %d coins, %d seconds played"):format(player.x, player.coins, player.seconds))

---What happens in a frame, as events.
local function play(frame)
  local events = {}
  player.x = player.x + math.random(-1, 1)
  events[1] = { type = "Moved", data = { x = player.x } }
  if player.x % 7 == 0 then events[#events + 1] = { type = "CoinTaken" } end
  if frame % FRAMES_PER_SECOND == 0 then events[#events + 1] = { type = "SecondPlayed" } end
  return events
end

-- The frame loop --------------------------------------------------------------------

---@return number seconds that this frame spent in rille
local function run_frame(frame)
  local events = play(frame)
  local begun = now()
  assert(store:append("player-1", events))
  assert(store:poll(POLL_MS))
  return now() - begun
end

local worst, most_behind, next_frame = 0, 0, now()
for frame = 1, math.ceil(seconds * FRAMES_PER_SECOND) do
  worst = math.max(worst, run_frame(frame))
  local head, durable = store:head(), store:durable()
  most_behind = math.max(most_behind, head - durable)
  if frame % (FRAMES_PER_SECOND // 2) == 0 then
    print(("frame %4d: head %5d, durable %5d, %2d behind"):format(frame, head, durable, head - durable))
  end
  next_frame = next_frame + 1 / FRAMES_PER_SECOND
  store:wait(head + 1, math.max(0, next_frame - now())) -- nobody else writes: it only sleeps, as vsync does
end
print(("worst frame: %.2f ms in rille; at most %d events behind"):format(worst * 1000, most_behind))

-- Saving ----------------------------------------------------------------------------

---True once no power cut can take what happened until now.
local function save()
  local begun = now()
  local head = store:head()
  local saved, message = store:wait(head, SAVE_SECONDS)
  if not saved then return nil, message or "the disk is too slow" end
  print(("saved: %d events are on the disk, after %.1f ms"):format(store:durable(), (now() - begun) * 1000))
  return true
end

assert(save())
local loaded = store:fold(HERE .. "/reducers/player.lua", { stream = "player-1" })
assert(loaded.x == player.x, "the player is elsewhere")
print(("on the way: x = %d, %d coins, in %s"):format(loaded.x, loaded.coins, folder))
assert(store:close())
