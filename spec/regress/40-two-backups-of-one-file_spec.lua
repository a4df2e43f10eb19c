-- Where the last log file was empty (it had been begun by an append that then was refused),
-- a backup left it out and linked the one before, which so became the copy's last and was
-- appended to: two backups wrote into one file, and one had the other's events.
local oracle = require "spec.crash.oracle"
local stores = require "spec.support.stores"
local scratch = require "spec.support.scratch"
local rille = require "rille"

local SEGMENT, BYTES = 65536, 6000

describe("two backups of a store whose last log file is empty", function()
  it("are stores of their own", function()
    local store, path = stores.new { segment_bytes = SEGMENT }
    while store:stats().log_bytes < SEGMENT do
      assert(store:append("s", { type = "A", data = ("x"):rep(BYTES) }))
    end
    local last = store:head()
    assert.is_nil((store:append("s", { type = "A" }, { expect = 1 })))
    assert.equal(2, store:stats().segments)
    for i = 1, 2 do assert(store:backup(path .. "-copy" .. i)) end
    for i = 1, 2 do
      local copy <close> = assert(rille.open(path .. "-copy" .. i))
      assert.equal(last, copy:head())
      assert(copy:append("mine", { type = "Own", data = i }))
    end
    for i = 1, 2 do
      local copy <close> = assert(rille.open(path .. "-copy" .. i))
      assert.equal(last + 1, copy:head())
      for event in copy:read("mine") do assert.equal(i, event.data) end
      oracle.check_verified(copy)
    end
    store:close()
    for i = 1, 2 do scratch.remove(path .. "-copy" .. i) end
  end)
end)
