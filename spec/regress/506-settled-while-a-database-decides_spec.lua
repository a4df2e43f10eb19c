-- A caller's id was settled as aborted, for good, while its living coordinator was about to decide in a database:
-- which then decided all the same, because it never looked at what was settled.
local postgres = require "spec.support.postgres"
local rille = require "rille"
local stores = require "spec.support.stores"

describe("an id that is settled while a database decides", function()
  it("stays aborted", function()
    local missing = postgres.lacks()
    if missing then return pending(missing) end
    local server, here = postgres.new(), stores.new()
    local shop = assert(rille.postgres(server:conninfo(), { timeout = 2 }))
    local c = assert(rille.coordinator(here, { participants = { shop = shop } }))
    local other = assert(rille.coordinator(here, { participants = { shop = shop } }))
    server:psql "create table moves (id text primary key)"

    local tx = assert(c:begin { id = "order" })
    assert(assert(tx:enlist "shop"):exec "insert into moves values ('order')")
    assert.equal("aborted", (other:outcome("order", { settle = true })))
    local message, code = stores.failure(tx:commit())
    assert.equal("aborted", code)
    stores.contains(message, "settled")
    assert.equal("", server:psql "select id from moves")
    assert.equal("aborted", (other:outcome "order"))

    local function move()
      return c:transact({ id = "order" }, function(again)
        return assert(again:enlist "shop"):exec "insert into moves values ('order')"
      end)
    end
    assert.is_false(assert(move()).duplicate) -- aborted before, tried anew
    assert.equal("committed", (other:outcome("order", { settle = true })))
    assert.is_true(assert(move()).duplicate)
    assert.equal("order", server:psql "select id from moves")
    other:close()
    c:close()
    shop:close()
    here:close()
    server:close()
  end)
end)
