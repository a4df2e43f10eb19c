-- screen.lua: what the command `rille` shows and reads: lines, tables, messages.
--
-- Results go to standard output, everything else to standard error. Names and data
-- may hold any bytes, so nothing reaches a terminal before `visible` has replaced
-- what would move its cursor.

local core = ...
local rille = require "rille"
local terminal = core.terminal

---@class rille.screen
local screen = {}

local STDOUT, STDERR = 1, 2
local DEFAULT_COLUMNS = 80
local OUTPUT_BUFFER_BYTES = 64 * 1024

-- Failing -------------------------------------------------------------------------

---Ends the command with an exit status; main shows the message.
function screen.fail(message, status) error({ message = message, status = status or 1 }, 0) end

---The message of whatever was raised. lua raises an error of its own on ^C. Where in the command a call was
---that raised what is wrong is of use only for faults of its own.
function screen.message_of(problem)
  if type(problem) == "table" and problem.message then return problem.message end
  local text = tostring(problem)
  local what = text:match "^rille%.%l+:%d+: (.*)$"
  if what and not what:find "attempt to " and not what:find "^bad argument" then text = what end
  return text:find "interrupted!$" and "interrupted" or text
end

---Says something on standard error. A message may quote names, data and scripts.
function screen.say(message)
  if terminal.is(STDERR) then message = message:gsub("[^\n]+", screen.visible) end
  io.stderr:write("rille: ", message, "\n")
end

---... where somebody reads it at once: what is no failure, and a script need not know.
function screen.advise(message)
  if terminal.is(STDERR) then screen.say(message) end
end

local has_problem = false

---Says what makes the result less than what was asked for: the exit status will be 1.
function screen.problem(message)
  has_problem = true
  screen.say(message)
end

---Whether `problem` was called.
function screen.found_problem() return has_problem end

---Opens a file that was named, "-" for standard input.
function screen.input(name)
  if name == "-" then return io.stdin end
  local file, message = io.open(name, "rb")
  if not file then screen.fail("can't read " .. message) end
  return file
end

-- Standard output -------------------------------------------------------------------

function screen.is_terminal() return terminal.is(STDOUT) end

---Of the terminal on standard output, or on standard error; nil without one.
function screen.columns() return terminal.width(STDOUT) or terminal.width(STDERR) end

---To be called before the first write.
function screen.prepare()
  terminal.prepare()
  io.stdout:setvbuf("full", OUTPUT_BUFFER_BYTES)
end

local function check(ok, message)
  if not ok then screen.fail("can't write the output: " .. message) end
end

function screen.write(...) check(io.stdout:write(...)) end

---Everything written has arrived, or this raises.
function screen.flush() check(io.stdout:flush()) end

---One value as one line of JSON.
function screen.json(value)
  local text, message = rille.json.encode(value)
  if not text then screen.fail(message) end
  screen.write(text, "\n")
end

-- Colour ----------------------------------------------------------------------------

local STYLES = { name = "\27[1m", dim = "\27[2m", bad = "\27[31m", good = "\27[32m" }
local PLAIN = "\27[0m"

local function has_colour()
  local refused = os.getenv "NO_COLOR"
  return screen.is_terminal() and (refused == nil or refused == "") and os.getenv "TERM" ~= "dumb"
end

function screen.styled(style, text)
  return has_colour() and STYLES[style] .. text .. PLAIN or text
end

-- Text that a terminal may be given ----------------------------------------------------

-- Controls beyond ASCII's, and characters that turn the direction of writing.
local HIDDEN = { { 0x80, 0x9f }, { 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2066, 0x2069 } }
-- Characters that take no column, or two.
local NARROW = { { 0x300, 0x36f }, { 0x200b, 0x200d }, { 0xfe00, 0xfe0f } }
local WIDE = { { 0x1100, 0x115f }, { 0x2e80, 0xa4cf }, { 0xac00, 0xd7a3 }, { 0xf900, 0xfaff },
  { 0xfe30, 0xfe6f }, { 0xff00, 0xff60 }, { 0xffe0, 0xffe6 }, { 0x1f300, 0x1faff },
  { 0x20000, 0x3fffd } }

local function among(ranges, code)
  for _, range in ipairs(ranges) do
    if code >= range[1] and code <= range[2] then return true end
  end
  return false
end

---The character at byte i, and the byte behind it: nil where it is no UTF-8.
local function character(text, i)
  local char = text:match("^[^\x80-\xc1\xf5-\xff][\x80-\xbf]*", i) -- \0 in a set is the end of it for LuaJIT
  if char and utf8.len(char) == 1 then return char, i + #char end
  return nil, i + 1
end

local function shown(char, byte)
  if not char then return ("\\x%02x"):format(byte) end
  local code = utf8.codepoint(char)
  if code < 0x20 or code == 0x7f then return ("\\x%02x"):format(code) end
  return among(HIDDEN, code) and ("\\u{%x}"):format(code) or char
end

---The text with everything replaced that is no plain character.
function screen.visible(text)
  if not text:find "[^ -~]" then return text end
  local pieces, i = {}, 1
  while i <= #text do
    local char, next_i = character(text, i)
    pieces[#pieces + 1] = shown(char, text:byte(i))
    i = next_i
  end
  return table.concat(pieces)
end

local function columns_of(char)
  local code = utf8.codepoint(char)
  return code < 0x300 and 1 or among(NARROW, code) and 0 or among(WIDE, code) and 2 or 1
end

---The columns that a visible text takes.
local function columns_taken(text)
  if not text:find "[\x80-\xff]" then return #text end
  local n = 0
  for _, code in utf8.codes(text) do n = n + columns_of(utf8.char(code)) end
  return n
end

---As much of a visible text as fits into `width` columns.
local function shortened(text, width)
  if columns_taken(text) <= width then return text end
  local pieces, used = {}, 0
  for _, code in utf8.codes(text) do
    local char = utf8.char(code)
    used = used + columns_of(char)
    if used >= width then break end
    pieces[#pieces + 1] = char
  end
  return table.concat(pieces) .. "…"
end

-- Tables ------------------------------------------------------------------------------

local ROWS_AT_ONCE = 200
local GAP = "  "
local LAST_LEAST = 8  -- columns of the last one
local CUT_LEAST = 12  -- what may be cut keeps

local function padded(text, width, right)
  local room = (" "):rep(width - columns_taken(text))
  return right and room .. text or text .. room
end

---The columns of a table, less those that a narrow line has no room for, in the order of their
---`drop`: what is left is as wide as its titles, and has LAST_LEAST for the last one.
local function fitting(layout, widths, columns)
  local kept, total = {}, LAST_LEAST
  for i = 1, #layout do
    kept[i] = i
    if i < #layout then total = total + widths[i] + #GAP end
  end
  for drop = 1, #layout do
    for at = #kept, 1, -1 do
      local i = kept[at]
      if total > columns and layout[i].drop == drop then
        total = total - widths[i] - #GAP
        table.remove(kept, at)
      end
    end
  end
  return kept, total - columns
end

---A table that is shown while it grows: rows are laid out ROWS_AT_ONCE at a time, and
---its columns only get wider. A column is { title, right = boolean, most = width, drop = integer };
---those with `most` are cut short where the line is too narrow, after those with `drop`, the least
---first, have been left out; the last one gets what is left of the line.
---@return fun(row: string[]?) add  without a row: shows what is left
function screen.table(layout)
  local widths, rows, kept = {}, {}, nil
  for i, column in ipairs(layout) do widths[i] = #column[1] end

  local function line(cells, columns)
    local pieces = {}
    for at = 1, #kept - 1 do
      local i = kept[at]
      pieces[at] = padded(shortened(cells[i], widths[i]), widths[i], layout[i].right)
      columns = columns - widths[i] - #GAP
    end
    pieces[#kept] = shortened(cells[#layout], math.max(columns, 1))
    return (table.concat(pieces, GAP):gsub(" +$", ""))
  end

  local function measure(columns)
    for i = 1, #layout - 1 do
      for _, row in ipairs(rows) do
        widths[i] = math.max(widths[i], math.min(columns_taken(row[i]), layout[i].most or math.huge))
      end
    end
    local fit, excess = fitting(layout, widths, columns)
    kept = kept or fit
    for at = #kept - 1, 1, -1 do -- what still is too much is taken from what may be cut
      local i = kept[at]
      if layout[i].most and excess > 0 then
        local less = math.min(excess, math.max(0, widths[i] - math.min(CUT_LEAST, #layout[i][1] + 4)))
        widths[i], excess = widths[i] - less, excess - less
      end
    end
  end

  local function show()
    local columns, first = terminal.width() or DEFAULT_COLUMNS, kept == nil
    measure(columns)
    if first then
      local titles = {}
      for i, column in ipairs(layout) do titles[i] = column[1] end
      screen.write(screen.styled("dim", line(titles, columns)), "\n")
    end
    for _, row in ipairs(rows) do screen.write(line(row, columns), "\n") end
    screen.flush()
    rows = {}
  end

  return function(row)
    if row then
      for i, cell in ipairs(row) do row[i] = screen.visible(cell) end
      rows[#rows + 1] = row
    end
    if #rows == ROWS_AT_ONCE or (not row and #rows > 0) then show() end
  end
end

---Lines of a name and a value: aligned on a terminal, else with a tab between them. An
---empty pair is an empty line on a terminal.
function screen.pairs(list)
  local width = 0
  for _, pair in ipairs(list) do width = math.max(width, columns_taken(pair[1] or "")) end
  for _, pair in ipairs(list) do
    if not screen.is_terminal() then
      if pair[1] then screen.write(pair[1], "\t", pair[2], "\n") end
    elseif pair[1] then
      screen.write(screen.styled("dim", padded(pair[1], width)), GAP, pair[2], "\n")
    else
      screen.write "\n"
    end
  end
end

local UNITS = { "KiB", "MiB", "GiB", "TiB" }

---Bytes for people: "1.5 MiB".
function screen.bytes(n)
  if n < 1024 then return n .. " bytes" end
  local unit = 0
  while n >= 1024 and unit < #UNITS do n, unit = n / 1024, unit + 1 end
  return ("%.1f %s"):format(n, UNITS[unit])
end

---"1 event", "2 events"
function screen.count(n, noun) return ("%d %s%s"):format(n, noun, n == 1 and "" or "s") end

---"1,234,567"
function screen.number(n)
  local digits = tostring(n):reverse():gsub("%d%d%d", "%0,"):reverse()
  return (digits:gsub("^,", ""))
end

return screen
