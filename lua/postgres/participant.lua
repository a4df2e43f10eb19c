-- participant.lua: PostgreSQL in transactions: rille.postgres(conninfo, options).
--
-- A participant is a place, not a connection: it connects when it is needed, keeps a few
-- sessions for the next branches, and connects anew when they are lost. It belongs to the
-- process that made it.

local libpq = ...
local rille = require "rille"
local branch = require "rille.postgres.branch"
local decision = require "rille.postgres.decision"
local prepared = require "rille.postgres.prepared"
local session = require "rille.postgres.session"
local options = require "rille.options"

---@class rille.postgres.participant
---@field kind "postgres"
---@field place string for people, without passwords
---@field now fun(): number seconds of the clock that deadlines are of (CLOCK_MONOTONIC)
local Participant = { kind = "postgres", now = libpq.now }
Participant.__index = Participant

local IDLE_MOST = 4  -- sessions kept
local TIMEOUT = 5    -- seconds, for what no transaction's deadline bounds
local KNOWN = { schema = true, timeout = true }

-- Sessions --------------------------------------------------------------------------------

function Participant:is_foreign() return self.process ~= libpq.process() end

---nil, message, "closed"
function Participant:refuse()
  local why = self:is_foreign() and "it belongs to the process that this one was forked from" or "it is closed"
  return nil, ("%s: %s"):format(self.place, why), "closed"
end

---A session of one's own.
function Participant:take(deadline)
  if self:is_foreign() or not self.idle then return self:refuse() end
  while #self.idle > 0 do
    local used = table.remove(self.idle)
    if session.renew(used, deadline) then return used end
    used:close()
  end
  return session.open(self.conninfo, self.place, deadline)
end

---And back, where it can serve again.
function Participant:give(used)
  if self.idle and #self.idle < IDLE_MOST and used:state() == "idle" then
    self.idle[#self.idle + 1] = used
  else
    used:close()
  end
end

---What `act(session, deadline)` returns; nil, message, code, detail where there is no session.
function Participant:with_session(deadline, act)
  deadline = deadline or libpq.now() + self.timeout
  local one, message, code, detail = self:take(deadline)
  if not one then return nil, message, code, detail end
  local answer = table.pack(pcall(act, one, deadline))
  self:give(one)
  if not answer[1] then error(answer[2], 0) end
  return table.unpack(answer, 2, answer.n)
end

-- The participant -------------------------------------------------------------------------

---A branch of a transaction, by its id and the branch's number. Its deadline is of `now`.
---@param enlist { id: string, number: integer, deadline: number, name: string?, work: any }
---@return rille.postgres.branch?, string? message, string? code, table? detail
function Participant:enlist(enlist)
  if enlist.work ~= nil then
    return nil, self.place .. ": PostgreSQL takes no work: use exec", "invalid"
  end
  local gid, why = prepared.name(enlist.id, enlist.number)
  if not gid then return nil, why, "invalid" end
  local one, message, code, detail = self:take(enlist.deadline)
  if not one then return nil, message, code, detail end
  return branch.begin(self, one, enlist, gid)
end

---What was noted, where it is this transaction's.
local function read_note(T, note)
  local noted = rille.decode(note)
  local gid = type(noted) == "table" and noted.gid
  if type(gid) == "string" and prepared.parse(gid) == T then return noted end
  return nil, ("this is no note of %s"):format(T), "invalid"
end

---Ends a branch from its note, any number of times; true only when that is final.
---@param outcome "commit"|"abort"
---@return true?, string? message, string? code  "unknown": ask again
function Participant:finish(T, note, outcome)
  local noted, message, code = read_note(T, note)
  if not noted then return nil, message, code end
  if noted.xid == nil then return true end -- it had written nothing, and was not prepared
  return self:with_session(nil, function(one, deadline)
    return prepared.finish(one, noted, outcome, deadline)
  end)
end

---Ends what is prepared in this database for transactions of a home whose outcome is known.
---The list is read before the outcomes are asked for: what is prepared later is not in it, so
---nothing is taken for undecided that is merely newer.
---@param knows fun(nonce: string): boolean  whether the instance is of this home's log
---@param outcome_of fun(id: string, gid: string): "commit"|"abort"|nil
---@return integer? count, integer|string remaining, table|string problems  { gid=, message= }
function Participant:sweep(home, knows, outcome_of)
  return self:with_session(nil, function(one, deadline)
    local names, message, code, detail = prepared.list(one, home, deadline)
    if not names then return nil, message, code, detail end
    local count, remaining, problems = 0, 0, {}
    for _, name in ipairs(names) do
      local id, nonce = prepared.parse(name)
      local known = id and knows(nonce)
      local outcome = known and outcome_of(id, name)
      local done, problem
      if outcome then done, problem = prepared.sweep_one(one, name, outcome, libpq.now() + self.timeout) end
      if done == "done" then count = count + 1 end
      if not done and known then remaining = remaining + 1 end
      if problem then problems[#problems + 1] = { gid = name, message = problem } end
    end
    return count, remaining, problems
  end)
end

---Why this is not the table in which what was noted is decided; nil: it may be.
local function elsewhere(self, one, noted)
  if noted.database ~= one.database then
    return ("this is another database (%s, then %s)"):format(one.database, tostring(noted.database))
  elseif noted.schema and noted.schema ~= self.schema then
    return ("this is another schema (%s, then %s)"):format(self.schema, noted.schema)
  end
end

---As home: how it was decided, for good. Given the note of home's branch, it decides nothing
---in another place than that, or on a server that was restored since.
---@return "commit"|"abort"|nil, string? message, string? code
function Participant:settle(T, note)
  local noted, why, invalid
  if note then
    noted, why, invalid = read_note(T, note)
    if not noted then return nil, why, invalid end
  end
  local name = decision.table(self.schema)
  local outcome, message, code, detail = self:with_session(nil, function(one, deadline)
    local same, reason = true, noted and elsewhere(self, one, noted)
    if reason then return nil, ("%s: %s is not decided there: %s"):format(self.place, T, reason), "unknown" end
    if noted then same, reason = one:is_where(noted) end
    if not same then
      local there = decision.is_there(one, name, deadline)
      local told = there and decision.read(one, name, T, deadline)
      if told then return told end
      return nil, ("%s: %s is not decided there, and %s"):format(self.place, T, reason), "unknown"
    end
    local ready, m, _, d = decision.ensure(one, name, deadline)
    if not ready then return nil, m, "unknown", d end
    return decision.settle(one, name, T, deadline)
  end)
  if outcome or code == "closed" then return outcome, message, code end
  return nil, message, "unknown", detail
end

---Whether a row of the decisions is there: "commit", "abort", or nil. Decides nothing. Without `how`
---what is on its way is not seen; "look": it is "unknown"; "wait": its end is waited for.
---@param how "look"|"wait"|nil
---@return "commit"|"abort"|nil, string? message, string? code
function Participant:decided(row, how)
  local name = decision.table(self.schema)
  local outcome, message, code = self:with_session(nil, function(one, deadline)
    local there, why, reason = decision.is_there(one, name, deadline)
    if there == nil then return nil, why, reason or "unknown" end
    if not there then return false end
    local told, what, kind = decision.read(one, name, row, deadline)
    if told ~= false or not how then return told, what, kind end
    told, what, kind = decision.probe(one, name, row, how == "wait", deadline)
    if kind == "refused" then return false end -- who may not insert, decides nothing here
    return told, what, kind
  end)
  if outcome then return outcome end
  if outcome == false then return nil end
  return nil, message, code or "unknown"
end

-- The handle ------------------------------------------------------------------------------

function Participant:close()
  for _, one in ipairs(self.idle or {}) do one:close() end
  self.idle = nil
end
Participant.__close = Participant.close
Participant.__gc = Participant.close

function Participant:__tostring()
  return ("rille.postgres (%s%s)"):format(self.place, self.idle and "" or ", closed")
end

---Names a place: the database, and where its server is.
local function place_of(facts)
  local at = facts.host or facts.hostaddr
  local name = facts.service and "service " .. facts.service or facts.dbname or "the user's database"
  return ("postgres %s%s"):format(name, at and " at " .. at or "")
end

local function check(conninfo, given)
  if type(conninfo) ~= "string" then error("rille.postgres needs a connection string or URI", 3) end
  options.check(given, KNOWN, 3)
  if given.schema ~= nil and type(given.schema) ~= "string" then error("schema must be a string", 3) end
  if given.timeout ~= nil and type(given.timeout) ~= "number" then error("timeout must be a number", 3) end
end

---A database as a participant. Connects to nothing yet.
---@param conninfo string as libpq takes it
---@param given { schema: string?, timeout: number? }?
---@return rille.postgres.participant?, string? message, string? code
local function open(conninfo, given)
  given = given or {}
  check(conninfo, given)
  if conninfo:find("\0", 1, true) then return nil, "the connection string has a zero byte", "invalid" end
  local facts, message, code = libpq.describe(conninfo)
  if not facts then return nil, message, code end
  local timeout = given.timeout or TIMEOUT
  if timeout ~= timeout or timeout <= 0 then return nil, "timeout must be positive", "invalid" end
  return setmetatable({ conninfo = conninfo, place = place_of(facts), schema = given.schema or "public",
    timeout = timeout, idle = {}, process = libpq.process() }, Participant)
end

return open
