-- The file `control` was deleted while a process had the store open: the next one made
-- another, and the two appended without knowing of each other.
local rille = require "rille"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

describe("a store whose file control was deleted under a process", function()
  it("is refused to others until that process has closed it", function()
    local path = scratch.path()
    local store = assert(rille.open(path))
    assert(store:append("a", { type = "A" }))
    scratch.shell("rm '%s/control'", path)
    local elsewhere = [[
      local store, message, code = require "rille".open(arg[1])
      if not store then io.write(code, ": ", message) os.exit(0) end
      io.write(assert(store:append("a", { type = "B" })).version)
    ]]
    local output = process.lua(elsewhere, path)
    assert(output:find "^corrupt: " and output:find "close it in all of them", output)
    assert.equal(2, assert(store:append("a", { type = "A" })).version)
    store:close()
    assert.equal("3", (process.lua(elsewhere, path)))
  end)
end)
