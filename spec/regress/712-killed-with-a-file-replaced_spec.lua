-- Who redacted a tag was killed when one of three files had been replaced. Who opened the store then, with an index
-- from before, was told that "the index does not fit the log": of the tag's events those in the first file had lost
-- it, and only the first of the others follows one that has.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local trap = require "spec.crash.trap"

local CALLS_MOST = 200
local SEGMENT_BYTES, EVENTS = 128 * 1024, 60

it("a tag that is taken out of some files only is taken out of all by who opens the store", function()
  if not trap.works() then return pending "calls are counted on Linux, with a C compiler" end
  local path, mark = scratch.path "killed.rille", scratch.path "mark"
  local killed = 0
  for call = 1, CALLS_MOST do
    scratch.shell("rm -rf '%s' '%s'", path, mark)
    local store = assert(rille.open(path, { segment_bytes = SEGMENT_BYTES, background = false }))
    for i = 1, EVENTS do
      assert(store:append("s-" .. i % 3, { type = "A", data = ("secret-%d"):format(i):rep(800), tags = { "ann" } }))
    end
    assert(store:append("x", { type = "A" }))
    assert(store:close())
    scratch.shell("rm -rf '%s/index'", path) -- as of before: nothing is folded
    local lines, status = trap.run({ under = path, mark = mark, kill = call }, "redact", { path, mark })
    if status ~= 0 then assert(status == 137, table.concat(lines, "\n")) end
    scratch.shell("rm -rf '%s/index'", path)
    store = assert(rille.open(path))
    local n = 0
    for _ in store:all { tags = { "ann" } } do n = n + 1 end
    assert(n == 0 or n == EVENTS, n .. " events have the tag")
    local verified = store:verify { deep = true }
    assert(verified.ok, verified.problems[1] and verified.problems[1].message)
    assert(store:close())
    if status == 0 then break end
    killed = killed + 1
  end
  assert(killed > 5 and killed < CALLS_MOST, killed .. " kills")
  scratch.remove(path)
end)
