-- A program that has another name for the same database looked through what is prepared there, found what
-- another had just decided to commit, and rolled it back: the decision had nobody of its own name.
local postgres = require "spec.support.postgres"
local rille = require "rille"
local stores = require "spec.support.stores"

describe("a database that two programs name differently", function()
  it("is swept by both, and keeps what is decided", function()
    local missing = postgres.lacks()
    if missing then return pending(missing) end
    local server, here, there = postgres.new(), stores.new(), stores.new()
    local shop, ledger = assert(rille.postgres(server:conninfo())), assert(rille.postgres(server:conninfo()))
    local other = assert(rille.coordinator(here, { participants = { ledger = ledger } }))
    local swept
    local c = assert(rille.coordinator(here, { participants = { shop = shop,
      look = { prepare = function() return true end, commit = function() -- decided, and shop not told yet
        swept = other:recover()
        return true
      end } } }))
    server:psql "create table moves (id text primary key)"

    assert(c:transact({ id = "order" }, function(tx)
      assert(tx:append(there, "order", { type = "Placed" }))
      assert(tx:enlist "look")
      return assert(tx:enlist "shop"):exec "insert into moves values ('order')"
    end))
    assert.is_table(swept)
    assert.equal("order", server:psql "select id from moves")
    assert.same({}, c:pending())
    other:close()
    c:close()
    for _, one in ipairs { shop, ledger, here, there, server } do one:close() end
  end)

  it("rolls back what is not to be committed, under either name", function()
    local missing = postgres.lacks()
    if missing then return pending(missing) end
    local server, here = postgres.new(), stores.new()
    local ledger = assert(rille.postgres(server:conninfo()))
    local c = assert(rille.coordinator(here, { participants = { ledger = ledger } }))
    local tx = assert(c:begin {})
    server:psql(("create table moves (id text); begin; insert into moves values ('x'); "
      .. "prepare transaction 'rille.%s.2'")
      :format(tx.id))
    assert(c:recover())
    assert.equal("1", server:psql "select count(*) from pg_prepared_xacts") -- undecided: its coordinator lives
    assert.equal("aborted", (c:outcome(tx.id, { settle = true })))
    assert(c:recover())
    assert.equal("0", server:psql "select count(*) from pg_prepared_xacts")
    tx:close()
    c:close()
    for _, one in ipairs { ledger, here, server } do one:close() end
  end)
end)
