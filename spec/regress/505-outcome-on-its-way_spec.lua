-- A COMMIT in the database that decides was not answered in time and was on its way still. Asked for by its
-- caller's id it was "none", and "aborted" for good where the caller wanted that; then it arrived.
local postgres = require "spec.support.postgres"
local stores = require "spec.support.stores"

describe("a decision that is on its way in a database", function()
  it("is unknown till it has arrived, and never aborted", function()
    local missing = postgres.lacks()
    if missing then return pending(missing) end
    local scene = postgres.scene(1.5)
    local server, c = scene.server, scene:coordinator()
    assert(scene:move(c, "first")) -- makes the table of decisions
    server:set("synchronous_standby_names", "nobody")
    postgres.eventually(function() return server:psql "show synchronous_standby_names" == "nobody" end)

    local _, code = stores.failure(scene:move(c, "order"))
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
    assert.equal(" first order", scene:moved())
    assert(scene:move(c, "another")) -- aborted before, tried anew
    assert.is_true(assert(scene:move(c, "order")).duplicate)
    scene:close()
  end)
end)
