-- A role with default_transaction_read_only could let a database decide, by "set transaction read write", and who was
-- in doubt then, of the same role, could neither settle nor tell an id that was never used: "unknown" for good.
local postgres = require "spec.support.postgres"

describe("a role that only reads unless it is told", function()
  postgres.case("settles, and tells what there is not", function()
    local scene = postgres.scene(5)
    scene.server:psql "alter role rille set default_transaction_read_only = on"
    local c = scene:coordinator()
    assert.equal("none", (c:outcome "order"))
    local function move(id)
      return c:transact({ id = id }, function(tx)
        local branch = assert(tx:enlist "shop")
        assert(branch:exec "set transaction read write")
        return branch:exec("insert into moves values ($1)", id)
      end)
    end
    assert(move "order")
    assert.equal("none", (c:outcome "other"))
    local tx = assert(c:begin { home = "shop" })
    local id, branch = tx.id, assert(tx:enlist "shop")
    assert(branch:exec "set transaction read write")
    assert(branch:exec "insert into moves values ('gone')")
    tx:abort()
    assert.equal("abort", scene.shop:settle(id))
    assert.equal("committed", (c:outcome "order"))
    assert.equal("aborted", (c:outcome("other", { settle = true })))
    assert.is_nil(branch:exec "select 1")
    local _, code = assert(c:begin {}):enlist "shop":exec "insert into moves values ('not told')"
    assert.is_string(code)
    assert.equal(" order", scene.server:psql [[set default_transaction_read_only = off;
      select string_agg(' ' || id, '' order by id) from moves]])
    scene:close()
  end)
end)
