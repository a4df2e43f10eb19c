-- postgres_recovery_spec.lua: PostgreSQL as a participant when something dies or is late:
-- the server in the middle of a command, a standby that must confirm, and what then tells
-- the outcome. Also PostgreSQL as home.
local branches = require "spec.support.branches"
local rille = require "rille"
local postgres = require "spec.support.postgres"
local process = require "spec.support.process"
local stores = require "spec.support.stores"
local contains, failure = stores.contains, stores.failure
local case, eventually = postgres.case, postgres.eventually

local HOME, NONCE = branches.HOME, branches.NONCE
local LATE_S = 3  -- a deadline that is not over before the standby is lost, on a busy machine, too
local SOON_S = 30 -- and not never

local server, on = branches.new { timeout = 2 }
local now, open, new_id, enlist, work, prepare = on.now, on.open, on.new_id, on.enlist, on.work, on.prepare
local has, prepared_count, timed = on.has, on.prepared_count, on.timed
local shop

local function is_settled() return server:is_settled() end

branches.hooks(server, on, function(p) shop = p end)

describe("a server that dies", function()
  case("between PREPARE and COMMIT has kept what was promised", function()
    local a, b = prepare(), prepare()
    server:kill()
    server:start()
    assert.equal(2, prepared_count())
    -- The session is gone; by the note another process could do the same.
    local _, code = failure(a:commit())
    assert.equal("unknown", code)
    assert.is_true(shop:finish(a.id, a:note(), "commit"))
    assert.is_true(shop:finish(b.id, b:note(), "abort"))
    assert.same({ true, false, 0 }, { has(a.id), has(b.id), prepared_count() })
    for _ = 1, 2 do
      assert.is_true(shop:finish(a.id, a:note(), "commit"))
      assert.is_true(shop:finish(b.id, b:note(), "abort"))
    end
  end)

  case("within COMMIT PREPARED has committed, and its record of it is the evidence", function()
    local branch = prepare()
    server:lose_standby(true)
    local took, _, message, code = timed(function() return branch:commit() end)
    assert.equal("unknown", code)
    contains(message, "no answer in time")
    assert(took < SOON_S, took)
    server:crash_while_waiting()
    assert.equal(0, prepared_count())
    assert.is_true(shop:finish(branch.id, branch:note(), "commit"))
    assert.is_true(has(branch.id))
    message, code = failure(shop:finish(branch.id, branch:note(), "abort"))
    assert.equal("conflict", code)
    contains(message, "committed by hand")
  end)

  case("before PREPARE has nothing", function()
    local branch = work()
    server:kill()
    local _, code = failure(branch:prepare())
    assert.equal("unknown", code)
    _, code = failure(branch:abort())
    assert.equal("unknown", code)
    server:start()
    assert.is_true(branch:abort())
    assert.is_true(shop:finish(branch.id, branch:note(), "abort"))
    assert.is_false(has(branch.id))
    -- The server had not even written the transaction's number down, and gives it again.
    local message
    message, code = failure(shop:finish(branch.id, branch:note(), "commit"))
    assert.equal("unknown", code)
    contains(message, "never heard of its transaction")
    repeat server:psql "insert into moves values (gen_random_uuid(), 1)"
    until tonumber(server:psql "select max(xmin::text::int) from moves") >= tonumber(branch.xid)
    message, code = failure(shop:finish(branch.id, branch:note(), "abort"))
    assert.equal("unknown", code)
    contains(message, "another's")
  end)

  case("while a statement runs fails the branch, and the next is fine", function()
    local branch = work()
    server:kill()
    local _, code = failure(branch:exec "select 1")
    assert.equal("io", code)
    _, code = failure(branch:prepare())
    assert.equal("io", code)
    assert.is_true(branch:abort())
    server:start()
    assert(prepare():commit())
  end)
end)

describe("an answer that is late", function()
  case("to PREPARE is no vote, and the branch is ended when it can be", function()
    local branch = work(nil, LATE_S)
    server:lose_standby(true)
    local took, _, message, code = timed(function() return branch:prepare() end)
    assert.equal("unknown", code)
    contains(message, "PREPARE TRANSACTION: no answer in time")
    assert(took < SOON_S, took)
    -- The server still waits, and lets nobody at it: not final.
    _, code = failure(branch:abort())
    assert.equal("unknown", code)
    _, code = failure(shop:finish(branch.id, branch:note(), "abort"))
    assert.equal("unknown", code)
    server:lose_standby(false)
    eventually(is_settled)
    assert.equal(1, prepared_count())
    assert.equal(1, (shop:sweep(HOME, function() return true end, function() return "abort" end)))
    assert.equal(0, prepared_count())
    assert.is_true(branch:abort())
    assert.is_false(has(branch.id))
  end)

  case("to COMMIT PREPARED is unknown, and asking again says committed", function()
    local branch = prepare()
    server:lose_standby(true)
    local _, code = failure(branch:commit())
    assert.equal("unknown", code)
    local message
    message, code = failure(shop:finish(branch.id, branch:note(), "commit"))
    assert.equal("unknown", code)
    contains(message, "busy")
    server:lose_standby(false)
    eventually(is_settled)
    assert.is_true(branch:commit())
    assert.is_true(has(branch.id))
  end)

  case("never cuts the wait for the standby short, whatever the role's statement_timeout is", function()
    server:psql "alter role rille set statement_timeout = '100ms'"
    local p = open(server:conninfo(), { timeout = 1.5 })
    local branch = prepare(p)
    assert(branch.session:query("select pg_sleep(0.2)", now() + 5).tag)
    server:psql "alter role rille reset statement_timeout"
    server:lose_standby(true)
    local _, code = failure(branch:commit())
    server:lose_standby(false)
    assert.equal("unknown", code)
    eventually(is_settled)
    assert.is_true(branch:commit())
  end)
end)

describe("a prepared transaction that is missing", function()
  ---What finish says of a note that is changed like this.
  local function said(change, outcome)
    local branch = prepare()
    assert(branch:commit())
    local note = assert(rille.decode(branch:note()))
    for name, value in pairs(change) do note[name] = value end
    return shop:finish(branch.id, assert(rille.encode(note)), outcome or "commit")
  end

  case("is final only with evidence from the same server and timeline", function()
    assert.is_true(said {})
    local message, code = failure(said { system = "123" })
    assert.equal("unknown", code)
    contains(message, "another server (system identifier")
    message, code = failure(said { timeline = "00000009" })
    assert.equal("unknown", code)
    contains(message, "restored or failed over")
    message, code = failure(said { xid = "99999999999" })
    assert.equal("unknown", code)
    contains(message, "never heard of")
    assert.is_true(said({ xid = "99999999999" }, "abort"))
  end)

  case("and was ended by hand the other way, is said to be", function()
    local branch = prepare()
    server:psql(("rollback prepared 'rille.%s.2'"):format(branch.id))
    local message, code = failure(branch:commit())
    assert.equal("aborted", code)
    contains(message, "rolled back by hand")
    branch = prepare()
    server:psql(("commit prepared 'rille.%s.2'"):format(branch.id))
    message, code = failure(branch:abort())
    assert.equal("conflict", code)
    contains(message, "committed by hand")
  end)

  case("may still be on its way while its transaction is in progress", function()
    local other = work()
    local message, code = failure(said({ xid = other.xid }, "abort"))
    assert.equal("unknown", code)
    contains(message, "in progress")
    assert(other:abort())
    assert.is_true(said({ xid = other.xid }, "abort"))
  end)

  case("is not told by a server that was restored or promoted: another timeline", function()
    local done, waiting = prepare(), prepare()
    assert(done:commit())
    server:fork_timeline()
    local message, code = failure(shop:finish(done.id, done:note(), "commit"))
    assert.equal("unknown", code)
    contains(message, "timeline 00000002, then on 00000001")
    -- The command's own tag is final wherever it is given.
    assert.is_true(shop:finish(waiting.id, waiting:note(), "commit"))
    assert.is_true(has(waiting.id))
  end)

  case("is not told by another server", function()
    local other = postgres.new()
    local branch = prepare()
    assert(branch:commit())
    local message, code = failure(open(other:conninfo()):finish(branch.id, branch:note(), "commit"))
    other:close()
    assert.equal("unknown", code)
    contains(message, "another server")
  end)

  case("is unknown to a role that may not read the server's identity, which is told what it lacks", function()
    server:psql [[create role poor login; revoke execute on function pg_control_system() from public;
      grant insert, select on moves to poor]]
    local p = open((server:conninfo():gsub("user=rille", "user=poor")))
    local branch = prepare(p)
    assert.is_true(branch:commit())
    local message, code = failure(p:finish(branch.id, branch:note(), "commit"))
    server:psql "grant execute on function pg_control_system() to poor"
    assert.equal("unknown", code)
    contains(message, "grant execute on function pg_control_system() to this role")
    branch = prepare(open((server:conninfo():gsub("user=rille", "user=poor"))))
    assert.is_true(branch:commit())
    assert.is_true(open((server:conninfo():gsub("user=rille", "user=poor"))):finish(branch.id, branch:note(), "commit"))
  end)

  case("must be one that the note is of", function()
    local branch = prepare()
    local _, code = failure(shop:finish(new_id(), branch:note(), "commit"))
    assert.equal("invalid", code)
    _, code = failure(shop:finish(branch.id, "nonsense", "commit"))
    assert.equal("invalid", code)
    assert(branch:abort())
  end)
end)

describe("max_prepared_transactions = 0", function()
  case("is named by the vote, with what to do instead", function()
    server:restart "max_prepared_transactions=0"
    local branch = work()
    local message, code = failure(branch:prepare())
    assert.equal("unsupported", code)
    contains(message, "max_prepared_transactions is 0")
    contains(message, 'home="shop"')
    assert.is_true(branch:abort())
    branch = enlist()
    assert(branch:exec "select 1")
    assert.equal("read", branch:prepare())
    branch = work()
    assert.equal("committed", branch:decide()) -- as home it needs none
    server:restart()
    assert.is_true(has(branch.id))
  end)
end)

describe("sweep", function()
  local function all() return true end

  case("ends what has an outcome, and leaves what has none yet", function()
    local commit, abort, open_one = prepare(), prepare(), prepare()
    local outcomes = { [commit.id] = "commit", [abort.id] = "abort" }
    local count, remaining, problems = shop:sweep(HOME, all, function(id) return outcomes[id] end)
    assert.same({ 2, 1, {} }, { count, remaining, problems })
    assert.same({ true, false, 1 }, { has(commit.id), has(abort.id), prepared_count() })
    assert.is_true(commit:commit())
    assert.is_true(open_one:abort())
    assert.same({ 0, 0, {} }, { shop:sweep(HOME, all, function() end) })
  end)

  case("touches no other home's, no unknown instance's, and no stranger's", function()
    local copy, other = prepare(nil, 10, new_id "ffff"), prepare(nil, 10, new_id(nil, HOME:gsub("1$", "2")))
    local mine = prepare()
    for _, gid in ipairs { "stranger", ("rille.%s.odd"):format(HOME), ("rille.%s.1.%s.1"):format(HOME, NONCE),
      ("rille%s.1.%s.1.1"):format(HOME, NONCE) } do
      server:psql(("begin; insert into moves values ('%s', 1); prepare transaction '%s'"):format(gid, gid))
    end
    local asked = {}
    local count, remaining = shop:sweep(HOME, function(nonce) return nonce == NONCE end, function(id)
      asked[#asked + 1] = id
      return "abort"
    end)
    assert.same({ 1, 0, { mine.id } }, { count, remaining, asked })
    assert.equal(6, prepared_count())
    assert(copy:abort() and other:abort())
  end)

  case("keeps to its own database", function()
    server:psql "create database other"
    server:psql("create table moves (id text primary key, n int)", "other")
    local there = open(server:conninfo "dbname=other")
    local here, far = prepare(), prepare(there)
    assert.same({ 1, 0, {} }, { shop:sweep(HOME, all, function() return "commit" end) })
    assert.same({ true, false }, { has(here.id), has(far.id, "other") })
    local message, code = failure(shop:finish(far.id, far:note(), "commit"))
    assert.equal("unknown", code)
    contains(message, "another database")
    assert.equal(1, (there:sweep(HOME, all, function() return "commit" end)))
    assert.is_true(has(far.id, "other"))
  end)

  case("reads the list before it asks for outcomes: what is prepared meanwhile is not in it", function()
    local first, late = prepare(), nil
    local count = shop:sweep(HOME, function()
      late = late or prepare()
      return true
    end, function() return "abort" end)
    assert.equal(1, count)
    assert.equal(1, prepared_count())
    assert.is_true(first:abort())
    assert.is_true(late:commit())
  end)

  case("says which it may not end, and goes on with the others", function()
    server:psql "drop role if exists weak; create role weak login"
    local mine = prepare()
    local weak = open((server:conninfo():gsub("user=rille", "user=weak")))
    local count, remaining, problems = weak:sweep(HOME, all, function() return "commit" end)
    assert.same({ 0, 1 }, { count, remaining })
    contains(problems[1].message, "permission denied")
    assert.equal("rille." .. mine.id .. ".2", problems[1].gid)
    assert(mine:commit())
    server:psql "drop role weak"
  end)

  case("raises what its functions raise, and keeps its session", function()
    local branch = prepare()
    local ok, message = pcall(shop.sweep, shop, HOME, all, function() error "broken" end)
    assert.is_false(ok)
    contains(message, "broken")
    assert.equal(1, #shop.idle)
    assert(branch:abort())
  end)
end)

describe("as home", function()
  local function decision(id)
    return server:psql(("select outcome from rille_decision where tx = '%s'"):format(id))
  end

  case("its COMMIT carries the decision, in a table that is made when it is needed", function()
    server:psql "drop table if exists rille_decision"
    local branch = work()
    assert.equal("committed", branch:decide())
    assert.is_true(branch:commit())
    assert.same({ "commit", true, 0 }, { decision(branch.id), has(branch.id), prepared_count() })
    for _ = 1, 2 do assert.equal("commit", shop:settle(branch.id, branch:note())) end
  end)

  case("who settles first wins, for good", function()
    local branch = work()
    assert.equal("abort", shop:settle(branch.id))
    local message, code = failure(branch:decide())
    assert.equal("aborted", code)
    contains(message, "decided already")
    assert.is_true(branch:abort())
    assert.same({ "abort", false }, { shop:settle(branch.id), has(branch.id) })
    server:psql "drop table rille_decision"
    assert.equal("abort", shop:settle(new_id())) -- makes the table, too
  end)

  case("decides nothing that has failed before", function()
    local branch = work()
    failure(branch:exec "select 1/0")
    local message, code = failure(branch:decide())
    assert.equal("aborted", code)
    contains(message, "division by zero")
    assert.is_false(has(branch.id))
    -- What fails only at the end: a constraint that is deferred.
    server:psql [[create table if not exists child (id text references moves deferrable initially deferred)]]
    branch = work()
    assert(branch:exec "insert into child values ('nobody')")
    local detail
    message, code, detail = failure(branch:decide())
    assert.same({ "aborted", "23503" }, { code, detail.sqlstate })
    contains(message, "foreign key")
    assert.is_false(has(branch.id))
    assert.equal("abort", shop:settle(branch.id))
  end)

  case("a settler waits for a COMMIT that is on its way, and is told no earlier", function()
    local branch = work(nil, LATE_S)
    server:lose_standby(true)
    local took, _, _, code = timed(function() return branch:decide() end)
    assert.equal("unknown", code)
    assert(took < SOON_S, took)
    local message
    message, code = failure(branch:abort())
    assert.equal("unknown", code)
    contains(message, "settle it")
    -- A plain read would say that nothing is decided.
    assert.equal("", decision(branch.id))
    took, _, _, code = timed(function() return shop:settle(branch.id) end)
    assert.equal("unknown", code)
    assert(took > 1.5 and took < SOON_S, took)
    server:lose_standby(false)
    eventually(is_settled)
    assert.equal("commit", shop:settle(branch.id))
    assert.is_true(has(branch.id))
  end)

  case("killed within COMMIT has decided, killed before has not", function()
    local early, late = work(), work(nil, LATE_S)
    server:lose_standby(true)
    local _, code = failure(late:decide())
    assert.equal("unknown", code)
    server:crash_while_waiting()
    assert.equal("commit", shop:settle(late.id))
    _, code = failure(early:decide())
    assert.equal("aborted", code)
    assert.equal("abort", shop:settle(early.id))
    assert.same({ false, true }, { has(early.id), has(late.id) })
  end)

  case("commits durably where synchronous_commit is off, by the role or by a statement", function()
    server:psql "alter role rille set synchronous_commit = off"
    local p = open(server:conninfo())
    local branch = enlist(p)
    assert.equal("on", (assert(branch:exec "show synchronous_commit"))[1].synchronous_commit)
    assert(branch:abort())
    branch = work(p, LATE_S)
    assert(branch:exec "set synchronous_commit = off")
    server:lose_standby(true)
    local _, code = failure(branch:decide()) -- it waits, as "off" never would
    server:lose_standby(false)
    server:psql "alter role rille reset synchronous_commit"
    assert.equal("unknown", code)
    eventually(is_settled)
    assert.equal("commit", shop:settle(branch.id))
  end)

  case("settles under whatever isolation its role has", function()
    server:psql "alter role rille set default_transaction_isolation = serializable"
    local p = open(server:conninfo())
    local branch = work(p)
    assert.equal("committed", branch:decide())
    assert.equal("commit", p:settle(branch.id))
    assert.equal("abort", p:settle(new_id()))
    server:psql "alter role rille reset default_transaction_isolation"
  end)

  case("decides nothing for another server, or one that was restored, but reads what it finds", function()
    local branch, fresh = work(), work()
    local noted, unheard = branch:note(), fresh:note()
    assert.equal("committed", branch:decide())
    assert(fresh:abort())
    server:fork_timeline()
    assert.equal("commit", shop:settle(branch.id, noted))
    local message, code = failure(shop:settle(fresh.id, unheard))
    assert.equal("unknown", code)
    contains(message, "restored or failed over")
    assert.equal("", decision(fresh.id))
  end)

  case("says what table it needs where it may not make one, and works once it is there", function()
    server:psql [[drop table if exists rille_decision; drop role if exists weak; create role weak login;
      revoke create on schema public from public; grant insert, select on moves to weak]]
    local p = open((server:conninfo():gsub("user=rille", "user=weak")))
    local branch = work(p)
    local message, code, detail = failure(branch:decide())
    assert.same({ "aborted", "42501" }, { code, detail.sqlstate })
    contains(message, 'create table if not exists "public".rille_decision')
    assert.is_false(has(branch.id))
    assert.equal("unknown", select(3, p:settle(branch.id)))
    assert.equal("abort", shop:settle(branch.id))
    server:psql "grant insert, select on rille_decision to weak"
    branch = work(p)
    assert.equal("committed", branch:decide())
    assert.equal("commit", p:settle(branch.id))
  end)

  case("keeps its table in one schema, whatever search_path says", function()
    server:psql 'create schema "odd one"'
    local p = open(server:conninfo(), { schema = "odd one" })
    local branch = work(p)
    assert(branch:exec [[set local search_path = "odd one"]])
    assert.equal("committed", branch:decide())
    assert.equal("commit", p:settle(branch.id))
    assert.equal("1", server:psql 'select count(*) from "odd one".rille_decision')
  end)
end)

describe("a standby", function()
  case("is refused", function()
    server:stop()
    process.run(("touch '%s/standby.signal'"):format(server.data))
    server:start()
    local message, code = failure(shop:enlist { id = new_id(), number = 1, deadline = now() + 5 })
    server:stop()
    process.run(("rm '%s/standby.signal'"):format(server.data))
    server:start()
    assert.equal("readonly", code)
    contains(message, "standby")
  end)
end)
