-- failure.lua: what PostgreSQL's errors are called in rille.
--
-- A failure is nil, message, code, detail. The code is chosen by the SQLSTATE, or else by
-- its class, the first two digits: what the database's rules forbid is "refused", what
-- another transaction got in the way of is "conflict" with detail.again, and so on.

---@class rille.postgres.failure
local failure = {}

local CODES = {
  ["40001"] = "conflict", -- serialization failure
  ["40P01"] = "conflict", -- deadlock
  ["55P03"] = "locked",   -- lock_timeout, NOWAIT
  ["55006"] = "busy",
  ["53200"] = "busy",     -- so many are prepared already
  ["53300"] = "busy",     -- too many connections
  ["53100"] = "full",
  ["25006"] = "readonly",
  ["25P02"] = "aborted",  -- an earlier statement of the transaction failed
  ["42501"] = "refused",  -- no privilege
  ["08P01"] = "invalid",  -- what a command brings with it does not fit it: another count of parameters
  ["XX001"] = "corrupt",
  ["XX002"] = "corrupt",
}

local CLASSES = {
  ["0A"] = "unsupported",
  ["21"] = "invalid", ["22"] = "invalid", ["42"] = "invalid", ["2D"] = "invalid",
  ["23"] = "refused", ["44"] = "refused", ["28"] = "refused", ["P0"] = "refused",
  ["40"] = "aborted", ["25"] = "invalid", ["3B"] = "invalid",
  ["26"] = "invalid", ["34"] = "invalid", ["3D"] = "invalid", ["3F"] = "invalid", -- names of what is not there
}

local AGAIN = { conflict = true, locked = true }

---The code of a SQLSTATE; "io" where nothing is known of it.
function failure.code(sqlstate)
  sqlstate = sqlstate or ""
  return CODES[sqlstate] or CLASSES[sqlstate:sub(1, 2)] or "io"
end

---The server's words for another count of parameters speak of its protocol, so ours take their place.
local function in_our_words(result, given)
  local supplied, wanted = result.message:match "(%d+)%D+(%d+)"
  if result.sqlstate ~= "08P01" or not given or tonumber(supplied) ~= given then return result.message end
  return ("a wrong count of parameters: the statement needs %s, and is given %d"):format(wanted, given)
end

---@param result table what a connection says of a command that failed
---@param given? integer how many parameters it had
---@return nil, string message, string code, table detail
function failure.of(result, where, given)
  local code = failure.code(result.sqlstate)
  local hint = result.hint and (" (%s)"):format(result.hint) or ""
  local detail = { sqlstate = result.sqlstate, constraint = result.constraint, table = result.table,
    again = AGAIN[code] }
  return nil, ("%s: %s%s"):format(where, in_our_words(result, given), hint), code, detail
end

---A command that has no result, by how it ended: the transaction it belonged to is gone.
function failure.broken(message, how, where)
  local code = how == "lost" and "io" or how == "copy" and "unsupported" or "aborted"
  return nil, ("%s: %s"):format(where, message), code
end

return failure
