-- A log file that was made again is shorter than the log that is in it. A backup that had to copy
-- it, because nothing stood behind it, found it too short, or gave the copy a file that can't be
-- appended to.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

it("a store can be copied when its last file was scavenged or redacted, and the copy appended to", function()
  for _, fill in ipairs { 0, 100, 3000 } do
    local store, path = stores.new()
    for i = 1, 60 do
      assert(store:append("c", { type = "A", data = { n = i, fill = ("x"):rep(fill) }, tags = { "t" } }))
    end
    assert(store:truncate("c", { before = 40 }))
    assert.equal(39, assert(store:scavenge()).events)
    local function check(events, first)
      local to, told = scratch.path "copy.rille", {}
      assert(store:backup(to, { progress = function(done, all) told[#told + 1] = { done, all } end }))
      assert.equal(told[#told][2], told[#told][1])
      local copy = assert(rille.open(to))
      assert.same(stores.range(first, events), stores.positions(copy:all()))
      assert.is_true(copy:verify { deep = true }.ok)
      assert.equal(61, assert(copy:append("c", { type = "A" })).version)
      assert.is_true(copy:verify().ok)
      assert(copy:close())
      scratch.remove(to)
    end
    check(60, 40)
    assert(store:redact({ 50 }, { tags = { "t" } }))
    check(60, 40)
    assert(store:close())
    scratch.remove(path)
  end
end)
