-- handles_spec.lua: stores and iterators may be closed, collected and misused in any
-- order. What can crash runs in a process of its own.
local rille = require "rille"
local process = require "spec.support.process"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"
local contains, failure, raised, range = stores.contains, stores.failure, stores.raised, stores.range

values.seed "handles_spec"

local METHODS = { "append", "all", "backup", "close", "delete", "durable", "fold", "head", "mark",
  "poll", "read", "stats", "sync", "truncate", "verify", "version", "wait" }

local function filled(n)
  local store, path = stores.new()
  stores.fill(store, "a", n, 50)
  return store, path
end

---Runs a program that must print "ok" and end well. It is given a path.
local function survives(code, ...)
  local path = scratch.path()
  local output, status = process.lua(code, path, ...)
  scratch.remove(path)
  if output ~= "ok\n" or status ~= 0 then
    error(("status %d, output: %s"):format(status, output), 2)
  end
end

-- A finalizer runs in the midst of whatever allocates. This closes the store, or
-- uses it, at the n-th collection.
local ARM = [[
  local rille = require "rille"
  local path = arg[1]
  local REDUCER = "return { initial = { n = 0 }, on = { A = function(s, e) s.n = s.n + #e.data s.t = {} end } }"
  local store
  local function open()
    store = assert(rille.open(path, { sync = "never", load = function() return REDUCER end }))
  end
  open()
  local function events(n, data)
    local list = {}
    for i = 1, n do
      list[i] = { type = "A", data = data or ("x"):rep(i % 4 * 700 + 3) .. i, tags = { "a", "b" .. i }, meta = { i } }
    end
    return list
  end
  local function each_moment(most, finalize, run)
    collectgarbage("incremental", 1, 1000, 8)
    for moment = 1, most do
      local left, fired = moment % 13, false
      local function arm()
        setmetatable({}, { __gc = function()
          left = left - 1
          if left > 0 then return arm() end
          fired = true
          finalize()
        end })
      end
      arm()
      for _ = 1, 200 do
        pcall(run)
        if fired then break end
      end
      assert(fired, "no collection has come")
      if not store:head() then open() end
    end
    assert(store:verify().ok)
    print "ok"
  end
  assert(store:append("s", events(100)))
  local wide = {} -- sorting the keys of a large map allocates, in the midst of an append
  for i = 1, 40 do wide["key" .. i] = { i } end
  local wide_events = events(30, wide)
]]

describe("a closed store", function()
  local store, path
  before_each(function()
    store, path = filled(3)
    assert.is_true(store:close())
  end)
  after_each(function() scratch.remove(path) end)

  it("may be closed again, and again", function()
    for _ = 1, 3 do assert.is_true(store:close()) end
  end)

  it("answers nil, message, closed", function()
    local calls = {
      append = { "a", { type = "A" } }, backup = { "x" }, delete = { "a" }, durable = {}, head = {},
      mark = { "m" }, poll = {}, stats = {}, sync = {}, truncate = { "a", { before = 1 } },
      verify = {}, version = { "a" }, wait = {},
    }
    for name, arguments in pairs(calls) do
      local message, code = failure(store[name](store, table.unpack(arguments)))
      assert.equal("closed", code, name)
      assert.equal("the store is closed", message, name)
    end
    assert.equal("closed", select(2, failure(store:append { { stream = "a", expect = 1 } })))
  end)

  it("raises from what gives an iterator", function()
    contains(raised(store.read, store, "a"), "the store is closed")
    contains(raised(store.all, store), "the store is closed")
  end)

  it("has been refused its iterators", function()
    store = assert(rille.open(path))
    local reading, all, ended = store:read "a", store:all(), store:read("a", { limit = 1 })
    assert.equal(1, reading().version)
    ended()
    assert.is_nil(ended())
    store:close()
    for _ = 1, 2 do
      contains(raised(reading), "the store is closed")
      contains(raised(all), "the store is closed")
      assert.is_nil(ended())
    end
  end)

  it("says so", function()
    assert.equal("rille store (closed)", tostring(store))
    store = assert(rille.open(path))
    contains(tostring(store), "head 3")
    store:close()
  end)

  it("is a store: another's methods don't take it for theirs", function()
    for _, name in ipairs(METHODS) do
      for _, wrong in ipairs { false, 7, "x", {}, io.stdout, rille.null, print } do
        if name ~= "fold" then
          contains(raised(store[name], wrong), "rille.store expected")
        else
          raised(store[name], wrong, "x.lua")
        end
      end
      raised(store[name])
    end
  end)
end)

describe("an iterator", function()
  local store, path
  before_each(function() store, path = filled(600) end)
  after_each(function()
    store:close()
    scratch.remove(path)
  end)

  it("ends with its loop, however that ends", function()
    for event in store:read "a" do if event.version == 7 then break end end
    local function first()
      for event in store:read "a" do
        if event.version == 1 then return event end
      end
    end
    assert.equal(1, first().version)
    contains(raised(function() for _ in store:all() do error "enough" end end), "enough")
    for outer in store:read("a", { limit = 3 }) do
      for inner in store:read("a", { after = outer.version }) do
        if inner.version > outer.version then goto continue end
      end
      ::continue::
    end
    assert.equal(600, store:version "a")
  end)

  it("can be closed, and then is over", function()
    local step, _, _, handle = store:read "a"
    assert.equal("rille iterator (open)", tostring(handle))
    assert.equal(1, step().version)
    handle:close()
    handle:close()
    assert.equal("rille iterator (ended)", tostring(handle))
    assert.is_nil(step())
    do
      local again <close> = select(4, store:read "a")
      contains(tostring(again), "open")
    end
    contains(raised(handle.close, store), "rille.iterator expected")
    contains(raised(store.close, handle), "rille.store expected")
  end)

  it("is closed by an error in the loop's body", function()
    local handle
    pcall(function()
      local step, state, control, closing = store:read "a"
      handle = closing
      for _ in step, state, control, closing do error "enough" end
    end)
    assert.equal("rille iterator (ended)", tostring(handle))
  end)

  it("keeps its store", function()
    local step = assert(rille.open(path, { sync = "never" })):read "a"
    collectgarbage()
    collectgarbage()
    assert.same(range(1, 600), stores.versions(step))
  end)

  it("can live in a coroutine", function()
    local versions = {}
    local co = coroutine.wrap(function()
      for event in store:read "a" do coroutine.yield(event.version) end
    end)
    for version in co do versions[#versions + 1] = version end
    assert.same(range(1, 600), versions)
    local left = coroutine.create(function()
      for event in store:all() do coroutine.yield(event) end
    end)
    assert(coroutine.resume(left))
    assert.is_true(coroutine.close(left))
    local dropped = coroutine.wrap(function() -- luacheck: ignore
      for event in store:all() do coroutine.yield(event) end
    end)
    dropped()
    dropped = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_true(store:close())
  end)

  it("moves from coroutine to coroutine", function()
    local step = store:read "a"
    for version = 1, 600 do
      assert.equal(version, coroutine.wrap(step)().version)
    end
    assert.is_nil(coroutine.wrap(step)())
  end)

  it("is one of thousands that nobody ends", function()
    for i = 1, 3000 do
      local step = store:read("a", { reverse = i % 2 == 0 })
      step()
    end
    assert.equal(600, store:head())
  end)
end)

describe("the last handle", function()
  it("gives the store back when it is collected", function()
    local store, path = filled(10)
    local step = store:read "a"
    step()
    store, step = nil, nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    local output = process.lua([[
      local store = assert(require "rille".open(arg[1], { create = false }))
      print(store:head())]], path)
    assert.equal("10\n", output)
    scratch.remove(path)
  end)

  it("closes with its block", function()
    local kept
    local path = scratch.path()
    do
      local store <close> = assert(rille.open(path))
      kept = store
      assert(store:append("a", { type = "A" }))
    end
    assert.equal("closed", select(3, kept:head()))
    pcall(function()
      local store <close> = assert(rille.open(path))
      kept = store
      error "enough"
    end)
    assert.equal("closed", select(3, kept:head()))
    scratch.remove(path)
  end)
end)

describe("the end of the process", function()
  local OPEN_ALL = [[
    local rille = require "rille"
    local path = ...
    path = path or arg[1]
    local a = assert(rille.open(path, { sync = "never" }))
    local b = assert(rille.open(path))
    for i = 1, 300 do assert(a:append("s", { type = "A", data = { i } })) end
    keep = { a, b, a:read "s", a:all(), b:read("s", { reverse = true }) }
    keep[3]() keep[4]() keep[5]()
    co = coroutine.create(function() for e in b:all() do coroutine.yield(e) end end)
    assert(coroutine.resume(co))
    print "ok"
    io.stdout:flush()
  ]]

  it("finds everything open", function() survives(OPEN_ALL) end)
  it("closes the state with everything open", function() survives(OPEN_ALL .. "os.exit(0, true)") end)
  it("does not even close the state", function() survives(OPEN_ALL .. "os.exit(0, false)") end)

  it("finds handles in finalizers that still use them", function()
    survives(OPEN_ALL .. [[
      setmetatable({}, { __gc = function()
        pcall(keep[3]) pcall(keep[4])
        pcall(keep[1].append, keep[1], "late", { type = "A" })
        keep[1]:close() keep[2]:close()
        pcall(keep[5])
        keep[1]:head()
      end })
      os.exit(0, true)]])
  end)

  it("comes in the midst of a loop", function()
    survives(OPEN_ALL .. "for e in a:read 's' do if e.version == 5 then os.exit(0, true) end end")
    survives(OPEN_ALL .. "for e in a:read 's' do if e.version == 5 then os.exit(0, false) end end")
  end)

  it("after an error leaves what was acknowledged", function()
    local path = scratch.path()
    local _, status = process.lua([[
      local store = assert(require "rille".open(arg[1]))
      for i = 1, 5 do assert(store:append("a", { type = "A" })) end
      for event in store:read "a" do error "enough" end]], path)
    assert.equal(1, status)
    local store = assert(rille.open(path))
    assert.equal(5, store:head())
    store:close()
    scratch.remove(path)
  end)
end)

describe("the module", function()
  it("says its version", function() contains(rille._VERSION, "rille 0.") end)

  it("keeps its metatables to itself", function()
    local store, path = filled(1)
    local step, _, _, handle = store:read "a"
    for _, value in ipairs { store, handle } do
      local metatable = getmetatable(value)
      if type(metatable) == "table" then -- the host may look; a wrong receiver is refused
        raised(metatable.__gc, {})
        raised(metatable.__gc, io.stdout)
        raised(metatable.__close, 7)
        raised(metatable.__tostring, rille.null)
      end
    end
    step()
    store:close()
    scratch.remove(path)
  end)

  it("survives finalizers called by hand", function()
    survives [[
      local store = assert(require "rille".open(arg[1]))
      assert(store:append("a", { { type = "A" }, { type = "B" } }))
      local step, _, _, handle = store:read "a"
      getmetatable(handle).__gc(handle)
      getmetatable(handle).__gc(handle)
      assert(step() == nil)
      local again = store:all()
      getmetatable(store).__gc(store)
      getmetatable(store).__gc(store)
      assert(not pcall(again))
      assert(select(3, store:head()) == "closed")
      print "ok"]]
  end)
end)

describe("a finalizer", function()
  local CLOSE = "function() store:close() end"
  local USE = [[function()
    store:append("s", { type = "A", data = "late" })
    store:append { { stream = "t", events = { { type = "B", data = ("z"):rep(5000) } } } }
    store:stats()
    for _ in store:read("s", { limit = 2 }) do end
  end]]
  local RUNS = {
    read = [[for e in store:read "s" do local _ = e.data end]],
    all = [[for e in store:all { reverse = true } do local _ = e.data end]],
    append = [[store:append("u", wide_events)]],
    fold = [[store:fold("x.lua", { stream = "s" })]],
    stats = [[for i = 1, 100 do store:stats() end]],
  }
  for _, name in ipairs { "read", "all", "append", "fold", "stats" } do
    it("may close the store in the midst of " .. name, function()
      survives(("%s each_moment(%d, %s, function() %s end)"):format(ARM, rounds(60), CLOSE, RUNS[name]))
    end)
    it("may use the store in the midst of " .. name, function()
      survives(("%s each_moment(%d, %s, function() %s end)"):format(ARM, rounds(30), USE, RUNS[name]))
    end)
  end

  it("may use the very iterator that is running", function()
    survives(ARM .. [[
      local step, handle, wrong
      each_moment(60, function() pcall(step) if handle then handle:close() end end, function()
        local closing
        step, _, _, closing = store:read "s"
        handle = closing
        for e in step do
          -- event i of the stream: "xxx...i" and { i }
          if e.data:match "%d+$" ~= tostring(e.version) or e.meta[1] ~= e.version
            or e.tags[2] ~= "b" .. e.version then
            wrong = ("version %d: %s"):format(e.version, e.tags[2])
          end
        end
      end)
      assert(not wrong, wrong)]])
  end)

  it("may change the tables that are being appended", function()
    survives(ARM .. [[
      local list
      local query
      each_moment(60, function()
        for _, event in ipairs(list or {}) do
          event.type, event.tags, event.data, event.id = nil, nil, nil, nil
        end
        if query then query[1].types, query[1].stream = nil, nil end
        collectgarbage()
        local _ = ("filler"):rep(100)
      end, function()
        list = events(60, wide)
        for i, event in ipairs(list) do event.type, event.id = "Type" .. i, "id-" .. i end
        query = { { types = { "Not" .. math.random(1 << 40) }, stream = "s" .. math.random(1 << 40) } }
        store:append("w" .. math.random(9), list,
          { unless = query, mark = { "m" .. math.random(1 << 40), 0, 1 } })
      end)
      for e in store:all() do assert(e.type == "A" or e.type:find "^Type%d+$", e.type) end]])
  end)
end)

describe("verify's progress", function()
  local LARGE = [[
    local store = assert(require "rille".open(arg[1], { sync = "never" }))
    for _ = 1, 40 do assert(store:append("a", { type = "A", data = ("x"):rep(1 << 20) })) end
  ]]

  it("may close the store", function()
    survives(LARGE .. [[
      local calls = 0
      local found = store:verify { progress = function() calls = calls + 1 store:close() end }
      assert(calls > 0)
      assert(found == nil or found.ok)
      assert(select(3, store:head()) == "closed")
      print "ok"]])
  end)

  it("may use the store", function()
    survives(LARGE .. [[
      local calls = 0
      local found = assert(store:verify { progress = function()
        calls = calls + 1
        assert(store:append("b", { type = "B" }))
        for _ in store:read("b") do end
        if calls < 3 then assert(store:verify().ok) end
      end })
      assert(found.ok and calls > 0)
      print "ok"]])
  end)
end)

describe("a metamethod", function()
  it("of an event may close the store, or use it", function()
    for _, body in ipairs { "store:close()", "assert(store:append('y', big))",
      "store:append('y', { type = 'B', tags = tags })", "error 'enough'" } do
      survives([[
        local rille = require "rille"
        local store = assert(rille.open(arg[1], { sync = "never" }))
        local tags, big = {}, {}
        for i = 1, 60 do tags[i] = "tag" .. i end
        for i = 1, 200 do big[i] = { type = "B", data = ("z"):rep(5000), tags = tags } end
        for _, field in ipairs { "type", "id", "time", "tags", "data", "meta", "stream", "events", "expect" } do
          local function meddle(plain)
            return setmetatable(plain, { __index = function(_, name)
              if name == field then ]] .. body .. [[ end
            end })
          end
          local event = meddle { type = field ~= "type" and "A" or nil, data = field ~= "data" and 1 or nil }
          pcall(store.append, store, "x", { { type = "F", data = ("q"):rep(50), tags = { "a" } }, event })
          store:close()
          store = assert(rille.open(arg[1], { sync = "never" }))
          pcall(store.append, store, { { stream = "w", events = { { type = "A", data = { 1, 2 } } } },
            meddle { stream = "x", events = field ~= "events" and { event } or nil } })
          store:close()
          store = assert(rille.open(arg[1], { sync = "never" }))
        end
        for e in store:read "x" do
          assert(e.type == "A" or e.type == "F")
          assert(e.data == nil or e.data == 1 or e.data == ("q"):rep(50))
        end
        assert(store:verify().ok)
        print "ok"]])
    end
  end)
end)

-- Any order ----------------------------------------------------------------------

describe("random sequences", function()
  local STEPS = 1500
  local SEQUENCE = [[
    local seed, steps, path = tonumber(arg[2]), tonumber(arg[3]), arg[1]
    math.randomseed(seed)
    local rille = require "rille"
    local any, stores, iterators = math.random, {}, {}
    local function pick(list) return list[any(math.max(1, #list))] end
    local function open()
      if #stores > 6 then table.remove(stores, any(#stores)) end
      local options = { sync = "never", segment_bytes = 65536 }
      local store = assert(rille.open(path .. any(2), options))
      stores[#stores + 1] = store
    end
    local function start(store)
      local options = { reverse = any(2) == 1, limit = any(3) == 1 and any(20) or nil }
      local ok, step, _, _, handle
      if any(2) == 1 then ok, step, _, _, handle = pcall(store.read, store, "s" .. any(3), options)
      else ok, step, _, _, handle = pcall(store.all, store, options) end
      if ok then iterators[#iterators + 1] = { step = step, handle = any(2) == 1 and handle or nil } end
      if #iterators > 20 then table.remove(iterators, any(#iterators)) end
    end
    local REDUCER = "return { initial = 0, on = { ['*'] = function(n, e) if e.position % 97 == 0 then " ..
      "error 'enough' end return n + #e.data end } }"
    local acts = {
      open, open,
      function(store) if any(3) == 1 then store:close() end end,
      function(store)
        local n, events = any(40), {}
        for i = 1, n do events[i] = { type = "T" .. any(3), data = ("x"):rep(any(200)), tags = { "t" } } end
        store:append("s" .. any(3), events)
      end,
      function(store) store:append("s1", { type = "A", data = ("y"):rep(any(3000)) }, { expect = any(9) }) end,
      function(store) pcall(store.append, store, "s1", { type = "A", data = { print } }) end,
      function(store) pcall(store.append, store, "s1", { { type = "A" }, { tipe = "A" } }) end,
      start, start, start,
      function() local it = pick(iterators) if it then for _ = 1, any(30) do pcall(it.step) end end end,
      function() local it = pick(iterators) if it and it.handle then it.handle:close() end end,
      function() table.remove(iterators, any(math.max(1, #iterators))) end,
      function() table.remove(stores, any(math.max(1, #stores))) end,
      function(store) pcall(function() for e in store:all() do if any(9) == 1 then break end end end) end,
      function(store) pcall(function() for e in store:all() do if any(9) == 1 then error "x" end end end) end,
      function(store)
        pcall(function() for e in store:all() do if any(9) == 1 then store:close() end end end)
      end,
      function(store)
        local co = coroutine.wrap(function() for e in store:all() do coroutine.yield(e) end end)
        pcall(co) pcall(co)
      end,
      function(store)
        local co = coroutine.create(function() for e in store:all() do coroutine.yield(e) end end)
        coroutine.resume(co)
        if any(2) == 1 then coroutine.close(co) end
      end,
      function(store) local again <close> = store if any(2) == 1 then pcall(store.all, store) end end,
      function(store) store:head() store:durable() store:version "s1" store:stats() tostring(store) end,
      function(store) if any(4) == 1 then store:verify() end end,
      function(store) store:sync() end,
      function(store)
        if store:head() then store:fold(path .. ".lua") end
      end,
      function() collectgarbage() end,
      function() collectgarbage "step" end,
      function() collectgarbage(any(2) == 1 and "generational" or "incremental") end,
    }
    local file = assert(io.open(path .. ".lua", "w"))
    file:write(REDUCER)
    file:close()
    for _ = 1, steps do
      if #stores == 0 then open() end
      acts[any(#acts)](pick(stores))
    end
    print "ok"
    os.exit(0, any(2) == 1)
  ]]

  for i = 1, 4 do
    it("of opening, reading, closing, collecting, failing: " .. i, function()
      local folder = scratch.path "random"
      for _ = 1, rounds(1) do
        local seed = math.random(1 << 40)
        scratch.shell("mkdir '%s'", folder)
        local output, status = process.lua(SEQUENCE, folder .. "/s", seed, STEPS)
        scratch.remove(folder)
        if output ~= "ok\n" or status ~= 0 then
          error(("sequence %d: status %d, output: %s"):format(seed, status, output))
        end
      end
    end)
  end
end)
