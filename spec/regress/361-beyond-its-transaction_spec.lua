-- What a statement left behind it, and who decides had no hand in. PostgreSQL ends a comment at a carriage return, too:
-- a COMMIT behind one was taken for a part of the comment, and went to the server. A cursor WITH HOLD runs its query to
-- the end when its transaction ends: where nothing had been written before, the branch voted "read", and with that
-- vote was committed what the query wrote. And settings outlived the vote: a statement_timeout cut the wait of COMMIT
-- PREPARED for its standby short, and with synchronous_commit off nothing waited at all.
local branches = require "spec.support.branches"
local postgres = require "spec.support.postgres"
local stores = require "spec.support.stores"

local WRITER = [[create function writer() returns int language plpgsql as $$ begin
  insert into moves values ('written', 1); return 1; end $$]]

local HURRIED = "create role hurried superuser login; alter role hurried set statement_timeout = '800ms'"

describe("a statement", function()
  local server, on = branches.new()
  local p
  if server then server:psql(WRITER .. "; " .. HURRIED) end

  branches.hooks(server, on, function()
    p = on.open((server:conninfo():gsub("user=rille", "user=hurried")), { timeout = 2 })
  end)

  postgres.case("commits nothing behind a comment that a carriage return ends", function()
    local branch = on.work()
    for _, sql in ipairs { "-- x\rcommit", "--\r--\r\nCOMMIT", "/* -- */ -- \r rollback" } do
      local message, code = stores.failure(branch:exec(sql))
      assert.equal("invalid", code)
      stores.contains(message, "the coordinator begins and ends the transaction")
    end
    assert.equal(1, (assert(branch:exec "-- x\r select 1 as n"))[1].n)
    assert(branch:abort())
    assert.is_false(on.has(branch.id))
  end)

  postgres.case("commits nothing with a vote, by a cursor that is held", function()
    local branch = on.enlist()
    assert(branch:exec "declare c cursor with hold for select writer()")
    assert.equal("read", branch:prepare())
    assert(branch:abort())
    assert.is_false(on.has "written")
  end)

  postgres.case("that holds a cursor can't be prepared where it has written", function()
    local branch = on.enlist()
    assert(branch:exec "declare c cursor with hold for select writer()")
    assert.equal(1, (assert(branch:exec "fetch c"))[1].writer)
    local message, code = stores.failure(branch:prepare())
    assert.equal("unsupported", code)
    stores.contains(message, "WITH HOLD")
    assert(branch:abort())
    assert.is_false(on.has "written")
  end)

  postgres.case("that holds a cursor is committed with the decision", function()
    local branch = on.enlist()
    assert(branch:exec "declare c cursor with hold for select writer()")
    assert.equal("committed", branch:decide())
    assert.is_true(on.has "written")
  end)

  postgres.case("that holds a cursor is no matter where another has failed", function()
    local branch = on.enlist()
    assert(branch:exec "declare c cursor with hold for select writer()")
    stores.failure(branch:exec "select 1/0")
    stores.contains(stores.failure(branch:prepare()), "division by zero")
    assert(branch:abort())
  end)

  local function prepare(...)
    local branch = on.work(p)
    for _, sql in ipairs { ... } do assert(branch:exec(sql)) end
    assert.equal("yes", branch:prepare())
    return branch
  end

  for _, sql in ipairs { "set statement_timeout = '800ms'", "set session statement_timeout = 800", "reset all",
                         "set synchronous_commit = off" } do
    postgres.case(("such as %q does not cut the wait for a standby short"):format(sql), function()
      local branch = prepare(sql)
      server:lose_standby(true)
      local _, code = stores.failure(branch:commit())
      assert.equal("unknown", code)
      server:lose_standby(false)
      postgres.eventually(function() return server:is_settled() end)
      assert.is_true(branch:commit())
      assert.is_true(on.has(branch.id))
    end)
  end

  postgres.case("does not keep what is prepared from waiting, either", function()
    local branch = on.work(p, 1.5)
    assert(branch:exec "set local synchronous_commit = off")
    server:lose_standby(true)
    local _, code = stores.failure(branch:prepare())
    assert.equal("unknown", code)
  end)

  postgres.case("has its own settings as long as its transaction works", function()
    local branch = on.work(p)
    assert(branch:exec "set statement_timeout = '700ms'")
    local _, code, detail = stores.failure(branch:exec "select pg_sleep(9)")
    assert.same({ "io", "57014" }, { code, detail.sqlstate })
    assert(branch:abort())
  end)
end)
