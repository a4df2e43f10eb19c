-- A process that had read all that another wrote did not look where the last file ends, or
-- whether it still was the last, before it appended: an assertion ended it, or it wrote on
-- behind the end of the old file.
local oracle = require "spec.crash.oracle"
local process = require "spec.support.process"
local stores = require "spec.support.stores"
local rille = require "rille"

local SEGMENT, BYTES = 65536, 6000

local OTHER = [[
  local rille = require "rille"
  local path, segment, appends, bytes = ...
  local store <close> = rille.open(path, { segment_bytes = math.tointeger(segment) })
  for _ = 1, appends do assert(store:append("s", { type = "A", data = ("x"):rep(bytes) })) end
  print "written"
  io.stdout:flush()
  if io.read "l" then store:append("s", { type = "A" }, { expect = 1 }) end -- a conflict
  print "tried"
  io.stdout:flush()
  io.read "a"
]]

local function check(path, last)
  local store <close> = assert(rille.open(path))
  assert.equal(last, store:head())
  assert.equal(last, store:version "s")
  oracle.check_verified(store)
end

describe("who has read what another process wrote", function()
  it("appends behind it, though the file has grown", function()
    local store, path = stores.new()
    local appends = 100 -- more than is filled with zeros ahead
    local other = process.start(OTHER, path, SEGMENT * 1000, appends, BYTES)
    assert.equal("written", other:line())
    assert.equal(appends, store:version "s")
    assert(store:append("s", { type = "B" }))
    assert.equal("tried\n", (other:finish()))
    store:close()
    check(path, appends + 1)
  end)

  it("appends to the file that the other has begun without writing to it", function()
    local store, path = stores.new()
    local appends = SEGMENT // BYTES + 1
    local other = process.start(OTHER, path, SEGMENT, appends, BYTES)
    assert.equal("written", other:line())
    assert.equal(appends, store:version "s")
    other.input:write "go\n"
    other.input:flush()
    assert.equal("tried", other:line())
    assert(store:append("s", { type = "B" }))
    other:finish()
    store:close()
    check(path, appends + 1)
  end)
end)
