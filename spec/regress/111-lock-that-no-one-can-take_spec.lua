-- A lock that the system refused, for another reason than that somebody has it, made who wanted
-- to flush wait for ever, and who folded go on without it.
local failing = require "spec.crash.failing"
local scratch = require "spec.support.scratch"

describe("a lock that nobody can take", function()
  it("is told, and not waited for", function()
    if not failing.library() then return pending(failing.missing) end
    local path = scratch.path()
    local output, status = failing.run([[
      local store = assert(rille.open(path, { background = false }))
      local told = 0
      for at = 1, 6 do
        calls.arm("lock", at, ENOLCK, true)
        local done, message, code = store:append("s", { type = "A" })
        local hits = calls.disarm()
        if not done then
          assert(hits > 0 and (code == "io" or code == "unknown") and message:find "can't lock", message)
          told = told + 1
        end
      end
      assert(told >= 2, told) -- the writer's, the flusher's
      assert(store:append("s", { type = "A" }) and store:verify().ok)
      calls.arm("lock", 3, ENOLCK, true)
      store:close()
      calls.disarm()
    ]], path)
    assert(status == 0, output)
  end)
end)
