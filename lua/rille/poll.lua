-- poll.lua: store:poll, which runs all that was opened through a handle.
--
-- What can run registers itself: an object whose run{ ms = n } gives how many events are left
-- for it, and the seconds until it has something to do by itself. Without a budget all are
-- run in the order in which they were opened, round after round, until a round finds nothing:
-- the same log and the same clock, the same order of effects. With a budget each call begins
-- with another, so that none waits for the others for ever.
--
-- A store's objects live as long as its handle, and are forgotten when they are closed.

local core = ...
local handle = require "rille.handle"
local settling = require "rille.settling"

---@class rille.poll
local poll = {}

local opened = setmetatable({}, { __mode = "k" }) -- store -> { objects..., first =, busy = }

local base = core.methods.poll -- what the core has to do

---From now on `store:poll` runs the object.
function poll.register(store, object)
  local list = opened[store] or { first = 0 }
  opened[store] = list
  table.insert(list, object)
end

function poll.forget(store, object)
  local list = opened[store] or {}
  for i = #list, 1, -1 do
    if list[i] == object then table.remove(list, i) end
  end
end

---What a round has found: { left, heads, count, due, failure }; objects that failed are not run
---again.
local function run_one(round, store, object, ms)
  local left, due, code, detail = object:run { ms = ms }
  if left == nil then
    round.failed[object] = true
    round.failure = round.failure or { due, code, detail }
    return
  end
  round.left, round.count = round.left + left, round.count + 1
  round.heads = round.heads + (store:head() or 0)
  if type(due) == "number" and (not round.due or due < round.due) then round.due = due end
  if type(code) == "string" then round.fault = round.fault or code end
end

---Objects of a kind that can go through the log together do.
local function run_together(list, till, failed)
  local kinds, order = {}, {}
  for _, object in ipairs(list) do
    local together = not failed[object] and object.together
    if together then
      if not kinds[together] then order[#order + 1] = together end
      kinds[together] = kinds[together] or {}
      table.insert(kinds[together], object)
    end
  end
  for _, together in ipairs(order) do
    local ms = till and math.max(0, (till - core.monotonic()) * 1000)
    if #kinds[together] > 1 then together(kinds[together], ms) end
  end
end

---Each object has told what was left when its turn was over; what has been appended since, by
---those after it, is left for it, too.
local function count_left(round, head)
  return round.left + math.max(0, round.count * (head or 0) - round.heads)
end

---Runs each object once, beginning with number `first`; `till`: when the time is up.
local function run_round(store, list, first, till, failed)
  local round, order = { left = 0, heads = 0, count = 0, failed = failed }, {}
  run_together(list, till, failed)
  for i = 1, #list do order[i] = list[(first + i - 1) % #list + 1] end
  for _, object in ipairs(order) do
    local ms = till and math.max(0, (till - core.monotonic()) * 1000)
    if not failed[object] then run_one(round, store, object, ms) end
  end
  return round
end

---Rounds until nothing is left, or the time is up.
local function run_all(store, list, till)
  local failed, failure, round = {}, nil
  repeat
    local before = store:head()
    round = run_round(store, list, till and list.first or 0, till, failed)
    failure = failure or round.failure
    list.first = list.first + 1
    local head = store:head()
    local at_rest = round.left == 0 and head == before
    round.left = count_left(round, head)
  until at_rest or till and core.monotonic() >= till or #list == 0
  round.failure = failure
  return round
end

---@param ms? number the budget; without one all is run to rest
---@return integer? left how many events are left
---@return number|string|nil due seconds until a timer or a retry is due; nil: none; or a message
---@return string? fault a script's file that has changed and does not load; or a code
local function run(store, ms)
  if ms ~= nil and type(ms) ~= "number" then error("ms must be a number, not " .. type(ms), 2) end
  local done, message, code, detail = base(store, ms)
  if done == nil then return nil, message, code, detail end
  local settled
  settled, message, code, detail = settling.poll(store)
  if settled == nil then return nil, message, code, detail end
  local list = opened[store]
  if not list or #list == 0 then return done end
  if list.busy then return nil, "the store is being polled already: a handler must not poll", "busy" end
  list.busy = true
  local ok, round = pcall(run_all, store, list, ms and core.monotonic() + ms / 1000)
  list.busy = nil
  if not ok then error(round, 2) end
  if round.failure then return nil, table.unpack(round.failure, 1, 3) end
  return round.left, round.due, round.fault
end

handle.store_method("poll", run)

return poll
