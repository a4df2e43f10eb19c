-- The index of a new store was put into its place while its first commit was not on the disk: the
-- power going then left an index without tables, and opening it told that it was damaged.
local power = require "spec.crash.power"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local trap = require "spec.crash.trap"

---Opens what there is after a cut at which nothing arrived that was not flushed.
local function check_cut(world, place)
  local files, folders = power.cut(world, 0)
  if not files["a.rille/store"] then return end
  local folder = scratch.path "after"
  scratch.shell("mkdir '%s'", folder)
  power.put(files, folders, folder)
  local store, remark = assert(rille.open(folder .. "/a.rille"))
  assert(not remark, ("after call %d: %s"):format(place, remark))
  assert(store:close())
end

describe("a new store", function()
  it("is opened without a remark, whenever the power went while it was made", function()
    if not trap.works() then return pending "calls are recorded on Linux, with a C compiler" end
    local base = scratch.path "new"
    scratch.shell("mkdir '%s'", base)
    local calls = power.read(trap.count({ under = base }, "create", { base .. "/a.rille" }))
    local world = power.world()
    for place = 1, #calls do
      power.play(world, calls, place)
      check_cut(world, place)
    end
  end)
end)
