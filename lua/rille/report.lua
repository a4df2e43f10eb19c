-- report.lua: what there is to see in a store, collected as plain data for a page (page.lua).
--
-- It is bounded, whatever the store's size, and says what it leaves out. Each part is collected
-- by itself: one that can't be, because the store is damaged or a script fails, is told among the
-- problems, and the others are there. Nothing is written to the store.
--
-- Names, and values as JSON, are texts that can be shown: bytes that are no plain characters
-- are escaped, and so numbers keep all of their digits.

local core = ...
local rille = require "rille"
local delays = require "rille.delays"
local histories = require "rille.histories"
local near = require "rille.near"
local page = require "rille.page"
local parking = require "rille.parking"
local reducer = require "rille.reducer"
local registry = require "rille.registry"
local screen = require "rille.screen"
local script = require "rille.script"
local settling = require "rille.settling"
local states = require "rille.states"
local tally = require "rille.tally"

---@class rille.report
local report = {}

local FORMAT = 1
local ROWS = 50                 -- streams, types, tags: by events and by bytes each
local LISTED = 100              -- projections, processors, marks, transactions
local PARKED = 10               -- parked events of a processor
local NAME_BYTES, MESSAGE_BYTES, DATA_BYTES = 300, 600, 400
local KEY_BYTES = 1020          -- of keys and projections, which tell histories apart: all of them, escaped
local KEYS = 24                 -- histories
local HISTORY_BYTES = 3 * 1024 * 1024
local LOOK_AHEAD_MS = 100       -- that a projection is carried on, to see whether it fails
local PROGRESS_EVENTS = 4096

-- Texts ---------------------------------------------------------------------------------------

---A text that can be shown, cut where it is longer than so many bytes.
local function shorten(text, bytes)
  text = screen.visible(text)
  if #text <= bytes then return text end
  local cut = text:sub(1, bytes)
  return (cut:gsub("[\192-\247][\128-\191]*$", "")) .. "…"
end

local function named(rows)
  for _, row in ipairs(rows) do
    if row.name then row.name = shorten(row.name, NAME_BYTES) end
  end
  return rille.array(rows)
end

local function message_of(problem)
  return shorten(screen.message_of(problem), MESSAGE_BYTES)
end

---The first rows, and how many more there are.
local function bounded(list)
  local rows = {}
  for i = 1, math.min(#list, LISTED) do rows[i] = list[i] end
  return { rows = rille.array(rows), more = #list - #rows }
end

local function check(value, message)
  if value == nil then screen.fail(message) end
  return value
end

-- Events --------------------------------------------------------------------------------------

local function collect_events(into, store, range, progress)
  local counts = tally.new(range.after, range.head)
  local n = 0
  local ok, problem = pcall(function()
    for event in store:all { after = range.after } do
      counts:add(event)
      n = n + 1
      if n % PROGRESS_EVENTS == 0 then progress(event.position - range.after) end
    end
  end)
  local result = counts:result(ROWS)
  for _, kind in ipairs { "types", "streams", "tags" } do
    into[kind] = result[kind]
    named(result[kind].rows)
  end
  into.timeline = { by_time = result.by_time, by_position = result.by_position }
  for _, chart in pairs(into.timeline) do named(chart.rows) end
  into.events = n
  if not ok then error(problem, 0) end
end

-- Projections, processors, marks ------------------------------------------------------------------

local function hexadecimal(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

---How a projection is: { name, script, mark, lag, state, message, identity }, and its watcher.
local function look_at(store, name, entry, head)
  local row = { name = shorten(name, NAME_BYTES), script = shorten(entry.script, NAME_BYTES), mark = 0 }
  local kept = states.recorded(store, name)
  if kept then row.mark, row.identity = kept.mark, hexadecimal(kept.identity:sub(1, 4)) end
  row.lag = math.max(0, head - row.mark)
  row.state = row.lag == 0 and "current" or "behind"
  local watcher, message = script.open(store, entry.path or entry.script,
    { params = entry.params, define = reducer.define })
  if not watcher then
    row.state, row.message = "broken", shorten(message, MESSAGE_BYTES)
    return row
  end
  if not kept then row.state = "empty"
  elseif kept.identity ~= watcher.identity then row.state = "edited"
  end
  row.identity = row.identity or hexadecimal(watcher.identity:sub(1, 4))
  local p = check(store:projection(name, entry.path or entry.script, { params = entry.params }))
  local left, why, code = p:update { ms = LOOK_AHEAD_MS }
  if left == nil then
    row.state, row.message = code == "script" and "failing" or "broken", shorten(why, MESSAGE_BYTES)
  end
  p:close()
  return row, watcher
end

local function collect_projections(into, store, range, chosen)
  local list = {}
  for kind, name, entry in registry.each(store) do
    if kind == "projection" then
      local ok, row, watcher = pcall(look_at, store, name, entry, range.head)
      if not ok then row = { name = shorten(name, NAME_BYTES), state = "broken", message = message_of(row) } end
      list[#list + 1] = row
      if ok and watcher and chosen.wants(name) then
        chosen[#chosen + 1] = { name = name, definition = watcher.definition, listed = row.message ~= nil }
      end
    end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  table.sort(chosen, function(a, b) return a.name < b.name end)
  into.projections = bounded(list)
end

local function parked_of(store, name)
  local parked = parking.open(store, name)
  parked:catch_up()
  local list = parked:list()
  local rows = {}
  for i = 1, math.min(#list, PARKED) do
    local entry = list[i]
    rows[i] = { position = entry.position, type = shorten(entry.type, NAME_BYTES),
                message = shorten(tostring(entry.message), MESSAGE_BYTES) }
  end
  return #list, rille.array(rows)
end

local function delayed_of(store, name)
  local waiting = delays.open(store, name)
  waiting:catch_up()
  local n = 0
  for _ in pairs(waiting.timers) do n = n + 1 end
  return n
end

local function collect_processors(into, store, range)
  local list, known = {}, {}
  for kind, name, entry in registry.each(store) do
    if kind == "processor" then
      local mark = check(store:mark(name))
      known[name] = true
      local row = { name = shorten(name, NAME_BYTES), script = shorten(entry.script, NAME_BYTES), mark = mark,
                    lag = math.max(0, range.head - mark) }
      row.parked, row.list = parked_of(store, name)
      row.delayed = delayed_of(store, name)
      list[#list + 1] = row
    end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  into.processors = bounded(list)
  local marks, name = {}, nil
  repeat
    local mark
    name, mark = core.mark_next(store, name)
    if not name then check(not mark or nil, mark) end
    if name and not known[name] then
      marks[#marks + 1] = { name = shorten(name, NAME_BYTES), mark = mark, lag = math.max(0, range.head - mark) }
    end
  until not name
  into.marks = bounded(marks)
end

-- Transactions --------------------------------------------------------------------------------------

local function collect_transactions(into, store)
  local list = {}
  for i, entry in ipairs(check(settling.unfinished(store))) do
    local names = {}
    for n = 1, math.min(#entry.participants, LISTED) do
      names[n] = shorten(tostring(entry.participants[n]), NAME_BYTES)
    end
    list[i] = { id = shorten(entry.id, NAME_BYTES), client = entry.client and shorten(entry.client, NAME_BYTES),
                state = entry.state, age = entry.age, coordinator = shorten(entry.coordinator, NAME_BYTES),
                place = shorten(entry.place, NAME_BYTES), participants = rille.array(names) }
  end
  into.transactions = bounded(list)
end

-- Histories -----------------------------------------------------------------------------------------

local function shown_changes(list)
  for _, change in ipairs(list) do change.place = shorten(change.place, NAME_BYTES) end
  return rille.array(list)
end

---Leaves as a list, in the order of places.
local function shown_base(base)
  local list = {}
  for place, value in pairs(base) do list[#list + 1] = { place = shorten(place, NAME_BYTES), value = value } end
  table.sort(list, function(a, b) return a.place < b.place end)
  return rille.array(list)
end

local function collect_histories(into, store, range, options)
  into.histories = rille.array {}
  local some = options.chosen
  for i, p in ipairs(some) do
    local list, about = histories.collect(store, p.definition, {
      head = range.head, since = range.after + 1, keys = p.definition.key and options.keys or {},
      most = math.ceil(KEYS / #some),
      bytes = HISTORY_BYTES / #some, data_bytes = DATA_BYTES, shorten = shorten,
      measure = function(value) return #page.json(value) end,
      progress = function(done) options.progress(range.head - range.after + 2 * range.head * (i - 1) + done) end })
    for _, h in ipairs(list) do
      for _, entry in ipairs(h.entries) do
        entry.stream, entry.type = shorten(entry.stream or "", NAME_BYTES), shorten(entry.type or "", NAME_BYTES)
        entry.changes = shown_changes(entry.changes)
      end
      into.histories[#into.histories + 1] = { projection = shorten(p.name, KEY_BYTES),
        key = shorten(h.key, KEY_BYTES), count = h.count, base = shown_base(h.base), entries = rille.array(h.entries),
        left_out = h.left_out, ends = about.message and about.position or nil }
    end
    if about.message and not p.listed then
      into.problems[#into.problems + 1] = { part = "projection " .. shorten(p.name, NAME_BYTES),
        message = shorten(about.message, MESSAGE_BYTES) }
    end
  end
end

-- All of it -----------------------------------------------------------------------------------------

---Which events are looked at: those behind a position, up to the head of this moment.
local function range_of(store, options)
  local head = check(store:head())
  local after = options.since and options.since - 1 or options.last and head - options.last or 0
  return { after = math.max(0, math.min(after, head)), head = head }
end

---The projections that histories are made for: the one that was asked for, or all that are known.
local function choose(store, options)
  local name = options.projection
  if options.reducer then
    local watcher = check(script.open(store, options.reducer,
      { params = options.params, define = reducer.define }))
    name = name or options.reducer:match "([^/]+)%.lua$" or options.reducer
    return { { name = name, definition = watcher.definition }, wants = function() return false end }
  end
  if name then
    local entry, message, code = registry.find(store, "projection", name)
    if not entry then screen.fail(message .. (code == "notfound" and near.of(store, "projection", name) or "")) end
  end
  return { wants = function(other) return name == nil or name == other end }
end

---Tells of how many positions that are to be passed so many have been: all events once, and twice
---for each projection.
local function progress_of(store, options, range)
  if not options.progress then return function() end end
  local n = 0
  for kind in registry.each(store) do n = n + (kind == "projection" and 1 or 0) end
  if options.reducer or options.projection then n = 1 end
  local all = range.head - range.after + 2 * range.head * n
  return function(done) options.progress(done, all) end
end

---@param store rille.store
---@param options? { title: string, since: integer, last: integer, projection: string, reducer: string,
---  params: table, keys: string[], remark: string, damaged: boolean,
---  progress: fun(done: integer, all: integer) }  remark: what opening the store gave; damaged: it is about damage
---@return table report plain data; `problems` has what could not be collected
function report.collect(store, options)
  options = options or {}
  local range, chosen = range_of(store, options), choose(store, options)
  local into = { format = FORMAT, version = rille._VERSION, title = shorten(options.title or "a store", NAME_BYTES),
    made = core.wall(), head = range.head, after = range.after, problems = {},
    remark = options.remark and not options.damaged and shorten(options.remark, MESSAGE_BYTES) or nil,
    limits = { rows = ROWS, listed = LISTED, keys = KEYS, data_bytes = DATA_BYTES } }
  local progress = progress_of(store, options, range)
  local function part(name, f, ...)
    local ok, problem = pcall(f, into, store, ...)
    if not ok then into.problems[#into.problems + 1] = { part = name, message = message_of(problem) } end
  end
  if options.damaged then into.problems[1] = { part = "log", message = shorten(options.remark, MESSAGE_BYTES) } end
  part("store", function() into.store = check(store:stats()) end)
  part("events", collect_events, range, progress)
  part("projections", collect_projections, range, chosen)
  part("processors", collect_processors, range)
  part("transactions", collect_transactions)
  part("histories", collect_histories, range, { chosen = chosen, keys = options.keys or {}, progress = progress })
  into.problems = rille.array(into.problems)
  return into
end

return report
