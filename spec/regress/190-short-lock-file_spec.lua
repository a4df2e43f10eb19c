-- A power cut may leave LMDB's lock file there, but empty. LMDB then made it as long as it needs,
-- without blocks: on a full disk the next reader's place in it ended the host by a signal.
local rille = require "rille"
local scratch = require "spec.support.scratch"

local function shorten(path, length)
  local file = assert(io.open(path, "wb"))
  assert(file:write(("\0"):rep(length)))
  file:close()
end

---The bytes of a file, and of its blocks on the disk.
local function measure(path)
  local pipe = assert(io.popen(("stat -c '%%s %%b' '%s'"):format(path)))
  local size, blocks = pipe:read("n", "n")
  pipe:close()
  return size, blocks and blocks * 512
end

describe("a lock file that is too short", function()
  it("is made anew, with all its blocks", function()
    local path = scratch.path()
    local lock = path .. "/index/lock.mdb"
    assert(assert(rille.open(path)):close())
    local whole, held = measure(lock)
    if not held or held < whole then return pending "this file system does not tell what a file takes" end
    for _, length in ipairs { 0, 100, 8192 } do
      shorten(lock, length)
      local store = assert(rille.open(path))
      local size, blocks = measure(lock)
      assert(size == whole and blocks >= whole, ("%d bytes, %d on the disk"):format(size, blocks))
      assert(store:append("s", { type = "T" }))
      assert(store:close())
    end
    scratch.remove(path)
  end)
end)
