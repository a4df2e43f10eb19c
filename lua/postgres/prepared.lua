-- prepared.lua: what PostgreSQL keeps prepared, by name, and how one of these is ended.
--
-- The name is rille.HOME-UUID.EPOCH.NONCE.NUMBER.BRANCH. Only two answers end one for good:
-- the command's own tag; and "there is none of that name" with evidence, namely the status of
-- its transaction on the very server that prepared it. Everything else is "unknown", and
-- asked again: a name that is missing may belong to a PREPARE that is still on its way.

local failure = require "rille.postgres.failure"

---@class rille.postgres.prepared
local prepared = {}

local NAME_BYTES = 199 -- PostgreSQL's GIDSIZE, without the zero
local MISSING = "42704"
local VERBS = { commit = "COMMIT PREPARED", abort = "ROLLBACK PREPARED" }
local ENDED = { committed = "commit", aborted = "abort" }
local FUTURE = "22023" -- what pg_xact_status says of a number that was not given yet
local AGAINST = {
  commit = { "aborted", "it was to be committed, but has been rolled back by hand" },
  abort = { "conflict", "it was to be rolled back, but has been committed by hand" },
}

---nil, message where there can be none.
function prepared.name(id, number)
  local name = ("rille.%s.%d"):format(id, number)
  if not id:find "^[%w%-]+%.%w+%.%w+%.%w+$" then
    return nil, ("%q is no id of a transaction: HOME.EPOCH.NONCE.NUMBER"):format(id)
  elseif #name > NAME_BYTES then
    return nil, ("the name of a prepared transaction has %d bytes at most, not %d"):format(NAME_BYTES, #name)
  end
  return name
end

---@return string? id, string? nonce
function prepared.parse(name)
  local id, nonce = name:match "^rille%.([%w%-]+%.%w+%.(%w+)%.%w+)%.%d+$"
  return id, nonce
end

local function unknown(session, name, message, detail)
  return nil, ("%s: %s: %s"):format(session.place, name, message), "unknown", detail
end

---What became of the noted transaction: "commit", "abort", "never" (no trace of its number);
---nil, message where that is not known.
local function status_of(session, note, deadline)
  local result, message, _, detail =
    session:ask("select pg_catalog.pg_xact_status($1::text::xid8) as status", deadline, note.xid)
  if not result and detail and detail.sqlstate == FUTURE then return "never" end
  if not result then return nil, message end
  local status = result.rows[1].status
  if ENDED[status] then return ENDED[status] end
  return nil, "its transaction is " .. (type(status) == "string" and status or "too old to be known")
end

---There is none of that name: did its transaction end as it should? A vote "yes" is on the
---server's disk, and its number with it; without one, a crash of the server may have lost the
---number, and given it again.
local function evidence(session, note, outcome, deadline)
  local same, reason = session:is_where(note)
  if not same then return unknown(session, note.gid, "it is not there, and " .. reason) end
  local ended, message = status_of(session, note, deadline)
  if ended == outcome or ended == "never" and outcome == "abort" then return true end
  if ended == "never" then
    message = "the server has never heard of its transaction: it was restored"
  elseif ended and not note.voted then
    message = "its number is another's by now, or it was committed by hand"
  end
  if message then return unknown(session, note.gid, "it is not there, and " .. message) end
  local code, contradiction = AGAINST[outcome][1], AGAINST[outcome][2]
  return nil, ("%s: %s: %s"):format(session.place, note.gid, contradiction), code
end

---Ends one. note = { gid=, xid=, voted=, system=, timeline= }.
---@return true?, string? message, string? code  "unknown": ask again
function prepared.finish(session, note, outcome, deadline)
  local verb = assert(VERBS[outcome], "an outcome is commit or abort")
  local result, message = session:query(("%s '%s'"):format(verb, note.gid), deadline)
  if not result then return unknown(session, note.gid, message) end
  if result.tag == verb then return true end
  if result.sqlstate == MISSING then return evidence(session, note, outcome, deadline) end
  local _, said, _, detail = failure.of(result, verb)
  return unknown(session, note.gid, said, detail)
end

-- A pattern would take "_" and "%" for itself.
local LIST = [[
select gid from pg_catalog.pg_prepared_xacts
where database = pg_catalog.current_database() and pg_catalog.left(gid, pg_catalog.length($1)) = $1
order by prepared]]

---Names of this home's in this database.
---@return string[]?, string? message, string? code, table? detail
function prepared.list(session, home, deadline)
  local result, message, code, detail = session:ask(LIST, deadline, ("rille.%s."):format(home))
  if not result then return nil, message, code, detail end
  local names = {}
  for i, row in ipairs(result.rows) do names[i] = row.gid end
  return names
end

---Ends one that was listed; a "missing" one has been ended by somebody else since.
---@return "done"|"gone"|nil, string? message
function prepared.sweep_one(session, name, outcome, deadline)
  local verb = assert(VERBS[outcome], "an outcome is commit or abort")
  local result, message = session:query(("%s '%s'"):format(verb, name), deadline)
  if not result then return nil, message end
  if result.tag == verb then return "done" end
  if result.sqlstate == MISSING then return "gone" end
  return nil, result.message
end

return prepared
