-- decision.lua: PostgreSQL as home: the table in which a transaction is decided.
--
-- The row is inserted by the transaction itself, so its COMMIT is the decision. Who is in
-- doubt inserts "abort" into the same place, and the primary key lets one of the two win:
-- that insert waits until the other transaction has ended. Only reading would lie, while a
-- backend nobody listens to still commits.

local failure = require "rille.postgres.failure"

---@class rille.postgres.decision
local decision = {}

local ATTEMPTS = 3 -- to settle: under "repeatable read" the winner is seen by the next one
local TAKEN = "23505"

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

---The table's name in SQL. Its schema is named, because a search_path differs from role to
---role, and two tables would be two decisions.
function decision.table(schema) return quoted(schema) .. ".rille_decision" end

local THERE = "select pg_catalog.to_regclass($1) is not null as there"
local CREATE = [[create table if not exists %s (
  tx text primary key, outcome text not null check (outcome in ('commit', 'abort')))]]

-- Whatever default_transaction_read_only the role has: a decision is written by rille.
local WRITABLE = "set session characteristics as transaction read write"

function decision.is_there(session, name, deadline)
  local result, message, code, detail = session:ask(THERE, deadline, name)
  if not result then return nil, message, code, detail end
  return result.rows[1].there
end

---Makes the table if there is none. Not within a transaction that goes on.
function decision.ensure(session, name, deadline)
  local there, message, code, detail = decision.is_there(session, name, deadline)
  if there ~= false then return there, message, code, detail end
  local created
  created, message, code, detail = session:ask(WRITABLE, deadline)
  if created then created, message, code, detail = session:ask(CREATE:format(name), deadline) end
  if created then return true end
  -- Another may have made it at the same time, which "if not exists" does not forgive.
  if decision.is_there(session, name, deadline) then return true end
  return nil, ("%s (a table is needed: %s)"):format(message, CREATE:format(name):gsub("%s+", " ")), code, detail
end

---Within the transaction that is to be decided.
---@return true?, string? message, string? code  a failure: it must be rolled back
function decision.insert(session, name, id, deadline)
  local result, message, code, detail = session:insist(deadline)
  if not result then return nil, message, code, detail end
  result, message, code, detail =
    session:ask(("insert into %s (tx, outcome) values ($1, 'commit')"):format(name), deadline, id)
  if result then return true end
  if detail and detail.sqlstate == TAKEN then return nil, "it has been decided already: aborted by who was in doubt" end
  return nil, message, code, detail
end

---@return "committed"?, string? message, "aborted"|"unknown"|nil, table? detail
function decision.commit(session, deadline)
  local result, message, how = session:query("COMMIT", deadline)
  if not result and how == "expired" then return nil, message, "aborted" end
  if not result then return nil, ("%s: COMMIT: %s"):format(session.place, message), "unknown" end
  if result.tag == "COMMIT" then return "committed" end
  if result.tag then return nil, "an earlier statement had failed: rolled back", "aborted" end
  local _, said, _, detail = failure.of(result, session.place)
  return nil, said, result.severity == "ERROR" and "aborted" or "unknown", detail
end

function decision.read(session, name, id, deadline)
  local result, message = session:ask(("select outcome from %s where tx = $1"):format(name), deadline, id)
  if not result then return nil, message, "unknown" end
  return result.rows[1] and result.rows[1].outcome or false
end

local PATIENCE_MS = 200 -- with a COMMIT that is on its way, of who only asks

---Whether the row is there, or may still come: a transaction that has inserted it and has not ended
---is in the way of an insert, which is rolled back. Decides nothing.
---@param waits boolean till the deadline, for that transaction's end
---@return "commit"|"abort"|false|nil, string? message, string? code
function decision.probe(session, name, row, waits, deadline)
  local begun, message, code, detail = session:ask("BEGIN READ WRITE", deadline)
  if not begun then return nil, message, code, detail end
  local set = ("set local lock_timeout = %d"):format(waits and 0 or PATIENCE_MS)
  local insert = ("insert into %s (tx, outcome) values ($1, 'abort') on conflict do nothing"):format(name)
  local done, told
  done, message, code = session:ask(set, deadline)
  if done then done, message, code = session:ask(insert, deadline, row) end
  local taken = done and done.count == 0
  if session:state() ~= "closed" and not session:ask("ROLLBACK", deadline) then session:close() end
  if code == "locked" then message = ("%s: %s: its COMMIT is on its way"):format(session.place, row) end
  if not done then return nil, message, code == "refused" and code or "unknown" end
  if not taken then return false end
  told, message, code = decision.read(session, name, row, deadline)
  return told, message, code
end

---What holds for good; "abort" where nothing did.
---@return "commit"|"abort"|nil, string? message, string? code
function decision.settle(session, name, id, deadline)
  local insert = ("insert into %s (tx, outcome) values ($1, 'abort') on conflict do nothing"):format(name)
  local code
  local result, message, _, detail = session:ask(WRITABLE, deadline)
  for _ = 1, result and ATTEMPTS or 0 do
    result, message, code, detail = session:ask(insert, deadline, id)
    if result or code ~= "conflict" then break end
  end
  if not result then return nil, message, "unknown", detail end
  local outcome
  outcome, message = decision.read(session, name, id, deadline)
  if outcome then return outcome end
  return nil, message or ("%s: the row of %s is gone: it was deleted by hand"):format(session.place, id), "unknown"
end

return decision
