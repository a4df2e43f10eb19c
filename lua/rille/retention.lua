-- retention.lua: store:scavenge and store:redact.
--
-- What the core does not know of a redaction is which kept states have seen the content. Seen
-- it can have who has read on as far as its position, and handles its type:
--
--      S, and its record V or B    stay where the mark is before the first redacted event, or the
--      (T: S is of no use)         script handles none of their types; else they are built anew
--      L, rungs                    stay where they lie before the first redacted event
--      C, F, R                     which scripts there are: stay
--
-- That is looked at when the redaction is noted: from then on nobody writes states that had the
-- content (kept.c). Types are asked of the script itself, where the store knows it and it is still the form whose
-- states these are. Of any other form the states go: that costs time, and nothing else.

local core = ...
local event = require "rille.event"
local handle = require "rille.handle"
local reducer = require "rille.reducer"
local registry = require "rille.registry"
local script = require "rille.script"
local slots = require "rille.slots"

local options_of = require "rille.options"
local check_options, check_booleans, check_list =
  options_of.check, options_of.check_booleans, options_of.check_list

local SCAVENGE = { dry_run = true }
local OWN = require "rille.own".types() -- found by who names them
local REDACT = { data = true, ids = true, tags = true, streams = true, reason = true }

local retention = {}

-- What was seen -----------------------------------------------------------------------------

---The types of all events that lose something, the first of their positions, and the position up
---to which that is known: no event behind it is among `positions`, but it may have one of the names.
---What a scavenge has taken counts: states that are kept may have seen it, and its names are in the log.
local function touched(store, positions, options)
  local types, first = {}, math.maxinteger
  local upto = slots.check(store:head())
  local function see(query)
    query.consistency = "eventual"
    for e in core.all_ever(store, query) do
      types[e.type] = true
      first = math.min(first, e.position)
    end
  end
  for _, position in ipairs(positions) do
    first = math.min(first, position)
    see { {}, { types = OWN }, after = position - 1, before = position + 1 }
  end
  for _, tag in ipairs(options.tags or {}) do see { tags = { tag } } end
  for _, stream in ipairs(options.streams or {}) do see { stream = stream } end
  return types, first, upto
end

---When names are noted, nothing is found by them any more: what was appended since may have them.
local function add_newer(store, types, first, upto)
  for e in core.all_ever(store, { after = upto, consistency = "eventual" }) do
    types[e.type] = true
    first = math.min(first, e.position)
  end
  return first
end

local function handles(definition, types)
  if definition.every then return true end
  for _, name in ipairs(definition.types) do
    if types[name] then return true end
  end
  for name in pairs(definition.upcast or {}) do
    if types[name] then return true end
  end
  return false
end

---The forms of scripts, by the end of their records' keys, that handle none of the types.
local function unconcerned(store, types)
  local forms = {}
  for kind, name, entry in registry.each(store) do
    if kind == "projection" and entry then
      local watcher = script.open(store, entry.path or entry.script,
        { params = entry.params, define = reducer.define })
      if watcher and not handles(watcher.definition, types) then
        forms[slots.name("", name) .. watcher.identity] = true
      end
    end
  end
  return forms
end

---The slots whose states stay, by name.
local function staying(store, types, first)
  local forms, kept = unconcerned(store, types), {}
  for _, letter in ipairs { "V", "B" } do
    local key = letter
    while true do
      local bytes, code
      key, bytes, code = core.kept_next(store, key, letter)
      slots.check(key, bytes, code)
      if not key then break end
      local slot, mark = slots.unpack(bytes)
      if mark < first or forms[key:sub(2)] then kept[slot] = true end
    end
  end
  return kept
end

local KEEP = { C = true, F = true, R = true }

---Whether what is kept under a key has not seen it. It is called while nobody may use the store. A
---record may be of another slot by then, whose states were built meanwhile: it goes with them.
local function keeper(store, types, first)
  local kept = staying(store, types, first)
  return function(key, record)
    local letter = key:sub(1, 1)
    if KEEP[letter] then return true end
    if letter == "S" or letter == "T" then return kept[key:sub(2, 9)] or false end
    if letter == "V" or letter == "B" then return kept[slots.unpack(record)] or false end
    if letter == "L" then return math.maxinteger - string.unpack(">I8", key, #key - 7) < first end
    return false
  end
end

-- What is asked ---------------------------------------------------------------------------------

local function check_names(options, field)
  local list = options[field]
  if list == nil then return end
  if type(list) ~= "table" then error(field .. " must be a list of names, not " .. type(list), 4) end
  check_list(list, field, 4)
  for i, name in ipairs(list) do
    local fault = event.name_fault(("%s[%d]"):format(field, i), name)
    if fault then error(fault, 4) end
  end
end

local function positions_of(positions)
  if positions == nil then return {} end
  if math.type(positions) == "integer" then return { positions } end
  if type(positions) ~= "table" then
    error("positions must be a position or a list of them, not " .. type(positions), 4)
  end
  check_list(positions, "positions", 4)
  for i, position in ipairs(positions) do
    if math.type(position) ~= "integer" then error(("positions[%d] must be an integer"):format(i), 4) end
  end
  return positions
end

local function asked(positions, options)
  positions = positions_of(positions)
  check_options(options, REDACT, 3)
  check_booleans(options, { "data", "ids" }, 3)
  check_names(options, "tags")
  check_names(options, "streams")
  if options.reason ~= nil and type(options.reason) ~= "string" then error("reason must be a string", 3) end
  return positions
end

-- The methods -------------------------------------------------------------------------------------

---Gives back the bytes of what truncations and deletions have hidden.
---@param options? { dry_run: boolean }
---@return { events: integer, segments: integer, bytes: integer }? done, string message, string code
function retention.scavenge(store, options)
  options = options or {}
  check_options(options, SCAVENGE, 2)
  check_booleans(options, { "dry_run" }, 2)
  return core.scavenge(store, options.dry_run)
end

---Takes content out of the log for good.
---@param positions integer|integer[]|nil events whose data and meta go
---@param options? { data: boolean, ids: boolean, tags: string[], streams: string[], reason: string }
---@return { events: integer, segments: integer }? done, string message, string code, table detail
function retention.redact(store, positions, options)
  options = options or {}
  positions = asked(positions, options)
  local head, message, code = store:head()
  if not head then return nil, message, code end
  for _, position in ipairs(positions) do
    if position < 1 or position > head then
      return nil, ("position %d is not there: positions are 1 to %d"):format(position, head), "invalid"
    end
  end
  local ok, types, first, upto = pcall(touched, store, positions, options)
  if not ok then
    if type(types) == "table" then return nil, types.message, types.code, types.detail end
    error(types, 2)
  end
  local by_name = #(options.tags or {}) + #(options.streams or {}) > 0
  local function noted()
    if by_name then first = add_newer(store, types, first, upto) end
    return keeper(store, types, first)
  end
  return core.redact(store, { positions = positions, tags = options.tags, streams = options.streams,
    reason = options.reason, keep_data = options.data == false, ids = options.ids or false }, noted)
end

handle.store_method("scavenge", retention.scavenge)
handle.store_method("redact", retention.redact)

return retention
