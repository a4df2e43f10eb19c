-- A NUL ended a path, so that another store was opened than the one that was named; and
-- it ended the stream's name in a conflict's detail.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

it("a path with a NUL is refused", function()
  local path = scratch.path()
  assert.equal("invalid", select(2, stores.failure(rille.open(path .. "\0tail"))))
  assert.is_nil(io.open(path .. "/store"))
end)

it("a conflict names the whole stream", function()
  local store <close> = stores.new()
  local odd = "a\0b"
  assert(store:append(odd, { type = "T" }))
  local _, code, detail = stores.failure(store:append(odd, { type = "T" }, { expect = "none" }))
  assert.equal("conflict", code)
  assert.same({ stream = odd, version = 1 }, detail)
end)
