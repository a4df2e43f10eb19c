-- recovery.lua: bringing what is decided to its end: after a crash, and where a member was out
-- of reach.
--
-- Home's log says what is decided and not ended, and the decision's detail who its members are.
-- Each is told, any number of times, until its commit is durable; then home notes the end.
-- Nothing is collected anew, no policy runs: the decision stands. What is told by hand counts as
-- told and is logged, in home's stream "$transactions".
--
-- R1  An end is noted only when every member has acknowledged or was resolved by hand.
-- R2  A member that is out of reach, or a participant without handler, keeps nobody else waiting.
-- R3  Of what another program has decided without saying who took part (answer.detail) nothing is
--     noted here: its members ask home, and its end is for that program to note.

local core = ...
local answer = require "rille.answer"
local failure = require "rille.failure"
local own = require "rille.own"
local rille = require "rille"
local settling = require "rille.settling"
local transaction = require "rille.transaction"
local means = core.transaction

---@class rille.recovery
local recovery = {}

local STREAM = "$transactions"
local YOUNG_S = 2                     -- a coordinator that lives still tells its members by itself
local RETRY_FIRST_S, RETRY_MOST_S = 0.5, 60
local SWEEP_S = 5

-- Stores of members --------------------------------------------------------------------------------

---The store of a member, open; and whether it is to be closed again.
local function store_of(p)
  local handle = transaction.handle_of(p.uuid, p.path)
  if handle then return handle, false end
  local store, message = rille.open(p.path, { create = false })
  if not store then return nil, message end
  if transaction.uuid_of(store) == p.uuid then return store, true end
  store:close()
  return nil, ("%s is another store than the one that took part"):format(p.path)
end

---Calls f(store) on the store of a member.
local function with_store(p, f)
  local store, opened = store_of(p)
  if not store then return nil, opened end
  local result, message, code = f(store)
  if opened then store:close() end
  return result, message, code
end

-- Telling ------------------------------------------------------------------------------------------

local function tell_store(_, p, id)
  return with_store(p, function(store)
    local done, message, code = means.commit(store, id)
    if not done and code == "notfound" and p.checks then return true end -- a power cut took the lock
    if not done then return nil, message, code end
    return means.flush(store, done["end"])
  end)
end

local function tell_object(c, p, id)
  local object = c.participants[p.name]
  if not object then return nil, ("there is no participant %s in this program"):format(p.name) end
  return object:finish(id, p.note or "", "commit")
end

---Whether the participant has still to be told.
local function is_open(c, p, id, detail)
  if not p.member or p.home or detail.transaction then return false end
  if p.kind ~= "store" and p.vote == "read" then return false end
  return not (c.acknowledged[id] and c.acknowledged[id][p.name])
end

local function acknowledge(c, id, name)
  c.acknowledged[id] = c.acknowledged[id] or {}
  c.acknowledged[id][name] = true
end

---Notes the end, where nobody has to be told any more.
local function end_if_told(c, doubt, detail)
  for _, p in ipairs(detail.participants) do
    if is_open(c, p, doubt.id, detail) then return false end
  end
  if not means.ended(c.store, doubt.id) then return false end
  c.acknowledged[doubt.id], c.tries[doubt.id] = nil, nil
  return true
end

---Whether the decision is one that no power cut can take: it is flushed here where whoever made
---it died before that. Nobody is told of another (D6).
local function stands(c, doubt)
  local told = means.outcome(c.store, doubt.id)
  return told ~= nil and told.outcome == "committed"
end

---Tells those that have not acknowledged. True when all have; who was not reached is added to the problems.
local function bring_on(c, doubt, problems)
  local detail = answer.detail(doubt.detail)
  if not detail or not stands(c, doubt) then return false end -- R3
  for _, p in ipairs(detail.participants) do
    if is_open(c, p, doubt.id, detail) then
      local tell = p.kind == "store" and tell_store or tell_object
      local done, message = tell(c, p, doubt.id)
      if done then acknowledge(c, doubt.id, p.name)
      else table.insert(problems, { participant = p.name, id = doubt.id, message = message or "it was not told" })
      end
    end
  end
  return end_if_told(c, doubt, detail)
end

---Whether it is time to try: not while a coordinator that lives does, and ever less often.
local function is_due(c, doubt, now)
  local try = c.tries[doubt.id]
  if try then return now >= try.at end
  return doubt.age >= YOUNG_S or not c.recovered
end

local function put_off(c, id, now)
  local try = c.tries[id] or { pause = RETRY_FIRST_S / 2 }
  try.pause = math.min(RETRY_MOST_S, try.pause * 2)
  try.at = now + try.pause
  c.tries[id] = try
end

-- By hand ------------------------------------------------------------------------------------------

local function read_on(c)
  for e in core.read(c.store, STREAM, { after = c.resolved_version, consistency = "eventual" }) do
    c.resolved_version = e.version
    if e.type == own.RESOLVED and not e.redacted then acknowledge(c, e.data.id, e.data.participant) end
  end
  return true
end

---Reads on in what was resolved by hand.
---@return true? done | nil, message, code, detail
local function read_resolved(c) return failure.returned(pcall(read_on, c)) end

local function find(c, id)
  local list, message, code = means.pending(c.store)
  if not list then return nil, message, code end
  for _, doubt in ipairs(list) do
    if doubt.id == id or doubt.client == id then return doubt end
  end
  return nil, ("no transaction %q is pending here"):format(id), "notfound"
end

---@param what { participant: string, outcome: string, reason: string }
function recovery.resolve(c, id, what)
  local doubt, message, code, detail = find(c, id)
  if not doubt then return nil, message, code, detail end
  local done, found
  done, message, code, detail = read_resolved(c)
  if not done then return nil, message, code, detail end
  detail = answer.detail(doubt.detail)
  for _, p in ipairs(detail and detail.participants or {}) do
    if p.name == what.participant then found = p end
  end
  if not found or not is_open(c, found, doubt.id, detail) then
    return nil, ("%q has no participant %q that is still to be told"):format(id, what.participant), "notfound"
  end
  local data = { id = doubt.id, participant = what.participant, outcome = what.outcome, reason = what.reason }
  local part = { stream = STREAM, events = { type = own.RESOLVED, data = data } }
  done, message, code = core.append_internal(c.store, { part })
  if not done then return nil, message, code end
  acknowledge(c, doubt.id, what.participant)
  end_if_told(c, doubt, detail)
  return true
end

-- Looking ------------------------------------------------------------------------------------------

local function watched(c)
  local ids = {}
  for _, tx in ipairs(c.watching) do ids[tx.id] = true end
  return ids
end

local function entry_of(c, doubt)
  local detail, names = answer.detail(doubt.detail) or {}, {}
  for _, p in ipairs(detail.participants or {}) do
    if is_open(c, p, doubt.id, detail) then names[#names + 1] = p.name end
  end
  return { id = doubt.id, client = detail.client or doubt.client, coordinator = detail.coordinator, place = c.path,
           age = doubt.age, participants = names, pending = true }
end

---@return { id: string, coordinator: string, place: string, age: number, participants: string[] }[]
function recovery.pending(c)
  local list, message, code, detail = means.pending(c.store)
  if not list then return nil, message, code, detail end
  local done
  done, message, code, detail = read_resolved(c)
  if not done then return nil, message, code, detail end
  for i, doubt in ipairs(list) do list[i] = entry_of(c, doubt) end
  return list
end

---The positions that a member gave to its events, once they are durable.
local function positions_of(p, id)
  return with_store(p, function(store)
    local done = means.commit(store, id)
    if done and done.first and means.is_flushed(store, done["end"]) then
      return { first = done.first, last = done.last }
    end
  end)
end

---The result of a transaction that is committed, with what is known by now.
function recovery.result(c, told)
  local result, detail, code, what = failure.returned(pcall(answer.committed, c.store, told))
  if not result then return nil, detail, code, what end
  if not told.ended then
    local done, message
    done, message, code, what = read_resolved(c)
    if not done then return nil, message, code, what end
  end
  for _, p in ipairs(detail.participants or {}) do
    if p.member and p.kind == "store" and not p.home then
      result.positions[p.name] = positions_of(p, result.transaction)
    end
    if not told.ended and is_open(c, p, told.id, detail) and not result.positions[p.name] then
      table.insert(result.pending, p.name)
    end
  end
  return result
end

-- Running ------------------------------------------------------------------------------------------

---Whether what is held, a handler's by its name or a database's branch by its own, is this participant's.
---Other programs may have other names for the database.
local function holds(p, name, branch)
  if not branch then return p.name == name end
  local note = p.kind == "postgres" and rille.decode(p.note or "")
  return type(note) == "table" and note.gid == branch
end

---What home says of what a participant holds: it commits only as a member. nil where the decision
---has no such participant: somebody else's it may be.
local function outcome_for(c, name)
  return function(id, branch)
    local told = means.outcome(c.store, id, false)
    if not told then return nil end
    if told.outcome == "aborted" then return "abort" end
    if told.outcome ~= "committed" then return nil end
    local detail = answer.detail(told.detail)
    for _, p in ipairs(detail and detail.participants or {}) do
      if holds(p, name, branch) then return p.member and "commit" or "abort", p.note end
    end
  end
end

---Whether a nonce is of home's log: of one that is not, home knows no outcome either.
local function knows() return true end

---Lets one look through what it holds, and adds what is in its way to the problems.
local function sweep_one(c, name, object, problems)
  local ok, count, message, list = pcall(object.sweep, object, c.uuid, knows, outcome_for(c, name))
  if not ok then message = tostring(count) end
  if not ok or not count then table.insert(problems, { participant = name, message = message }) end
  for _, problem in ipairs(ok and count and list or {}) do
    table.insert(problems, { participant = name, gid = problem.gid, message = problem.message })
  end
end

local function sweep(c, problems)
  for name, object in pairs(c.participants) do
    if object.sweep then sweep_one(c, name, object, problems) end
  end
end

---What has been aborted and could not be told yet.
local function repeat_aborts(c)
  local left = {}
  for _, branch in ipairs(c.aborting) do
    local ok, done = pcall(branch.abort, branch)
    if not ok or done ~= true then left[#left + 1] = branch end
  end
  c.aborting = left
end

---Tells members, as far as it is time to.
local function run_pending(c, force, problems)
  local list, message, code, detail = means.pending(c.store)
  if not list then return nil, message, code, detail end
  if #list > 0 then
    local done
    done, message, code, detail = read_resolved(c)
    if not done then return nil, message, code, detail end
  end
  local now, skipped, left = core.monotonic(), watched(c), {}
  for _, doubt in ipairs(list) do
    local over = false
    if not skipped[doubt.id] and (force or is_due(c, doubt, now)) then
      over = bring_on(c, doubt, problems)
      if not over then put_off(c, doubt.id, now) end
    end
    if not over then left[#left + 1] = doubt end
  end
  return left
end

local function run_hook(c, left)
  if not c.hook then return end
  local list = {}
  for _, doubt in ipairs(left) do
    list[#list + 1] = entry_of(c, doubt)
  end
  for _, entry in ipairs(settling.indoubt(c.store) or {}) do list[#list + 1] = entry end
  settling.tell(list, c.hook, c.hook_age, c.told)
end

---@param force boolean at once, whatever was tried when
---@return { committed: integer, aborted: integer, undecided: integer, unreachable: integer, pending: integer,
---  problems: { participant: string, message: string, id: string?, gid: string? }[]? }?
function recovery.run(c, force)
  local problems = {}
  local left, message, code, detail = run_pending(c, force, problems)
  if not left then return nil, message, code, detail end
  local now = core.monotonic()
  repeat_aborts(c)
  if force or now >= c.sweep_at then
    c.sweep_at = now + SWEEP_S
    sweep(c, problems)
  end
  local counts
  counts, message, code, detail = settling.run(c.store, force)
  if not counts then return nil, message, code, detail end
  counts.pending, counts.problems = #left, problems[1] and problems
  run_hook(c, left)
  c.recovered = true
  return counts
end

---What a coordinator has of this; and a first look, which never keeps it from opening.
function recovery.open(c)
  c.acknowledged, c.tries, c.told, c.aborting = {}, {}, {}, {}
  c.resolved_version, c.sweep_at = 0, 0
  recovery.run(c, false)
end

return recovery
