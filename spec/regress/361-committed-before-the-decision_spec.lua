-- Two ways to commit something before the transaction was decided. PostgreSQL ends a comment at a carriage return,
-- too: a COMMIT behind one was taken for a part of the comment, and went to the server. And a cursor WITH HOLD runs its
-- query to the end when its transaction ends: where nothing had been written before, the branch voted "read", and
-- with that vote was committed what the query wrote.
local branches = require "spec.support.branches"
local postgres = require "spec.support.postgres"
local stores = require "spec.support.stores"

local WRITER = [[create function writer() returns int language plpgsql as $$ begin
  insert into moves values ('written', 1); return 1; end $$]]

describe("what is written", function()
  local server, on

  setup(function()
    server, on = branches.new()
    if server then server:psql(WRITER) end
  end)

  before_each(function()
    if server then on.renew() end
  end)

  after_each(function()
    if server then on.close() end
  end)

  teardown(function()
    if server then server:close() end
  end)

  postgres.case("is not committed by a COMMIT behind a comment that a carriage return ends", function()
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

  postgres.case("by a cursor that is held, is not committed with a vote", function()
    local branch = on.enlist()
    assert(branch:exec "declare c cursor with hold for select writer()")
    assert.equal("read", branch:prepare())
    assert(branch:abort())
    assert.is_false(on.has "written")
  end)

  postgres.case("by a cursor that is held, can't be prepared", function()
    local branch = on.enlist()
    assert(branch:exec "declare c cursor with hold for select writer()")
    assert.equal(1, (assert(branch:exec "fetch c"))[1].writer)
    local message, code = stores.failure(branch:prepare())
    assert.equal("unsupported", code)
    stores.contains(message, "WITH HOLD")
    assert(branch:abort())
    assert.is_false(on.has "written")
  end)

  postgres.case("by a cursor that is held, is committed with the decision", function()
    local branch = on.enlist()
    assert(branch:exec "declare c cursor with hold for select writer()")
    assert.equal("committed", branch:decide())
    assert.is_true(on.has "written")
  end)

  postgres.case("by a cursor that is held, is no matter where a statement has failed", function()
    local branch = on.enlist()
    assert(branch:exec "declare c cursor with hold for select writer()")
    stores.failure(branch:exec "select 1/0")
    stores.contains(stores.failure(branch:prepare()), "division by zero")
    assert(branch:abort())
  end)
end)
