-- memory_spec.lua: Lua's 1st, 2nd, 3rd ... allocation fails, and all that follow, until
-- a task passes untouched. The only error is "not enough memory"; afterwards the state
-- and its handles go on as if nothing had been, and closing gives back everything.
-- (The core's own allocations fail in c/memory_test.c.)
--
-- Of those of loading the module, most of which are the Lua compiler's, some are tried, by chance;
-- with RILLE_SOAK=1 each.
local rille = require "rille"
local process = require "spec.support.process"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local short = require "spec.support.short"
local values = require "spec.support.values"

local ALLOCATIONS_MOST = 3000
local LOAD_STEP_MOST = 50 -- at random from 1
-- From an allocation to the next that is the last: 1, but under the sanitizers, where the rounds
-- are a part of them all, as many at random as make that part. As built for users, each is tried.
local STEP_MOST = math.max(1, math.floor(2 / rounds.long(1)) - 1)

values.seed "memory_spec"

local run, why = short.run, short.why
local path

local SETUP = [[
  package.cpath = %q
  rille = require "rille"
  REDUCER = "local params = ... return { initial = { n = 0, list = {} }, key = 'stream', on = { " ..
    "A = function(s, e) s.n = s.n + e.data.n s.list[#s.list + 1] = e.type .. e.tags[1] end } }"
  function open()
    return assert(rille.open(%q, { sync = "never", load = function() return REDUCER end }))
  end
  function some_events(n)
    local list = {}
    for i = 1, n do
      list[i] = { type = "A", data = { n = i, text = ("x"):rep(20 * i), list = { 1, { 2 } } },
        tags = { "t" .. i, "u" }, meta = { by = "me" } }
    end
    return list
  end
]]

---Runs a task with ever more memory. Each part is Lua text. What the task reads must
---not grow from run to run, or it would always need more.
local function outlives(setup, task, after)
  local prepared = SETUP:format(package.cpath, path) .. (setup or "")
  local n = 0
  repeat
    n = n + math.random(STEP_MOST)
    local reached, done, message, leaked = run(n, prepared, task, after or "")
    assert.equal(0, leaked)
    if not done then
      assert(reached, "it failed though there was memory: " .. tostring(message))
      if not tostring(message):find "not enough memory" then
        error(("allocation %d: the error is %s"):format(n, tostring(message)))
      end
    end
    assert(n < ALLOCATIONS_MOST, "too many allocations")
  until not reached
  assert(n > 3, "the task allocates nothing: it is no test")
end

local USE_AND_CLOSE = [[
  if store then
    assert(store:append("after", { type = "A" }))
    for e in store:read("after", { reverse = true, limit = 2 }) do assert(e.type == "A") end
    assert(store:close())
  end
]]

describe("without memory", function()
  if not run then
    pending("(the helper can't be built: " .. why .. ")")
    return
  end

  before_each(function()
    path = scratch.path()
    local store = assert(rille.open(path, { sync = "never" }))
    for i = 1, 5 do
      assert(store:append("s", { type = "A", data = { n = i, text = ("x"):rep(20 * i), list = { 1, {} } },
        tags = { "t" .. i, "u" }, meta = { by = "me" } }))
    end
    store:close()
  end)

  after_each(function()
    local store = assert(rille.open(path))
    assert.is_true(store:verify().ok)
    store:close()
    local elsewhere = process.lua([[
      local store = assert(require "rille".open(arg[1], { create = false }))
      print(store:verify().ok)]], path)
    assert.equal("true\n", elsewhere) -- nobody in this process has kept it open
    scratch.remove(path)
  end)

  it("the module loads, or does not", function()
    local cpath = ("package.cpath = %q"):format(package.cpath)
    local n = 0
    repeat
      n = n + (rounds.all and 1 or math.random(math.ceil(LOAD_STEP_MOST / rounds.long(1))))
      local reached, done, message, leaked = run(n, cpath, "require 'rille'", "require 'rille'")
      assert.equal(0, leaked)
      assert(done or tostring(message):find "not enough memory", message)
    until not reached
    assert(n > 10 * LOAD_STEP_MOST)
  end)

  it("a store is opened and closed", function()
    outlives("", "store = open() store:close()", "if store then assert(store:close()) end")
  end)

  it("a store that is only opened is collected", function()
    outlives("", "store = open()", USE_AND_CLOSE)
    outlives("", "open()", "collectgarbage()")
  end)

  it("an append is whole or nothing", function()
    outlives("store = open() events = some_events(3) before = store:head()", [[
      assert(store:append("s", events))
      assert(store:append({ { stream = "a", events = events, expect = "any" }, { stream = "b" } }))
      assert(not store:append("s", events, { expect = "none" }))
      assert(not store:append("s", { type = "A", data = print }))
    ]], [[ local wrote = store:head() - before
      assert(wrote == 0 or wrote == 3 or wrote == 6, wrote)
    ]] .. USE_AND_CLOSE)
  end)

  it("a wide map is appended", function()
    outlives([[store = open() wide = {} for i = 1, 50 do wide["key" .. i] = { i } end]],
      [[assert(store:append("s", { type = "A", data = wide, meta = wide }))]], USE_AND_CLOSE)
  end)

  it("events are read", function()
    outlives("store = open()", [[
      for e in store:read "s" do seen = e.data end
      local query = { { types = { "A" }, tags = { "u" } }, { category = "s" }, reverse = true }
      for e in store:all(query) do seen = e end
      for e in store:read("s", { after = 1 }) do break end
      version = store:version "s"
    ]], USE_AND_CLOSE)
  end)

  it("an iterator that was cut short ends with its store", function()
    outlives("store = open() step = store:all()",
      "for i = 1, 8 do step() end", "pcall(step)" .. USE_AND_CLOSE .. "pcall(step)")
  end)

  it("a reducer is loaded and run", function()
    outlives("store = open()", [[
      local state, position, version = store:fold("x.lua", { stream = "s", params = { a = { 1 } } })
      if not state then error(position, 0) end
    ]], [[assert(store:fold("x.lua", { stream = "s" }))]] .. USE_AND_CLOSE)
  end)

  it("a store is verified and measured", function()
    outlives("store = open()", [[
      assert(store:verify { progress = function() end }.ok)
      assert(store:stats().head >= 5)
      tostring(store)
    ]], USE_AND_CLOSE)
  end)

  it("values are encoded and decoded", function()
    outlives("value = some_events(3)", [[
      assert(rille.decode(assert(rille.encode(value))))
      assert(rille.json.decode(assert(rille.json.encode(value))))
    ]], "assert(rille.decode(rille.encode(value)))")
  end)
end)
