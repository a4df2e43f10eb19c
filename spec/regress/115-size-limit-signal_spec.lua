-- Where a process may not make files as large as it likes, and does nothing about the signal, an
-- append that would have made one larger ended the process instead of answering "full"; and so did
-- whatever wrote into the index.
local child = require "spec.crash.child"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local work = require "spec.crash.work"

local LIMIT = "ulimit -f %d;" -- in blocks of 512 or 1024 bytes

describe("a limit of the size of files", function()
  it("is answered, and ends nobody", function()
    for blocks = 20, 700, 85 do
      local path = scratch.path()
      local lines, status = child.run("fill", { path, 3000 }, LIMIT:format(blocks))
      assert(status == 0 or status == 3, ("status %d at %d: %s"):format(status, blocks, table.concat(lines, "; ")))
      scratch.remove(path)
    end
  end)

  it("is answered by the fold", function()
    local path = scratch.path()
    local store = assert(rille.open(path, { sync = "never" }))
    work.fill(store, 3000)
    assert(store:append("s", { type = "Made" }))
    os.execute(("cp -r '%s' '%s.copy'"):format(path, path)) -- with nothing folded
    assert(store:close())
    local lines, status = child.run("create", { path .. ".copy" }, LIMIT:format(300))
    assert(status == 0 or status == 3, table.concat(lines, "; "))
    store = assert(rille.open(path .. ".copy"))
    assert(store:verify().ok)
    assert(store:close())
  end)
end)
