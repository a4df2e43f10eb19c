-- branch.lua: what one transaction does in one database.
--
--   working --prepare--> prepared --commit--> committed
--      |        |  |        +------abort----> aborted
--      |        |  +-- nothing written -----> read
--      |        +----- no answer -----------> unknown --abort--> aborted
--      +--decide--> committed (here is home: its COMMIT is the decision)
--      +--abort, or an error at the end ----> aborted
--
-- A branch has its session for itself. After each statement it looks whether it is still in
-- the transaction that it began: by when that began, which no statement can change, and by
-- its number, once it has one. Without a number it has written nothing, has nothing to
-- promise, and is simply committed: its vote is "read".

local libpq = ...
local rille = require "rille"
local handle = require "rille.handle"
local decision = require "rille.postgres.decision"
local failure = require "rille.postgres.failure"
local prepared = require "rille.postgres.prepared"
local statement = require "rille.postgres.statement"

---@class rille.postgres.branch
---@field state "working"|"prepared"|"read"|"unknown"|"committed"|"aborted"
local Branch = {}
Branch.__index = Branch

local WHO = [[select pg_catalog.pg_current_xact_id_if_assigned()::text as xid,
  extract(epoch from pg_catalog.transaction_timestamp())::text as began, current_user::text as who,
  pg_catalog.current_setting('statement_timeout') = '0'
    and pg_catalog.current_setting('synchronous_commit') <> 'off' as insists]]

-- What was deferred is checked as whom it was done.
local BE_ONESELF = { "SET CONSTRAINTS ALL IMMEDIATE", "RESET SESSION AUTHORIZATION" }
local ROLE = "select pg_catalog.set_config('role', $1, true)"

local NO_ROOM = "%s: max_prepared_transactions is 0, so nothing can be prepared here: set it and restart the "
  .. 'server, or let this database decide: home="%s"'

---@param enlist { id: string, number: integer, deadline: number, name: string? }
---@return rille.postgres.branch?, string? message, string? code, table? detail
local function begin(participant, session, enlist, gid)
  local self = setmetatable({ participant = participant, session = session, id = enlist.id, gid = gid,
    name = enlist.name, deadline = enlist.deadline, state = "working" }, Branch)
  local begun, message, code, detail = session:ask("BEGIN", self.deadline)
  if not begun then
    session:close()
    return nil, message, code, detail
  end
  self.identity = { gid = gid, database = session.database, schema = participant.schema, system = session.system,
                    timeline = session.timeline }
  return self
end

-- Working ---------------------------------------------------------------------------------

---Not working any more: nil, message, "closed".
function Branch:is_working()
  if self.participant:is_foreign() then return self.participant:refuse() end
  if self.state == "working" then return true end
  return nil, ("%s: this branch is %s"):format(self.participant.place, self.state), "closed"
end

---The session is of no use any more, and with it goes what was not prepared.
function Branch:lose(state)
  self.session:close()
  self.session, self.state = nil, state
end

---The session goes back to the others.
function Branch:leave(state)
  self.participant:give(self.session)
  self.session, self.state = nil, state
end

---Still in the transaction that it began? Asked for the first time behind the first statement,
---before which there was nothing to end: until a query, its isolation may be set.
function Branch:look()
  local result, message, code, detail = self.session:ask(WHO, self.deadline)
  if not result then return nil, message, code, detail end
  local row = result.rows[1]
  local xid = row.xid ~= rille.null and row.xid or nil
  self.began = self.began or row.began
  if self.session:state() ~= "open" or row.began ~= self.began or self.xid and xid ~= self.xid then
    return nil, self.participant.place .. ": the statement has ended the transaction, and what came before it "
      .. "may be committed", "invalid"
  end
  self.xid, self.who, self.insists = xid, row.who, row.insists
  return true
end

---As who has connected, whatever role was set meanwhile: only the role that prepares a transaction, or a
---superuser, can end it; and a decision is written by rille.
function Branch:be_oneself()
  if not self.who or self.who == self.session.who then return true end
  local done, message, code, detail
  for _, sql in ipairs(BE_ONESELF) do
    done, message, code, detail = self.session:ask(sql, self.deadline)
    if not done then return nil, message, code, detail end
  end
  done, message, code, detail = self.session:ask(ROLE, self.deadline, self.session.role)
  if not done then return nil, message, code, detail end
  self.who = self.session.who
  return true
end

---As rille's sessions are, whatever the statements have set: what is promised is durable, and its own.
function Branch:be_fit()
  local ready, message, code, detail = self:be_oneself()
  if ready and not self.insists then ready, message, code, detail = self.session:insist(self.deadline) end
  if ready then return true end
  return nil, message, code, detail
end

---A statement's failure: the first is what prepare will say, unless a savepoint saves it.
function Branch:fail(_, message, code, detail)
  self.failure = self.failure or { message, code, detail }
  local state = self.session:state()
  if state == "closed" or state == "idle" then self:lose "aborted" end
  return nil, message, code, detail
end

---Runs one statement. What it returns are tables by the columns' names, and how many rows
---it has written or given.
---@return table[]? rows, integer|string count, string? code, table? detail
function Branch:exec(sql, ...)
  if type(sql) ~= "string" then error("exec needs a statement, a string", 2) end
  local working, why, closed = self:is_working()
  if not working then return nil, why, closed end
  local given = select("#", ...)
  local refusal = statement.refusal(sql, given)
  if refusal then return nil, refusal, "invalid" end
  local result, message, how = self.session:query(sql, self.deadline, ...)
  if not result then
    self:fail(failure.broken(message, how, self.participant.place))
    if self.session then self:lose "aborted" end
    return failure.broken(message, how, self.participant.place)
  end
  if not result.tag then return self:fail(failure.of(result, self.participant.place, given)) end
  local same, code, detail
  same, message, code, detail = self:look()
  if not same then
    self.failure = { message, code, detail }
    self:lose "aborted"
    return nil, message, code, detail
  end
  self.failure = nil
  return result.rows, result.count
end

-- Voting ----------------------------------------------------------------------------------

---What was wrong before, where something was.
function Branch:say_failed()
  local f = self.failure or { "an earlier statement had failed", "aborted" }
  return nil, f[1], f[2], f[3]
end

---Without the cursors WITH HOLD: the end of the transaction would run their queries to the end, and what these
---write would be committed with the vote.
function Branch:end_reading()
  if self.session:state() == "open" then
    local closed, why, code, detail = self.session:ask("CLOSE ALL", self.deadline)
    if not closed then
      self:roll_back()
      return nil, why, code, detail
    end
  end
  local result, message, how = self.session:query("COMMIT", self.deadline)
  if not result then
    self:lose "aborted"
    return failure.broken(message, how, self.participant.place)
  end
  self:leave(result.tag == "COMMIT" and "read" or "aborted")
  if self.state == "read" then return "read" end
  if result.tag then return self:say_failed() end
  return failure.of(result, self.participant.place)
end

function Branch:judge_prepare(result)
  if result.tag == "PREPARE TRANSACTION" then
    self.state, self.identity.voted = "prepared", true
    return "yes"
  end
  local is_error = result.tag or result.severity == "ERROR"
  local room = self.session.prepared
  if is_error then self:leave "aborted" else self:lose "unknown" end
  if result.tag then return self:say_failed() end
  if room == 0 then
    return nil, NO_ROOM:format(self.participant.place, self.name or "its name"), "unsupported",
      { sqlstate = result.sqlstate }
  end
  local _, message, code, detail = failure.of(result, self.participant.place)
  return nil, message, is_error and code or "unknown", detail
end

---Votes. A vote that comes late is none: nil, message, "unknown", and it may be prepared.
---@return "yes"|"read"|nil, string? message, string? code, table? detail
function Branch:prepare()
  local working, why, closed = self:is_working()
  if not working then
    if self.failure then return self:say_failed() end
    return nil, why, closed
  end
  if not self.xid then return self:end_reading() end
  local ready, reason, code, detail = self:be_fit()
  if not ready then
    self:roll_back()
    if self.failure then return self:say_failed() end
    return nil, reason, code, detail
  end
  local result, message, how = self.session:query(("PREPARE TRANSACTION '%s'"):format(self.gid), self.deadline)
  if result then return self:judge_prepare(result) end
  self:lose(how == "expired" and "aborted" or "unknown")
  return nil, ("%s: PREPARE TRANSACTION: %s"):format(self.participant.place, message),
    how == "expired" and "aborted" or "unknown"
end

---What prepared.lua needs to end it.
function Branch:facts()
  self.identity.xid = self.xid
  return self.identity
end

---The same as text: what must be known to end it after a crash.
function Branch:note() return assert(rille.encode(self:facts())) end

-- Ending ----------------------------------------------------------------------------------

---Ends what is prepared, or may be, in its own session or, where that is lost, a new one.
function Branch:finish(outcome)
  local p = self.participant
  if self.is_home then return nil, p.place .. ": it is not known whether it has decided: settle it", "unknown" end
  local deadline = libpq.now() + p.timeout
  if not self.session then
    local session, message = p:take(deadline)
    if not session then return nil, message, "unknown" end
    self.session = session
  end
  local done, message, code, detail = prepared.finish(self.session, self:facts(), outcome, deadline)
  p:give(self.session)
  self.session = nil
  if not done then return nil, message, code, detail end
  self.state = outcome == "commit" and "committed" or "aborted"
  return true
end

---After a vote of "yes" or "read", or as home.
---@return true?, string? message, string? code  "unknown": not sure
function Branch:commit()
  if self.participant:is_foreign() then return self.participant:refuse() end
  if self.state == "read" or self.state == "committed" then return true end
  if self.state == "prepared" then return self:finish "commit" end
  return nil, ("%s: this branch is %s, and can't be committed"):format(self.participant.place, self.state), "aborted"
end

function Branch:roll_back()
  local result = self.session:query("ROLLBACK", libpq.now() + self.participant.timeout)
  -- Without an answer the server rolls back when it finds the session gone.
  if result and result.tag == "ROLLBACK" then self:leave "aborted" else self:lose "aborted" end
  return true
end

---@return true?, string? message, string? code  "unknown": not sure
function Branch:abort()
  if self.participant:is_foreign() then return self.participant:refuse() end
  if self.state == "aborted" or self.state == "read" then return true end
  if self.state == "working" then return self:roll_back() end
  if self.state == "committed" then
    return nil, self.participant.place .. ": this branch is committed, and can't be aborted", "conflict"
  end
  return self:finish "abort"
end

-- Deciding: here is home ------------------------------------------------------------------

---The table is made by another session: this one may yet be rolled back.
function Branch:need_table(name)
  local ready, why, reason, what = self:be_oneself()
  if not ready then return nil, why, reason, what end
  local there, message, code, detail = decision.is_there(self.session, name, self.deadline)
  if there ~= false then return there, message, code, detail end
  return self.participant:with_session(self.deadline, function(session, deadline)
    return decision.ensure(session, name, deadline)
  end)
end

---Inserts the decision and commits, in one.
---@return "committed"?, string? message, "aborted"|"unknown"|nil, table? detail
function Branch:decide()
  local working, why = self:is_working()
  if not working then return nil, why, "aborted" end
  self.is_home = true
  local name = decision.table(self.participant.schema)
  local ok, message, _, detail = self:need_table(name)
  if ok then ok, message, _, detail = decision.insert(self.session, name, self.id, self.deadline) end
  if not ok then
    self:roll_back()
    if self.failure then message, detail = self.failure[1], self.failure[3] end
    return nil, message, "aborted", detail
  end
  local outcome, code
  outcome, message, code, detail = decision.commit(self.session, self.deadline)
  if outcome then
    self:leave "committed"
  elseif code == "unknown" then
    self:lose "unknown"
  else
    self:leave "aborted"
  end
  return outcome, message, code, detail
end

-- The handle ------------------------------------------------------------------------------

---What is not prepared is rolled back; what is, stays for its coordinator.
function Branch:close()
  if self.state == "working" then self:lose "aborted" end
  if self.session then self:leave(self.state) end
end
Branch.__close = Branch.close
Branch.__gc = Branch.close

function Branch:__tostring() return ("rille.postgres.branch (%s, %s)"):format(self.gid, self.state) end

handle.guard(Branch, "rille.postgres.branch", { "exec" })

return { begin = begin }
