-- histories.lua: what became of the states of some keys of a projection, event by event.
--
-- The log is run through the reducer twice. The first pass only counts how often each key is
-- touched, so that the keys with most changes can be chosen; the second has the states of the
-- chosen ones, and notes after each event what is different.
--
-- A state is seen as its leaves: a place, such as items[3].name, and the value there as JSON.
-- A history is the leaves at its beginning (`base`) and then changes, so that whoever applies
-- these one after another has each state between. That stays true whatever is left out:
-- a place is followed from its first appearance on or never, and what is too old goes into the base.

local core = ...
local rille = require "rille"
local changes = require "rille.changes"
local past = require "rille.past"
local reducer = require "rille.reducer"

---@class rille.histories
local histories = {}

local CHUNK = 16384        -- positions in one run, after which states that nobody wants are dropped
local KEYS_COUNTED = 200000
local ENTRIES = 250        -- of a history
local PLACES = 300         -- of a state that are followed
local VALUE_BYTES = 160    -- of a leaf that are shown

local function nothing() end

---Runs the log through other handlers than the reducer's own, over states that only last as long
---as `keep` says.
---@return integer position that was reached
---@return string? message why not the head
local function run(store, definition, head, how)
  local handlers, own = {}, {}
  for i, handler in ipairs(definition.handlers) do handlers[i] = how.wrap(handler) end
  for name, value in pairs(definition) do own[name] = value end
  own.handlers = handlers
  local pass = { definition = own, after = 0, states = {}, dirty = {}, find = nothing, fresh = how.fresh }
  local position = 0
  while position < head do
    local before = math.min(position + CHUNK, head) + 1
    local done, message = core.project_run(store, { passes = { pass }, before = before })
    if done == nil then return position, message end
    if pass.failure then return pass.failure.detail.position - 1, pass.failure.message end
    position = before - 1
    local kept = {}
    for key, state in pairs(pass.states) do
      if how.keep[key] then kept[key] = state end
    end
    pass.states, pass.dirty = kept, {}
    if how.progress then how.progress(position) end
  end
  return position
end

-- Counting ------------------------------------------------------------------------------------

---How often each key was touched, before `since` and from there on.
---@return table<string, { before: integer, count: integer }> counts
---@return boolean whole  false: there are more keys than are counted
local function counted(store, definition, head, since, always, progress)
  local counts, n, whole = {}, 0, true
  local function touch(_, event, key)
    key = key or "" -- of a reducer without key
    local row, position = counts[key], event.position
    if not row then
      if n >= KEYS_COUNTED and not always[key] then
        whole = false
        return 0
      end
      row, n = { before = 0, count = 0 }, n + 1
      counts[key] = row
    end
    if row.last ~= position then -- an event that became several counts once
      row.last = position
      if position < since then row.before = row.before + 1 else row.count = row.count + 1 end
    end
    return 0
  end
  run(store, definition, head, { wrap = function() return touch end, fresh = function() return 0 end, keep = {},
                                 progress = progress })
  return counts, whole
end

---The keys that were asked for, or else those with most changes.
local function chosen(counts, keys, most)
  if #keys > 0 then return keys end
  local list = {}
  for key, row in pairs(counts) do
    if row.count > 0 then list[#list + 1] = key end
  end
  table.sort(list, function(a, b)
    if counts[a].count ~= counts[b].count then return counts[a].count > counts[b].count end
    return a < b
  end)
  for i = #list, most + 1, -1 do list[i] = nil end
  return list
end

-- Leaves --------------------------------------------------------------------------------------

---@class rille.history
local History = {}
History.__index = History

---Puts the leaves of a value into a table by their places; those that are new go into a list, too.
local function gather(self, leaves, new, place, value)
  if type(value) == "table" and next(value) ~= nil then
    for key, inner in next, value do gather(self, leaves, new, changes.place(place, key), inner) end
    return
  end
  if place == "" then place = "state" end
  if not self.places[place] then new[#new + 1] = place end
  leaves[place] = self.shorten(rille.json.encode(value) or "a " .. type(value), VALUE_BYTES)
end

---Those of the new places that there is room for are followed from here on.
local function admit(self, leaves, new)
  table.sort(new)
  local room = math.min(#new, PLACES - self.place_count)
  for i = 1, room do self.places[new[i]] = true end
  for i = room + 1, #new do leaves[new[i]] = nil end
  self.place_count = self.place_count + room
  self.left_out = math.max(self.left_out, #new - room)
end

local function leaves_of(self, state)
  local leaves, new = {}, {}
  if state ~= nil and state ~= rille.null then gather(self, leaves, new, "", state) end
  if #new > 0 then admit(self, leaves, new) end
  return leaves
end

local function between(a, b)
  local places, list = {}, {}
  for place, value in pairs(a) do
    if b[place] ~= value then places[#places + 1] = place end
  end
  for place in pairs(b) do
    if a[place] == nil then places[#places + 1] = place end
  end
  table.sort(places)
  for i, place in ipairs(places) do list[i] = { place = place, before = a[place], after = b[place] } end
  return list
end

---The state after an event, which may come in several pieces.
function History:saw(position, state)
  if self.last ~= position then
    self.last, self.seen = position, self.seen + 1
    self.previous = self.current
    if self.seen > self.skip then self.entries[#self.entries + 1] = { position = position } end
  end
  if self.seen < self.skip then return end
  self.current = leaves_of(self, state)
  if self.seen == self.skip then
    self.base = self.current
  else
    self.entries[#self.entries].changes = between(self.previous, self.current)
  end
end

---Drops what is behind a position: an event that failed for another key has not happened.
function History:forget(position)
  while #self.entries > 0 and self.entries[#self.entries].position > position do
    self.entries[#self.entries] = nil
  end
end

---Drops the oldest entries until what is left takes at most so many bytes.
function History:trim(bytes, measure)
  local sizes, total = {}, measure(self.base)
  for i, entry in ipairs(self.entries) do
    sizes[i] = measure(entry)
    total = total + sizes[i]
  end
  local dropped = 0
  while total > bytes and dropped < #self.entries do
    dropped = dropped + 1
    total = total - sizes[dropped]
    for _, change in ipairs(self.entries[dropped].changes) do self.base[change.place] = change.after end
  end
  local kept = {}
  for i = dropped + 1, #self.entries do kept[#kept + 1] = self.entries[i] end
  self.entries = kept
end

-- Collecting ----------------------------------------------------------------------------------

---Adds to each entry what its event was.
local function describe(store, definition, entries, shorten, data_bytes)
  local query = past.query_of(definition)
  for _, entry in ipairs(entries) do
    query.after, query.before = entry.position - 1, entry.position + 1
    for e in store:all(query) do
      entry.stream, entry.version, entry.type, entry.time = e.stream, e.version, e.type, e.time
      entry.data = e.data ~= nil and shorten(rille.json.encode(e.data) or "", data_bytes) or nil
    end
  end
end

local function new_history(row, shorten)
  row = row or { before = 0, count = 0 }
  local shown = math.min(row.count, ENTRIES)
  return setmetatable({ count = row.count, skip = row.before + row.count - shown, seen = 0, entries = {}, base = {},
    previous = {}, current = {}, places = {}, place_count = 0, left_out = 0, shorten = shorten }, History)
end

---@param definition table of a reducer
---@param options { head: integer, since: integer, keys: string[], most: integer, bytes: integer, data_bytes: integer,
---  shorten: (fun(text: string, bytes: integer): string), measure: (fun(value: any): integer),
---  progress: (fun(done: integer))? }  progress: of two times the positions up to the head
---@return { key: string, count: integer, base: table<string, string>, entries: table[], left_out: integer }[] list
---@return { whole: boolean, position: integer, message: string? } about  how far it came, and why not further
function histories.collect(store, definition, options)
  local always = {}
  for _, key in ipairs(options.keys) do always[key] = true end
  local counts, whole = counted(store, definition, options.head, options.since, always, options.progress)
  local keys, wanted, list = chosen(counts, options.keys, options.most), {}, {}
  for _, key in ipairs(keys) do wanted[key] = new_history(counts[key], options.shorten) end
  local fresh = reducer.fresh(definition)
  local progress = options.progress and function(position) options.progress(options.head + position) end
  local position, message = run(store, definition, options.head, { keep = wanted, progress = progress,
    fresh = function(key) return wanted[key or ""] and fresh(key) or 0 end,
    wrap = function(handler)
      return function(state, event, key)
        local history = wanted[key or ""]
        if not history then return 0 end
        local result = handler(state, event, key)
        history:saw(event.position, result == nil and state or result)
        return result
      end
    end })
  for i, key in ipairs(keys) do
    local h = wanted[key]
    h:forget(position)
    describe(store, definition, h.entries, options.shorten, options.data_bytes)
    h:trim(options.bytes / #keys, options.measure)
    list[i] = { key = key, count = h.count, base = h.base, entries = h.entries, left_out = h.left_out }
  end
  return list, { whole = whole, position = position, message = message }
end

return histories
