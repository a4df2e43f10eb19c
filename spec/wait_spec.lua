-- wait_spec.lua: store:wait: sleeping until an event is there, woken by whoever appends.
local rille = require "rille"
local core = require "spec.support.core"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

local SOON = 0.05      -- s: what is waited for in vain
local LONG = 60        -- s: what ends a test that hangs
local SLICE = 0.2      -- s: a wait that nobody wakes looks again so often, to let hooks run
local ROUNDS = 200

local store, path

local function new_store(options) store, path = stores.new(options) end

local function drop_store()
  store:close()
  scratch.remove(path)
end

describe("wait", function()
  before_each(new_store)
  after_each(drop_store)

  it("returns at once for what is there", function()
    stores.fill(store, "a", 3)
    for position = 0, 3 do assert.is_true(store:wait(position, 0)) end
    assert.is_true(store:wait(3))
    assert.is_true(store:wait(3, math.huge))
    assert.is_true(store:wait(3.0, 0))
  end)

  it("is false when nothing comes in time", function()
    assert.is_false(store:wait(1, 0))
    assert.is_false(store:wait(nil, SOON))
    stores.fill(store, "a", 3)
    assert.is_false(store:wait(nil, SOON))
    assert.is_false(store:wait(4, 0))
    assert.is_false(store:wait(math.maxinteger, SOON))
  end)

  it("refuses what is no position and no time", function()
    for _, wrong in ipairs { { -1 }, { 1, -1 }, { 1, 0 / 0 }, { math.mininteger, 0 } } do
      local message, code = failure(store:wait(table.unpack(wrong)))
      assert.equal("invalid", code)
      contains(message, "must not be negative")
    end
    contains(raised(store.wait, store, "1"), "number expected")
    contains(raised(store.wait, store, 1.5), "a position is an integer")
    contains(raised(store.wait, store, 1, "0"), "number expected")
    contains(raised(store.wait, store, 1, {}), "number expected")
  end)

  it("lets hooks run, which may close the store or raise", function()
    -- What wait calls between two slices is called at level 2, by wait at level 3.
    local function within_wait(act)
      return function()
        local caller = debug.getinfo(3, "f")
        if caller and caller.func == store.wait then act() end
      end
    end
    debug.sethook(within_wait(function() error "enough" end), "c")
    local ok, message = pcall(store.wait, store, 1, LONG)
    debug.sethook()
    assert.is_false(ok)
    contains(message, "enough")
    debug.sethook(within_wait(function() getmetatable(store).__gc(store) end), "c")
    local answer, _, code = store:wait(1, LONG)
    debug.sethook()
    assert.is_nil(answer)
    assert.equal("closed", code)
    assert.equal("closed", select(2, failure(store:wait(1, 0))))
  end)

  it("can be interrupted in a program of its own", function()
    store:close()
    local other = process.start([[
      local store = assert(require "rille".open(arg[1]))
      print "ready"
      io.stdout:flush()
      store:wait()
    ]], path)
    assert.equal("ready", other:line())
    scratch.shell("kill -INT %d", other.pid)
    local output, status = other:finish()
    assert.equal(1, status)
    contains(output, "interrupted!")
  end)
end)

describe("waiting for what is durable", function()
  after_each(drop_store)

  for _, sync in ipairs { "always", "interval" } do
    for _, background in ipairs { true, false } do
      it(("ends with a flush: %s, %s background thread"):format(sync, background and "a" or "no"), function()
        new_store { sync = sync, background = background, sync_interval_ms = 20 }
        local done = assert(store:append("a", { type = "A" }))
        assert.is_true(store:wait(done.last, LONG))
        assert(store:durable() >= done.last)
      end)
    end
  end

  it("ends with a sync", function()
    new_store { sync = "interval", sync_interval_ms = 60 * 60 * 1000 }
    local done = assert(store:append("a", { type = "A" }))
    assert(store:sync())
    assert.is_true(store:wait(done.last, 0))
  end)

  it("is no matter with never: written is enough", function()
    new_store { sync = "never", background = false }
    local done = assert(store:append("a", { type = "A" }))
    assert.is_true(store:wait(done.last, 0))
  end)
end)

describe("another process", function()
  before_each(function() new_store { sync = "always" } end)
  after_each(drop_store)

  it("wakes who waits, at each append", function()
    local other = process.start([[
      local store = assert(require "rille".open(arg[1]))
      local rounds = tonumber(arg[2])
      for round = 1, rounds do
        assert(store:wait(2 * round - 1))
        assert(store:append("b", { type = "Pong" }, { expect = round - 1 }))
      end
      print "done"
    ]], path, ROUNDS)
    local waited = {}
    for round = 1, ROUNDS do
      local began = core.monotonic()
      assert(store:append("a", { type = "Ping" }, { expect = round - 1 }))
      local appended = core.monotonic()
      assert.is_true(store:wait(2 * round, LONG))
      -- Beyond what the other's append takes: as long as this one's, on a slow disk, too.
      waited[round] = core.monotonic() - appended - (appended - began)
    end
    table.sort(waited)
    assert.same({ "done\n", 0 }, { other:finish() })
    assert.equal(2 * ROUNDS, store:head())
    -- Who only looked again after each slice would take one, mostly.
    local median = waited[ROUNDS // 2]
    assert(median < SLICE / 2, ("woken after %.3f s, mostly"):format(median))
  end)

  for _, sync in ipairs { "always", "never" } do
    it("may have it open for reading only, with sync " .. sync, function()
      local other = process.start([[
        local store = assert(require "rille".open(arg[1], { readonly = true, sync = arg[2] }))
        print "ready"
        io.stdout:flush()
        local position = 0
        while position < 20 do
          assert(store:wait(position + 1))
          for event in store:all { after = position } do
            assert(event.position == position + 1)
            position = event.position
          end
        end
        print(position)
      ]], path, sync)
      assert.equal("ready", other:line())
      for _ = 1, 20 do assert(store:append("a", { type = "A" })) end
      assert.same({ "20\n", 0 }, { other:finish() })
    end)
  end
end)

describe("a store for reading only", function()
  it("waits like any other", function()
    new_store()
    stores.fill(store, "a", 2)
    store:close()
    store = assert(rille.open(path, { readonly = true }))
    assert.is_true(store:wait(2, 0))
    assert.is_false(store:wait(3, SOON))
    drop_store()
  end)
end)

describe("poll", function()
  after_each(drop_store)

  it("says that nothing is left", function()
    new_store()
    assert.equal(0, store:poll())
    assert.equal(0, store:poll(2))
    assert.equal(0, store:poll(0.5))
    assert.equal("invalid", select(2, failure(store:poll(-1))))
    assert.equal("invalid", select(2, failure(store:poll(0 / 0))))
    contains(raised(store.poll, store, "2"), "ms must be a number, not string")
    store:close()
    assert.equal("closed", select(2, failure(store:poll())))
  end)

  it("flushes what is due where no thread does", function()
    new_store { sync = "interval", sync_interval_ms = 1, background = false }
    local done = assert(store:append("a", { type = "A" }))
    local end_time = os.time() + LONG
    repeat assert.equal(0, store:poll()) until store:durable() == done.last or os.time() > end_time
    assert.equal(done.last, store:durable())
  end)
end)
