-- The index of a copy was never flushed: the power going after the backup left a copy that could
-- not be opened.
local power = require "spec.crash.power"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local trap = require "spec.crash.trap"

describe("a backup", function()
  it("is whole when the power goes right after it", function()
    if not trap.works() then return pending "calls are recorded on Linux, with a C compiler" end
    local base, folder = scratch.path "original", scratch.path "after"
    scratch.shell("mkdir '%s' '%s'", base, folder)
    local calls = power.read(trap.count({ under = base }, "backup", { base .. "/a.rille", base .. "/copy.rille" }))
    local world = power.world()
    power.play(world, calls, #calls)
    local files, folders = power.cut(world, 0)
    power.put(files, folders, folder)
    local store, remark = assert(rille.open(folder .. "/copy.rille"))
    assert.is_nil(remark)
    assert.equal(1, store:head())
    assert(store:close())
  end)
end)
