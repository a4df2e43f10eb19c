-- Killed when the names had gone out of the redact frame's own file, and before the index was made
-- anew: nobody knew any more which chains that frame had ended. The names stayed in the index for
-- ever, and streams that were redacted went on with the versions they had had.
local child = require "spec.crash.child"
local process = require "spec.support.process"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local CALLS_MOST = 200

local library = scratch.path "trap.so"
local works = os.execute(("unset LD_PRELOAD; [ \"$(uname -s)\" = Linux ] && ${CC:-cc} -O1 -shared "
  .. "-fPIC -o '%s' spec/crash/trap.c"):format(library))

local function make()
  local store, path = stores.new { segment_bytes = 65536 }
  for i = 1, 120 do
    assert(store:append("secret-stream-" .. i % 3, { type = "A", id = "id-" .. i,
      data = { n = i, fill = ("x"):rep(1500) }, tags = { "mail:ann" } }))
  end
  assert(store:close())
  return path
end

describe("a redaction that is killed", function()
  if not works then return pending "calls are counted on Linux, with a C compiler" end
  local original = make()
  local script = scratch.file("redact.lua", [[
    package.cpath = os.getenv "RILLE_MODULE" .. ";" .. package.cpath
    local store = assert(require "rille".open(arg[1]))
    assert(io.open(arg[2], "w")):close()
    assert(store:redact({ 5 }, { tags = { "mail:ann" }, streams = { "secret-stream-1" } }))
    os.exit(true, false)]])

  it("at any call is finished by the next opening, or was not begun", function()
    local path, mark = scratch.path "killed.rille", scratch.path "mark"
    local killed, begun = 0, 0
    for call = 1, CALLS_MOST do
      scratch.shell("rm -rf '%s' '%s' && cp -r '%s' '%s'", path, mark, original, path)
      local lines, status = child.run_file(script, { path, mark },
        ("LD_PRELOAD=\"$LD_PRELOAD\":'%s' TRAP_UNDER='%s' TRAP_MARK='%s' TRAP_KILL=%d")
          :format(library, path, mark, call))
      if status == 0 then break end
      assert(status == 137, table.concat(lines, "\n"))
      killed = killed + 1
      local store = assert(rille.open(path))
      local is_begun = store:version "secret-stream-1" == 0
      assert.is_true(store:verify().ok)
      assert(not is_begun or store:all { tags = { "mail:ann" } }() == nil)
      assert(store:close())
      local left = process.run(("grep -rlaF -e mail:ann -e secret-stream-1 '%s' || true"):format(path))
      assert(begun == 0 or is_begun and left == "", ("call %d: %s"):format(call, left))
      if is_begun then
        begun = begun + 1
        store = assert(rille.open(path))
        assert.equal(1, assert(store:append("secret-stream-1", { type = "A", id = "id-1" })).version)
        assert.is_true(store:verify().ok)
        assert(store:close())
      end
    end
    assert(killed > 20 and begun > 10 and killed < CALLS_MOST, killed .. " kills, " .. begun .. " begun")
  end)
end)
