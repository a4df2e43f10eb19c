-- Where more was left unfolded than an overlay holds, and less than makes a reader build an
-- index of its own, a readonly opening tried to fold into the index that it may not write.
local child = require "spec.crash.child"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local BYTES = 7000000 -- of an event; the first append has two of them, the second three

describe("a readonly store", function()
  it("opens behind large appends of a process that was killed", function()
    local path = scratch.path()
    local c = child.start("append", { path, 1, "never", "", BYTES })
    assert.equal("open ", c:line())
    for _ = 1, 2 do assert(c:line():find "^done") end
    c:kill()
    c:wait()
    local store = assert(rille.open(path, { readonly = true }))
    assert(store:head() >= 5)
    assert.equal(store:head(), #stores.positions(store:all()))
    store:close()
    scratch.remove(path)
  end)
end)
