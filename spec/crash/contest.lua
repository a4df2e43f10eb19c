-- contest.lua: many processes that append to one store under conditions of all kinds, and
-- write down what they wanted and what they were told: for judge.lua.
--
-- An attempt is what goes to store:append, and what came of it:
--   { w = worker, n = number, parts = { { stream, expect, events = { { type, tags, id } } } },
--     unless = { after, items }, mark = { name, from, to },
--     before = position,  upto = position,      -- the ends known before and after the call
--     code = "ok" | "conflict" | "duplicate", result = table, detail = table, message = text }
-- Each event has in its data w, n, its number in the append, how many there are, and the
-- conditions under which it was written.
local contest = {}

local STREAMS, TYPES, TAGS, MARKS, RACES = 16, 12, 30, 2, 150
local REMEMBERED = 30 -- attempts with ids, to be repeated

local random = math.random

local function chance(percent) return random(100) <= percent end
local function one_of(list) return list[random(#list)] end

-- A value as Lua source, in one line.
function contest.literal(value)
  if type(value) == "string" then return (("%q"):format(value):gsub("\n", "n")) end
  if type(value) ~= "table" then return tostring(value) end
  local list = {}
  for k, v in pairs(value) do
    list[#list + 1] = "[" .. contest.literal(k) .. "]=" .. contest.literal(v)
  end
  return "{" .. table.concat(list, ",") .. "}"
end

-- Wishes ------------------------------------------------------------------------

local function some_stream(w)
  if chance(25) then return ("own-%d"):format(w) end
  if chance(10) then return ("new-%d-%d"):format(w, random(1000000)) end
  return ("s%d-x"):format(random(STREAMS))
end

local function some_tags()
  local tags = {}
  for i = 1, random(0, 2) do tags[i] = "t" .. random(TAGS) end
  return tags
end

local function some_item(w)
  local item = {}
  if chance(40) then item.types = { "T" .. random(TYPES), chance(30) and "T" .. random(TYPES) or nil } end
  if chance(60) then item.tags = { "t" .. random(TAGS), chance(20) and "t" .. random(TAGS) or nil } end
  if chance(20) then item.stream = some_stream(w) end
  if chance(5) then item.category = "s" .. random(STREAMS) end
  return next(item) and item or { types = { "T" .. random(TYPES) } }
end

-- After something that is known, mostly the end.
local function some_after(head)
  if chance(5) then return 0 end
  return chance(20) and math.max(0, head - random(40)) or head
end

local function some_unless(w, head)
  local items, after = { some_item(w) }, some_after(head)
  if chance(40) then items[2] = some_item(w) end
  if chance(30) then -- the query as a whole from before that: what lies between is allowed
    items[#items].after = some_after(head)
    after = math.max(0, head - random(12))
  end
  return { after = after, items = items }
end

local function some_expect(store, stream)
  local dice = random(100)
  if dice <= 40 then return nil end
  if dice <= 47 then return "exists" end
  if dice <= 52 then return "none" end
  if dice <= 54 then return "any" end
  local version = assert(store:version(stream))
  return chance(8) and version + 1 or version
end

local function some_part(store, w, taken)
  local stream
  repeat stream = some_stream(w) until not taken[stream]
  taken[stream] = true
  local part = { stream = stream, expect = some_expect(store, stream), events = {} }
  if chance(85) then
    for i = 1, random(3) do part.events[i] = { type = "T" .. random(TYPES), tags = some_tags() } end
  end
  return part
end

local function give_ids(attempt)
  for i, part in ipairs(attempt.parts) do
    for k, event in ipairs(part.events) do event.id = ("%d-%d-%d-%d"):format(attempt.w, attempt.n, i, k) end
  end
end

local function new_attempt(store, w, head)
  local attempt, taken = { parts = {} }, {}
  for i = 1, chance(70) and 1 or random(2, 3) do attempt.parts[i] = some_part(store, w, taken) end
  if chance(50) then attempt.unless = some_unless(w, head) end
  if chance(15) and attempt.parts[1].events[1] then -- alone it would leave no event to be seen by
    local name = "m" .. random(MARKS)
    local from = assert(store:mark(name)) - (chance(20) and 1 or 0)
    from = math.max(0, from)
    attempt.mark = { name, from, from + random(3) }
  end
  return attempt
end

-- Several processes want the same to be written, once.
local function race(head)
  local k = random(RACES)
  return { parts = { { stream = "race-" .. k % 7, events = { { type = "Race", id = "race-" .. k } } } },
    unless = chance(30) and some_unless(0, head) or nil }
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local new = {}
  for k, v in pairs(value) do new[k] = copy(v) end
  return new
end

-- The same ids in the same streams; now and then something else behind the first.
local function repeated(earlier)
  local attempt = { parts = copy(earlier.parts), unless = copy(earlier.unless) }
  local part = one_of(attempt.parts)
  if chance(15) and #part.events > 1 then part.events[#part.events].id = "other" end
  return attempt
end

local function next_attempt(state, store, head)
  local attempt
  if chance(15) and #state.remembered > 0 then attempt = repeated(one_of(state.remembered))
  elseif chance(10) then attempt = race(head)
  else attempt = new_attempt(store, state.w, head) end
  state.n = state.n + 1
  attempt.w, attempt.n = state.w, state.n
  if attempt.parts[1].events[1] and not attempt.parts[1].events[1].id and chance(35) then
    give_ids(attempt)
    local full = #state.remembered == REMEMBERED
    state.remembered[full and random(REMEMBERED) or #state.remembered + 1] = attempt
  end
  return attempt
end

-- Doing it ----------------------------------------------------------------------

local function count_events(attempt)
  local n = 0
  for _, part in ipairs(attempt.parts) do n = n + #part.events end
  return n
end

-- What store:append takes.
local function to_append(attempt)
  local list = { unless = copy(attempt.unless and attempt.unless.items), mark = attempt.mark }
  if list.unless then list.unless.after = attempt.unless.after end
  local conditions = { unless = attempt.unless, mark = attempt.mark, expects = {} }
  local n, of = 0, count_events(attempt)
  for i, part in ipairs(attempt.parts) do
    conditions.expects[i] = { part.stream, part.expect or "any" }
  end
  for i, part in ipairs(attempt.parts) do
    local events = {}
    for k, event in ipairs(part.events) do
      n = n + 1
      events[k] = { type = event.type, tags = event.tags, id = event.id,
        data = { w = attempt.w, n = attempt.n, number = n, of = of, conditions = conditions } }
    end
    list[i] = { stream = part.stream, expect = part.expect, events = events }
  end
  return list
end

local function try(state, store)
  local attempt = next_attempt(state, store, assert(store:head()))
  if chance(10) then assert(store:version "own-1") end -- the others may come first
  attempt.before = assert(store:head())
  local result, message, code, detail = store:append(to_append(attempt))
  attempt.upto = assert(store:head())
  attempt.code = result and "ok" or code
  attempt.result, attempt.message, attempt.detail = result or nil, message, detail
  state.journal:write(contest.literal(attempt), "\n")
end

-- Reading ------------------------------------------------------------------------

-- Everything behind `position`, without a gap, and durable where that is promised.
local function read_on(store, position, sync)
  for event in store:all { after = position } do
    assert(event.position == position + 1, "a gap before position " .. event.position)
    position = event.position
  end
  assert(sync ~= "always" or store:durable() >= position, "a reader saw what is not durable")
  return position
end

local function read_stream(store, stream)
  local version = 0
  for event in store:read(stream) do
    assert(event.version == version + 1, "a gap before version " .. event.version)
    version = event.version
  end
  assert(store:version(stream) >= version)
end

local function some_options()
  local sync = one_of { "always", "always", "interval", "never" }
  return { sync = sync, background = chance(50), sync_interval_ms = random(5, 50),
    segment_bytes = chance(50) and 1 << 20 or nil }
end

local function step(state, store, options)
  local dice = random(100)
  if dice <= 80 then try(state, store)
  elseif dice <= 86 then state.position = read_on(store, state.position, options.sync)
  elseif dice <= 90 then read_stream(store, some_stream(state.w))
  elseif dice <= 92 then store:wait(store:head() + 1, 0.005)
  elseif dice <= 94 then assert(store:poll())
  elseif dice <= 96 then assert(store:sync())
  else return true end
end

local function exists(path)
  local file = io.open(path)
  return file and file:close()
end

local function seed(w) math.randomseed(math.tointeger(tonumber(os.getenv "CONTEST_SEED" or 1)) * 1000 + w) end

---Attempts, until there is the file path.stop; some open the store anew now and then.
function contest.compete(rille, path, w)
  local state = { w = w, n = 0, remembered = {}, position = 0,
    journal = assert(io.open(("%s.%d"):format(path, w), "w")) }
  seed(w)
  while not exists(path .. ".stop") do
    local options = some_options()
    local store = assert(rille.open(path, options))
    state.position = math.min(state.position, store:head()) -- another sync may see less
    while not step(state, store, options) do
      if state.n % 8 == 0 and exists(path .. ".stop") then break end
    end
    assert(store:close())
  end
  state.journal:close()
  return state.n
end

---Reads what comes, as it comes.
function contest.follow(rille, path, w)
  local readonly, position = w % 2 == 0, 0
  seed(w)
  local store = assert(rille.open(path, { readonly = readonly, background = w % 4 == 0 }))
  while not exists(path .. ".stop") do
    assert(store:wait(position + 1, 0.05) ~= nil)
    position = read_on(store, position, "always")
  end
  assert(store:close())
  return position
end

return contest
