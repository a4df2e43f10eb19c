-- LMDB leaves its data file open in programs that the host starts: they kept a removed index's
-- bytes on the disk, and could write to it.
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

describe("a program that the host starts", function()
  it("has no file of a store open", function()
    local path = scratch.path()
    local output = process.lua([[
      local store = assert(require "rille".open(arg[1], { sync = "never" }))
      assert(store:append("a", { type = "A" }))
      assert(store:stats())
      os.execute("ls -l /proc/self/fd 2>/dev/null")
    ]], path)
    assert.is_nil(output:find(path, 1, true))
  end)
end)
