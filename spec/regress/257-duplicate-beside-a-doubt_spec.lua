-- What was committed before was told as "locked", as long as anything at all was in doubt in home whose own home
-- could not be asked: the events of a decision were read as strongly as others, for the versions.
local core = require "spec.support.core"
local rille = require "rille"
local stores = require "spec.support.stores"
local means = core.transaction

describe("an id that is committed", function()
  it("is told beside what is in doubt", function()
    local here, there, far = stores.new(), stores.new(), stores.new()
    local c = assert(rille.coordinator(here))
    local function move()
      return c:transact({ id = "order" }, function(tx)
        assert(tx:append(there, "a", { type = "Moved" }))
        return tx:append(here, "a", { { type = "Moved" }, { type = "Moved" } })
      end)
    end
    local first = assert(move())

    local instance = assert(means.instance(far, "far"))
    local id, home_end = instance:begin()
    local done = assert(means.prepare(here, stores.work(here, { { stream = "b", events = { type = "Held" } } }),
      { id = id, name = "here", home_kind = "postgres", home_path = "shop", home_end = home_end, coordinator = "far" }))
    assert(means.flush(here, done.flush))
    assert.has_error(function() here:all()() end) -- a strong read can't see past it

    local again = assert(move())
    assert.is_true(again.duplicate)
    assert.same(first.versions, again.versions)
    assert.same(first.positions[first.members[2]], again.positions[first.members[2]])
    local word, result = c:outcome "order"
    assert.equal("committed", word)
    assert.same(first.versions, result.versions)
    instance:close()
    c:close()
    for _, one in ipairs { here, there, far } do one:close() end
  end)
end)
