-- A program that has another name for the same database looked through what is prepared there, found what
-- another had just decided to commit, and rolled it back: the decision had nobody of its own name.
local postgres = require "spec.support.postgres"
local rille = require "rille"
local stores = require "spec.support.stores"
local case = postgres.case

describe("a database that two programs name differently", function()
  local missing, server, here, open = postgres.lacks(), nil, nil, {}

  if not missing then
    server = postgres.new()
    server:psql "create table moves (id text primary key); create role weak login"
  end

  teardown(function()
    if server then server:close() end
  end)

  before_each(function() here = stores.new() end)

  after_each(function()
    for i = #open, 1, -1 do open[i]:close() end
    open = {}
    here:close()
  end)

  ---A coordinator that calls the database so, as that role.
  local function coordinator(name, role, look)
    local database = assert(rille.postgres((server:conninfo():gsub("user=rille", "user=" .. (role or "rille")))))
    local c = assert(rille.coordinator(here, { participants = { [name] = database, look = look } }))
    open[#open + 1] = database
    open[#open + 1] = c
    return c
  end

  ---Of a transaction that is begun, and the name of what is prepared for it.
  local function prepare(c)
    local tx = assert(c:begin {})
    local gid = ("rille.%s.2"):format(tx.id)
    server:psql(("begin; insert into moves values ('%s'); prepare transaction '%s'"):format(tx.id, gid))
    return tx.id, gid
  end

  local function count() return tonumber(server:psql "select count(*) from pg_prepared_xacts") end

  case("is swept by both, and keeps what is decided", function()
    local other, there, swept = coordinator "ledger", stores.new(), nil
    local c = coordinator("shop", nil, { prepare = function() return true end, commit = function()
      swept = other:recover() -- decided, and shop not told yet
      return true
    end })
    assert(c:transact({ id = "order" }, function(tx)
      assert(tx:append(there, "order", { type = "Placed" }))
      assert(tx:enlist "look")
      return assert(tx:enlist "shop"):exec "insert into moves values ('order')"
    end))
    assert.is_table(swept)
    assert.equal("order", server:psql "select id from moves")
    assert.same({}, c:pending())
    there:close()
  end)

  case("rolls back what is not to be committed, under either name", function()
    local c = coordinator "ledger"
    local id = prepare(c)
    assert(c:recover())
    assert.equal(1, count()) -- undecided: its coordinator lives
    assert.equal("aborted", (c:outcome(id, { settle = true })))
    assert.is_nil(assert(c:recover()).problems)
    assert.equal(0, count())
  end)

  case("tells what its role may not end", function()
    local c = coordinator("shop", "weak")
    local _, gid = prepare(c)
    c:close()
    c = coordinator("shop", "weak") -- so it is aborted
    local problems = assert(c:recover()).problems
    assert.equal(1, #problems)
    assert.same({ "shop", gid }, { problems[1].participant, problems[1].gid })
    stores.contains(problems[1].message, "permission denied")
    server:psql(("rollback prepared '%s'"):format(gid))
    assert.is_nil(assert(c:recover()).problems)
  end)
end)
