-- An id that is no text in the database's encoding, such as sixteen bytes of a UUID, could not be decided in a
-- database; and once its table was there, everything with such an id was "unknown" for good, also in stores alone.
local postgres = require "spec.support.postgres"
local rille = require "rille"
local stores = require "spec.support.stores"

local IDS = { "\255\0\128", "na\195\175ve", "a\nb", "ff0080", ("\254"):rep(255) }

describe("ids of any bytes", function()
  it("are decided in a database and in stores", function()
    local missing = postgres.lacks()
    if missing then return pending(missing) end
    local server, here, there = postgres.new(), stores.new(), stores.new()
    server:psql "create database narrow encoding 'LATIN1' template template0 locale 'C'"
    server:psql("create table moves (n int)", "narrow")
    local shop = assert(rille.postgres(server:conninfo "dbname=narrow"))
    local c = assert(rille.coordinator(here, { participants = { shop = shop } }))
    for i, id in ipairs(IDS) do
      for _, again in ipairs { false, true } do
        local result = assert(c:transact({ id = id, home = "shop" }, function(tx)
          return assert(tx:enlist "shop"):exec("insert into moves values ($1)", i)
        end))
        assert.same({ again, id }, { result.duplicate, result.id })
        result = assert(c:transact({ id = "x" .. id:sub(2) }, function(tx)
          return tx:append(there, "moves", { type = "Moved" })
        end))
        assert.equal(again, result.duplicate)
      end
      assert.equal("committed", (c:outcome(id)))
      assert.equal("none", (c:outcome(id:sub(1, -2) .. "!")))
    end
    assert.equal("15|5", server:psql("select sum(n), count(*) from moves", "narrow"))
    assert.equal(#IDS, there:version "moves")
    c:close()
    for _, one in ipairs { shop, here, there, server } do one:close() end
  end)
end)
