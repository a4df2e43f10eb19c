-- session.lua: a connection that is fit for transactions, and which server it leads to.
--
-- A session has looked at its server once: it is durable (fsync), it is no standby, it is
-- new enough, and by system identifier and timeline it is told from its copies and from what
-- it was before a failover. One that is used again is as new: DISCARD ALL.

local libpq = ...
local failure = require "rille.postgres.failure"

---@class rille.postgres.session
---@field database string
---@field who string as whom it works, unless a branch sets another role
---@field role string the setting of that
---@field prepared integer how many transactions the server can keep prepared
---@field system string? its identifier; nil: not allowed to read it
---@field timeline string
local Session = {}
Session.__index = Session

local VERSION_LEAST = 130000 -- xid8

-- statement_timeout would cut off the wait of a COMMIT PREPARED for its standby, and answer "COMMIT PREPARED".
local SETTLE_IN = [[
select pg_catalog.current_setting('fsync') as fsync,
  pg_catalog.current_setting('server_version_num')::int4 as version,
  pg_catalog.current_setting('max_prepared_transactions')::int4 as prepared,
  pg_catalog.current_database()::text as database,
  current_user::text as who, pg_catalog.current_setting('role') as role,
  pg_catalog.pg_is_in_recovery() as standby,
  pg_catalog.set_config('statement_timeout', '0', false) as no_timeout,
  pg_catalog.set_config('bytea_output', 'hex', false) as bytes,
  pg_catalog.set_config('extra_float_digits', '1', false) as digits,
  case when pg_catalog.current_setting('synchronous_commit') = 'off'
    then pg_catalog.set_config('synchronous_commit', 'on', false) end as durable]]

-- The same, where a statement has changed it since.
local INSIST = [[
select pg_catalog.set_config('statement_timeout', '0', false) as no_timeout,
  case when pg_catalog.current_setting('synchronous_commit') = 'off'
    then pg_catalog.set_config('synchronous_commit', 'on', false) end as durable]]

-- The insert timeline; that of the last checkpoint is an old one right after a promotion.
local WHERE = [[
select pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8) as timeline,
  pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute') as may]]

local SYSTEM = "select system_identifier::text as system from pg_catalog.pg_control_system()"

-- Ends what runs for a client that is gone. Not every server can.
local CHECK_CLIENT = "select pg_catalog.set_config('client_connection_check_interval', '1s', false)"

---nil, message, code: why this server is none to trust a transaction to.
local function objection(facts, place)
  if facts.version < VERSION_LEAST then
    return nil, ("%s: this is PostgreSQL %d; 13 or later is needed"):format(place, math.floor(facts.version / 10000)),
      "unsupported"
  elseif facts.standby then
    return nil, place .. ": this is a standby, which takes no writes: connect to its primary", "readonly"
  elseif facts.fsync ~= "on" then
    return nil, place .. ": it runs with fsync = off, so nothing it promises survives a power cut: "
      .. "set fsync = on", "unsupported"
  end
  return true
end

---A command's result, where it has one; otherwise a failure.
---@return table? result, string? message, string? code, table? detail
function Session:ask(sql, deadline, ...)
  local result, message, how = self:query(sql, deadline, ...)
  if not result then return failure.broken(message, how, self.place) end
  if not result.tag then return failure.of(result, self.place) end
  return result
end

---The result of a command as the connection gives it: see lpostgres.c.
function Session:query(sql, deadline, ...)
  return self.connection:query(sql, deadline, select("#", ...) > 0 and table.pack(...) or nil)
end

---From here on no statement's settings cut a wait for durability short. Within a transaction, before its end.
---@return table? result, string? message, string? code, table? detail
function Session:insist(deadline) return self:ask(INSIST, deadline) end

function Session:state() return self.connection:state() end
function Session:close() self.connection:close() end

---The same server as when this was noted? nil, message: it is not, or can't be told.
function Session:is_where(note)
  if not self.system or not note.system then
    return nil, "its system identifier could not be read (grant execute on function pg_control_system() to this role)"
  elseif self.system ~= note.system then
    return nil, ("this is another server (system identifier %s, then %s)"):format(self.system, note.system)
  elseif self.timeline ~= note.timeline then
    return nil, ("the server is on timeline %s, then on %s: it was restored or failed over since")
      :format(self.timeline, note.timeline)
  end
  return true
end

local function settle_in(self, deadline)
  local result, message, code, detail = self:ask(SETTLE_IN, deadline)
  if not result then return nil, message, code, detail end
  local facts = result.rows[1]
  local fit
  fit, message, code = objection(facts, self.place)
  if not fit then return nil, message, code end
  self.database, self.prepared, self.who, self.role = facts.database, facts.prepared, facts.who, facts.role
  self:query(CHECK_CLIENT, deadline)
  return self
end

local function look_where(self, deadline)
  local result, message, code, detail = self:ask(WHERE, deadline)
  if not result then return nil, message, code, detail end
  self.timeline = result.rows[1].timeline
  if not result.rows[1].may then return self end
  result, message, code, detail = self:ask(SYSTEM, deadline)
  if not result then return nil, message, code, detail end
  self.system = result.rows[1].system
  return self
end

-- As libpq writes it where it is verbose: "FATAL:  53300: sorry, ..." and "LOCATION:  f, file.c:12".
local STATE, WHERE_IN_SERVER = ":  (%w%w%w%w%w): ", "\n[^\n]+:  [%w_]+, [%w_]+%.c:%d+"

---nil, message, code, detail: what kept it from connecting.
local function unconnected(reason, place)
  local sqlstate = reason:match(STATE)
  local said = reason:gsub(STATE, ":  "):gsub(WHERE_IN_SERVER, "")
  return failure.of({ sqlstate = sqlstate, message = "can't connect: " .. said }, place)
end

local session = {}

---@return rille.postgres.session?, string? message, string? code, table? detail
function session.open(conninfo, place, deadline)
  local connection, reason = libpq.connect(conninfo, deadline)
  if not connection then return unconnected(reason, place) end
  local self = setmetatable({ connection = connection, place = place }, Session)
  local ready, message, code, detail = settle_in(self, deadline)
  if ready then ready, message, code, detail = look_where(self, deadline) end
  if not ready then
    self:close()
    return nil, message, code, detail
  end
  return self
end

---Makes a used one as new; false where it is not fit any more.
function session.renew(self, deadline)
  if self:state() ~= "idle" then return false end
  local cleared = self:ask("DISCARD ALL", deadline)
  return cleared ~= nil and settle_in(self, deadline) ~= nil
end

return session
