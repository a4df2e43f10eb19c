-- deep.lua: store:verify{ deep = true }: are the kept states what the log makes of them?
--
-- Each projection is computed once more, in memory, up to its kept mark, and every state is
-- compared, byte by byte. Where one differs, the script is run twice, side by side, over the
-- events of that key, once in one piece, once in a fresh load for each event: an event after
-- which the two differ shows that the script keeps something outside the state. Where they
-- agree, the kept state was made by something else than the script.

local core = ...
local rille = require "rille"
local handle = require "rille.handle"
local past = require "rille.past"
local reducer = require "rille.reducer"
local registry = require "rille.registry"
local script = require "rille.script"
local slots = require "rille.slots"
local states = require "rille.states"

local check_options = require "rille.options".check

local deep = {}

local TRIES = 100 -- so often may others write states while they are copied, or change the log while they are computed

local function problem(position, message, ...)
  return { invariant = "state", address = 0, position = position, message = message:format(...) }
end

local function load(store, entry)
  return script.open(store, entry.path or entry.script, { params = entry.params, define = reducer.define })
end

---The first event after which two runs of the script have not the same state of a key.
local function first_difference(store, entry, key)
  local function anew() return assert(load(store, entry)).definition end
  local whole, pieces = past.why(store, anew(), key), past.why(store, anew(), key, anew)
  while true do
    local event, _, a = whole()
    local _, _, b = pieces()
    if not event then return nil end
    if rille.encode(a) ~= rille.encode(b) then return event end
  end
end

local function explain(store, name, entry, key, mark)
  local event = first_difference(store, entry, key)
  if event then
    return problem(event.position, "projection %q, key %q: what the event at position %d (%s in stream %s) makes "
      .. "of the state depends on more than the state: %s keeps something outside it", name, key,
      event.position, event.type, event.stream, entry.script)
  end
  return problem(mark, "projection %q, key %q: the kept state is not what the events up to position %d make of it: "
    .. "rebuild the projection", name, key, mark)
end

---What is kept of a projection, all of it of one mark, though others may write meanwhile.
---@return { identity: string, mark: integer, states: { [1]: string, [2]: string }[] }?
local function copy_kept(store, name)
  for _ = 1, TRIES do
    local kept = states.recorded(store, name)
    if not kept then return nil end
    kept.states = {}
    for key, bytes in kept.each do kept.states[#kept.states + 1] = { key, bytes } end
    local again = states.recorded(store, name)
    if again and again.stamp == kept.stamp then return kept end
  end
  error({ message = "others write its states all the time" }, 0)
end

---Which keys may have had events that a scavenge has taken since: function(key). All, if there are any,
---where keys are not streams: what was taken had the key in its data.
local function taken_from(store, definition, mark)
  local counts, query = {}, past.query_of(definition)
  query.before, query.consistency = mark + 1, "eventual"
  if #query == 0 then return function() return false end end
  local by_stream = definition.key == "stream"
  local function count(all, by)
    for e in all(store, query) do
      local key = by_stream and e.stream or ""
      counts[key] = (counts[key] or 0) + by
    end
  end
  count(core.all_ever, 1)
  count(core.all, -1)
  return function(key) return (counts[by_stream and key or ""] or 0) > 0 end
end

---The keys whose states differ from what the events make of them.
local function differing(replay, kept)
  local keys, seen = {}, {}
  for _, state_of in ipairs(kept.states) do
    local key, bytes = state_of[1], state_of[2]
    seen[key] = true
    local state = replay:get(key)
    if state == nil or rille.encode(state) ~= bytes then keys[#keys + 1] = key end
  end
  for _, key in ipairs(replay:touched()) do
    if not seen[key] and replay:get(key) ~= nil then keys[#keys + 1] = key end
  end
  return keys
end

---Compares all states of one projection. Returns its first problem. A state that had events which are taken
---can't be made again: it is as it was.
local function compare(store, name, entry, kept, definition)
  local replay = past.replay(store, definition)
  replay:to(kept.mark)
  local keys = differing(replay, kept)
  local is_taken = #keys > 0 and taken_from(store, definition, kept.mark)
  for _, key in ipairs(keys) do
    if not is_taken(key) then return explain(store, name, entry, key, kept.mark) end
  end
end

local function look_for_problem(store, name, entry)
  local kept = copy_kept(store, name)
  if not kept then return nil end
  local watcher, message = load(store, entry)
  if not watcher then error({ message = message }, 0) end
  if watcher.identity ~= kept.identity then return nil end -- an edited script: they are being made anew
  return compare(store, name, entry, kept, watcher.definition)
end

---A difference counts where kept states and events are of one moment: no content has gone in between, and none
---is about to go that the states have seen and the events don't show any more. Such states are outdated, not damaged:
---who finishes the redaction forgets them.
local function find_problem(store, name, entry)
  for _ = 1, TRIES do
    local generation = core.log_generation(store)
    local found = look_for_problem(store, name, entry)
    if not found or slots.check(core.is_redacting(store)) then return nil end
    if core.log_generation(store) == generation then return found end
  end
  error({ message = "others take content out of the log all the time" }, 0)
end

local function check_one(store, name, entry)
  local ok, found = pcall(find_problem, store, name, entry)
  if ok then return found end
  local why = type(found) == "table" and found.message or tostring(found)
  return problem(0, "projection %q can't be computed again: %s", name, why)
end

---@return table[] problems as store:verify has them
function deep.problems(store)
  local list = {}
  for kind, name, entry in registry.each(store) do
    list[#list + 1] = kind == "projection" and check_one(store, name, entry) or nil
  end
  return list
end

local verify = core.methods.verify
local VERIFY = { deep = true, progress = true }

---store:verify, with `deep` besides what C does.
local function verify_deep(store, options)
  if options ~= nil then check_options(options, VERIFY, 2) end
  if not options or options.deep == nil then return verify(store, options) end
  if type(options.deep) ~= "boolean" then error("deep must be a boolean", 2) end
  local plain = {}
  for name, value in pairs(options) do
    if name ~= "deep" then plain[name] = value end
  end
  local result, message, code, detail = verify(store, plain)
  if not result then return nil, message, code, detail end
  if not options.deep then return result end
  for _, found in ipairs(deep.problems(store)) do
    result.problems[#result.problems + 1] = found
    result.ok = false
  end
  return result
end

handle.store_method("verify", verify_deep)

return deep
