-- postgres_spec.lua: PostgreSQL as a participant: statements, votes and ends, with a real
-- server of the tests' own. What happens when something dies: postgres_recovery_spec.lua.
local branches = require "spec.support.branches"
local rille = require "rille"
local postgres = require "spec.support.postgres"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local case, eventually = postgres.case, postgres.eventually
local contains, failure, raised = stores.contains, stores.failure, stores.raised

local SOON_S = 30 -- and not the 60 s of a statement
local HOME, NONCE = branches.HOME, branches.NONCE
local server, on = branches.new()
local now, open, new_id, enlist, prepare = on.now, on.open, on.new_id, on.enlist, on.prepare
local has, prepared_count, timed = on.has, on.prepared_count, on.timed
local shop

local function insert(branch, id, n)
  return branch:exec("insert into moves values ($1, $2)", id, n or 1)
end

branches.hooks(server, on, function(p) shop = p end)

describe("rille.postgres", function()
  it("says what to install where its module is not", function()
    local lone = scratch.path "lone"
    scratch.shell("mkdir '%s' && cp '%s/rille.so' '%s'", lone, os.getenv "RILLE_BUILD" or "build", lone)
    local output = process.lua(([[package.cpath = "%s/?.so"
      print(require "rille".postgres "dbname=x")]]):format(lone))
    contains(output, "nil\tPostgreSQL needs the module rille.postgres, which is not installed")
    contains(output, "libpq-dev")
    contains(output, "unsupported")
  end)

  case("raises what is misuse, and refuses what is no connection string", function()
    contains(raised(rille.postgres, 5), "needs a connection string")
    contains(raised(rille.postgres, "", { shema = "x" }), "did you mean 'schema'?")
    contains(raised(rille.postgres, "", { timeout = "long" }), "timeout must be a number")
    local message, code = failure(rille.postgres("", { timeout = -1 }))
    assert.equal("invalid", code)
    contains(message, "positive")
    message, code = failure(rille.postgres "nothing=5")
    assert.equal("invalid", code)
    contains(message, "nothing")
    message, code = failure(rille.postgres "dbname=x\0y")
    assert.equal("invalid", code)
    contains(message, "zero byte")
  end)

  case("connects only when it is needed, and never shows a password", function()
    local p = open "postgresql://me:secret@nowhere.invalid/shop?sslpassword=hidden"
    assert.equal("rille.postgres (postgres shop at nowhere.invalid)", tostring(p))
    local message, code = failure(p:enlist { id = new_id(), number = 1, deadline = now() + 5 })
    assert.equal("io", code)
    contains(message, "postgres shop at nowhere.invalid: can't connect")
    assert.is_nil(message:find "secret" or message:find "hidden")
  end)

  case("says by its codes and SQLSTATE why a server takes no connection", function()
    local function refused(conninfo, said)
      local message, code, detail = failure(open(conninfo):enlist { id = new_id(), number = 1, deadline = now() + 10 })
      contains(message, "can't connect: ")
      contains(message, said)
      assert.is_nil(message:find "LOCATION" or message:find "%.c:%d")
      return { code, detail.sqlstate }
    end
    local function as(role) return (server:conninfo():gsub("user=rille", "user=" .. role)) end
    server:psql "create role few login connection limit 0; create role barred"
    assert.same({ "busy", "53300" }, refused(as "few", 'FATAL:  too many connections for role "few"'))
    assert.same({ "refused", "28000" }, refused(as "barred", 'role "barred" is not permitted to log in'))
    assert.same({ "refused", "28000" }, refused(as "nobody1", 'role "nobody1" does not exist'))
    assert.same({ "invalid", "3D000" }, refused(server:conninfo "dbname=nowhere", 'database "nowhere" does not exist'))
    assert.same({ "io" }, refused(server:conninfo "port=1", "No such file or directory"))
    local branch = enlist(shop) -- where the messages of statements are as ever
    assert.equal("division by zero", failure(branch:exec "select 1/0"):match "%l[%l ]*$")
    assert(branch:abort())
  end)

  case("gives up connecting at the deadline", function()
    process.run("kill -STOP " .. server.pid)
    local took, _, message, code = timed(function()
      return shop:enlist { id = new_id(), number = 1, deadline = now() + 0.3 }
    end)
    process.run("kill -CONT " .. server.pid)
    assert.equal("io", code)
    contains(message, "no answer in time")
    assert(took < 4, took) -- and not the 5 s for what has no deadline
  end)

  case("refuses a server that doesn't keep what it promises: fsync=off", function()
    server:set("fsync", "off")
    eventually(function() return server:psql "show fsync" == "off" end)
    local message, code = failure(shop:enlist { id = new_id(), number = 1, deadline = now() + 5 })
    server:set("fsync", "on")
    eventually(function() return server:psql "show fsync" == "on" end)
    assert.equal("unsupported", code)
    contains(message, "set fsync = on")
  end)

  case("takes ids of transactions alone, and no work", function()
    local message, code = failure(shop:enlist { id = "no'id", number = 1, deadline = now() + 5 })
    assert.equal("invalid", code)
    contains(message, "no id of a transaction")
    local function name_of(bytes)
      local id = HOME .. ".1." .. NONCE .. "."
      return id .. ("1"):rep(bytes - #("rille." .. id .. ".2"))
    end
    message, code = failure(shop:enlist { id = name_of(200), number = 2, deadline = now() + 5 })
    assert.equal("invalid", code)
    contains(message, "199 bytes at most, not 200")
    local branch = enlist(shop, 5, name_of(199))
    assert(insert(branch, "long"))
    assert.equal("yes", branch:prepare())
    assert.equal(name_of(199), server:psql "select substr(gid, 7, length(gid) - 8) from pg_prepared_xacts")
    assert(branch:abort())
    message, code = failure(shop:enlist { id = new_id(), number = 1, deadline = now() + 5, work = {} })
    assert.equal("invalid", code)
    contains(message, "no work")
  end)

  case("connects anew when its sessions are lost", function()
    local branch = prepare()
    assert(branch:commit())
    server:psql "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'rille'"
    eventually(function()
      return server:psql "select count(*) from pg_stat_activity where application_name = 'rille'" == "0"
    end)
    assert(prepare():commit())
    server:restart()
    assert(prepare():commit())
  end)

  case("keeps sessions, and gives each branch one as new", function()
    local first = enlist(shop)
    local pid = assert(first:exec "select pg_backend_pid() as pid")[1].pid
    assert(first:exec "set work_mem = '123MB'")
    assert(first:exec "create temp table mine (n int)")
    assert.equal(123, (assert(first:exec "select 123 as n"))[1].n)
    assert(first:abort())
    local other = enlist(shop)
    assert(other:exec "set statement_timeout = '77s'")
    assert.equal("read", other:prepare())
    local second = enlist(shop)
    local row = assert(second:exec [[select pg_backend_pid() as pid, current_setting('work_mem') as work_mem,
      current_setting('statement_timeout') as timeout, to_regclass('mine') as mine]])[1]
    assert.same({ pid = pid, work_mem = "4MB", timeout = "0", mine = rille.null }, row)
    assert(second:abort())
  end)

  case("closes, twice too, and then refuses", function()
    local branch = enlist(shop)
    shop:close()
    shop:close()
    contains(tostring(shop), "closed")
    local _, code = failure(shop:enlist { id = new_id(), number = 1, deadline = now() + 5 })
    assert.equal("closed", code)
    _, code = failure(shop:sweep(HOME, function() return true end, function() end))
    assert.equal("closed", code)
    assert(branch:abort())
  end)

  case("is of no use in a forked child, and the parent's session lives on", function()
    local path = scratch.folder .. "/forked.so"
    local command = "${CC:-cc} -std=c11 -fPIC $(pkg-config --cflags lua5.4 2>/dev/null) %s -o '%s' %s"
    local shared = process.run "uname -s":find "Darwin" and "-bundle -undefined dynamic_lookup" or "-shared"
    local output, status = process.run(command:format(shared, path, "spec/c/forked.c"))
    if status ~= 0 then return pending("there is no C compiler here: " .. output) end
    local forked = assert(package.loadlib(path, "luaopen_forked"))()
    assert(prepare():commit()) -- an idle session
    local branch = enlist(shop)
    assert(insert(branch, "parent"))
    local said, ok = forked(function()
      local words = {}
      for _, f in ipairs { function() return branch:exec "select 1" end, function() return branch:prepare() end,
        function() return branch:abort() end, function() return branch:decide() end,
        function() return shop:enlist { id = new_id(), number = 1, deadline = now() + 5 } end,
        function() return shop:settle(new_id()) end } do
        local _, message, code = f()
        words[#words + 1] = code .. (message:find "forked" and "" or ": " .. message)
      end
      branch:close()
      shop:close()
      return table.concat(words, " ")
    end)
    assert.equal("closed closed closed aborted closed closed", said)
    assert.is_true(ok)
    assert.equal("yes", branch:prepare())
    assert(branch:commit())
    assert.is_true(has "parent")
  end)
end)

describe("exec", function()
  case("gives rows by their columns' names, typed, and how many", function()
    local branch = enlist(shop)
    local rows, count = assert(branch:exec [[select 1::int2 as small, 9223372036854775807 as big, 2.0::float8 as float,
      'NaN'::float4 as nan, '-Infinity'::float8 as low, true as yes, false as no, null as nothing, 'text' as text,
      1.10 as numeric, '\x00ff5c'::bytea as bytes union all select 2, 3, 1.5, 0, 0, false, true, '', '', 0, '']])
    assert.equal(2, count)
    local row = rows[1]
    assert(row.nan ~= row.nan)
    row.nan = nil
    assert.same({ small = 1, big = math.maxinteger, float = 2.0, low = -math.huge, yes = true, no = false,
      nothing = rille.null, text = "text", numeric = "1.10", bytes = "\0\255\\" }, row)
    assert.equal("integer", math.type(row.small))
    assert.equal("float", math.type(row.float))
    assert.equal("", rows[2].bytes)
    assert(branch:abort())
  end)

  case("takes values as they are, also bytes, and nil in the middle", function()
    local branch = enlist(shop)
    assert(branch:exec "create temp table v (i int8, f float8, b bytea, t text, n text, y bool)")
    local every = {}
    for i = 0, 255 do every[#every + 1] = string.char(i) end
    local bytes = table.concat(every)
    local _, count = assert(branch:exec("insert into v values ($1, $2, $3, $4, $5, $6), ($1, $2, $3, $4, $7, $6)",
      math.mininteger, 0.1, bytes, "\\x41 \u{e4}'", nil, true, rille.null))
    assert.equal(2, count)
    assert(branch:exec("insert into v (f, b) values ($1, $2), ($3, $4)", math.huge, "\\x41", 1e300, "plain"))
    local rows = assert(branch:exec "select * from v")
    assert.same({ i = math.mininteger, f = 0.1, b = bytes, t = "\\x41 \u{e4}'", n = rille.null, y = true }, rows[2])
    assert.same({ math.huge, "\\x41", 1e300, "plain" }, { rows[3].f, rows[3].b, rows[4].f, rows[4].b })
    assert(branch:abort())
  end)

  case("refuses values that SQL has no place for", function()
    local branch = enlist(shop)
    contains(raised(branch.exec, branch, 5), "needs a statement")
    contains(raised(branch.exec, branch, "select $1, $2", 1, {}), "parameter $2 is a table")
    contains(raised(branch.exec, branch, "select $1", print), "parameter $1 is a function")
    local _, code = failure(branch:exec("select $1::text", "a\0b"))
    assert.equal("invalid", code)
    assert(branch:abort())
  end)

  case("runs one statement at a time, and none that is the coordinator's", function()
    local branch = enlist(shop)
    for _, sql in ipairs { "COMMIT", "commit and chain", "/* a /* b */ */ commit", "-- x\n rollback", "begin", "end",
      ";;abort", "start transaction", "rollback work", "prepare transaction 'x'", "PREPARE/**/TRANSACTION 'x'",
      "listen a", "notify a", "unlisten *", "select pg_notify('a', 'b')", "copy moves from stdin", "discard all" } do
      local _, code = failure(branch:exec(sql))
      assert.equal("invalid", code, sql)
    end
    local _, code = failure(branch:exec "select 1\0; commit")
    assert.equal("invalid", code)
    assert(insert(branch, "several"))
    for _, sql in ipairs { "savepoint a", "rollback to a", "rollback work to savepoint a", "release a",
      "prepare p as select 1", "execute p", "(select 1)", "" } do
      assert(branch:exec(sql), sql)
    end
    local message
    message, code = failure(branch:exec "select 1; commit")
    assert.equal("invalid", code)
    contains(message, "multiple commands")
    assert(branch:abort())
    assert.is_false(has "several")
  end)

  case("finds out when the transaction was ended all the same", function()
    for _, sql in ipairs { "commit", "commit and chain", "rollback and chain" } do
      local branch = enlist(shop)
      assert(insert(branch, branch.id))
      branch.session:query(sql, now() + 5) -- past the guard
      if sql == "commit" then branch.session:query("begin", now() + 5) end
      local message, code = failure(branch:exec "select 1")
      assert.equal("invalid", code)
      contains(message, "has ended the transaction")
      _, code = failure(branch:prepare())
      assert.equal("invalid", code)
      assert(branch:abort())
    end
    local reader = enlist(shop) -- which has no number to tell by
    assert(reader:exec "select 1")
    reader.session:query("commit and chain", now() + 5)
    contains(failure(reader:exec "select 1"), "has ended the transaction")
    assert(reader:abort())
  end)

  case("says what went wrong by rille's codes and SQLSTATE, and after it the branch votes no", function()
    local function said(sql, ...)
      local branch = enlist(shop)
      local message, code, detail = failure(branch:exec(sql, ...))
      local vote = failure(branch:prepare())
      assert.equal(message, vote)
      assert(branch:abort())
      return { code, detail.sqlstate, detail.constraint, detail.again }
    end
    server:psql "insert into moves values ('taken', 1)"
    assert.same({ "refused", "23505", "moves_pkey" }, said("insert into moves values ($1, 1)", "taken"))
    assert.same({ "invalid", "42601" }, said "selct")
    assert.same({ "invalid", "42P01" }, said "select * from nowhere")
    assert.same({ "invalid", "26000" }, said "execute nothing")
    assert.same({ "invalid", "3F000" }, said "create table nowhere.t (n int)")
    assert.same({ "invalid", "22P02" }, said("insert into moves values ('x', $1)", "no number"))
    assert.same({ "refused", "P0001" }, said "do $$ begin raise 'no'; end $$")
    assert.same({ "invalid", "2D000" }, said "do $$ begin commit; end $$")
    assert.same({ "readonly", "25006" }, (function()
      local branch = enlist(shop)
      assert(branch:exec "set transaction read only")
      local _, code, detail = failure(insert(branch, "x"))
      assert(branch:abort())
      return { code, detail.sqlstate }
    end)())
    local holder = enlist(shop)
    assert(holder:exec "lock table moves")
    assert.same({ "locked", "55P03", nil, true }, said "lock table moves nowait")
    assert(holder:abort())
  end)

  case("calls conflict what another transaction got in the way of", function()
    local a, b = enlist(shop), enlist(shop)
    for _, branch in ipairs { a, b } do
      assert(branch:exec "set transaction isolation level serializable, read write")
      assert(branch:exec "select count(*) from moves")
    end
    assert(insert(a, a.id))
    assert(insert(b, b.id))
    assert.equal("yes", a:prepare())
    local _, code, detail = failure(b:prepare())
    assert.equal("conflict", code)
    assert.same({ "40001", true }, { detail.sqlstate, detail.again })
    assert(a:commit())
    assert(b:abort())
  end)

  case("ends at the deadline, and leaves nothing", function()
    local branch = enlist(shop, 1.5)
    assert(insert(branch, branch.id))
    local took, _, message, code = timed(function() return branch:exec "select pg_sleep(60)" end)
    assert.equal("aborted", code)
    contains(message, "no answer in time")
    assert(took < SOON_S, took)
    local _, vote = failure(branch:prepare())
    assert.equal("aborted", vote)
    assert(branch:abort())
    -- The server finds out that nobody listens.
    eventually(function()
      return server:psql [[select count(*) from pg_stat_activity where query like '%pg_sleep(60)'
        and pid <> pg_backend_pid()]] == "0"
    end)
    assert.is_false(has(branch.id))
  end)

  case("lets hooks run while it waits, and their error breaks the branch off", function()
    local branch = enlist(shop)
    local stop = now() + 0.3
    debug.sethook(function()
      if now() > stop then
        debug.sethook()
        error "interrupted"
      end
    end, "c")
    local took = timed(function() contains(raised(branch.exec, branch, "select pg_sleep(60)"), "interrupted") end)
    debug.sethook()
    assert(took < SOON_S, took)
    local _, code = failure(branch:exec "select 1")
    assert.equal("io", code)
    assert(branch:abort())
  end)
end)

describe("a branch", function()
  case("votes yes, and is there once committed", function()
    local branch = prepare()
    assert.is_false(has(branch.id))
    assert.equal(1, prepared_count())
    assert.is_true(branch:commit())
    assert.is_true(has(branch.id))
    assert.is_true(branch:commit())
    local _, code = failure(branch:abort())
    assert.equal("conflict", code)
    _, code = failure(branch:exec "select 1")
    assert.equal("closed", code)
  end)

  case("is gone once aborted, prepared or not", function()
    for _, branch in ipairs { prepare(), enlist(shop) } do
      assert.is_true(branch:abort())
      assert.is_true(branch:abort())
      assert.is_false(has(branch.id))
      local _, code = failure(branch:commit())
      assert.equal("aborted", code)
    end
    assert.equal(0, prepared_count())
  end)

  case("that wrote nothing votes read, and prepares nothing", function()
    local branch = enlist(shop)
    assert(branch:exec "select * from moves")
    assert.equal("read", branch:prepare())
    assert.equal(0, prepared_count())
    assert.is_true(branch:commit())
    assert.is_true(branch:abort())
  end)

  case("votes by the command's tag: a failed one is no, though PREPARE gives no error", function()
    local branch = enlist(shop)
    assert(insert(branch, branch.id))
    failure(branch:exec "select 1/0")
    local message, code, detail = failure(branch:prepare())
    assert.same({ "invalid", "22012" }, { code, detail.sqlstate })
    contains(message, "division by zero")
    assert.equal(0, prepared_count())
    assert.is_true(branch:abort())
    -- The server itself says so.
    branch = enlist(shop)
    assert.equal("22012", branch.session:query("select 1/0", now() + 5).sqlstate)
    local raw = branch.session:query("prepare transaction 'x'", now() + 5)
    assert.equal("ROLLBACK", raw.tag)
    assert(branch:abort())
  end)

  case("goes on after a failure by a savepoint", function()
    local branch = enlist(shop)
    assert(insert(branch, branch.id))
    assert(branch:exec "savepoint s")
    failure(branch:exec "select 1/0")
    local _, code = failure(branch:exec "select 1")
    assert.equal("aborted", code)
    assert(branch:exec "rollback to s")
    assert.equal("yes", branch:prepare())
    assert(branch:commit())
    assert.is_true(has(branch.id))
  end)

  case("votes no where the server can't prepare it", function()
    local branch = enlist(shop)
    assert(branch:exec "create temp table mine (n int)")
    local message, code = failure(branch:prepare())
    assert.equal("unsupported", code)
    contains(message, "temporary")
    assert(branch:abort())
    branch = enlist(shop)
    assert(insert(branch, branch.id))
    assert(branch:exec "do $$ begin execute 'noti' || 'fy a'; end $$")
    message, code = failure(branch:prepare())
    assert.equal("unsupported", code)
    contains(message, "NOTIFY")
    assert(branch:abort())
  end)

  case("leaves nothing open when it is closed or collected", function()
    local function open_ones()
      return server:psql "select count(*) from pg_stat_activity where state like 'idle in transaction%'"
    end
    local id
    do
      local branch <close> = enlist(shop)
      assert(insert(branch, branch.id))
      id = branch.id
      contains(tostring(branch), id .. ".2, working")
    end
    eventually(function() return open_ones() == "0" end)
    assert.is_false(has(id))
    local function forget() assert(insert(enlist(shop), "collected")) end
    forget()
    collectgarbage()
    collectgarbage()
    eventually(function() return open_ones() == "0" end)
    assert.is_false(has "collected")
    local kept = prepare()
    kept:close()
    assert.equal(1, prepared_count())
    assert(kept:abort())
  end)
end)
