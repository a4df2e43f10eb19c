-- A COMMIT in the database that decides was not answered in time and was on its way still. Asked for by its
-- caller's id it was "none", and "aborted" for good where the caller wanted that; then it arrived.
local postgres = require "spec.support.postgres"
local rille = require "rille"
local stores = require "spec.support.stores"

describe("a decision that is on its way in a database", function()
  it("is unknown till it has arrived, and never aborted", function()
    local missing = postgres.lacks()
    if missing then return pending(missing) end
    local server, here = postgres.new(), stores.new()
    local shop = assert(rille.postgres(server:conninfo(), { timeout = 1.5 }))
    local c = assert(rille.coordinator(here, { participants = { shop = shop } }))
    local function move(id)
      return c:transact({ id = id, timeout = 10 }, function(tx)
        return assert(tx:enlist "shop"):exec("insert into moves values ($1)", id)
      end)
    end
    server:psql "create table moves (id text primary key)"
    assert(move "first") -- makes the table of decisions
    server:set("synchronous_standby_names", "nobody")
    postgres.eventually(function() return server:psql "show synchronous_standby_names" == "nobody" end)

    local _, code = stores.failure(move "order")
    assert.equal("unknown", code)
    local word, why = c:outcome "order"
    assert.equal("unknown", word)
    stores.contains(why, "on its way")
    assert.equal("unknown", (c:outcome("order", { settle = true })))
    assert.equal("none", (c:outcome "another"))
    assert.equal("aborted", (c:outcome("another", { settle = true })))

    server:set("synchronous_standby_names", "")
    postgres.eventually(function() return c:outcome "order" == "committed" end)
    local settled, result = c:outcome("order", { settle = true })
    assert.equal("committed", settled)
    assert.is_false(result.duplicate)
    assert.equal("first\norder", server:psql "select id from moves order by 1")
    assert(move "another") -- aborted before, tried anew
    assert.is_true(assert(move "order").duplicate)
    c:close()
    shop:close()
    here:close()
    server:close()
  end)
end)
