-- tally.lua: what the events of a store are, counted in one pass: by type, stream and tag, over
-- time and over positions.
--
-- All of it is bounded, whatever the store's size. Names are counted one by one until there are
-- NAMES of a kind; events of later names are counted together. Time is cut into at most BINS
-- bins of one width, which grows as the events turn out to lie further apart: each width is a
-- multiple of the one before, so bins are merged and never split.

local rille = require "rille"

---@class rille.tally
local Tally = {}
Tally.__index = Tally

local tally = {}

local NAMES = 200000       -- that are counted one by one, of streams, types and tags each
local CHARTED = 500        -- types that have bins of their own while counting
local BINS = 160
local ROWS = 12            -- types that have a row of their own in the timeline
local OTHERS = {}          -- stands for all types without one
local MS = 1000            -- in a second

local SECOND, MINUTE, HOUR, DAY = MS, 60 * MS, 3600 * MS, 24 * 3600 * MS
local WIDTHS_MS = { 1, 5, 10, 50, 100, 500, SECOND, 5 * SECOND, 15 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR,
  3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 7 * DAY, 28 * DAY, 336 * DAY, 3360 * DAY, 33600 * DAY, 336000 * DAY,
  3360000 * DAY } -- 160 of the last are more than there is time

-- Names ---------------------------------------------------------------------------------------

local function counter() return { rows = {}, names = 0, events = 0, bytes = 0, uncounted = 0 } end

local function count(c, name, bytes, event)
  c.events, c.bytes = c.events + 1, c.bytes + bytes
  local row = c.rows[name]
  if not row then
    if c.names == NAMES then
      c.uncounted = c.uncounted + 1
      return
    end
    row = { name = name, events = 0, bytes = 0 }
    c.rows[name], c.names = row, c.names + 1
  end
  row.events, row.bytes, row.last, row.last_time = row.events + 1, row.bytes + bytes, event.position, event.time
end

local function by(field)
  return function(a, b)
    if a[field] ~= b[field] then return a[field] > b[field] end
    return a.name < b.name
  end
end

---The rows that are among the `most` largest, by events or by bytes, the one with most events first.
local function largest(c, most)
  local all, chosen, list = {}, {}, {}
  for _, row in pairs(c.rows) do all[#all + 1] = row end
  for _, field in ipairs { "bytes", "events" } do
    table.sort(all, by(field))
    for i = 1, math.min(most, #all) do chosen[all[i]] = true end
  end
  for _, row in ipairs(all) do
    if chosen[row] then list[#list + 1] = row end
  end
  return { rows = list, names = c.names, events = c.events, bytes = c.bytes, uncounted = c.uncounted }
end

-- Bins ----------------------------------------------------------------------------------------

local function add(bins, index, type_of, n)
  local bin = bins[index]
  if not bin then
    bin = {}
    bins[index] = bin
  end
  bin[type_of] = (bin[type_of] or 0) + n
end

---Makes the bins of time wider until all of them are at most BINS.
local function widen(self)
  local step = self.step
  repeat step = step + 1
  until math.floor(self.latest / WIDTHS_MS[step]) - math.floor(self.earliest / WIDTHS_MS[step]) < BINS
  local ratio, bins = WIDTHS_MS[step] / WIDTHS_MS[self.step], {}
  for index, bin in pairs(self.times) do
    for type_of, n in pairs(bin) do add(bins, math.floor(index / ratio), type_of, n) end
  end
  self.step, self.times = step, bins
end

local function add_time(self, time, type_of)
  local at = math.floor(time * MS)
  self.earliest, self.latest = math.min(self.earliest or at, at), math.max(self.latest or at, at)
  local width = WIDTHS_MS[self.step]
  if math.floor(self.latest / width) - math.floor(self.earliest / width) >= BINS then widen(self) end
  add(self.times, math.floor(at / WIDTHS_MS[self.step]), type_of, 1)
end

---Rows of a chart: all events, then the types with most of them, then what is left.
local function rows_of(types, bins, first, last)
  local rows, number = { { total = 0, values = {} } }, {}
  local many = #types > ROWS
  for i = 1, many and ROWS - 1 or #types do
    rows[i + 1], number[types[i].name] = { name = types[i].name, total = 0, values = {} }, i + 1
  end
  if many then rows[#rows + 1] = { others = true, total = 0, values = {} } end
  local function put(row, at, n) row.values[at], row.total = row.values[at] + n, row.total + n end
  for at = 1, last - first + 1 do
    for _, row in ipairs(rows) do row.values[at] = 0 end
    for type_of, n in pairs(bins[first + at - 1] or {}) do
      put(rows[1], at, n)
      put(rows[number[type_of] or #rows], at, n)
    end
  end
  return rows
end

local function chart(types, bins, first, last, width)
  return { from = first * width, width = width, rows = rows_of(types, bins, first, last) }
end

-- Events ----------------------------------------------------------------------------------------

---Bytes of a value as the log has them.
local function bytes_of(value) return value == nil and 0 or #assert(rille.encode(value)) end

---Counts an event as `all` gives it.
function Tally:add(event)
  local bytes = bytes_of(event.data) + bytes_of(event.meta)
  count(self.types, event.type, bytes, event)
  count(self.streams, event.stream, bytes, event)
  for _, tag in ipairs(event.tags) do count(self.tags, tag, bytes, event) end
  local type_of = event.type
  if not self.charted[type_of] then
    if self.charted_count < CHARTED then
      self.charted[type_of], self.charted_count = true, self.charted_count + 1
    else
      type_of = OTHERS
    end
  end
  add_time(self, event.time, type_of)
  add(self.positions, math.floor((event.position - self.after - 1) / self.width), type_of, 1)
  self.last = event.position
end

---What was counted.
---@param most integer rows of a kind, by events and by bytes each
---@return { types: table, streams: table, tags: table, by_time: table?, by_position: table? }
function Tally:result(most)
  local result = { types = largest(self.types, most), streams = largest(self.streams, most),
                   tags = largest(self.tags, most) }
  if not self.last then return result end
  local width, types = WIDTHS_MS[self.step], {}
  for _, row in ipairs(result.types.rows) do
    if self.charted[row.name] then types[#types + 1] = row end
  end
  if #types < self.types.names then types[#types + 1] = { name = OTHERS } end
  result.by_time = chart(types, self.times, math.floor(self.earliest / width), math.floor(self.latest / width), width)
  local last = math.floor((self.head - self.after - 1) / self.width)
  result.by_position = chart(types, self.positions, 0, last, self.width)
  result.by_position.from = self.after + 1
  return result
end

---@param after integer events behind this position are counted
---@param head integer up to this one
function tally.new(after, head)
  return setmetatable({ after = after, head = head, width = math.max(1, math.ceil((head - after) / BINS)),
    types = counter(), streams = counter(), tags = counter(), charted = {}, charted_count = 0,
    times = {}, positions = {}, step = 1 }, Tally)
end

return tally
