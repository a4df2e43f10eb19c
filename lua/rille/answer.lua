-- answer.lua: what a transaction's caller is told, and what home's log keeps for that.
--
-- The decision's frame holds a `detail`: everything that is needed to tell the result once more
-- and to bring the members to their end after a crash:
--
--   { client, coordinator, participants = { { name, kind, uuid, path, member, vote, reason, note, checks } },
--     versions = { name = { stream = v } }, excluded = { name = reason }, policy, identity, home,
--     transaction }
--
-- The last is there only where the frame keeps the result of another transaction, which is decided in a
-- database and told by others (database.lua).
-- Versions of home's own streams are fixed by the decision and not in its frame: they are read
-- from its events. A program in C may decide on the same home, and keep there what it likes, or
-- nothing: who took part in that, it alone knows.

local core = ...
local rille = require "rille"
local failure = require "rille.failure"
local transaction = core.transaction

---@class rille.answer
local answer = {}

---Codes of a no after which another try may succeed.
local AGAIN = { locked = true, conflict = true, busy = true }

---Why a participant that could have been a member is none.
local function exclusion(p)
  if p.vote == "yes" or p.vote == "read" then return "it voted yes, and the policy left it out" end
  return p.reason or "it did not vote in time"
end

local function entry_of(p)
  return { name = p.name, kind = p.kind, uuid = p.uuid, path = p.path, member = p.member or nil, vote = p.vote,
           reason = p.reason, note = p.branch and p.branch:note() or nil, home = p.home or nil,
           checks = p.checks_only or nil }
end

---@param of? string the transaction, where the frame is that of another
---@return string bytes  what the decision's frame keeps
function answer.describe(tx, of)
  local detail = { client = tx.client, coordinator = tx.coordinator.name, home = tx.home and tx.home.name,
                   participants = {}, versions = {}, excluded = {},
                   policy = tx.policy.name, identity = tx.policy.identity, transaction = of }
  for i, p in ipairs(tx.list) do
    detail.participants[i] = entry_of(p)
    if p.member and p.versions and not p.home then detail.versions[p.name] = p.versions end
    if not p.member and not p.voter then detail.excluded[p.name] = exclusion(p) end
  end
  return assert(rille.encode(detail))
end

---What `describe` gave; nil where it is not of that form, because another program made it.
---@param bytes string?
---@return table?
function answer.detail(bytes)
  local detail = rille.decode(bytes or "")
  if type(detail) ~= "table" or type(detail.participants) ~= "table" then return nil end
  for _, p in ipairs(detail.participants) do
    if type(p) ~= "table" or type(p.name) ~= "string" then return nil end
  end
  return detail
end

---The versions of home's streams, from the events of the decision. They are there: nothing that is in doubt
---beside them has to be settled first.
local function home_versions(store, told)
  local versions = {}
  if not told.first then return versions end
  local events = { after = told.first - 1, before = told.last + 1, consistency = "eventual" }
  for e in core.all(store, events) do versions[e.stream] = e.version end
  return versions
end

---The result of a transaction that is committed, as home tells it.
---@param told table { id, first, last, detail }
---@param store rille.store home
---@return table result
function answer.committed(store, told)
  local detail = answer.detail(told.detail) or {}
  local result = { outcome = "committed", id = detail.client or told.id, duplicate = false,
                   transaction = detail.transaction or told.id, members = {}, excluded = detail.excluded or {},
                   pending = {}, versions = detail.versions or {}, positions = {} }
  for _, p in ipairs(detail.participants or {}) do
    if p.member then table.insert(result.members, p.name) end
    if p.home then
      result.versions[p.name] = told.versions or home_versions(store, told)
      if told.first then result.positions[p.name] = { first = told.first, last = told.last } end
    end
  end
  return result, detail
end

---What the votes were; and whether another try may succeed.
local function votes_of(tx)
  local votes, again, blocked = {}, false, false
  for _, p in ipairs(tx.list) do
    votes[p.name] = { vote = p.vote or "none", code = p.code, message = p.reason, detail = p.detail }
    if p.code and AGAIN[p.code] then again = true
    elseif p.vote == "no" and not p.optional and not p.voter then blocked = true
    end
  end
  return votes, again and not blocked
end

---The first no, for the message.
local function cause_of(tx)
  if tx.reason then return tx.reason end
  for _, p in ipairs(tx.list) do
    if p.reason and p.vote ~= "yes" and p.vote ~= "read" then return ("%s: %s"):format(p.name, p.reason) end
  end
  return "it was given up"
end

---nil, message, "aborted", { votes=, again=, id= }
function answer.aborted(tx)
  local votes, again = votes_of(tx)
  return nil, ("the transaction is aborted: %s"):format(cause_of(tx)), "aborted",
    { votes = votes, again = again, id = tx.client or tx.id }
end

---nil, message, "unknown", { id= }
function answer.unknown(tx, why)
  return nil, ("it is not known whether the transaction happened: %s; ask outcome(%q)")
    :format(why or "home could not make the decision durable", tx.client or tx.id), "unknown",
    { id = tx.client or tx.id }
end

---Of a transaction of which no more is known than that it is committed.
function answer.bare(id, is_duplicate)
  return { outcome = "committed", id = id, duplicate = is_duplicate, members = {}, excluded = {}, pending = {},
           versions = {}, positions = {} }
end

---What home knows of a client's id, as the result of then; nil where it is not committed.
function answer.duplicate(store, id)
  local told, message, code, detail = transaction.outcome(store, id)
  if not told then return nil, message, code, detail end
  if told.outcome ~= "committed" then return nil end
  if told.id == id then return nil end -- it is the id of a transaction, not a client's
  local result
  result, message, code, detail = failure.returned(pcall(answer.committed, store, told))
  if not result then return nil, message, code, detail end
  result.id, result.duplicate = id, true
  return result
end

return answer
