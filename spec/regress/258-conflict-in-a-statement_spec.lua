-- A statement that another session was in the way of made the function give up, and the transaction was not worth
-- another try, whatever `attempts` said: what has failed in a database counted only where it had been asked to prepare.
-- Neither was one where too many were prepared at the moment.
local postgres = require "spec.support.postgres"
local rille = require "rille"
local stores = require "spec.support.stores"
local case = postgres.case

describe("what is in the way in a database", function()
  local missing, server, here, shop, c = postgres.lacks(), nil, nil, nil, nil

  setup(function()
    if missing then return end
    server, here = postgres.new "max_prepared_transactions=1", stores.new()
    server:psql "create table moves (id text)"
    shop = assert(rille.postgres(server:conninfo()))
    c = assert(rille.coordinator(here, { participants = { shop = shop } }))
  end)

  teardown(function()
    if missing then return end
    c:close()
    for _, one in ipairs { shop, here, server } do one:close() end
  end)

  ---Appends and inserts; `before(n, branch)` comes before the n-th try's insert.
  local function move(options, before)
    local tries = 0
    local result, message, code, detail = c:transact(options, function(tx)
      tries = tries + 1
      assert(tx:append(here, "a", { type = "Moved" }))
      local branch = assert(tx:enlist "shop")
      local done, why = before(tries, branch)
      if not done then return nil, why end
      return branch:exec "insert into moves values ('x')"
    end)
    return result, tries, { message = message, code = code, detail = detail }
  end

  case("of a statement is tried again", function()
    local holder
    local function lock(n, branch)
      if n == 2 then assert(holder:abort()) end
      return branch:exec "lock table moves nowait"
    end
    local other = assert(c:begin())
    holder = assert(other:enlist "shop")
    assert(holder:exec "lock table moves")
    local result, tries, failed = move({ attempts = 1 }, lock)
    assert.same({ nil, 1, "aborted", true }, { result, tries, failed.code, failed.detail.again })
    assert.same({ "no", "locked" }, { failed.detail.votes.shop.vote, failed.detail.votes.shop.code })
    result, tries = move({ attempts = 3 }, lock)
    assert.same({ "committed", 2 }, { result.outcome, tries })
    other:close()
  end)

  case("of its own is not", function()
    local result, tries, failed = move({ attempts = 3 }, function(_, branch) return branch:exec "select 1 / 0" end)
    assert.same({ nil, 1, false, "invalid" },
      { result, tries, failed.detail.again, failed.detail.votes.shop.code })
  end)

  case("of what can be prepared is tried again", function()
    server:psql "begin; insert into moves values ('full'); prepare transaction 'full'"
    local result, tries = move({ attempts = 3 }, function(n)
      if n == 2 then server:psql "rollback prepared 'full'" end
      return true
    end)
    assert.same({ "committed", 2 }, { result.outcome, tries })
  end)
end)
