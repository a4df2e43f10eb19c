-- meter_spec.lua: how far long work is: what is shown of it, and that the core tells it truly.
local rille = require "rille"
local meter = require "rille.meter"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local SEGMENT_BYTES = 4 << 20

describe("a line of progress", function()
  local at = { done = 420, all = 1000, count = 1234567, noun = "event", rate = 89000.5, left = 65 }

  it("has a bar, a part, a count, a rate and the time that is left", function()
    assert.equal("[########............]   42 %  1,234,567 events  89,000 events/s  1:05 left", meter.line(at, 80))
  end)

  it("has less where there is less room, and is never too wide", function()
    assert.equal("[####......]   42 %  1,234,567 events", meter.line(at, 40))
    for columns = 1, 200 do assert(#meter.line(at, columns) <= columns, columns) end
  end)

  it("has no bar where nobody knows the whole, or it is nothing", function()
    local open = { done = 5, count = 5, noun = "event", rate = 2.5 }
    assert.equal("5 events  2 events/s", meter.line(open, 80))
    open.all = 0
    assert.equal("5 events  2 events/s", meter.line(open, 80))
  end)

  it("tells bytes as people do, long times in hours, and stays within its bar", function()
    local bytes = { done = 3 << 20, all = 1 << 20, count = 3 << 20, noun = "byte", rate = 2048, left = 3723 }
    assert.equal("[####################]  100 %  3.0 MiB  2.0 KiB/s  1:02:03 left", meter.line(bytes, 80))
  end)
end)

---Collects what progress is told; checks that it only grows, up to the whole.
local function listener()
  local told = {}
  return told, function(done, all)
    assert(done > (told.done or 0) and done <= all, done .. " of " .. all)
    told.done, told.all, told.count = done, all, (told.count or 0) + 1
  end
end

---A closed store of some log files.
local function filled()
  local store, path = stores.new { segment_bytes = SEGMENT_BYTES }
  for _ = 1, 20 do
    local events = {}
    for i = 1, 1000 do events[i] = { type = "T", data = ("x"):rep(500) } end
    assert(store:append("s", events))
  end
  assert(store:close())
  return path
end

describe("the core", function()
  local path = filled()

  it("tells how far a backup is, to the last byte, and copies no less", function()
    local store, copy = assert(rille.open(path, { readonly = true })), scratch.path()
    local told, tell = listener()
    assert(store:backup(copy, { progress = tell }))
    assert.equal(store:stats().log_bytes, told.all)
    assert.equal(told.all, told.done)
    assert(told.count > 4, told.count)
    store:close()
    local again = assert(rille.open(copy, { readonly = true }))
    assert.equal(20000, again:head())
    again:close()
  end)

  it("gives a backup up whose progress raises, and leaves nothing of it", function()
    local store, copy = assert(rille.open(path, { readonly = true })), scratch.path()
    for _, after in ipairs { 1, 3 } do
      local calls = 0
      local ok, problem = pcall(store.backup, store, copy, { progress = function()
        calls = calls + 1
        if calls == after then error("enough", 0) end
      end })
      assert.same({ false, "enough", after }, { ok, problem, calls })
      assert.equal("", process.run(("ls -d '%s'* 2>/dev/null"):format(copy)))
    end
    assert(store:backup(copy))
    store:close()
  end)

  it("tells how far a rebuild is, and gives it up where that raises", function()
    local told, tell = listener()
    local store = assert(rille.open(path, { rebuild = true, progress = tell }))
    local log_bytes = store:stats().log_bytes
    assert.equal(log_bytes, told.all)
    assert(told.done > log_bytes - (2 << 20), told.done)
    store:close()
    local ok, problem = pcall(rille.open, path, { rebuild = true, progress = function() error("enough", 0) end })
    assert.same({ false, "enough" }, { ok, problem })
    store = assert(rille.open(path)) -- and it is as it was
    assert.equal(20000, store:version "s")
    assert(store:verify {}.ok)
    store:close()
  end)

  it("wants a function", function()
    assert.has_error(function() rille.open(path, { progress = 5 }) end)
    local store = assert(rille.open(path, { readonly = true }))
    assert.has_error(function() store:backup(scratch.path(), { progress = "x" }) end)
    assert.has_error(function() store:backup(scratch.path(), { progres = print }) end)
    store:close()
  end)
end)
