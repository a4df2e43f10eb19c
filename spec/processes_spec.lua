-- processes_spec.lua: several processes use one store: each sees what the others wrote,
-- conditions hold among them, and one that is killed costs nothing.
local rille = require "rille"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"
local contains, failure = stores.contains, stores.failure

values.seed "processes_spec"

local BUILD = os.getenv "RILLE_BUILD" or "build"
local WRITERS, APPENDS = 4, 150
local KILLS = 12

local path
before_each(function() path = scratch.path() end)
after_each(function() scratch.remove(path) end)

---All that was started ends well, and says what it must.
local function all_end(processes, expected)
  for _, each in ipairs(processes) do
    local output, status = each:finish()
    assert.same({ expected, 0 }, { output, status })
  end
end

---Positions without gaps, versions of each stream without gaps.
local function assert_sound(store)
  local position, versions = 0, {}
  for event in store:all() do
    position = position + 1
    assert.equal(position, event.position)
    versions[event.stream] = (versions[event.stream] or 0) + 1
    assert.equal(versions[event.stream], event.version)
  end
  for stream, version in pairs(versions) do assert.equal(version, store:version(stream)) end
  local found = assert(store:verify())
  assert.is_true(found.ok, found.problems[1] and found.problems[1].message)
  return position
end

describe("two processes", function()
  it("append, and read each other's events", function()
    local store = assert(rille.open(path))
    local other = process.start([[
      local store = assert(require "rille".open(arg[1]))
      print(assert(store:append("a", { type = "Mine" })).last)
      io.stdout:flush()
      assert(store:wait(2))
      for event in store:all() do print(event.position, event.type) end
      local _, _, code = store:append("a", { type = "Late" }, { expect = 1 })
      print(code)
    ]], path)
    assert.equal("1", other:line())
    assert.equal(1, store:head())
    assert.same({ "Mine" }, stores.fields("type", store:read "a"))
    assert.equal(2, assert(store:append("a", { type = "Yours" }, { expect = 1 })).version)
    assert.same({ "1\tMine\n2\tYours\nconflict\n", 0 }, { other:finish() })
    assert.equal(2, assert_sound(store))
    store:close()
  end)

  it("may close in any order", function()
    local other = process.start([[
      local store = assert(require "rille".open(arg[1]))
      print(assert(store:append("a", { type = "A" })).last)
      io.stdout:flush()
      io.read "a"
      print(assert(store:append("a", { type = "A" })).last)
      assert(store:close())
    ]], path)
    assert.equal("1", other:line())
    local store = assert(rille.open(path))
    assert.equal(2, assert(store:append("a", { type = "A" })).last)
    assert(store:close())
    assert.same({ "3\n", 0 }, { other:finish() })
    store = assert(rille.open(path))
    assert.equal(3, assert_sound(store))
    store:close()
  end)

  it("see streams that were truncated, and marks that were moved", function()
    local store = assert(rille.open(path))
    stores.fill(store, "a", 4)
    local other = process.start([[
      local store = assert(require "rille".open(arg[1]))
      assert(store:append { mark = { "m", 0, 3 } })
      assert(store:truncate("a", { before = 3 }))
      print "done"
      io.stdout:flush()
      io.read "a"
    ]], path)
    assert.equal("done", other:line())
    assert.equal(3, store:mark "m")
    assert.same({ 3, 4 }, stores.versions(store:read "a"))
    assert.same({ mark = "m", position = 3 }, select(3, failure(store:append { mark = { "m", 0, 1 } })))
    assert.same({ "", 0 }, { other:finish() })
    store:close()
  end)

  it("know each other's ids", function()
    local store = assert(rille.open(path))
    local APPEND = [[
      local store = assert(require "rille".open(arg[1]))
      local done = assert(store:append("a", { { type = "A", id = "1" }, { type = "A", id = "2" } }))
      print(done.first, done.last, done.version, done.duplicate)]]
    assert.equal("1\t2\t2\tfalse\n", (process.lua(APPEND, path)))
    assert.equal("1\t2\t2\ttrue\n", (process.lua(APPEND, path)))
    assert.same({ first = 1, last = 2, version = 2, duplicate = true },
      store:append("a", { { type = "A", id = "1" }, { type = "A", id = "2" } }))
    store:close()
  end)

  it("may make the store at the same moment", function()
    for _ = 1, 10 do
      local fresh, processes = scratch.path(), {}
      for i = 1, 3 do
        processes[i] = process.start([[
          local store = assert(require "rille".open(arg[1]))
          assert(store:append("a", { type = "A" }))
          print "ok"
          assert(store:close())]], fresh)
      end
      all_end(processes, "ok\n")
      local store = assert(rille.open(fresh, { create = false }))
      assert.equal(3, assert_sound(store))
      store:close()
      scratch.remove(fresh)
    end
  end)
end)

describe("many writers", function()
  local COUNT = [[
    local store = assert(require "rille".open(arg[1], { sync = arg[2], segment_bytes = 65536 }))
    local me, appends = arg[3], tonumber(arg[4])
    for i = 1, appends do
      assert(store:append("own-" .. me, { type = "T" .. i % 3, data = { n = i, text = ("x"):rep(i * 7) },
        tags = { "w" .. me } }, { expect = i - 1 }))
      local version
      repeat
        version = store:version "shared"
        local done, message, code = store:append("shared", { type = "Counted", data = { n = version + 1 } },
          { expect = version })
        assert(done or code == "conflict", message)
      until done
    end
    assert(store:close())
    print "ok"]]

  for _, sync in ipairs { "always", "interval", "never" } do
    it("lose nothing and tear nothing: " .. sync, function()
      local processes = {}
      for i = 1, WRITERS do processes[i] = process.start(COUNT, path, sync, i, APPENDS) end
      all_end(processes, "ok\n")
      local store = assert(rille.open(path))
      assert.equal(2 * WRITERS * APPENDS, assert_sound(store))
      for i = 1, WRITERS do
        local n = 0
        for event in store:read("own-" .. i) do
          n = n + 1
          assert.equal(n, event.data.n)
        end
        assert.equal(APPENDS, n)
        assert.equal(APPENDS, #stores.list(store:all { tags = { "w" .. i } }))
      end
      for event in store:read "shared" do assert.equal(event.version, event.data.n) end
      assert.equal(WRITERS * APPENDS, store:version "shared")
      store:close()
    end)
  end

  it("that decide on a query never decide on less than there is", function()
    local processes = {}
    for i = 1, WRITERS do
      processes[i] = process.start([[
        local store = assert(require "rille".open(arg[1]))
        local left = tonumber(arg[2])
        while left > 0 do
          local query = { types = { "Taken" }, tags = { "seat" } }
          local head = store:head()
          local taken = 0
          for _ in store:all(query) do taken = taken + 1 end
          query.after = head
          local done, message, code = store:append("seats-" .. arg[3],
            { type = "Taken", tags = { "seat" }, data = taken + 1 }, { unless = query })
          assert(done or code == "conflict", message)
          if done then left = left - 1 end
        end
        print "ok"]], path, APPENDS // 5, i)
    end
    all_end(processes, "ok\n")
    local store = assert(rille.open(path))
    local seat = 0
    for event in store:all { types = { "Taken" } } do
      seat = seat + 1
      assert.equal(seat, event.data)
    end
    assert.equal(WRITERS * (APPENDS // 5), seat)
    store:close()
  end)

  it("that share a mark do each piece of work once", function()
    local store = assert(rille.open(path))
    stores.fill(store, "work", 60)
    local processes = {}
    for i = 1, WRITERS do
      processes[i] = process.start([[
        local store = assert(require "rille".open(arg[1]))
        local mark = store:mark "worker"
        while mark < 60 do
          for event in store:all { stream = "work", after = mark, limit = 1 } do
            local done, message, code = store:append("done", { type = "Done", data = event.data.n },
              { mark = { "worker", mark, event.position } })
            assert(done or code == "conflict", message)
          end
          mark = store:mark "worker"
        end
        print "ok"]], path)
    end
    all_end(processes, "ok\n")
    local n = 0
    for event in store:read "done" do
      n = n + 1
      assert.equal(n, event.data)
    end
    assert.equal(60, n)
    store:close()
  end)
end)

describe("a reader", function()
  it("never sees a gap, a part of an append, or less than before", function()
    local writer = process.start([[
      local store = assert(require "rille".open(arg[1], { sync = "never", segment_bytes = 65536 }))
      print "ready"
      io.stdout:flush()
      for i = 1, 400 do
        local events = {}
        for n = 1, 5 do events[n] = { type = "A", data = { i = i, n = n, text = ("x"):rep(200) } } end
        assert(store:append("s" .. i % 7, events))
      end
      print "done"]], path)
    assert.equal("ready", writer:line())
    local store = assert(rille.open(path, { readonly = true, sync = "never" }))
    local position = 0
    while position < 2000 do
      assert.is_true(store:wait(position + 1, 60))
      for event in store:all { after = position } do
        position = position + 1
        assert.equal(position, event.position)
        assert.same({ (position - 1) // 5 + 1, (position - 1) % 5 + 1 }, { event.data.i, event.data.n })
      end
      assert.equal(0, position % 5)
    end
    assert.same({ "done\n", 0 }, { writer:finish() })
    store:close()
  end)
end)

describe("a process that is killed", function()
  it("costs the others nothing", function()
    local store = assert(rille.open(path, { segment_bytes = 65536 }))
    local acknowledged = {}
    for _ = 1, KILLS do
      local writer = process.start([[
        local store = assert(require "rille".open(arg[1]))
        while true do
          local done = assert(store:append("killed", { { type = "A", data = ("x"):rep(3000) }, { type = "B" } }))
          print(done.last)
          io.stdout:flush()
        end]], path)
      for _ = 1, math.random(1, 30) do acknowledged[#acknowledged + 1] = math.tointeger(tonumber(writer:line())) end
      scratch.shell("kill -9 %d", writer.pid)
      assert(store:append("mine", { type = "Mine" }))
      local rest = writer:finish()
      for last in rest:gmatch "(%d+)\n" do acknowledged[#acknowledged + 1] = math.tointeger(tonumber(last)) end
    end
    local function check()
      assert_sound(store)
      assert.equal(KILLS, store:version "mine")
      local types = {}
      for event in store:all() do types[event.position] = event.type end
      for _, last in ipairs(acknowledged) do
        assert.same({ "A", "B" }, { types[last - 1], types[last] })
      end
      assert.equal(0, store:version "killed" % 2)
    end
    check()
    store:close()
    store = assert(rille.open(path))
    check()
    store:close()
  end)

  it("leaves the store to whoever comes next", function()
    local writer = process.start([[
      local store = assert(require "rille".open(arg[1]))
      assert(store:append("a", { { type = "A" }, { type = "B" } }))
      print "ready"
      io.stdout:flush()
      io.read "a"]], path)
    assert.equal("ready", writer:line())
    scratch.shell("kill -9 %d", writer.pid)
    writer:finish()
    local store = assert(rille.open(path))
    assert.equal(2, assert_sound(store))
    store:close()
  end)
end)

describe("a second copy of the library in a process", function()
  local copy
  before_each(function()
    copy = scratch.path "copy.so"
    scratch.shell("cp '%s/rille.so' '%s'", BUILD, copy)
  end)

  ---In a process of its own. A lua_State's registry has room for one copy's metatables,
  ---so they are exchanged before either is used.
  local TWO_COPIES = [[
    local registry, kept = debug.getregistry(), {}
    local function is_ours(name) return type(name) == "string" and name:find "^rille%." end
    local function take()
      local taken = {}
      for name, value in pairs(registry) do
        if is_ours(name) then taken[name] = value end
      end
      for name in pairs(taken) do registry[name] = nil end
      return taken
    end
    local function use(copy)
      take()
      for name, value in pairs(kept[copy]) do registry[name] = value end
    end
    local first = require "rille"
    kept.first = take()
    package.loaded.rille = nil
    for name in pairs(package.loaded) do
      if is_ours(name) then package.loaded[name] = nil end
    end
    local second = assert(package.loadlib(arg[2], "luaopen_rille"))()
    kept.second = take()
    assert(first.open ~= second.open)
    use "first"
    local store = assert(first.open(arg[1]))
    assert(store:append("a", { type = "A" }))
  ]]

  it("is told that the store is busy", function()
    local output, status = process.lua(TWO_COPIES .. [[
      use "second"
      for _, options in ipairs { {}, { readonly = true }, { rebuild = true } } do
        local other, message, code, detail = second.open(arg[1], options)
        assert(other == nil and code == "busy", tostring(message))
        print(detail.pid, message)
      end
      use "first"
      assert(store:append("a", { type = "A" }, { expect = 1 }))
      assert(store:close())
      use "second"
      local again = assert(second.open(arg[1]))
      assert(again:head() == 2)
      use "first"
      assert(select(3, first.open(arg[1])) == "busy")
      use "second"
    ]], path, copy)
    assert.equal(0, status, output)
    contains(output, path)
    local store = assert(rille.open(path))
    assert.equal(2, assert_sound(store))
    store:close()
  end)
end)
