-- drive.lua: the loop around the machine of steps: it does what comes next and tells what
-- happened, until the client can be answered.
--
--   steps:next() --> word, participant         what each word means: core/rille_transaction.h
--   DO[word](tx, p, number)                    does it, and tells the machine; false: not now
--
-- All that may block has the transaction's deadline. What is left after the answer, WATCH and
-- END, is done by `finish` whenever its coordinator is used again; if it never is, recovery
-- does it.

local core = ...
local answer = require "rille.answer"
local database = require "rille.database"
local rille = require "rille"
local transaction = core.transaction

---@class rille.drive
local drive = {}

local DO = {}

---Codes after which what was refused may have been written all the same.
local UNSURE = { io = true, unknown = true }

local function no(p, message, code, detail)
  p.vote, p.reason, p.code, p.detail = UNSURE[code] and "none" or "no", message, code, detail
end

local function late(tx) return ("not decided within %g s"):format(tx.timeout) end

---A lock whose holder is dead or late is settled on the spot.
local function settled_holder(store, code, detail)
  if code ~= "locked" or not detail or not detail.transaction then return false end
  local settled = transaction.settle(store, detail.transaction)
  return settled and settled.committed + settled.aborted > 0
end

---Calls f(store, ...), and once more where a lock could be settled.
local function unlocking(f, store, ...)
  local result, message, code, detail = f(store, ...)
  if result == nil and settled_holder(store, code, detail) then return f(store, ...) end
  return result, message, code, detail
end

-- Preparing --------------------------------------------------------------------------------------

local NAMES_BYTES = 60 * 1024 -- a prepare frame's detail has 64 KiB

---Who takes part, for operators: as many names as there is room for. And of a database that
---decides, which server it is, so that a restored one is not asked in its place.
local function names_of(tx)
  local names, bytes = {}, 0
  for i, p in ipairs(tx.list) do
    bytes = bytes + #p.name + 5
    if bytes > NAMES_BYTES then break end
    names[i] = p.name
  end
  local decider = tx.decider and tx.decider.branch
  return rille.encode { participants = names, home = decider and decider:note() }
end

---The deadline on the wall's clock.
local function wall_deadline(tx)
  tx.wall_deadline = tx.wall_deadline or core.wall() + math.max(0, tx.deadline - core.monotonic())
  return tx.wall_deadline
end

local function prepare_store(tx, p, number)
  tx.names = tx.names or names_of(tx)
  local done, message, code, refusal = unlocking(transaction.prepare, p.store, p.work, {
    id = tx.id, name = p.name, home_kind = tx.home_kind or "store", home_path = tx.home_path or tx.coordinator.path,
    home_end = tx.home_end, coordinator = tx.coordinator.name, client = tx.client, deadline = wall_deadline(tx),
    detail = tx.names,
  })
  if not done then
    no(p, message, code, refusal)
    return tx.steps:voted(number, p.vote) -- "none" is told to abort
  end
  p.versions, p.flush, p.checks_only = done.versions, done.flush, done.checks_only
  if done.flush > 0 then return tx.steps:prepared(number, true) end
  p.vote = "read"
  tx.steps:prepared(number, false)
end

local function prepare_branch(tx, p, number)
  local vote, message, code
  if not p.branch then
    p.branch, message, code = p.object:enlist { id = tx.id, number = number, deadline = tx.deadline, work = p.given,
                                                name = p.name }
  end
  if p.branch then vote, message, code = p.branch:prepare() end
  if vote then p.vote = vote else no(p, message, code) end
  tx.steps:voted(number, p.vote)
end

function DO.prepare(tx, p, number)
  p.asked = true
  if tx:is_late() then
    tx.reason = tx.reason or late(tx)
    return tx.steps:timeout()
  end
  return (p.store and prepare_store or prepare_branch)(tx, p, number)
end

function DO.flush(tx, p, number)
  local done, message, code = transaction.flush(p.store, p.flush)
  if done then p.vote = "yes" else no(p, message, code) end
  tx.steps:voted(number, p.vote)
end

-- The policy -------------------------------------------------------------------------------------

local function seen_by_policy(tx, at_end)
  local list = {}
  for i, p in ipairs(tx.list) do
    list[i] = { name = p.name, vote = p.vote or "none", reason = p.reason, weight = p.weight or 1,
                required = not p.optional and not p.voter, voter = p.voter or false }
  end
  local elapsed = core.monotonic() - tx.begun
  return { elapsed = at_end and math.max(elapsed, tx.timeout) or elapsed, timeout = tx.timeout, participants = list }
end

---Numbers of the machine for names; home is a member of all that commits.
local function numbers_of(tx, names)
  if not names then return nil end
  local numbers = {}
  for _, name in ipairs(names) do
    local p = tx:named(name)
    if p and p.number then numbers[#numbers + 1] = p.number end
  end
  return numbers
end

local function abort_for(tx, reason)
  tx.reason = ("the policy %s: %s"):format(tx.policy.name, reason)
  tx.steps:verdict "aborted"
end

---Asks; the last time, to wait is to abort.
local function ask(tx, at_end)
  local word, more = tx.policy:ask(seen_by_policy(tx, at_end))
  if word == "commit" then
    local done, message = tx.steps:verdict("committed", numbers_of(tx, more))
    if not done then tx.reason = message end
  elseif word == "abort" then abort_for(tx, more or "no reason was given")
  elseif at_end then
    tx.reason = tx.reason or late(tx)
    tx.steps:timeout()
  else tx.steps:verdict "undecided"
  end
end

function DO.ask(tx) return ask(tx, tx:is_late()) end

---Nothing comes any more, and the policy waits: till the time is up.
function DO.wait(tx)
  core.pause(math.max(0, tx.deadline - core.monotonic()))
  return ask(tx, true)
end

-- Deciding ---------------------------------------------------------------------------------------

---Who is to commit, as the machine has it.
local function note_members(tx)
  local names = {}
  for _, p in ipairs(tx.list) do
    p.member = p.home or tx.steps:is_member(p.number)
    if p.member and not p.home then names[#names + 1] = p.name end
  end
  return names
end

---In a database, whose COMMIT makes it durable.
local function decide_in_database(tx, names)
  local decided, message, code = database.decide(tx)
  if decided then
    tx.decided = {}
    database.record(tx, names)
    return tx.steps:decided "committed"
  end
  if code == "unknown" then
    tx.why = message
    return tx.steps:decided "unknown"
  end
  no(tx.decider, message, code)
  tx.is_duplicate = code == "duplicate"
  tx.steps:decided "aborted"
end

function DO.decide(tx)
  local names = note_members(tx)
  if tx.decider then return decide_in_database(tx, names) end
  local home = tx.home
  local decided, message, code, refusal = unlocking(transaction.decide, tx.coordinator.store, home and home.work, {
    id = tx.id, client = tx.client, home_end = tx.home_end,
    outcome = "committed", members = names, detail = answer.describe(tx), deadline = wall_deadline(tx),
  })
  if decided and decided.outcome == "committed" then
    tx.decided = decided
    return tx.steps:decided "committed"
  end
  if decided then
    tx.reason = "it was aborted by who settled it"
  elseif code == "unknown" then
    tx.why = message
    return tx.steps:decided "unknown"
  else
    tx.is_duplicate = code == "duplicate" and tx.client ~= nil
    if home then no(home, message, code, refusal) else tx.reason = message end
  end
  tx.steps:decided "aborted"
end

function DO.force(tx)
  if tx.decider then return tx.steps:forced(true) end
  local done, message = transaction.flush(tx.coordinator.store, tx.decided["end"])
  if not done then tx.why = message end
  tx.steps:forced(done == true)
end

-- Telling ----------------------------------------------------------------------------------------

---Tells a participant its outcome; nil, message where it was not reached.
local function tell(tx, p, outcome)
  if p.branch then return p.branch[outcome](p.branch) end
  if not p.store then return true end
  local done, message = transaction[outcome](p.store, tx.id)
  if not done then return nil, message end
  p.finished = done
  return true
end

---Those that are not home, in the order in which the machine numbers them. Where a database decides
---they are known before (database.lua).
local function others_of(tx)
  if tx.others then return tx.others end
  local others = {}
  for _, p in ipairs(tx.list) do
    if not p.home then others[#others + 1] = p end
  end
  tx.others = others
  return others
end

---Who has acknowledged need not be told again by recovery, and is not pending.
local function note_acknowledged(tx)
  local names = {}
  for _, p in ipairs(others_of(tx)) do
    if p.acknowledged then names[p.name] = true end
  end
  tx.coordinator.acknowledged[tx.id] = names
end

function DO.commit(tx, p, number)
  local done, message = tell(tx, p, "commit")
  p.reached, p.unreached = done == true, message
  tx.steps:finished(number, p.reached)
  if p.reached and p.branch then
    p.acknowledged = true
    note_acknowledged(tx)
    tx.steps:acknowledged(number)
  end
end

function DO.abort(tx, p, number)
  local done = tell(tx, p, "abort")
  if not done and p.branch then table.insert(tx.coordinator.aborting, p.branch) end
  tx.steps:finished(number, done == true)
end

---Does steps until `word` comes, which is left to the caller, or one that can't be done now.
local function run(tx, word)
  while true do
    local step, number = tx.steps:next()
    if step == word or step == "over" then return step end
    if DO[step](tx, tx.others[number], number) == false then return step end
  end
end

-- After the answer ---------------------------------------------------------------------------------

---A member's commit that is durable is acknowledged; `force` makes it so. A store that the host
---has closed meanwhile is left to recovery, which opens it.
local function is_durable(tx, p, address)
  local done, _, code = transaction.is_flushed(p.store, address)
  if code == "closed" then tx.left = true end
  if not done and code ~= "closed" and tx.forcing then done = transaction.flush(p.store, address) end
  p.acknowledged = done == true
  return p.acknowledged
end

function DO.watch(tx, p, number)
  if not is_durable(tx, p, p.finished["end"]) then return false end
  tx.steps:acknowledged(number)
end

function DO.answer(tx) tx.steps:answered() end

DO["end"] = function(tx)
  if tx.decider and not tx.recorded then
    tx.ended = true
    return tx.steps:ended()
  end
  if not transaction.ended(tx.coordinator.store, tx.id) then return false end
  tx.ended = true
  tx.coordinator.acknowledged[tx.id] = nil
  tx.steps:ended()
end

---The same where it was one call: `ends` has each member that was told, and its commit's end.
local function finish_ends(tx, force)
  if tx.over then return true end -- a later decision's frame said so
  tx.forcing = force
  for i = 1, #tx.ends, 2 do
    if not tx.left and not is_durable(tx, tx.ends[i], tx.ends[i + 1]) and not tx.left then return false end
  end
  if not tx.left and not tx.unreached then return transaction.ended(tx.coordinator.store, tx.id) == true end
  note_acknowledged(tx)
  return true
end

---Goes on after the answer, as far as it goes without waiting; with `force` to its end.
---@return boolean over  or left to recovery
function drive.finish(tx, force)
  if tx.ends then return finish_ends(tx, force) end
  tx.forcing = force
  if run(tx, nil) ~= "over" and not tx.left then return false end
  if not tx.ended and tx.decided then note_acknowledged(tx) end
  return true
end

-- The whole -----------------------------------------------------------------------------------------

---Whether the decision could not be told to a member that waits for it.
local function is_unreached(p) return p.member and not p.reached and (p.store ~= nil or p.vote ~= "read") end

local function answered(tx)
  local outcome = tx.steps:outcome()
  if outcome == "unknown" then return answer.unknown(tx, tx.why) end
  if outcome ~= "committed" then return answer.aborted(tx) end
  local result = answer.committed(tx.coordinator.store, { id = tx.id, first = tx.decided.first,
    last = tx.decided.last, versions = tx.home and tx.decided.versions, detail = answer.describe(tx) })
  for _, p in ipairs(tx.others) do
    if is_unreached(p) then table.insert(result.pending, p.name) end
  end
  return result
end

---Home's own conditions, early: what fails now costs nobody anything.
local function check_home(tx)
  if not tx.home then return true end
  local done, message, code, refusal = unlocking(transaction.check, tx.home.store, tx.home.work)
  if done then
    tx.home.vote = "yes"
    return true
  end
  no(tx.home, message, code, refusal)
  return false
end

---Lets go of branches that are at work and were never asked, which no step does; but for those
---that commit, where it is committed.
function drive.drop(tx, members_stay)
  for _, p in ipairs(tx.list) do
    local stays = p.asked or p.kind == "handler" or (members_stay and p.member)
    if p.branch and not stays then pcall(p.branch.abort, p.branch) end
  end
end

---What was done before for this client's id; nil where it is not committed; nil, message, "unknown",
---detail where that can't be read.
local function answered_before(tx)
  if not tx.is_duplicate then return nil end
  local result, message, code = answer.duplicate(tx.coordinator.store, tx.client)
  if result then return result end
  if tx.decider then return answer.bare(tx.client, true) end
  if code then return answer.unknown(tx, message) end
end

---The loop, for all kinds of participants and policies.
local function commit_by_steps(tx)
  if not check_home(tx) then return answer.aborted(tx) end
  local list = {}
  for i, p in ipairs(others_of(tx)) do
    p.number = i
    list[i] = { optional = p.optional or false, voter = p.voter or false, prepares_later = p.store == nil }
  end
  tx.steps = transaction.steps(list)
  run(tx, "answer")
  local result, message, code, detail = answered_before(tx)
  if not result and not code then result, message, code, detail = answered(tx) end
  tx.steps:answered()
  return result, message, code, detail
end

---After an error: what is not decided is given up. One that may be is not: who settles finds out.
local function give_up(tx)
  tx.coordinator.live[tx] = nil
  if not tx.steps then return drive.drop(tx) end
  tx.steps:timeout()
  if tx.steps:state() == "deciding" then tx.steps:decided "unknown" end
  if tx.steps:outcome() == "aborted" then drive.drop(tx) end
  run(tx, "answer")
  if tx.steps:next() == "answer" then tx.steps:answered() end
end

---Stores alone, all of them required, under a policy that says what the machine says by itself, and
---decided in a store: that is one call (ltransact.c). Without it the loop here does the same.
local function is_plain(tx)
  return transaction.transact and tx.policy.is_unanimous and not tx.special and not tx.decider and #tx.list > 0
end

---What one call said, as the loop says it.
local function tell_call(tx, outcome, result, code, detail)
  if outcome == "committed" then return result end
  if outcome == nil then return nil, result, code, detail end
  if outcome == "unknown" then return answer.unknown(tx, tx.why) end
  tx.is_duplicate = outcome == "duplicate"
  local before, why, unknown, what = answered_before(tx)
  if before or unknown then return before, why, unknown, what end
  return answer.aborted(tx)
end

---Commits the transaction: to the answer. What the host's clock raises is raised again, when
---nothing is left of it.
---@return table? result, string message, string code, table detail
function drive.commit(tx)
  if is_plain(tx) then -- the clock is asked before anything is written
    local outcome, told, why, what = transaction.transact(tx, tx.coordinator)
    if outcome ~= false then return tell_call(tx, outcome, told, why, what) end
  end
  local done, result, message, code, detail = pcall(commit_by_steps, tx)
  if done then return result, message, code, detail end
  pcall(give_up, tx)
  error(result, 0)
end

return drive
