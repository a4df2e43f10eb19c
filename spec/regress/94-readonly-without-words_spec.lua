-- A store without its file `control` can be read, and then has no words that processes share. To
-- append to it ended the host by a signal, instead of answering "readonly".
local process = require "spec.support.process"
local rille = require "rille"
local scratch = require "spec.support.scratch"

describe("an append to a store that is open for reading, without its file control", function()
  it("is refused", function()
    local path = scratch.path()
    assert(rille.open(path)):close()
    scratch.shell("rm '%s/control'", path)
    local output, status = process.lua([[
      local store = assert(require "rille".open(arg[1], { readonly = true }))
      io.write((select(3, store:append("a", { type = "A" }))))
    ]], path)
    assert.same({ "readonly", 0 }, { output, status })
  end)
end)
