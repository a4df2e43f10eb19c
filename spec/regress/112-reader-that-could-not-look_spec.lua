-- A reader for whom the file `control` could not be opened, when it looked whether anybody writes,
-- believed later what a dead writer had left there, and called what he had not finished corrupt.
local failing = require "spec.crash.failing"
local scratch = require "spec.support.scratch"

describe("a reader that could not look", function()
  it("does not believe the dead", function()
    if not failing.library() then return pending(failing.missing) end
    local path = scratch.path()
    local made, died = failing.run([[
      local store = rille.open(path, { sync = "never", background = false, segment_bytes = 65536 })
      local pad = ("x"):rep(6000)
      for i = 1, 20 do assert(store:append("s", { type = "A", data = { n = i, pad = pad } })) end
      assert(store:truncate("s", { before = 3 }))
      local name = io.popen(("ls '%s/log'"):format(path)):read "a":match "(%x+).seg\n$"
      assert(store:stats().segments == 2)
      local file = io.open(("%s/log/%s.seg"):format(path, name), "r+")
      file:seek("set", store:stats().log_bytes - tonumber(name, 16) - 8) -- it did not reach the disk
      file:write "torn"
      file:close()
      os.exit(0, false)
    ]], path)
    assert(died == 0, made)
    local output, status = failing.run([[
      for at = 1, 12 do
        calls.arm("open", at, EMFILE)
        local store, message, code = rille.open(path, { readonly = true })
        calls.disarm()
        if store then
          for event in store:all { types = { "A" } } do assert(event.type == "A") end
          assert(store:version "s" >= 0 and store:verify())
          store:close()
        else
          assert(code == "io" and message:find "Too many open files", message)
        end
      end
    ]], path)
    assert(status == 0, output)
  end)
end)
