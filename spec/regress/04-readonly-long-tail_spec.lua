-- A store of which more than 56 MiB had not been folded when its process ended could not
-- be opened for reading: the reader tried to fold into the index it may not write.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local MIB = 1 << 20

describe("a long stretch that was not folded", function()
  it("can be read by who may only read", function()
    local store, path = stores.new()
    assert(store:append("s", { type = "First" }))
    assert(store:close())
    local old = scratch.path "old"
    scratch.shell("cp -r '%s/index' '%s'", path, old)
    store = assert(rille.open(path, { sync = "never" }))
    for _ = 1, 4 do assert(store:append("s", { type = "Big", data = ("x"):rep(MIB):rep(15) })) end
    assert(store:close())
    scratch.shell("rm -r '%s/index' && mv '%s' '%s/index'", path, old, path) -- as after a crash
    store = assert(rille.open(path, { readonly = true }))
    assert.equal(5, store:head())
    assert.equal(5, store:version "s")
    assert.same(stores.range(1, 5), stores.versions(store:read "s"))
    store:close()
    scratch.remove(path)
  end)
end)
