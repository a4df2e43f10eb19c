-- statement.lua: what a branch does not let through to the server.
--
-- A branch is ended by its coordinator alone, and what can't be prepared must not be begun.
-- The first words of a statement tell; the server itself refuses several statements in one
-- text, and a COMMIT within a function. What gets past this is found by the branch, which
-- looks after each statement whether it is still in its transaction.

---@class rille.postgres.statement
local statement = {}

local PARAMETERS = 65535 -- the protocol counts them in 16 bits

local ENDS = "the coordinator begins and ends the transaction"
local TELLS = "a notification can't be taken back, so PostgreSQL can't prepare it"

local REFUSED = {
  BEGIN = ENDS, START = ENDS, COMMIT = ENDS, END = ENDS, ABORT = ENDS, ROLLBACK = ENDS,
  LISTEN = TELLS, UNLISTEN = TELLS, NOTIFY = TELLS,
  DISCARD = "the session is rille's",
  COPY = "it needs a conversation; insert from unnest or json_to_recordset instead",
}

---Where the text goes on behind spaces and comments, which nest.
local function skip(sql, at)
  while true do
    at = sql:find("%S", at) or #sql + 1
    if sql:sub(at, at + 1) == "--" then
      at = sql:find("[\n\r]", at) or #sql + 1
    elseif sql:sub(at, at + 1) == "/*" then
      local depth = 0
      repeat
        local mark = sql:match("^/%*", at) or sql:match("^%*/", at)
        depth = depth + (mark == "/*" and 1 or mark == "*/" and -1 or 0)
        at = at + (mark and 2 or 1)
      until depth == 0 or at > #sql
    elseif sql:sub(at, at) == ";" then
      at = at + 1
    else
      return at
    end
  end
end

---The first words, in upper case, as many as there are up to three.
local function first_words(sql)
  local words, at = {}, 1
  for i = 1, 3 do
    at = skip(sql, at)
    local word = sql:match("^[%a_][%w_]*", at)
    if not word then break end
    words[i], at = word:upper(), at + #word
  end
  return words
end

---To a savepoint: the transaction goes on.
local function is_partial(words)
  if words[1] ~= "ROLLBACK" then return false end
  local second = words[2]
  return second == "TO" or (second == "WORK" or second == "TRANSACTION") and words[3] == "TO"
end

---Why a branch doesn't run this; nil where it does.
---@param given integer how many parameters it has
function statement.refusal(sql, given)
  if given > PARAMETERS then
    return ("the statement is given %d parameters, at most %d are possible"):format(given, PARAMETERS)
  end
  if sql:find("\0", 1, true) then return "the statement has a zero byte" end
  local words = first_words(sql)
  if words[1] == "PREPARE" and words[2] == "TRANSACTION" then return "PREPARE TRANSACTION: " .. ENDS end
  if is_partial(words) then return nil end
  local reason = REFUSED[words[1]]
  if reason then return words[1] .. ": " .. reason end
  if sql:lower():find "pg_notify" then return "pg_notify: " .. TELLS end
  return nil
end

return statement
