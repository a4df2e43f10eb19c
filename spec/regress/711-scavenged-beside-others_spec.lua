-- Two ways in which a log file that still grows was taken to be damaged, and a death after which
-- nobody could go on. Who scavenged read the
-- last file as far as it had been when this process last looked how long it is: half a frame of
-- others. And who finished a redaction whose process had died before it began the next file read
-- on into the zeros behind the last frame, unless it had opened the store first; where the process
-- had died between taking the old index away and putting the new one there, it gave up.
local process = require "spec.support.process"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local trap = require "spec.crash.trap"
local values = require "spec.support.values"

values.seed "711-scavenged-beside-others"

local CALLS_MOST = 200

it("who scavenges reads all that others have appended, and no half of it", function()
  local store, path = stores.new { sync = "always" }
  assert(store:append("x", { type = "A", data = "first" }))
  local output, status = process.lua([[
    local store = assert(require "rille".open(arg[1]))
    for i = 1, 300 do assert(store:append("x", { type = "A", data = ("x"):rep(1000) })) end
    assert(store:truncate("x", { before = 300 }))
    assert(store:close())]], path)
  assert(status == 0, output)
  local done = assert(store:scavenge())
  assert.equal(299, done.events)
  assert.is_true(store:verify().ok)
  assert(store:close())
  scratch.remove(path)
end)

it("a redaction that is killed at any call is finished by one who has the store open", function()
  if not trap.works() then return pending "calls are counted on Linux, with a C compiler" end
  local path, mark, killed = scratch.path "killed.rille", scratch.path "mark", 0
  local call = 1
  while call <= CALLS_MOST do
    scratch.shell("rm -rf '%s' '%s'", path, mark)
    local store = assert(require "rille".open(path))
    for i = 1, 3 do assert(store:append("s-" .. i, { type = "A", data = "secret-" .. i, tags = { "ann" } })) end
    assert(store:redact(1)) -- the next is noted in a file that has nothing else
    local lines, status = trap.run({ under = path, mark = mark, kill = call }, "redact", { path, mark })
    if status ~= 0 then assert(status == 137, table.concat(lines, "\n")) end
    local done, message = store:redact(2, { tags = { "ann" } })
    assert(done, ("call %d: %s"):format(call, message))
    local verified = store:verify { deep = true }
    assert(verified.ok, verified.problems[1] and verified.problems[1].message)
    assert.is_nil(store:all { tags = { "ann" } }())
    assert(store:close())
    if status == 0 then break end
    killed = killed + 1
    call = call + (rounds.all and 1 or math.random(4))
  end
  assert(killed > 5 and killed < CALLS_MOST, killed .. " kills")
  scratch.remove(path)
end)
