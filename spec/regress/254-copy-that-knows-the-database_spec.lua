-- A copy of a coordinator's store, opened where the original was at work, said to the database that the original's
-- transaction was aborted, because its own log knows nothing of it; only by asking, or by looking after a participant.
local postgres = require "spec.support.postgres"
local rille = require "rille"
local scratch = require "spec.support.scratch"

describe("a copy of the store of a coordinator", function()
  it("leaves to the original what is decided in a database", function()
    local missing = postgres.lacks()
    if missing then return pending(missing) end
    local server, folder = postgres.new(), scratch.path "copies"
    scratch.shell("mkdir '%s'", folder)
    server:psql "create table moves (id text primary key)"
    local here, there = assert(rille.open(folder .. "/here.rille")), assert(rille.open(folder .. "/there.rille"))
    local shop = assert(rille.postgres(server:conninfo()))
    local meanwhile = function() end
    local c = assert(rille.coordinator(here, { participants = { shop = shop,
      look = { prepare = function(id) return meanwhile(id) end } } }))
    scratch.shell("cp -r '%s/here.rille' '%s/copy.rille'", folder, folder)
    local copy = assert(rille.open(folder .. "/copy.rille"))
    local other = assert(rille.coordinator(copy, { participants = { shop = shop } }))

    function meanwhile(id) -- what the store has promised is undecided
      assert.equal("unknown", (other:outcome(id)))
      assert.equal("unknown", (other:outcome(id, { settle = true })))
      assert.equal(0, assert(there:settle()).aborted)
      assert(other:recover() and there:poll())
      assert.equal(1, #there:indoubt())
      return true
    end
    local result = assert(c:transact({ id = "order", home = "shop" }, function(tx)
      assert(tx:append(there, "a", { type = "Moved" }))
      assert(tx:enlist "look")
      return assert(tx:enlist "shop"):exec "insert into moves values ('order')"
    end))
    assert.equal(1, there:version "a")
    assert.equal("committed", (other:outcome(result.transaction))) -- the row tells it to everybody
    other:close()
    c:close()
    for _, one in ipairs { shop, here, there, copy, server } do one:close() end
    scratch.remove(folder)
  end)
end)
