-- database.lua: a transaction that is decided in a database instead of the coordinator's store.
--
-- The database's own COMMIT carries the decision, as a row of rille_decision, so it needs no
-- prepared transactions. Who is in doubt settles there by inserting "abort": the first row wins.
-- The coordinator's store gets a record of it, for those who ask later; where record and row
-- differ, the row is right, and a missing record is made up for by asking the database.
--
-- Only stores and voters may take part beside it: what a handler has to do, or another database,
-- could not be found again after a crash. A caller's id is a row of its own, in the same COMMIT.

local core = ...
local describe = require "rille.answer".describe
local means = core.transaction

---@class rille.database
local database = {}

---The row that a caller's id has. An id is bytes, of which a database's text can hold some only: what
---is not ASCII stands there in hex, whatever its encoding.
local function row_of(uuid, client)
  if not client:find "[^ -~]" then return ("client %s %s"):format(uuid, client) end
  local hex = client:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
  return ("client in hex %s %s"):format(uuid, hex)
end

local function table_of(p) return ('"%s".rille_decision'):format(p.object.schema:gsub('"', '""')) end

---The database in which the transaction is decided; nil: in the store. nil, message, code.
function database.home_of(tx)
  local found = tx.home_wanted and tx:named(tx.home_wanted)
  if tx.home_wanted and not found then
    return nil, ("home is %q, which takes no part in the transaction"):format(tx.home_wanted), "invalid"
  end
  if found then return found end
  for _, p in ipairs(tx.list) do
    if not p.voter and (found or p.kind ~= "postgres") then return nil end
    if not p.voter then found = p end
  end
  return found
end

---Makes it home. nil, message, code where somebody takes part who can't be beside it.
function database.take(tx, home)
  local others = {}
  for _, p in ipairs(tx.list) do
    if p ~= home then others[#others + 1] = p end
    if p ~= home and not p.voter and (not p.store or p.optional) then
      return nil, ("%s can't take part where %s is home: only stores that are required, and voters, can")
        :format(p.name, home.name), "unsupported"
    end
  end
  tx.others, tx.decider, tx.home_kind, tx.home_path = others, home, "postgres", home.name
  home.home, home.vote = true, "yes"
  return true
end

---Whether the caller's id has been given up since the transaction began: nil, message, code. The row is
---in the database by now, so who settles the id from here on waits for the end of it.
local function given_up(tx)
  local told, message, code = means.outcome(tx.coordinator.store, tx.client)
  if not told then return nil, message, code end
  if told.outcome == "aborted" and told.aborted_at >= tx.home_end then
    return nil, "it was aborted by who settled it", "aborted"
  end
  return true
end

---Decides: "committed" | nil, message, "aborted"|"unknown"|"duplicate".
function database.decide(tx)
  local p = tx.decider
  if tx.client then
    local name = table_of(p)
    local ready, message, code = p.branch:need_table(name)
    if not ready then return nil, message, code end
    local rows, why, reason, detail = p.branch:exec(("insert into %s (tx, outcome) values ($1, 'commit')")
      :format(name), row_of(tx.coordinator.uuid, tx.client))
    if not rows then
      local taken = detail and detail.sqlstate == "23505"
      return nil, why, taken and "duplicate" or reason
    end
    ready, message, code = given_up(tx)
    if not ready then return nil, message, code end
  end
  return p.branch:decide()
end

local function write_record(tx, record)
  record.client, record.outcome = tx.client, "committed"
  local recorded = means.decide(tx.coordinator.store, nil, record)
  return recorded and recorded.outcome == "committed"
end

---Where the coordinator's store takes part itself, its commit is the record; but that has neither the caller's
---id nor the result. They are kept by a transaction of their own, which has no members and is over at once.
local function record_result(tx)
  local c = tx.coordinator
  local id, home_end = c.instance:begin()
  if not id then return end
  local record = { id = id, home_end = home_end, members = {}, detail = describe(tx, tx.id) }
  if write_record(tx, record) then means.ended(c.store, id) end
end

---What the store of the coordinator keeps of it. It decides nothing.
function database.record(tx, members)
  local c = tx.coordinator
  for _, p in ipairs(tx.others) do
    if p.uuid == c.uuid and p.path == c.path then return tx.client and record_result(tx) end
  end
  tx.recorded = write_record(tx,
    { id = tx.id, home_end = tx.home_end, members = members, detail = describe(tx) })
end

-- Asking ------------------------------------------------------------------------------------------

---Whether an id is that of a transaction of the coordinator's store: others are callers'.
function database.is_own_id(c, id) return id:sub(1, #c.uuid + 1) == c.uuid .. "." end

---What the databases of a coordinator say of an id: "commit", "abort", or nil; nil, message,
---code where one can't be asked. To ask for a transaction settles it, but for one that the store's log
---does not know: it may be the original's of a copy. Of that, and of a caller's id, `how` says
---what is done about a COMMIT on its way: "look", "wait", nil: nothing, for another meets its row.
---@param outcome string? what the store says of it
function database.ask(c, id, how, outcome)
  local is_own, said = database.is_own_id(c, id), nil
  local settles, row = is_own and outcome ~= "unknown", is_own and id or row_of(c.uuid, id)
  for _, object in pairs(c.participants) do
    if object.kind == "postgres" then
      local answer, message, code
      if settles then answer, message, code = object:settle(id)
      else answer, message, code = object:decided(row, how)
      end
      if answer == "commit" then return answer end
      if code then return nil, message, code end
      said = answer or said
    end
  end
  return said
end

---The outcome of a transaction that is prepared in a store, and decided in a database: nil where
---its coordinator is alive, or may be, because this is a copy of its store; or the database can't be asked.
function database.outcome_for(c, doubt)
  local object = c.participants[doubt.place]
  if not object or object.kind ~= "postgres" then return nil end
  local late = doubt.deadline and core.wall() > doubt.deadline
  local told = means.outcome(c.store, doubt.id, false)
  if not told or not late and (told.outcome == "undecided" or told.outcome == "unknown") then return nil end
  return (object:settle(doubt.id, doubt.home))
end

return database
