-- apart_spec.lua: projections and processors whose scripts run in an isolate do the same as
-- any, and can do no more.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

local SUM = [[return { initial = { n = 0 }, key = "stream",
  on = { Counted = function(s, e) s.n = s.n + e.data.n end } }]]
local TRAP = [[return { initial = { n = 0 }, key = "stream", on = { Counted = function(s, e)
  s.n = s.n + e.data.n
  if e.data.n == 13 then while true do end end end } }]]
local ECHO = [[return { from = { types = { "Counted" } }, key = "stream",
  state = { initial = { n = 0 }, on = { Counted = function(s) s.n = s.n + 1 end } },
  on = { Counted = function(event, ctx)
    ctx:emit("echo", { type = "Echoed",
      data = { n = event.data.n, seen = ctx.state.n, said = ctx.host.say(event.data.n) } })
    if event.data.n == 13 then while true do end end
  end } }]]

local files, store, path

local function load(name) return files[name], "there is no such file" end

before_each(function()
  files = { ["sum.lua"] = SUM, ["trap.lua"] = TRAP, ["echo.lua"] = ECHO }
  store, path = stores.new { load = load }
end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

local function count(stream, n) return assert(store:append(stream, { type = "Counted", data = { n = n } })) end

describe("an isolated projection", function()
  it("gives what a trusted one gives", function()
    for i = 1, 600 do count(("k%03d"):format(i % 300), i) end
    local p = assert(store:projection("apart", "sum.lua", { isolated = true }))
    local q = assert(store:projection("trusted", "sum.lua"))
    local list = {}
    for key, state in p:each() do list[#list + 1] = { key, state.n } end
    assert.equal(300, #list)
    local i = 0
    for key, state in q:each() do
      i = i + 1
      assert.same({ key, state.n }, list[i])
    end
    assert.same({ n = 300 }, (p:get "k000" and { n = p:get("k150").n - 300 }))
    assert.equal(600, p:mark())
    assert.equal(0, p:lag())
    assert.equal(1, select("#", p:get "nobody"))
    local some = {}
    for key in p:each { after = "k290", limit = 3 } do some[#some + 1] = key end
    assert.same({ "k291", "k292", "k293" }, some)
  end)

  it("reads what this handle has appended, and the past", function()
    count("a", 1)
    local p = assert(store:projection("apart", "sum.lua", { isolated = true }))
    assert.same({ n = 1 }, (p:get "a"))
    count("a", 2)
    assert.same({ n = 1 }, (p:get("a", { consistency = "weak" })))
    assert.same({ n = 3 }, (p:get("a", { consistency = "session" })))
    assert.same({ n = 1 }, (p:get("a", { at = 1 })))
    local _, code = failure(p:get("a", { at = 99 }))
    assert.equal("invalid", code)
  end)

  it("takes up a changed script, and is carried on by poll", function()
    count("a", 1)
    local p = assert(store:projection("apart", "sum.lua", { isolated = true }))
    assert.equal(0, store:poll())
    assert.equal(1, p:mark())
    files["sum.lua"] = SUM:gsub("%+ e", "- e")
    assert.same({ n = -1 }, (p:get "a"))
    assert.is_true(p:rebuild())
  end)

  it("is stopped where its script never ends; the store and others go on", function()
    count("a", 1)
    count("a", 13)
    count("b", 2)
    local p = assert(store:projection("trap", "trap.lua", { isolated = true, instructions = 100000 }))
    local q = assert(store:projection("sum", "sum.lua", { isolated = true, instructions = 100000 }))
    for _ = 1, 2 do
      local message, code, detail = failure(p:get "a")
      assert.equal("budget", code)
      assert.equal(2, detail.position)
      contains(message, "trap.lua")
    end
    assert.same({ n = 14 }, (q:get "a"))
    count("a", 1)
    assert.same({ n = 15 }, (q:get "a"))
    assert(p:close())
    assert(q:close())
    local _, code = failure(q:get "a")
    assert.equal("closed", code)
    assert.is_true(assert(store:verify()).ok)
  end)

  it("refuses limits that are none", function()
    contains(raised(store.projection, store, "x", "sum.lua", { isolated = true, memory_byte = 1 }), "memory_bytes")
    contains(raised(store.projection, store, "x", "sum.lua", { isolated = true, memory_bytes = "1" }), "integer")
  end)
end)

describe("an isolated processor", function()
  local said
  local function say(n)
    said[#said + 1] = n
    return "said " .. n
  end
  before_each(function() said = {} end)

  it("does what a trusted one does", function()
    count("a", 1)
    count("a", 2)
    local w = assert(store:processor("echo", "echo.lua", { isolated = true, provide = { say = say } }))
    assert.equal(0, (w:run()))
    count("b", 3)
    assert.equal(0, (store:poll()))
    local events = stores.list(store:read "echo")
    assert.equal(3, #events)
    assert.same({ n = 2, seen = 2, said = "said 2" }, events[2].data)
    assert.same({ n = 3, seen = 1, said = "said 3" }, events[3].data)
    assert.same({ 1, 2, 3 }, said)
    assert.equal(w:mark(), store:mark "echo")
    assert.same({}, w:parked())
    assert(w:close())
  end)

  it("is stopped before an event whose reaction never ends, with no half effect", function()
    count("a", 1)
    count("a", 13)
    local w = assert(store:processor("echo", "echo.lua",
      { isolated = true, instructions = 100000, provide = { say = say } }))
    local _, code = failure(w:run())
    assert.equal("budget", code)
    for _, e in ipairs(stores.list(store:read "echo")) do assert.not_equal(13, e.data.n) end
    files["echo.lua"] = ECHO:gsub("while true do end", "")
    assert.equal(0, (w:run()))
    local numbers = {}
    for e in store:read "echo" do numbers[#numbers + 1] = e.data.n end
    assert.same({ 1, 13 }, numbers)
  end)
end)

it("isolates end with their store", function()
  count("a", 1)
  local p = assert(store:projection("apart", "sum.lua", { isolated = true }))
  p:get "a"
  store:close()
  local _, code = failure(p:get "a")
  assert.equal("closed", code)
  assert(p:close())
  store = assert(rille.open(path))
end)
