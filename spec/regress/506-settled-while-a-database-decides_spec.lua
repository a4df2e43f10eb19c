-- A caller's id was settled as aborted, for good, while its living coordinator was about to decide in a database:
-- which then decided all the same, because it never looked at what was settled.
local postgres = require "spec.support.postgres"
local stores = require "spec.support.stores"

describe("an id that is settled while a database decides", function()
  it("stays aborted", function()
    local missing = postgres.lacks()
    if missing then return pending(missing) end
    local scene = postgres.scene(2)
    local c, other = scene:coordinator(), scene:coordinator()

    local tx = assert(c:begin { id = "order" })
    assert(assert(tx:enlist "shop"):exec "insert into moves values ('order')")
    assert.equal("aborted", (other:outcome("order", { settle = true })))
    local message, code = stores.failure(tx:commit())
    assert.equal("aborted", code)
    stores.contains(message, "settled")
    assert.equal("", scene:moved())
    assert.equal("aborted", (other:outcome "order"))

    assert.is_false(assert(scene:move(c, "order")).duplicate) -- aborted before, tried anew
    assert.equal("committed", (other:outcome("order", { settle = true })))
    assert.is_true(assert(scene:move(c, "order")).duplicate)
    assert.equal(" order", scene:moved())
    scene:close()
  end)
end)
