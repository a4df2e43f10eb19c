-- verify found nothing wrong with the end of a log at which it could not look.
local failing = require "spec.crash.failing"
local scratch = require "spec.support.scratch"

describe("verify, when the log can't be looked at", function()
  it("says so", function()
    if not failing.library() then return pending(failing.missing) end
    local path = scratch.path()
    local output, status = failing.run([[
      local store = assert(rille.open(path, { background = false }))
      assert(store:append("s", { type = "A" }))
      for at = 1, 2 do
        calls.arm("list", at, EIO, true)
        local verified, message, code = store:verify()
        local hits = calls.disarm()
        assert(hits > 0 and verified == nil and code == "io" and message:find "can't read", message)
      end
      assert(store:verify().ok)
    ]], path)
    assert(status == 0, output)
  end)
end)
