-- postgres_settings_spec.lua: PostgreSQL as a participant whatever a role, a database or a statement has set: settings,
-- encodings, kinds of statements, errors, the server's own timeouts; and transaction numbers that begin anew.
local branches = require "spec.support.branches"
local postgres = require "spec.support.postgres"
local process = require "spec.support.process"
local rille = require "rille"
local stall = require "spec.support.stall"
local stores = require "spec.support.stores"
local case, contains, failure = postgres.case, stores.contains, stores.failure

local server, on = branches.new { timeout = 5 }
local enlist, work, prepare, has = on.enlist, on.work, on.prepare, on.has
local shop

branches.hooks(server, on, function(p) shop = p end)

---As that role, a superuser with these settings.
local function as(role, ...)
  server:psql(("create role %s superuser login"):format(role))
  for _, setting in ipairs { ... } do server:psql(("alter role %s set %s"):format(role, setting)) end
  return on.open((server:conninfo():gsub("user=rille", "user=" .. role)))
end

describe("a role's settings", function()
  case("change nothing of what values are, and nothing of a vote", function()
    local p = as("odd", "standard_conforming_strings = off", "bytea_output = escape", "extra_float_digits = -10",
      "search_path = nowhere", "client_encoding = latin1", "lc_messages = 'C'", "backslash_quote = on",
      "default_transaction_isolation = serializable", "default_transaction_deferrable = on",
      "quote_all_identifiers = on")
    local branch = enlist(p)
    local row = assert(branch:exec([[select decode('00ff', 'hex') as bytes, 0.1::float8 + 0.2::float8 as float,
      'na' || $1 as text, $2::bytea as given]], "\u{ef}ve", "\\x41\0"))[1]
    assert.same({ bytes = "\0\255", float = 0.1 + 0.2, text = "na\u{ef}ve", given = "\\x41\0" }, row)
    assert(branch:exec("insert into public.moves values ($1, 1)", branch.id))
    assert.equal("yes", branch:prepare())
    assert(branch:commit())
    assert.is_true(has(branch.id))
    branch = enlist(p)
    assert(branch:exec("insert into public.moves values ($1, 1)", branch.id))
    assert.equal("committed", branch:decide())
    assert.equal("commit", p:settle(branch.id))
  end)

  -- Such a role could let the database decide, and then neither settle nor tell that an id was never used.
  case("such as default_transaction_read_only keep nobody from settling", function()
    local p, here = as("reader", "default_transaction_read_only = on"), stores.new()
    local c = assert(rille.coordinator(here, { participants = { shop = p } }))
    local branch = enlist(p)
    assert.equal("readonly", select(3, branch:exec "insert into moves values ('x', 1)"))
    assert(branch:abort())
    assert.equal("none", (c:outcome "read"))
    assert(c:transact({ id = "read" }, function(tx)
      local moving = assert(tx:enlist "shop")
      assert(moving:exec "set transaction read write")
      return moving:exec "insert into moves values ('read', 1)"
    end))
    assert.equal("none", (c:outcome "other"))
    assert.equal("aborted", (c:outcome("other", { settle = true })))
    assert.equal("committed", (c:outcome "read"))
    assert.equal("abort", p:settle(on.new_id()))
    c:close()
    here:close()
  end)

  case("such as lock_timeout are the statement's failure", function()
    local p = as("hasty", "lock_timeout = '50ms'")
    local holder, branch = work(p), enlist(p)
    local _, code, detail = failure(branch:exec("insert into moves values ($1, 1)", holder.id))
    assert.same({ "locked", "55P03", true }, { code, detail.sqlstate, detail.again })
    assert(holder:abort() and branch:abort())
  end)
end)

describe("a transaction that the server gives up", function()
  local OPERATOR = [[do $$ begin loop
      perform pg_stat_clear_snapshot();
      perform %s(pid) from pg_stat_activity where wait_event = 'SyncRep';
      exit when found;
      perform pg_sleep(0.02);
    end loop; end $$]]

  ---A branch whose session the server ends by itself, and has ended.
  local function left()
    local branch = work()
    local pid = assert(branch:exec "select pg_backend_pid() as pid")[1].pid
    assert(branch:exec "set idle_in_transaction_session_timeout = '400ms'")
    postgres.eventually(function()
      return server:psql("select count(*) from pg_stat_activity where pid = " .. pid) == "0"
    end)
    return branch
  end

  case("is an error of its statement, no vote, and no decision", function()
    local branch = left()
    local message, code = failure(branch:exec "select 1")
    assert.equal("io", code)
    contains(message, "idle-in-transaction timeout")
    assert.equal("io", select(3, branch:prepare()))
    branch = left()
    assert.equal("unknown", select(3, branch:prepare()))
    assert.is_true(branch:abort()) -- its number is known, and was aborted
    branch = left()
    assert.equal("aborted", select(3, branch:decide()))
    assert.equal("abort", shop:settle(branch.id))
    assert.is_false(has(branch.id))
  end)

  ---Commits while an operator does that to the session that waits for its standby.
  local function commit(branch, method, call)
    server:lose_standby(true)
    local ended = server:meanwhile(OPERATOR:format(call))
    local answer = table.pack(branch[method](branch))
    ended()
    server:lose_standby(false)
    return table.unpack(answer, 1, answer.n)
  end

  case("in the middle of its commit has committed, and says so when it is asked", function()
    local branch = prepare()
    assert.equal("unknown", select(3, commit(branch, "commit", "pg_terminate_backend")))
    assert.is_true(branch:commit())
    assert.is_true(has(branch.id))
    branch = work()
    assert.equal("unknown", select(3, commit(branch, "decide", "pg_terminate_backend")))
    assert.equal("commit", shop:settle(branch.id))
    branch = work() -- an operator who calls off the wait: committed there, as the server's answer is
    assert.equal("committed", (commit(branch, "decide", "pg_cancel_backend")))
    assert.equal("commit", shop:settle(branch.id))
  end)
end)

describe("an answer that is lost on its way", function()
  case("to PREPARE, COMMIT PREPARED or the deciding COMMIT is asked for", function()
    local road, missing = stall.road(server)
    if not road then return pending(missing) end
    local p = on.open(road:conninfo())
    local branch = work(p)
    road:block("server", 5, "cut")
    assert.equal("unknown", select(3, branch:prepare()))
    assert.equal(1, on.prepared_count())
    assert.is_true(branch:abort())
    assert.equal(0, on.prepared_count())

    branch = prepare(p)
    road:block("server", 5, "cut")
    assert.equal("unknown", select(3, branch:commit()))
    assert.is_true(has(branch.id))
    assert.is_true(branch:commit())

    assert.equal("committed", work(p):decide()) -- makes the table
    branch = work(p)
    road:open()
    assert.equal("committed", branch:decide())
    local length = road:count()[2]
    branch = work(p)
    road:block("server", 5, "cut")
    assert.equal("aborted", select(3, branch:decide())) -- cut before its COMMIT
    assert.equal("abort", p:settle(branch.id))
    branch = work(p)
    road:block("server", length - 3, "cut")
    assert.equal("unknown", select(3, branch:decide()))
    assert.equal("commit", p:settle(branch.id))
    assert.is_true(has(branch.id))
    road:close()
  end)
end)

describe("statements", function()
  case("have their text for what is neither number, boolean nor bytes", function()
    local branch = enlist()
    local row = assert(branch:exec([[select $1::int[] as list, $2::jsonb -> 'a' as json, $3::numeric as n,
      '2020-01-02 03:04:05.678901+00'::timestamptz at time zone 'UTC' as at, 1 as twice, 2 as twice]],
      "{1,NULL,3}", '{"a": "\\\\\u{e4}"}', "12345678901234567890.10"))[1]
    assert.same({ list = "{1,NULL,3}", json = '"\\\\\u{e4}"', n = "12345678901234567890.10",
      at = "2020-01-02 03:04:05.678901", twice = 2 }, row)
    assert.equal("read", branch:prepare())
  end)

  case("are prepared with all that a database can prepare", function()
    local branch = enlist()
    local oid = assert(branch:exec("select lo_from_bytea(0, $1) as oid", "large\0object"))[1].oid
    for i = 1, 70 do -- more subtransactions than a server keeps at hand
      assert(branch:exec("savepoint s" .. i))
      assert(branch:exec("insert into moves values ($1, 1)", "sub" .. i))
    end
    assert(branch:exec "rollback to s70")
    assert(branch:exec "truncate moves")
    assert(branch:exec "rollback to s70")
    assert.equal("yes", branch:prepare())
    assert(branch:commit())
    assert.equal("69", server:psql "select count(*) from moves where id like 'sub%'")
    assert.equal("large\\000object", server:psql(("set bytea_output = escape; select lo_get(%d)"):format(oid)))
  end)

  case("that a transaction has no room for say no", function()
    for sql, code in pairs { ["vacuum"] = "invalid", ["create database x"] = "invalid", ["/* commit"] = "invalid",
      ["do $$ begin copy moves to stdout; end $$"] = "unsupported", ["alter system set work_mem = 1"] = "invalid",
      ["explain analyze copy moves to stdout"] = "invalid", ["\u{feff}select 1"] = "invalid" } do
      local branch = enlist()
      assert.equal(code, select(3, branch:exec(sql)), sql)
      assert.equal(code, select(3, branch:prepare()), sql)
    end
    local branch = work()
    assert(branch:exec "select pg_advisory_lock(1), pg_advisory_xact_lock(1)")
    assert.equal("unsupported", select(3, branch:prepare()))
    assert.is_false(has(branch.id))
  end)

  case("fail when they are prepared, by what was deferred", function()
    server:psql "create table child (id text references moves deferrable initially deferred)"
    local branch = enlist()
    assert(branch:exec "insert into child values ('nobody')")
    local message, code, detail = failure(branch:prepare())
    assert.same({ "refused", "23503", "child_id_fkey", "child" },
      { code, detail.sqlstate, detail.constraint, detail.table })
    contains(message, "foreign key")
    assert.is_true(branch:abort())
    assert.equal(0, on.prepared_count())
  end)

  case("fail by the codes that the page names", function()
    local codes = { conflict = "40001 40P01", locked = "55P03", refused = "23505 23514 P0001 P0002 42501 28000 44000",
      invalid = "22012 42601 26000 34000 3D000 3F000 2D000 25001 21000 3B001", readonly = "25006",
      aborted = "25P02 40002 40003", unsupported = "0A000", busy = "53200 53300 55006", full = "53100",
      corrupt = "XX001 XX002", io = "08006 57P01 57014 XX000 99999" }
    local branch = work()
    assert(branch:exec "savepoint s")
    for code, list in pairs(codes) do
      for sqlstate in list:gmatch "%S+" do
        local _, said, detail = failure(branch:exec(("do $$ begin raise 'no' using errcode = '%s'; end $$")
          :format(sqlstate)))
        assert.same({ code, sqlstate }, { said, detail.sqlstate })
        assert.equal((code == "conflict" or code == "locked") or nil, detail.again)
        assert(branch:exec "rollback to s")
      end
    end
    assert.equal("yes", branch:prepare())
  end)
end)

describe("sessions", function()
  case("are kept, four at the most", function()
    local list, pids = {}, {}
    for i = 1, 6 do
      list[i] = enlist()
      pids[i] = assert(list[i]:exec "select pg_backend_pid() as pid")[1].pid
    end
    for _, branch in ipairs(list) do assert(branch:abort()) end
    local query = ("select count(*) from pg_stat_activity where pid in (%s)"):format(table.concat(pids, ","))
    postgres.eventually(function() return server:psql(query) == "4" end)
  end)
end)

describe("a database in another encoding", function()
  case("takes what it can hold, and refuses the rest by name", function()
    for encoding, text in pairs { LATIN1 = "na\u{ef}ve", EUC_JP = "\u{65e5}\u{672c}", SQL_ASCII = "\u{65e5}" } do
      local name = "in_" .. encoding:lower()
      server:psql(("create database %s encoding '%s' template template0 locale 'C'"):format(name, encoding))
      server:psql("create table words (id text)", name)
      local p = on.open(server:conninfo("dbname=" .. name))
      local branch = enlist(p)
      assert(branch:exec("insert into words values ($1)", text))
      assert.same({ { id = text } }, (assert(branch:exec "select id from words")))
      assert.equal("yes", branch:prepare())
      assert(branch:commit())
      branch = enlist(p)
      local _, code, detail = failure(branch:exec("insert into words values ($1)",
        encoding == "SQL_ASCII" and "\255" or "\u{1F600}"))
      assert.same({ "invalid", "22" }, { code, detail.sqlstate:sub(1, 2) })
      assert(branch:abort())
      assert.equal("abort", p:settle(on.new_id()))
    end
  end)
end)

describe("transaction numbers of 64 bits", function()
  ---The server goes on with these numbers, as after billions of transactions.
  local function go_on_at(...)
    server:stop()
    server:program("pg_resetwal", ...)
    server:start()
  end

  case("are evidence over the end of 32 bits, and none once they are forgotten", function()
    server:psql "vacuum freeze"
    local pages = server.data .. "/pg_xact"
    process.run(("cd '%s' && cp -p 0000 0FFF && dd if=/dev/zero of=0FFF bs=262144 count=1"):format(pages))
    go_on_at "-x 4294967200"
    local before, around = prepare(), prepare()
    assert(before:commit())
    assert(4294967200 <= math.tointeger(around.xid) and math.tointeger(around.xid) < 2 ^ 32)
    server:psql [[do $$ begin for i in 1..200 loop
      begin insert into moves values (gen_random_uuid(), 1); exception when others then raise; end;
    end loop; end $$]]
    local after = prepare()
    assert(math.tointeger(after.xid) > 2 ^ 32, after.xid)
    assert(around:commit() and after:abort())
    assert.is_true(shop:finish(before.id, before:note(), "commit"))
    assert.is_true(shop:finish(around.id, around:note(), "commit"))
    assert.is_true(shop:finish(after.id, after:note(), "abort"))
    assert.equal("conflict", select(3, shop:finish(around.id, around:note(), "abort")))
    local waiting = prepare()
    go_on_at "-e 7"
    for _, branch in ipairs { before, around } do
      local message, code = failure(shop:finish(branch.id, branch:note(), "commit"))
      assert.equal("unknown", code)
      contains(message, "too old to be known")
    end
    assert.is_true(shop:finish(waiting.id, waiting:note(), "commit")) -- by its tag
    waiting = prepare()
    assert.is_true(waiting:commit())
    assert.is_true(shop:finish(waiting.id, waiting:note(), "commit"))
  end)
end)
