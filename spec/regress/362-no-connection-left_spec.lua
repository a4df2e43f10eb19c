-- Where a database had no connection left for the moment, the transaction was aborted for good, whatever `attempts`
-- said: it was "io", as if there were no server, and who could not even begin had no vote.
local postgres = require "spec.support.postgres"
local rille = require "rille"
local stores = require "spec.support.stores"

describe("a database without a connection left", function()
  postgres.case("votes busy, and is tried again", function()
    local scene = postgres.scene(5)
    scene.server:psql "create role few login connection limit 1; grant all on moves to few"
    local conninfo = scene.server:conninfo():gsub("user=rille", "user=few")
    local holder, shop = assert(rille.postgres(conninfo)), assert(rille.postgres(conninfo))
    local branch = assert(holder:enlist { id = "a.1.b.1", number = 1, deadline = holder.now() + 30 })
    local c = assert(rille.coordinator(scene.here, { participants = { shop = shop } }))
    local function move(id, attempts, after)
      local tries = 0
      return c:transact({ attempts = attempts }, function(tx)
        tries = tries + 1
        if tries > after then
          branch:close()
          holder:close()
          postgres.eventually(function()
            return scene.server:psql "select count(*) from pg_stat_activity where usename = 'few'" == "0"
          end)
        end
        assert(tx:append(scene.here, "a", { type = "Moved" }))
        local moving, message, code, detail = tx:enlist "shop"
        if not moving then return nil, message, code, detail end
        return moving:exec("insert into moves values ($1)", id)
      end)
    end
    local message, code, detail = stores.failure(move("first", 1, 9))
    assert.equal("aborted", code)
    stores.contains(message, "too many connections")
    assert.is_true(detail.again)
    local vote = detail.votes.shop
    assert.same({ "no", "busy", "53300" }, { vote.vote, vote.code, vote.detail.sqlstate })
    assert.equal("committed", assert(move("second", 3, 1)).outcome)
    assert.equal(" second", scene:moved())
    assert.equal(1, scene.here:version "a")
    c:close()
    shop:close()
    scene:close()
  end)
end)
