-- Where the system could not tell the inode of the file `store`, for a moment, the store was taken
-- for a copy, and that was noted in its log for good: what was undecided in it was never settled.
local failing = require "spec.crash.failing"
local scratch = require "spec.support.scratch"

describe("a store whose inode can't be told", function()
  it("is no copy", function()
    if not failing.library() then return pending(failing.missing) end
    local path = scratch.path()
    local output, status = failing.run([[
      local store = assert(rille.open(path, { background = false }))
      assert(store:append("s", { type = "A" }))
      local bytes = store:stats().log_bytes
      assert(store:close())
      for at = 1, 40 do
        calls.arm("stat", at, EIO)
        local opened = rille.open(path, { background = false })
        calls.disarm()
        if opened then opened:close() end
        store = assert(rille.open(path, { background = false }))
        assert(store:stats().log_bytes == bytes, at)
        assert(store:close())
      end
    ]], path)
    assert(status == 0, output)
  end)
end)
