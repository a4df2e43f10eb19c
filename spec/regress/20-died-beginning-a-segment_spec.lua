-- A process that was killed after it had made a new log file, and before it had told the
-- others, left a file that they did not know: they wrote on behind the old one's end, where
-- the next to open the store looks in the new one. What they had acknowledged was gone.
local oracle = require "spec.crash.oracle"
local stores = require "spec.support.stores"
local trap = require "spec.crash.trap"
local work = require "spec.crash.work"
local rille = require "rille"
local scratch = require "spec.support.scratch"

local SMALLEST_SEGMENT, BYTES, CALLS = 65536, 6000, 14

describe("who is killed while it begins a segment", function()
  it("leaves others a log to go on with, at each of its calls", function()
    if not trap.works() then return pending "calls are counted on Linux, with a C compiler" end
    for call = 1, CALLS do
      local store, path = stores.new { sync = "always" } -- its segments are large
      while store:stats().log_bytes < SMALLEST_SEGMENT do
        assert(store:append("s", { type = "A", data = ("x"):rep(BYTES) }))
      end
      trap.run({ under = path .. "/log", kill = call }, "append",
        { path, 1, "always", SMALLEST_SEGMENT, BYTES })
      local last
      for _ = 1, 3 do last = assert(store:append(work.append(1, 10))).last end
      store:close()
      local remark
      store, remark = assert(rille.open(path))
      assert.is_nil(remark)
      assert.equal(last, store:head())
      oracle.check_verified(store)
      store:close()
      scratch.remove(path)
    end
  end)
end)
