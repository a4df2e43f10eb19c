-- kill_spec.lua: what spec/c/kill_test.c does by forking, with processes that run Lua: one
-- that has the store open all the time appends while others, which do the same, are killed
-- at each of their calls that change a file (crash/trap.c), and while followers are stopped
-- and continued.
local child = require "spec.crash.child"
local oracle = require "spec.crash.oracle"
local rille = require "rille"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local trap = require "spec.crash.trap"
local values = require "spec.support.values"

values.seed("kill_spec")

local KILLED = 128 + 9
local SMALLEST_SEGMENT = 65536
local PATIENCE = 30 -- seconds; nobody is kept waiting that long, not even by a busy disk

local function note(lines, acknowledged)
  for _, line in ipairs(lines) do
    local i, first, last = line:match "^done (%d+) (%d+) (%d+)$"
    if i then acknowledged[tonumber(i)] = { tonumber(first), tonumber(last) } end
  end
end

-- Another append of the witness, which must not notice anything.
local function append_at_once(store, witness)
  local started = os.time()
  witness.version = assert(store:append("witness", { type = "Seen" }, { expect = witness.version })).version
  assert(os.time() - started <= PATIENCE, "it was kept waiting")
end

-- Events of the witness do not belong to any numbered append.
local function check(store, acknowledged, witness)
  local there = {}
  for event in store:all() do
    local d = event.data
    if d and d.event == 1 then
      assert(not there[d.append], "an append is there twice")
      there[d.append] = { event.position, event.position + d.of - 1 }
    end
  end
  for i, told in pairs(acknowledged) do
    assert.same(told, there[i], "append " .. i)
  end
  assert.equal(witness.version, #stores.list(store:read "witness"))
  oracle.check_verified(store)
end

describe("who has a store open", function()
  it("does not notice those who are killed at their calls", function()
    if not trap.works() then return pending "calls are counted on Linux, with a C compiler" end
    local path = scratch.path()
    local store = assert(rille.open(path, { segment_bytes = SMALLEST_SEGMENT, background = math.random(2) == 1 }))
    local acknowledged, witness, calls = {}, { version = 0 }, rounds(40)
    for call = 1, calls do
      local lines, status = trap.run({ under = path, kill = call }, "append",
        { path, call * 1000, "always", SMALLEST_SEGMENT, 3000 })
      assert.equal(KILLED, status)
      note(lines, acknowledged)
      append_at_once(store, witness)
    end
    check(store, acknowledged, witness)
    assert(store:close())
    local remark
    store, remark = assert(rille.open(path))
    assert.is_nil(remark)
    check(store, acknowledged, witness)
    store:close()
    scratch.remove(path)
  end)

  it("does not wait for a follower that is stopped, which reads on later", function()
    local path = scratch.path()
    local store, followers = assert(rille.open(path)), {}
    local witness = { version = 0 }
    for w = 1, 4 do followers[w] = child.start("follow", { path, w }) end
    for _ = 1, rounds(20) do
      local pid = followers[math.random(4)].pid
      os.execute("kill -STOP " .. pid)
      for _ = 1, 20 do append_at_once(store, witness) end
      os.execute("kill -CONT " .. pid)
    end
    scratch.shell(": > '%s.stop'", path)
    for _, follower in ipairs(followers) do assert.equal(0, select(2, follower:wait())) end
    assert(store:close())
    scratch.remove(path)
  end)

  it("is woken, and goes on, when all others are killed while they wait", function()
    local path = scratch.path()
    local store, followers = assert(rille.open(path)), {}
    local witness = { version = 0 }
    for _ = 1, rounds(5) do
      for w = 1, 4 do followers[w] = child.start("follow", { path, w }) end
      for _ = 1, 20 do append_at_once(store, witness) end
      for _, follower in ipairs(followers) do follower:kill() end
      for _, follower in ipairs(followers) do assert.equal(KILLED, select(2, follower:wait())) end
      append_at_once(store, witness)
    end
    oracle.check_verified(store)
    assert(store:close())
    scratch.remove(path)
  end)
end)
