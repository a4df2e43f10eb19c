-- A log file that something else makes shorter is an error, to who appends as well: an assertion
-- ended the host there, once the store had looked where the last file ends.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local LOG = "/log/0000000000000000.seg"

local function cut_to(path, bytes)
  local file = assert(io.open(path, "rb"))
  local text = file:read(bytes)
  file:close()
  file = assert(io.open(path, "wb")) -- the same file
  file:write(text)
  file:close()
end

describe("A log file that was cut under an open store", function()
  it("is told to who appends, and nothing more is written to it", function()
    local path = scratch.path "cut"
    local store = assert(rille.open(path))
    for i = 1, 30 do assert(store:append("a", { type = "A", data = i })) end
    assert(store:close())

    store = assert(rille.open(path))
    cut_to(path .. LOG, 600)
    for _ = 1, 3 do
      local done, message, code, detail = store:append("a", { type = "A" })
      assert.is_nil(done)
      assert.equal("corrupt", code)
      stores.contains(message, "the last log file ends at byte 600 of the log")
      assert.equal(600, detail.address)
    end
    assert.equal(30, store:head())
    store:close()

    local file = assert(io.open(path .. LOG, "rb"))
    assert.equal(600, file:seek "end")
    file:close()
    local again, _, code = rille.open(path)
    assert.is_nil(again)
    assert.equal("corrupt", code)
  end)
end)
