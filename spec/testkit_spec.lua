-- testkit_spec.lua: the test kit finds what is wrong, and says where.
local rille = require "rille"
local kit = require "rille.testkit"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains = stores.contains

---The message that a method raises, with the place where it was called.
local function raised(f, ...)
  local arguments = table.pack(...)
  return stores.raised(function()
    f(table.unpack(arguments, 1, arguments.n))
    return true -- no tail call: it would lose the place
  end)
end

local ACCOUNT = { name = "account.lua", text = [[
return { initial = { balance = 0 }, key = "stream", on = {
  Deposited = function(state, event) state.balance = state.balance + event.data.amount end,
  Withdrawn = function(state, event)
    if event.data.amount > state.balance then error "overdrawn" end
    state.balance = state.balance - event.data.amount
  end,
  Closed = function() return require "rille".null end } }]] }

local WITHDRAW = { name = "withdraw.lua", files = { ["account.lua"] = ACCOUNT.text }, text = [[
return { decide = function(command, ctx)
  local balance = ctx:state("account.lua", { stream = "account-1" }).balance
  if command.amount > balance then return nil, "only " .. balance .. " left" end
  return { { stream = "account-1", events = { type = "Withdrawn", data = { amount = command.amount } } },
           { stream = "audit", events = { type = "Noted", tags = { "t" } } } }
end }]] }

---A reducer of one state with this handler for all events, behind what is `outside`.
local function all(initial, body, outside)
  return { text = ("%s return { initial = %s, on = { ['*'] = function(state, event, key) %s end } }")
    :format(outside or "", initial, body) }
end

local function deposited(amount, stream)
  return { type = "Deposited", data = { amount = amount }, stream = stream }
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

before_each(function() kit.clock:reset() end)

describe("a temporary store", function()
  it("has a clock that stands until it is told to go", function()
    local store = kit.store()
    assert(store:append("s", { type = "A" }))
    kit.clock:advance(2.5)
    assert(store:append("s", { type = "B" }))
    kit.clock:set(1e9 + 60)
    assert(store:append("s", { type = "C" }))
    assert.same({ 1e9, 1e9 + 2.5, 1e9 + 60 }, stores.fields("time", store:all()))
    assert.equal(1e9 + 60, kit.clock:now())
    store:close()
    contains(raised(kit.clock.advance, kit.clock, -1), "at least 0")
    contains(raised(kit.clock.set, kit.clock, "x"), "number of seconds")
    contains(raised(kit.clock.set, kit.clock, 0 / 0), "number of seconds")
  end)

  it("takes the options of any store", function()
    local store = kit.store { clock = function() return 7 end }
    assert(store:append("s", { type = "A" }))
    assert.equal(7, store:all()().time)
    store:close()
    contains(raised(kit.store, { snyc = "always" }), "did you mean 'sync'?")
  end)

  it("is removed when it is closed, collected, or the program ends", function()
    local made = {}
    local tmpname = os.tmpname
    os.tmpname = function() -- luacheck: ignore
      made[#made + 1] = tmpname()
      return made[#made]
    end
    local store = kit.store()
    assert(exists(made[1] .. ".rille/control"))
    assert.is_true(store:close())
    assert.is_true(store:close())
    assert.is_false(exists(made[1] .. ".rille/control") or exists(made[1]))
    store = kit.store()
    assert(store:append("s", { type = "A" }))
    assert(exists(made[2] .. ".rille/control"))
    store = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    contains(raised(kit.store, { snyc = "always" }), "did you mean 'sync'?")
    assert.is_false(exists(made[3]))
    assert.is_false(exists(made[2] .. ".rille/control") or exists(made[2]))
    os.tmpname = tmpname -- luacheck: ignore
    local output, status = process.lua [[
      local kit = require "rille.testkit"
      local tmpname = os.tmpname
      os.tmpname = function() local name = tmpname() print(name) return name end
      kept = kit.store()
      assert(kept:append("s", { type = "A" })) ]]
    assert.equal(0, status, output)
    assert.is_false(exists(output:match "[^\n]+" .. ".rille/control") or exists(output:match "[^\n]+"))
  end)

  it("may be forgotten by the hundred", function()
    for _ = 1, 100 do assert(kit.store():append("s", { type = "A" })) end
  end)
end)

describe("a reducer", function()
  it("that makes the expected state is silent, and the case goes on", function()
    local case = kit.reducer(ACCOUNT):given { deposited(10), { type = "Withdrawn", data = { amount = 3 } } }
    assert.equal(case, case:expect_state { balance = 7 })
    case:given(deposited(1)):expect_state { balance = 8 }
    case:given { type = "Closed" }:expect_state(nil)
    case:given(deposited(2)):expect_state { balance = 2 }
  end)

  it("without events has its first state", function()
    kit.reducer(ACCOUNT):expect_state { balance = 0 }
    kit.reducer(all("0", "return state + 1")):expect_state(0)
  end)

  it("may be a file, and have neighbours and parameters", function()
    local name = scratch.file("limited.lua", [[
      local params = ...
      return { initial = require "start", on = { ["*"] = function(n) return n + params.step end } }]])
    scratch.file("start.lua", "return 100")
    kit.reducer(name, { params = { step = 5 } }):given { { type = "A" }, { type = "B" } }:expect_state(110)
    kit.reducer({ text = "return { initial = require 'start', on = {} }", files = { ["start.lua"] = "return 'x'" } })
      :expect_state "x"
  end)

  it("has the key of its only stream, or the one that is named", function()
    local case = kit.reducer(ACCOUNT):given { deposited(1, "a"), deposited(2, "b") }
    case:expect_state({ balance = 1 }, "a"):expect_state({ balance = 2 }, "b")
    contains(raised(case.expect_state, case, { balance = 1 }), "give stream")
    kit.reducer(ACCOUNT):given { deposited(1, "a") }:expect_state { balance = 1 }
    kit.reducer { text = [[return { initial = 0, key = function(e) return { e.data.who, "all" } end,
        on = { Said = function(n, _, key) return n + #key end } }]] }
      :given { { type = "Said", data = { who = 7 } }, { type = "Said", data = { who = "bob" } } }
      :expect_state(1, 7):expect_state(3, "bob"):expect_state(6, "all"):expect_state(0, "nobody")
  end)

  it("is told where another state came out", function()
    local case = kit.reducer(all("{ list = { 1, 2 }, name = 'x\\n', deep = { a = 1 } }", ""))
    local text = raised(case.expect_state, case, { list = { 1, 3, 4 }, name = "x", deep = { a = 1.0, b = true } })
    assert.equal([[
another state than expected:
  state.deep.a: expected 1.0, got 1
  state.deep.b: expected true, got nothing
  state.list[2]: expected 3, got 2
  state.list[3]: expected 4, got nothing
  state.name: expected "x", got "x\n"
expected { deep = { a = 1.0, b = true }, list = { 1, 3, 4 }, name = "x" }
got      { deep = { a = 1 }, list = { 1, 2 }, name = "x\n" }]], text:match "another.*")
    contains(text, "testkit_spec.lua")
    contains(raised(case.expect_state, case, nil), "state: expected nothing, got {")
  end)

  it("that is large is shown on several lines", function()
    local text = ("x"):rep(90)
    local case = kit.reducer(all("{ 'a', { b = " .. ("%q"):format(text) .. ", c = 2^53, d = 1/0 } }", ""))
    contains(raised(case.expect_state, case, "a"), ([[

expected "a"
got      {
  "a",
  {
    b = "%s",
    c = 9007199254740992.0,
    d = inf,
  },
}]]):format(text))
  end)

  it("with many differences shows some of them", function()
    local case, expected = kit.reducer(all("{}", "")), {}
    for i = 1, 50 do expected["k" .. i] = i end
    contains(raised(case.expect_state, case, expected), "\n  and 30 more\n")
  end)

  it("is told of an error", function()
    local case = kit.reducer(ACCOUNT):given { deposited(1), { type = "Withdrawn", data = { amount = 3 } } }
    case:expect_error "overdrawn":expect_error "account%.lua:%d+: overdrawn":expect_error "(at position 2"
    contains(raised(case.expect_state, case, { balance = 1 }), "account.lua:4: overdrawn (at position 2")
    contains(raised(case.expect_error, case, "other"), 'expected an error like "other", got\n  account.lua:4')
    contains(raised(case.expect_error, case), "a pattern")
    local fine = kit.reducer(ACCOUNT):given(deposited(5))
    contains(raised(fine.expect_error, fine, "x"), "but there is none; the state is { balance = 5 }")
    kit.reducer { text = "return {" }:expect_error "script.lua:1:"
    kit.reducer "nowhere.lua":expect_error "nowhere.lua"
  end)
end)

describe("a reducer that keeps something outside the state", function()
  local three = { { type = "A" }, { type = "B" }, { type = "C" } }

  ---Both expectations must find it, with the event that showed it first.
  local function is_found(script, where, text)
    local case = kit.reducer(script):given(three)
    local message = raised(case.expect_state, case, (case.store:fold(case.script)))
    contains(message, "run afresh for each event")
    contains(message, where)
    contains(message, text)
    case:expect_error "run afresh"
  end

  it("is found by a counter in an upvalue", function()
    is_found(all("0", "n = n + 1 return n", "local n = 0"), "(at position 2: B in stream test-1)",
      "state: expected 2, got 1")
  end)

  it("is found by a table that is changed outside", function()
    is_found(all("{ log = {} }", "seen[#seen + 1] = event.type state.n = #seen", "local seen = {}"),
      "(at position 2", "state.n: expected 2, got 1")
  end)

  it("is found by an alias that is gone at the end", function()
    local case = kit.reducer(all("{ a = { n = 0 }, b = false }", [[
      if event.type == "A" then state.b = state.a
      elseif event.type == "B" then state.b.n = state.b.n + 1
      else state.b = { n = 1 } end]])):given(three)
    assert.same({ a = { n = 1 }, b = { n = 1 } }, (case.store:fold(case.script)))
    case:expect_error "a state is a tree":expect_error "(at position 1: A in stream test-1)"
  end)

  it("is found by a state that can't be kept in between", function()
    kit.reducer(all("{}", "state.f = event.type ~= 'C' and function() end or nil")):given(three)
      :expect_error "state.f":expect_error "(at position 1: A"
  end)

  it("is found by a hole, whose list has no certain length", function()
    is_found(all("{ 1, 2, 3 }", [[
      if event.type == "B" then state[2] = nil
      elseif event.type == "C" then state[#state + 1] = 9 end]]), "(at position 3: C",
      "state[2]: expected nothing, got 9")
  end)

  it("is not found in what is a function of state and event", function()
    local case = kit.reducer(all("{ list = { 1.5, 2 }, s = '\\0', n = 0 }", [[
      state.list[#state.list + 1] = { event.type, math.random(1, 100), event.time }
      state.n = state.n + event.position]])):given(three)
    case:expect_state((case.store:fold(case.script)))
  end)
end)

describe("a decider", function()
  it("is silent where the expected events came", function()
    local case = kit.decider(WITHDRAW):given(deposited(10, "account-1"))
    case:when { amount = 4 }
      :expect_events { { type = "Withdrawn", data = { amount = 4 }, stream = "account-1" },
                       { type = "Noted", tags = { "t" } } }
    case:when { amount = 5 }:expect_events { { type = "Withdrawn", data = { amount = 5 } }, { type = "Noted" } }
    case:when { amount = 2 }:expect_refused "only 1 left":expect_refused():expect_refused "only %d left"
    assert.equal(5, case.store:head())
  end)

  it("is told where others came", function()
    local case = kit.decider(WITHDRAW):given(deposited(10, "account-1")):when { amount = 4 }
    local text = raised(case.expect_events, case, { { type = "Withdrawn", data = { amount = 5 }, stream = "a" } })
    assert.equal([[
other events than expected:
  events[1].data.amount: expected 5, got 4
  events[1].stream: expected "a", got "account-1"
  events[2]: expected nothing, got { type = "Noted" }
expected { { data = { amount = 5 }, stream = "a", type = "Withdrawn" } }
got      { { data = { amount = 4 }, stream = "account-1", type = "Withdrawn" }, { type = "Noted" } }]],
      text:match "other events.*")
    contains(raised(case.expect_events, case, {}), "events[1]: expected nothing, got {")
    contains(raised(case.expect_events, case, { type = "Withdrawn" }), "data: expected nothing, got { amount = 4 }")
    contains(raised(case.expect_refused, case, "x"), 'expected a refusal like "x", but it was decided')
    contains(raised(case.expect_error, case, "x"), "but it was decided")
    case:when { amount = 99 }
    contains(raised(case.expect_events, case, {}), "expected events, got refused:\n  only 6 left")
    contains(raised(case.expect_refused, case, "only 7"), "got\n  only 6 left")
    contains(raised(case.expect_error, case, "only"), "but it ended with refused")
  end)

  it("is told of an error", function()
    local case = kit.decider { text = "return { decide = function(c) return c.a.b end }" }
    contains(raised(case.expect_events, case, {}), "call when(command) first")
    case:when { a = 1 }:expect_error "script.lua:1: attempt to index"
    contains(raised(case.expect_refused, case, "x"), "it ended with script:\n  script.lua:1:")
    contains(raised(case.expect_events, case, {}), "expected events, got script:")
    case:when { a = { b = {} } }:expect_events {}
  end)

  it("gets its parameters", function()
    kit.decider({ text = "local p = ... return { decide = function() return nil, p.why end }" },
      { params = { why = "because" } }):when():expect_refused "because"
  end)
end)

describe("a processor", function()
  if not getmetatable(kit.store()).__index.processor then
    return pending "needs store:processor"
  end

  local ORDERS = { name = "orders.lua", text = [[
    return { from = { types = { "OrderPlaced" } }, key = "stream",
      on = { OrderPlaced = function(event, ctx)
        if event.data.bad then error "bad order" end
        ctx:emit("mail-1", { type = "MailDue", data = event.data })
        ctx:emit(event.stream, { type = "TimedOut" }, { delay = 900 })
      end } }]] }

  local function placed(data) return { type = "OrderPlaced", data = data, stream = "order-1" } end

  it("is silent where the expected events came, then and later", function()
    kit.processor(ORDERS):given { placed { n = 1 } }
      :when(placed { n = 2 }):expect_events { { type = "MailDue", data = { n = 2 }, stream = "mail-1" } }
      :advance(899):expect_events {}
      :advance(1):expect_events { { type = "TimedOut", stream = "order-1" }, { type = "TimedOut" } }
  end)

  it("is told where others came", function()
    local case = kit.processor(ORDERS):when(placed { n = 2 })
    contains(raised(case.expect_events, case, {}), 'events[1]: expected nothing, got { data = { n = 2 }')
    contains(raised(case.expect_error, case, "x"), 'expected an error like "x", but there is none')
  end)

  it("is told of an error, whether it stops or parks", function()
    local case = kit.processor(ORDERS):when(placed { bad = true })
    case:expect_error "orders.lua:3: bad order"
    contains(raised(case.expect_events, case, {}), "expected events, got an error:")
    kit.processor({ name = "orders.lua", text = ORDERS.text:gsub("key =", 'on_error = "park", key =') })
      :when { placed { bad = true }, placed { n = 1 } }:expect_error "orders.lua:3: bad order"
    kit.processor { text = "return {" }:when(placed {}):expect_error "script.lua:1:"
  end)

  it("gets what is provided, and parameters", function()
    local sent = {}
    kit.processor({ text = [[local params = ... return { from = { types = { "A" } }, on = {
        A = function(event, ctx) ctx.host.send(params.prefix .. event.data) end } }]] },
      { params = { prefix = "to " }, provide = { send = function(text) sent[#sent + 1] = text end } })
      :when { type = "A", data = "ann" }:expect_events {}
    assert.same({ "to ann" }, sent)
  end)
end)

describe("a processor that emits to other stores", function()
  local SHOP = { text = [[return { from = { types = { "Paid" } }, on = { Paid = function(event, ctx)
    ctx:emit("order-1", { type = "Shipped" })
    ctx:emit("stock-1", { type = "Taken", data = event.data }, { to = "warehouse" })
  end } }]] }
  local paid = { type = "Paid", data = { n = 2 } }

  it("is compared store by store", function()
    local case = kit.processor(SHOP, { stores = { "warehouse" } }):given(paid):when { type = "Paid", data = { n = 3 } }
    case:expect_events { type = "Shipped" }
    case:expect_events({ type = "Taken", stream = "stock-1", data = { n = 3 } }, "warehouse")
    contains(raised(case.expect_events, case, {}, "warehouse"), "warehouse: events[1]: expected nothing, got {")
    contains(raised(case.expect_events, case, {}, "warehous"), "unknown store 'warehous' (did you mean 'warehouse'?)")
    case:close()
    kit.processor(SHOP):when(paid):expect_error "unknown store 'warehouse'"
    contains(raised(kit.processor, SHOP, { stores = "warehouse" }), "stores must be a list of names")
  end)
end)

describe("the kit", function()
  it("raises where it is used wrongly", function()
    contains(raised(kit.reducer, 5), "a script is a file's path, or { text")
    contains(raised(kit.reducer, { text = "", fils = {} }), "unknown field of a script 'fils' (did you mean 'files'?)")
    contains(raised(kit.reducer, ACCOUNT, { parms = {} }), "unknown option 'parms' (did you mean 'params'?)")
    local case = kit.reducer(ACCOUNT)
    contains(raised(case.given, case, { { typ = "A" } }), "given: event 1: unknown field of an event 'typ'")
    contains(raised(case.given, case, { { type = "A" }, 7 }), "given: event 2")
    contains(raised(case.given, case, "A"), "given must be an event or a list of events")
    contains(raised(case.given, case, { { type = ("t"):rep(300) } }), "given: event 1: type")
  end)

  it("names the place of the test, and needs no busted", function()
    local output, status = process.lua [[
      local kit = require "rille.testkit"
      local case = kit.reducer { text = "return { initial = 1, on = {} }" }
      case:expect_state(1)
      case:expect_state(2)
    ]]
    assert.equal(1, status)
    contains(output, "process-2.lua:4: another state than expected:\n  state: expected 2, got 1")
  end)

  it("has an example that runs", function()
    local lua, build = os.getenv "RILLE_LUA" or "lua5.4", os.getenv "RILLE_BUILD" or "build"
    local pipe = assert(io.popen(("RILLE_BUILD='%s' '%s' examples/testing.lua 2>&1"):format(build, lua)))
    assert.equal("all is as expected\n", pipe:read "a")
    assert(pipe:close())
  end)

  it("does not stand in the way of rille", function()
    assert.equal(rille.null, kit.null)
    assert.equal(rille, package.loaded.rille)
  end)
end)
