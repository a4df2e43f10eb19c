-- A program that had another database, or another schema, under the name of the one that decides, asked there about
-- what was in doubt, found nothing, and aborted what was committed: the note of the place was never looked at.
local postgres = require "spec.support.postgres"
local rille = require "rille"
local stores = require "spec.support.stores"

describe("a store in doubt about what a database decides", function()
  it("does not ask another one of that name", function()
    local missing = postgres.lacks()
    if missing then return pending(missing) end
    local server, here, there = postgres.new(), stores.new(), stores.new()
    server:psql "create database other; create schema apart; create table moves (id text primary key)"
    local shop = assert(rille.postgres(server:conninfo()))
    local c = assert(rille.coordinator(here, { participants = { shop = shop } }))
    assert.has_error(function()
      c:transact({ id = "order", home = "shop" }, function(tx)
        assert(tx:append(there, "order", { type = "Placed" }))
        local branch = assert(tx:enlist "shop")
        function branch:decide()
          assert(getmetatable(self).__index.decide(self))
          error "died"
        end
        return branch:exec "insert into moves values ('order')"
      end)
    end)
    c:close() -- committed there, and nobody was told
    assert.equal("order", server:psql "select id from moves")
    assert.equal(1, #there:indoubt())

    local others = { assert(rille.postgres(server:conninfo "dbname=other")),
      assert(rille.postgres(server:conninfo(), { schema = "apart" })) }
    for _, other in ipairs(others) do
      c = assert(rille.coordinator(here, { participants = { shop = other } }))
      assert.equal(0, assert(there:settle()).aborted)
      assert.equal(1, #there:indoubt())
      local message, code = stores.failure(other:settle(there:indoubt()[1].id, there:indoubt()[1].home))
      assert.equal("unknown", code)
      stores.contains(message, "this is another ")
      c:close()
      other:close()
    end
    c = assert(rille.coordinator(here, { participants = { shop = shop } }))
    assert.equal(1, assert(there:settle()).committed)
    assert.equal(1, there:version "order")
    c:close()
    for _, one in ipairs { shop, here, there, server } do one:close() end
  end)
end)
