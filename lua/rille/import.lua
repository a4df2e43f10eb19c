-- import.lua: `rille import`: lines of JSON become events.
--
-- Lines are gathered into batches and each batch is one append, so that after any
-- end, whatever its cause, the store holds the events up to some line and none
-- behind it. `done` is that line. ^C is looked for between lines, so that it never
-- comes between an append and our learning of it.

local core = ...
local rille = require "rille"
local event = require "rille.event"
local meter = require "rille.meter"
local closing = require "rille.scope".closing
local screen = require "rille.screen"
local terminal = core.terminal

local READ_BYTES = 64 * 1024
local LINE_BYTES = 256 * 1024 * 1024 -- what the JSON of the largest event takes
local APPEND_BYTES = 32 * 1024 * 1024  -- a batch that counts for more is written early

-- Lines ---------------------------------------------------------------------------------

local function check_interrupt()
  if terminal.interrupted() then screen.fail "interrupted" end
end

local Lines = {}
Lines.__index = Lines

local function open_lines(name)
  local file, format = screen.input(name), READ_BYTES
  if name == "-" and terminal.is(0) then
    format = "L" -- whoever reads more than a line from a terminal needs ^D twice
    screen.say "reading events from the terminal, one JSON object a line; Ctrl-D ends"
  end
  local here = file:seek "cur"
  local size = here and file:seek "end"
  if here then file:seek("set", here) end
  return setmetatable({ file = file, name = name, format = format, size = size,
                        taken = here or 0, block = "", at = 1, number = 0 }, Lines)
end

---Gets the next block; false at the end.
function Lines:fill()
  local block, message = self.file:read(self.format)
  check_interrupt() -- it also ends the waiting for a line
  if message then screen.fail(("can't read %s: %s"):format(self.name, message)) end
  self.block, self.at = block or "", 1
  self.taken = self.taken + #self.block
  return block ~= nil
end

---The rest of a line that goes on behind the block.
function Lines:join()
  local pieces, bytes = {}, 0
  while true do
    local stop = self.block:find("\n", self.at, true)
    local piece = self.block:sub(self.at, (stop or 0) - 1)
    pieces[#pieces + 1], bytes = piece, bytes + #piece
    if bytes > LINE_BYTES then
      screen.fail(("line %d has more than %d MiB"):format(self.number + 1, math.floor(LINE_BYTES / 1024 / 1024)))
    end
    if stop then
      self.at = stop + 1
      break
    end
    if not self:fill() then break end
  end
  return table.concat(pieces)
end

---The next line, or nil; `number` is its number.
function Lines:next()
  if self.at > #self.block and not self:fill() then return nil end
  local line
  local stop = self.block:find("\n", self.at, true)
  if stop then
    line, self.at = self.block:sub(self.at, stop - 1), stop + 1
  else
    line = self:join()
  end
  self.number = self.number + 1
  return line
end

-- Batches -------------------------------------------------------------------------------

local Import = {}
Import.__index = Import

local function begin(store, lines, options)
  return setmetatable({ store = store, lines = lines, most = options.batch, from = options.from,
    parts = {}, count = 0, bytes = 0, done = options.from - 1, events = 0, known = 0,
    progress = meter.new "event" }, Import)
end

---Writes the batch. What its ids say is there already is not written again.
function Import:write()
  if self.count > 0 then
    local result, message, code = self.store:append(self.parts)
    if not result then
      local doubt = code == "unknown" and "; these lines may be there when it is opened again: look" or ""
      screen.fail(("lines %d to %d: %s%s"):format(self.first, self.last, message, doubt))
    end
    local counter = result.duplicate and "known" or "events"
    self[counter] = self[counter] + self.count
    self.parts, self.count, self.bytes = {}, 0, 0
  end
  self.done = self.lines.number
end

---Adds an event to the batch: to the part of its stream, if that is the last one, so
---that all keep their order.
function Import:add(e, bytes)
  local number, part = self.lines.number, self.parts[#self.parts]
  if not part or part.stream ~= e.stream then
    part = { stream = e.stream, events = {} }
    self.parts[#self.parts + 1] = part
  end
  part.events[#part.events + 1] = e
  if self.count == 0 then self.first = number end
  self.count, self.bytes, self.last = self.count + 1, self.bytes + bytes, number
end

function Import:refuse(fault)
  local gap = fault:find "^column" and ", " or ": "
  screen.fail(("line %d%s%s"):format(self.lines.number, gap, fault))
end

---The event of a line, and what it counts for.
function Import:parse(line)
  local e, fault = rille.json.decode(line)
  if e == nil then
    self:refuse(fault)
  elseif type(e) ~= "table" then
    self:refuse "an event must be a JSON object"
  end
  local bytes
  bytes, fault = event.check(e)
  if not bytes then self:refuse(fault) end
  return e, bytes
end

function Import:tell()
  local lines = self.lines
  self.progress.tell(lines.taken - (#lines.block - lines.at + 1), lines.size, self.events)
end

function Import:run()
  while self.lines.number < self.from - 1 do
    if not self.lines:next() then return end
  end
  for line in self.lines.next, self.lines do
    check_interrupt()
    if line:find "%S" then
      self:add(self:parse(line))
      if self.count >= self.most or self.bytes >= APPEND_BYTES then
        self:write()
        self:tell()
      end
    end
  end
  self:write()
end

-- The command ---------------------------------------------------------------------------

function Import:report(options, seconds, problem)
  local rate = self.events / math.max(seconds, 1e-6)
  local known = self.known > 0 and (", %d were there already"):format(self.known) or ""
  if problem then screen.say(problem) end
  if problem and self.events + self.known == 0 then
    screen.say "nothing was imported"
  elseif problem then
    screen.say(("imported %s%s, up to line %d: go on with --from %d")
      :format(screen.count(self.events, "event"), known, self.done, self.done + 1))
  else
    screen.say(("imported %s in %.1f s (%.0f events/s)%s")
      :format(screen.count(self.events, "event"), seconds, rate, known))
  end
  if options.json then
    screen.json { events = self.events, duplicates = self.known, line = self.done,
                  seconds = seconds, events_per_second = rate, error = problem }
  end
end

---@param open fun(path: string): rille.store
---@param close fun(store: rille.store)
---@return integer status
local function import(options, open, close)
  local lines = open_lines(options.file)
  local store = closing(open(options.store))
  local self = begin(store, lines, options)
  local started = terminal.seconds()
  terminal.hold_interrupt()
  local ok, problem = pcall(self.run, self)
  if ok then ok, problem = pcall(close, store) end
  self.progress.clear()
  self:report(options, terminal.seconds() - started, not ok and screen.message_of(problem) or nil)
  return ok and 0 or 1
end

return import
