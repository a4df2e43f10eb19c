-- postgres_stall_spec.lua: transactions over a store and a PostgreSQL whose road is blocked behind a byte, any byte of
-- either side: from connecting to the answer of COMMIT PREPARED, or of the COMMIT that decides. Nothing waits beyond
-- its deadline; store and database have the same in the end, which is what was told; nothing stays prepared. Also a
-- server whose processes stand still.
--
-- SEED=n repeats a run; RILLE_SOAK=n tries n times as many bytes.
local postgres = require "spec.support.postgres"
local process = require "spec.support.process"
local rille = require "rille"
local rounds = require "spec.support.rounds"
local stall = require "spec.support.stall"
local stores = require "spec.support.stores"
local values = require "spec.support.values"
local case = postgres.case

local TIMEOUT_S = 0.3 -- a transaction's
local ASK_S = 0.2     -- a participant's
local SOON_S = 30     -- and not for ever
local STALLS, CUTS = rounds.of(10), rounds.of(24)

local server, road, no_road, here, there, number
local direct -- the database, by the open road

setup(function()
  if postgres.lacks() then return end
  values.seed "postgres_stall_spec"
  server = postgres.new()
  server:psql "create table moves (id text primary key)"
  road, no_road = stall.road(server)
  here, there, number = stores.new(), stores.new(), 0
  direct = assert(rille.postgres(server:conninfo()))
end)

teardown(function()
  if not server then return end
  for _, one in ipairs { direct, here, there } do one:close() end
  if road then road:close() end
  server:close()
end)

---One row of what the database says, past the road.
local function ask(sql, ...)
  local branch = assert(direct:enlist { id = "a.1.b.1", number = 1, deadline = direct.now() + 10 })
  local row = assert(branch:exec(sql, ...))[1]
  assert(branch:prepare() == "read")
  return row
end

-- A session that is at work, or in a transaction, may yet do what it was told.
local STATE = [[select (select count(*) from pg_prepared_xacts) as prepared,
  (select count(*) from moves where id = $1) as moved,
  (select count(*) from pg_stat_activity where application_name = 'rille' and state <> 'idle'
    and pid <> pg_backend_pid()) as working]]

local function coordinator(conninfo)
  local shop = assert(rille.postgres(conninfo, { timeout = ASK_S }))
  return assert(rille.coordinator(here, { participants = { shop = shop } })), shop
end

---Recovers until nobody is in doubt: how many rows and events there are.
local function settle(c, id)
  local row
  postgres.eventually(function()
    assert(c:recover())
    assert(there:settle())
    row = ask(STATE, id)
    return row.prepared == 0 and row.working == 0 and #c:pending() == 0 and #there:indoubt() == 0
  end)
  return row.moved, there:version(id)
end

---Moves in both; the answer, and how long it took.
local function move(c, id, home)
  local from = direct.now()
  local result, message, code = c:transact({ id = id, home = home, timeout = TIMEOUT_S }, function(tx)
    assert(tx:append(there, id, { type = "Moved" }))
    local branch, why, reason, detail = tx:enlist "shop"
    if not branch then return nil, why, reason, detail end
    return branch:exec("insert into moves values ($1)", id)
  end)
  return { outcome = result and "committed" or code, message = message, took = direct.now() - from }
end

-- What was told: the number of moves there may be. "io": whether the id is a duplicate could not be asked.
local MAY = {
  io = { [0] = true },
  committed = { [1] = true }, aborted = { [0] = true }, unknown = { [0] = true, [1] = true },
}

---One transaction, blocked behind that byte; settled by itself, or by another program, that finds an open road.
local function try(side, n, kind, home, is_other)
  number = number + 1
  local id = ("order-%d"):format(number)
  local c, shop = coordinator(road:conninfo())
  road:block(side, n, kind)
  local told = move(c, id, home)
  if is_other then
    c:close()
    shop:close()
  end
  road:open()
  if is_other then c, shop = coordinator(server:conninfo()) end
  local rows, events = settle(c, id)
  local outcome = c:outcome(id)
  c:close()
  shop:close()
  local what = ("%s %d %s home=%s other=%s: told %s (%s) after %.1f s, %d rows, %d events, outcome %s"):format(
    side, n, kind, tostring(home), tostring(is_other), told.outcome, told.message, told.took, rows, events, outcome)
  assert(told.took < SOON_S, what)
  assert(rows == events, what)
  assert(MAY[told.outcome] and MAY[told.outcome][rows], what)
  assert((outcome == "committed") == (rows == 1), what)
  return told.outcome
end

---How many bytes one transaction is, of each side.
local function length(home)
  local c, shop = coordinator(road:conninfo())
  road:open()
  number = number + 1
  assert.equal("committed", move(c, ("order-%d"):format(number), home).outcome)
  local counts = road:count()
  c:close()
  shop:close()
  return { client = counts[1], server = counts[2] }
end

describe("a road to PostgreSQL that is blocked", function()
  for _, home in ipairs { false, "shop" } do
    case(("behind any byte tears nothing, where %s decides"):format(home or "the store"), function()
      if no_road then return pending(no_road) end
      length(home or nil) -- makes the table of decisions
      local lengths, told = length(home or nil), { io = 0, committed = 0, aborted = 0, unknown = 0 }
      for i = 1, STALLS + CUTS do
        local side = math.random(2) == 1 and "client" or "server"
        -- Half of them in the last third, where it ends.
        local from = math.random(2) == 1 and 1 or lengths[side] * 2 // 3
        local kind = i > STALLS and "cut" or math.random(2) == 1 and "hold" or "lose"
        local outcome = try(side, math.random(from, lengths[side]), kind, home or nil, math.random(2) == 1)
        told[outcome] = told[outcome] + 1
      end
      rounds.tally("blocked roads to PostgreSQL", STALLS + CUTS)
      for outcome, n in pairs(told) do rounds.tally("of these told " .. outcome, n) end
    end)
  end
end)

describe("a server whose processes stand still", function()
  local PIDS = "%s $(pgrep -P %s | tr '\\n' ' ')"

  local function stop(signal)
    local pids = PIDS:format(server.pid, server.pid)
    assert(select(2, process.run(("kill -%s %s"):format(signal, pids))) == 0)
  end

  local number_of = 0
  local function enlist(p)
    number_of = number_of + 1
    return assert(p:enlist { id = ("a-a.1.b.%d"):format(number_of), number = 2, deadline = p.now() + SOON_S })
  end

  case("lets nobody wait beyond the deadline, whatever is asked", function()
    local p = assert(rille.postgres(server:conninfo(), { timeout = ASK_S }))
    local function branch(sql, ends)
      local one = enlist(p)
      assert(one:exec(sql or ("insert into moves values ('%s')"):format(one.id)))
      if ends then assert(one:prepare() == "yes") end
      return one
    end
    local prepared, again, idle = branch(nil, true), branch(nil, true), branch "select 1"
    assert(idle:prepare() == "read") -- its session is kept
    local calls = {
      { branch(), "exec", "aborted", "select 1" }, { branch(), "prepare", "unknown" },
      { branch "select 1", "prepare", "aborted" }, { branch(), "decide", "aborted" },
      { prepared, "commit", "unknown" }, { again, "abort", "unknown" },
      { p, "settle", "unknown", "a.1.b.1" }, { p, "decided", "aborted", "a.1.b.1" },
      { p, "finish", "aborted", prepared.id, prepared:note(), },
    }
    stop "STOP"
    local answers = {}
    for i, call in ipairs(calls) do
      local from = p.now()
      if call[1] ~= p then call[1].deadline = from + TIMEOUT_S end
      local ok, _, message, code = pcall(call[1][call[2]], call[1], call[4], call[5], call[5] and "commit")
      answers[i] = { ok, message, code, p.now() - from }
    end
    stop "CONT"
    for i, call in ipairs(calls) do
      local ok, message, code, took = table.unpack(answers[i], 1, 4)
      local what = ("%s: %s, %s, %.1f s"):format(call[2], tostring(message), tostring(code), took)
      assert(ok and took < SOON_S, what)
      assert(code == call[3] or code == "io", what)
    end
    postgres.eventually(function() return prepared:commit() end)
    postgres.eventually(function() return again:abort() end)
    assert.equal(1, ask("select count(*) as n from moves where id = $1", prepared.id).n)
    -- PREPARE has reached the server, and comes about now: nobody had been told "yes".
    postgres.eventually(function()
      return ask("select count(*) as n from pg_prepared_xacts where gid like $1", "rille.a-a.%").n == 1
    end)
    local count = p:sweep("a-a", function() return true end, function() return "abort" end)
    assert.equal(1, count)
    p:close()
  end)
end)
