-- ledger.lua: the table in PostgreSQL, looked at from outside the bank, with psql.

local show = require "show"

local ledger = {}

---How to reach it, as libpq takes it; nil: there is none.
function ledger.place()
  local place = os.getenv "LEDGER"
  if place and place ~= "" then return place end
end

---@return string[] lines
local function ask(place, sql)
  local pipe = assert(io.popen(("psql -X -A -t -q -v ON_ERROR_STOP=1 -d %s -c %s"):format(show.word(place),
    show.word(sql))))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  if not pipe:close() then error("psql failed: is the ledger, " .. place .. ", there?", 0) end
  return lines
end

---An empty table.
function ledger.clear(place)
  ask(place, "set client_min_messages = warning; drop table if exists moves; "
    .. "create table moves (id text primary key, amount bigint not null)")
end

---The ids of all rows.
function ledger.rows(place) return ask(place, "select id from moves") end

---How many transactions are prepared there, and hold locks.
function ledger.prepared(place) return tonumber(ask(place, "select count(*) from pg_prepared_xacts")[1]) end

return ledger
