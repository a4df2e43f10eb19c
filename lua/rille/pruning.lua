-- pruning.lua: keeps a stream of things that wait (timers, parked events) as short as what
-- still waits.
--
--      hidden ..... | done  done  OPEN  done  OPEN  done  done
--                  cut             low                  version
--
-- What lies before the first entry that is open is truncated, so that who opens the processor
-- reads little, and a scavenge can take the bytes. An entry that stays open for long would hold
-- all behind it back: it is written again at the end, in one append with the word that the old
-- one is done.
--
-- Q1  Only what is done is truncated. So who meets a gap while it reads on knows that whatever
--     it still has from before it is done.
-- Q2  The last entry of a stream is never truncated: who reads on always finds the version.

local core = ...
local effects = require "rille.effects"

---@class rille.pruning
local pruning = {}

local SPARE = 256      -- entries that are done and stay, so that an append goes over many
local MOVED_MOST = 64  -- entries that are written again by one append

---A waiting list begins: no version of the stream is known.
function pruning.init(fold)
  fold.version, fold.cut, fold.low, fold.open = 0, 1, 1, 0
end

---Reads on: fold:take(event) of each, after fold:forget(version) of all before a gap.
function pruning.catch_up(fold)
  for e in core.read(fold.store, fold.stream, { after = fold.version, consistency = "eventual" }) do
    if e.version > fold.version + 1 then
      for version = fold.low, fold.version do fold:forget(version) end
      fold.cut, fold.low = e.version, e.version
    end
    fold.version = e.version
    if not e.redacted then fold:take(e) end
  end
end

local function advance(fold)
  while fold.low < fold.version and not fold:is_open(fold.low) do fold.low = fold.low + 1 end
end

---The events that write the first open entries again.
local function moved(fold, most)
  local events, version, entries = {}, fold.low, 0
  while entries < most and version <= fold.version do
    if fold:is_open(version) then
      entries = entries + 1
      for _, event in ipairs(fold:again(version)) do events[#events + 1] = event end
    end
    version = version + 1
  end
  return events
end

---Writes some again. False: not now, because another was first, or a transaction has the stream.
---Many large ones are too much for one append, and one that has no room to grow stays where it is.
local function move(fold)
  local most = fold.fixed and 0 or MOVED_MOST
  while most > 0 do
    local part = { stream = fold.stream, expect = fold.version, events = moved(fold, most) }
    local done, message, code, detail = core.append_internal(fold.store, { part })
    if done or code == "conflict" then fold:catch_up() end
    if done or code == "conflict" or code == "locked" then return done ~= nil end
    if code ~= "invalid" then effects.raise(message, code, detail) end
    most = most > 1 and 1 or 0
  end
  fold.fixed = true
  return false
end

local function is_long(fold)
  advance(fold)
  return fold.version - fold.low > 2 * fold.open + SPARE
end

---Lets go of what is done, where that is much.
---@param till number? of the monotonic clock: then the rest is left to the next time
function pruning.prune(fold, till)
  while is_long(fold) and move(fold) do
    if till and core.monotonic() >= till then break end
  end
  advance(fold)
  if fold.low - fold.cut < SPARE then return end
  local done, message, code, detail = core.prune(fold.store, fold.stream, { before = fold.low })
  if done then fold.cut = fold.low
  elseif code ~= "locked" then effects.raise(message, code, detail)
  end
end

return pruning
