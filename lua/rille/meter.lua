-- meter.lua: how far long work is, on standard error where that is a terminal: a bar where the
-- whole is known, what is done, how fast, and how long it will take.
--
-- It is shown after a second, five times a second at most, on one line that never wraps, and is
-- gone when the work ends: what was shown is never part of what was said.

local core = ...
local screen = require "rille.screen"
local terminal = core.terminal

---@class rille.meter
local meter = {}

local STDERR = 2
local AFTER_S, EVERY_S = 1, 0.2
local DEFAULT_COLUMNS = 80
local BAR_LEAST, BAR_MOST = 10, 30 -- a quarter of the line, but for these
local CLEAR = "\r\27[K"

---"1:05", "2:03:09"
local function duration(seconds)
  local s = math.floor(seconds + 0.5)
  local hours, minutes = math.floor(s / 3600), math.floor(s / 60) % 60
  if hours > 0 then return ("%d:%02d:%02d"):format(hours, minutes, s % 60) end
  return ("%d:%02d"):format(minutes, s % 60)
end

local function bar(part, columns)
  local full = math.floor(part * columns)
  return "[" .. ("#"):rep(full) .. ("."):rep(columns - full) .. "]"
end

local function amount(n, noun)
  if noun == "byte" then return screen.bytes(n) end
  return screen.number(n) .. " " .. noun .. (n == 1 and "" or "s")
end

---As many of the pieces as fit, the first one in any case; the first ones are the most important.
local function joined(pieces, columns)
  local text = ""
  for i, piece in ipairs(pieces) do
    local longer = i == 1 and piece or text .. "  " .. piece
    if #longer > columns and i > 1 then break end
    text = longer
  end
  return text
end

---The line: at most `columns` wide.
---@param at { done: integer, all: integer?, count: integer, noun: string, rate: number, left: number? }
---@return string
function meter.line(at, columns)
  local part = at.all and at.all > 0 and math.min(1, at.done / at.all) or nil
  local pieces = { part and ("%3d %%"):format(math.floor(100 * part)) }
  pieces[#pieces + 1] = amount(at.count, at.noun)
  pieces[#pieces + 1] = amount(math.floor(at.rate), at.noun) .. "/s"
  pieces[#pieces + 1] = at.left and duration(at.left) .. " left"
  local width = math.min(BAR_MOST, math.floor(columns / 4))
  local head = part and width >= BAR_LEAST and bar(part, width) .. "  " or ""
  return (head .. joined(pieces, columns - #head)):sub(1, columns)
end

local SILENT = { tell = function() end, clear = function() end }

---Of work of which so many of something are done: `tell(done, all)`, `all` where it is known;
---`count` where something else is counted for people. `clear` before anything else is said.
---@param noun "byte"|"event" of what people are told
---@return { tell: fun(done: integer, all: integer?, count: integer?), clear: fun() }
function meter.new(noun)
  if not terminal.is(STDERR) or os.getenv "TERM" == "dumb" then return SILENT end
  local begun = terminal.seconds()
  local due, visible, first = begun + AFTER_S, false, nil

  ---What can be said of it: rates are since the first word about it.
  local function measured(now, done, all, count)
    local seconds = now - first.now
    local at = { done = done, all = all, count = count, noun = noun, rate = 0 }
    if seconds > 0 then at.rate = (count - first.count) / seconds end
    if all and done > first.done then at.left = (all - done) * seconds / (done - first.done) end
    return at
  end

  return {
    tell = function(done, all, count)
      local now = terminal.seconds()
      count = count or done
      first = first or { now = now, done = done, count = count }
      if now < due then return end
      due, visible = now + EVERY_S, true
      local columns = (terminal.width(STDERR) or DEFAULT_COLUMNS) - 1
      io.stderr:write(CLEAR, meter.line(measured(now, done, all, count), columns))
      io.stderr:flush()
    end,
    clear = function()
      if visible then io.stderr:write(CLEAR) end
      visible = false
    end,
  }
end

return meter
