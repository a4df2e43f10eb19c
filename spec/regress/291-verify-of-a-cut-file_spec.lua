-- verify walks on behind damage and names all of it. Where a log file out of which a scavenge had
-- taken bytes could not be read at all, it gave up: an error instead of what it had found.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local FIRST, LAST = "/log/0000000000000000.seg", 60

local function cut_in_half(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  file = assert(io.open(path, "wb"))
  file:write(text:sub(1, #text // 2))
  file:close()
end

describe("verify", function()
  it("goes on behind a file that can't be read at all", function()
    local path = scratch.path "cut"
    local store = assert(rille.open(path, { segment_bytes = 65536 }))
    local filler = ("x"):rep(5000)
    for i = 1, LAST do assert(store:append(i % 2 == 0 and "old" or "new", { type = "A", data = filler })) end
    assert(store:truncate("old", { before = 20 }))
    assert(store:scavenge().segments > 2)
    assert(store:close())
    cut_in_half(path .. FIRST)

    store = assert(rille.open(path))
    local found = assert(store:verify())
    assert.is_false(found.ok)
    assert.equal(0, found.readable)
    assert.equal("L7", found.problems[1].invariant)
    assert.equal(0, found.problems[1].address)
    stores.contains(found.problems[1].message, "where its parts stand can't be read")
    assert(found.events > LAST / 2 and found.events < LAST, found.events .. " events behind it were looked at")
    store:close()
  end)
end)
