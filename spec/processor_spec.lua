-- processor_spec.lua: reactions of a script, whose effects are written with its mark.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

local START = 1700000000

local files, store, path, now

local function load(name)
  if files[name] then return files[name] end
  return nil, "there is no such file"
end

local function clock() return now end

before_each(function()
  files, now = {}, START
  store, path = stores.new { load = load, clock = clock }
end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

---A processor of this text, by the name "p".
local function open(text, options, where)
  files["p.lua"] = text
  return assert((where or store):processor("p", "p.lua", options))
end

---A processor that answers each Asked.
local function handler(body, fields)
  return ("return { %s on = { Asked = function(event, ctx) %s end } }"):format(fields or "", body)
end

local ANSWER = handler [[ctx:emit("answers", { type = "Answered", data = event.data }) ]]

local function ask(n, stream) return assert(store:append(stream or "asked", { type = "Asked", data = n })).last end

local function answers(stream) return stores.fields("data", store:read(stream or "answers")) end

local function script_failure(...)
  local message, code, detail = failure(...)
  assert.equal("script", code)
  return message, detail
end

describe("a processor", function()
  it("reacts to each event once, and its mark is the store's", function()
    for i = 1, 3 do ask(i) end
    local w = open(ANSWER)
    assert.equal(0, w:mark())
    assert.equal(0, (w:run()))
    assert.same({ 1, 2, 3 }, answers())
    assert.equal(store:head(), w:mark())
    assert.equal(store:mark "p", w:mark())
    assert.equal(0, (w:run()))
    ask(4)
    w:run()
    assert.same({ 1, 2, 3, 4 }, answers())
  end)

  it("goes on where its name was, in whatever form the script is", function()
    ask(1)
    open(ANSWER):run()
    ask(2)
    open((ANSWER:gsub("event.data", "event.data * 10"))):run()
    assert.same({ 1, 20 }, answers())
  end)

  it("takes up a changed script at the next run, and keeps the old one while that is broken", function()
    local w = open(ANSWER)
    ask(1)
    w:run()
    files["p.lua"] = "return {"
    ask(2)
    local left, _, fault = w:run()
    assert.equal(0, left)
    contains(fault, "p.lua:1:")
    files["p.lua"] = ANSWER:gsub("event.data", "event.data * 10")
    ask(3)
    left, _, fault = w:run()
    assert.same({ 0 }, { left, fault })
    assert.same({ 1, 2, 30 }, answers())
  end)

  it("writes in the order of events, several reactions in one append", function()
    for i = 1, 1000 do ask(i) end
    local before = store:stats().appends
    open(ANSWER):run()
    assert.same(stores.range(1, 1000), answers())
    assert(store:stats().appends - before < 20, "each reaction was an append")
  end)

  it("stops after whole events when its time is up", function()
    for i = 1, 2000 do ask(i) end
    local w = open(ANSWER)
    local left, calls = w:run { ms = 0 }, 1
    assert(left > 0)
    assert.equal(#answers(), w:mark())
    assert(#answers() >= 1)
    while left > 0 do
      left, calls = w:run { ms = 1 }, calls + 1
      assert(calls < 3000, "it does not come to rest")
    end
    assert.same(stores.range(1, 2000), answers())
  end)

  it("sees only what `from` names and what has a handler", function()
    local w = open [[return { from = { { category = "order" }, { types = { "B", "C" }, tags = { "t" } } },
      on = { A = function(e, ctx) ctx:emit("seen", { type = "S", data = e.type .. e.stream }) end,
             B = function(e, ctx) ctx:emit("seen", { type = "S", data = e.type .. e.stream }) end } }]]
    for _, type_name in ipairs { "A", "B", "C" } do
      for _, stream in ipairs { "order-1", "x" } do
        assert(store:append(stream, { { type = type_name }, { type = type_name, tags = { "t" } } }))
      end
    end
    w:run()
    assert.same({ "Aorder-1", "Aorder-1", "Border-1", "Border-1", "Bx" }, answers "seen")
    assert.equal(store:head(), w:mark())
  end)

  it("may have a handler for all other events, but rille's own", function()
    local w = open [[return { on = { Asked = function() end,
      ["*"] = function(e, ctx) if e.type ~= "S" then ctx:emit("later", { type = "S", data = e.type }, { delay = 1 }) end
      end } }]]
    ask(1)
    assert(store:append("x", { type = "Other" }))
    w:run()
    now = now + 2
    w:run()
    assert.same({ "Other" }, answers "later")
  end)

  it("gives the handler a copy of the state, with the event in it", function()
    local w = open [[return { key = "stream",
      state = { initial = { sum = 0 }, on = { Asked = function(s, e) s.sum = s.sum + e.data end,
                                              Added = function(s, e) s.sum = s.sum + e.data end } },
      on = { Asked = function(e, ctx)
        ctx:emit("answers", { type = "A", data = ctx.key .. "=" .. ctx.state.sum })
        ctx.state.sum = 1000
      end } }]]
    ask(1, "a")
    assert(store:append("a", { type = "Added", data = 10 }))
    ask(5, "b")
    ask(2, "a")
    w:run()
    assert.same({ "a=1", "b=5", "a=13" }, answers())
  end)

  it("may have a key of its own, and skip events by it", function()
    local w = open [[return { key = function(e) if e.data > 0 then return e.data end end,
      state = { initial = 0, on = { Asked = function(n) return n + 1 end } },
      on = { Asked = function(e, ctx) ctx:emit("answers", { type = "A", data = ctx.key .. ":" .. ctx.state }) end } }]]
    for _, n in ipairs { 7, 0, 7, 8 } do ask(n) end
    w:run()
    assert.same({ "7:1", "7:2", "8:1" }, answers())
  end)

  it("gives the event's time, and chance that follows from the event", function()
    local text = handler [[local random = ctx.random
      ctx:emit("answers", { type = "A", data = { ctx.time, random(1000), ctx:random(1000) } })]]
    ask(1)
    assert(store:append("asked", { type = "Asked", time = 1000 }))
    open(text):run()
    files["q.lua"] = text
    assert(store:processor("q", "q.lua")):run()
    local all = answers()
    assert.equal(START, all[1][1])
    assert.equal(1000, all[2][1])
    assert.same(all[1], all[3])
    assert.same(all[2], all[4])
  end)

  it("has functions of the host, to which values go as copies", function()
    local given = {}
    local w = open(handler [[
      local t = { n = event.data }
      local got, more = ctx.host.mail("ann", t)
      got.n = got.n + 1
      ctx:emit("answers", { type = "A", data = { t.n, got.n, more, ctx.host.limit } })]],
      { provide = { limit = 5, mail = function(who, t)
        given[#given + 1], given.t = who, t
        t.n = t.n * 2
        return t, "more"
      end } })
    ask(1)
    w:run()
    assert.same({ { 1, 3, "more", 5 } }, answers())
    assert.same({ "ann", t = { n = 2 } }, given)
  end)

  it("says what caused an event, beside the event's own meta", function()
    local w = open(handler [[ctx:emit("answers", { type = "A", meta = { by = "me" } })]])
    local position = ask(1)
    w:run()
    for event in store:read "answers" do
      assert.same({ by = "me", ["$cause"] = { processor = "p", position = position, depth = 1 } }, event.meta)
    end
  end)

  it("on a store that is read only says so", function()
    ask(1)
    store:close()
    local other <close> = assert(rille.open(path, { readonly = true, load = load, clock = clock }))
    assert.equal("readonly", select(2, failure(open(ANSWER, nil, other):run())))
  end)

  it("that is closed says so", function()
    local w = open(ANSWER)
    assert.equal("rille processor p (mark 0)", tostring(w))
    assert.is_true(w:close())
    assert.is_true(w:close())
    assert.equal("rille processor (closed)", tostring(w))
    for _, name in ipairs { "run", "mark", "parked" } do
      assert.equal("closed", select(2, failure(w[name](w))))
    end
    assert.equal("closed", select(2, failure(w:retry(1))))
    local other <close> = open(ANSWER)
    store:close()
    assert.equal("closed", select(2, failure(other:run())))
  end)
end)

describe("an emit", function()
  it("that expects a version runs the handler again, then fails", function()
    local runs = 0
    local w = open(handler([[ctx.host.count()
      ctx:emit("answers", { type = "A", data = ctx.host.version() }, { expect = ctx.host.version() })]],
      "attempts = 3,"), { provide = {
        count = function() runs = runs + 1 end,
        version = function() return runs < 3 and 7 or store:version "answers" end,
      } })
    ask(1)
    ask(2)
    assert.equal(0, (w:run()))
    assert.same({ 0, 1 }, answers())
    assert.equal(4, runs)
  end)

  it("whose version never is there is an error, and takes nothing else with it", function()
    local w = open(handler([[if event.data == 2 then ctx:emit("answers", { type = "A" }, { expect = 99 })
      else ctx:emit("answers", { type = "A", data = event.data }) end]], "attempts = 2, on_error = 'skip',"))
    for i = 1, 3 do ask(i) end
    assert.equal(0, (w:run()))
    assert.same({ 1, 3 }, answers())
  end)

  it("that can't be written is an error of its own event", function()
    local w = open(handler([[ctx:emit("answers", { type = "A", data = event.data })
      local tags = {}
      for i = 1, 65 do tags[i] = "t" .. i end
      if event.data == 2 then ctx:emit("answers", { type = "A", tags = tags }) end]], "on_error = 'park',"))
    for i = 1, 4 do ask(i) end
    assert.equal(0, (w:run()))
    assert.same({ 1, 3, 4 }, answers())
    local list = w:parked()
    assert.equal(1, #list)
    contains(list[1].message, "tags")
  end)

  it("that is too large is an error of its own event", function()
    local w = open(handler([[local n = event.data == 2 and 70 << 20 or 1
      ctx:emit("answers", { type = "A", data = ("x"):rep(n) })]], "on_error = 'skip',"))
    for i = 1, 3 do ask(i) end
    assert.equal(0, (w:run()))
    assert.same({ "x", "x" }, answers())
  end)

  it("with an id that is there already moves the mark, and writes nothing", function()
    assert(store:append("answers", { type = "A", id = "one", data = "first" }))
    local w = open(handler [[ctx:emit("answers", { type = "A", id = "one", data = "first" })]])
    ask(1)
    assert.equal(0, (w:run()))
    assert.same({ "first" }, answers())
    assert.equal(store:head(), w:mark())
  end)

  local REFUSED = {
    { [["", { type = "A" }]], "stream has 0 bytes" },
    { [["$x", { type = "A" }]], "rille's own" },
    { [["x", { type = "$A" }]], "rille's own" },
    { [["x", {}]], "type must be a string" },
    { [["x", "A"]], "takes an event" },
    { [["x", { type = "A", dta = 1 }]], "did you mean 'data'" },
    { [["x", { type = "A", data = print }]], "undefined global" },
    { [["x", { type = "A", data = { f = ctx.emit } }]], "event.data.f" },
    { [["x", { type = "A", data = event.data }, { delai = 1 }]], "did you mean 'delay'" },
    { [["x", { type = "A" }, { delay = -1 }]], "delay must be" },
    { [["x", { type = "A" }, { delay = 0/0 }]], "delay must be" },
    { [["x", { type = "A" }, { delay = 1, expect = 3 }]], "can't expect" },
    { [["x", { type = "A", id = "i" }, { delay = 1 }]], "can't have an id" },
    { [["x", { type = "A" }, { expect = "some" }]], "expect must be" },
    { [["x", { type = "A", tags = "t" }]], "tags must be" },
    { [["x", { type = "A", meta = 1 }]], "meta must be" },
    { [["x", { type = "A", time = -1 }]], "time must be" },
  }
  for _, row in ipairs(REFUSED) do
    it("is refused at the script's line: " .. row[1], function()
      local w = open("return { on = { Asked = function(event, ctx)\nctx:emit(" .. row[1] .. ")\nend } }")
      local position = ask(1)
      local message, detail = script_failure(w:run())
      contains(message, "p.lua:2:")
      contains(message, row[2])
      contains(message, "at position 1: Asked in stream asked")
      assert.equal(position, detail.position)
      assert.equal(1, store:head())
    end)
  end

  it("is bounded in number", function()
    local w = open(handler [[while true do ctx:emit("x", { type = "A" }) end]])
    ask(1)
    contains(script_failure(w:run()), "at most 10000 events")
    assert.equal(1, store:head())
  end)

  it("copies what it is given", function()
    local w = open(handler [[local t = { n = 0 }
      for i = 1, 3 do t.n = i; ctx:emit("answers", { type = "A", data = t }) end]])
    ask(1)
    w:run()
    assert.same({ { n = 1 }, { n = 2 }, { n = 3 } }, answers())
  end)

  it("does not outlive its reaction", function()
    local w = open [[local kept = {}
      return { on = { Asked = function(event, ctx)
        local before = kept.ctx
        kept.ctx = ctx
        if before then before:emit("x", { type = "A" }) end end } }]]
    ask(1)
    ask(2)
    contains(script_failure(w:run()), "the reaction is over")
  end)
end)

describe("a processor that feeds itself", function()
  local LOOP = [[return { on = { Ping = function(e, ctx) ctx:emit("a", { type = "Ping" }%s) end } }]]

  it("is stopped, and says how", function()
    local w = open(LOOP:format "")
    assert(store:append("a", { type = "Ping" }))
    local message, detail = script_failure(w:run())
    contains(message, "p.lua: processors feed each other without end")
    contains(message, "depth = 100")
    assert.equal(101, store:head())
    assert.equal(101, detail.position)
    script_failure(w:run())
    assert.equal(101, store:head())
  end)

  it("at the depth that is asked for", function()
    local w = open(LOOP:format "", { depth = 3 })
    assert(store:append("a", { type = "Ping" }))
    script_failure(w:run())
    assert.equal(4, store:head())
  end)

  it("or each other", function()
    files["a.lua"] = [[return { on = { A = function(e, ctx) ctx:emit("s", { type = "B" }) end } }]]
    files["b.lua"] = [[return { on = { B = function(e, ctx) ctx:emit("s", { type = "A" }) end } }]]
    assert(store:processor("a", "a.lua"))
    assert(store:processor("b", "b.lua"))
    assert(store:append("s", { type = "A" }))
    script_failure(store:poll())
    assert.equal(101, store:head())
  end)

  it("may do so for ever where time passes in between", function()
    local w = open(LOOP:format ", { delay = 60 }")
    assert(store:append("a", { type = "Ping" }))
    for i = 1, 150 do
      local left, due = w:run()
      assert.same({ 0, 60.0 }, { left, due })
      now = now + 60
      assert.equal(i, store:version "a")
    end
  end)
end)

describe("a delay", function()
  local REMIND = handler [[ctx:emit("answers", { type = "Reminded", data = event.data }, { delay = 900 })]]

  it("delivers when the store's clock says so, not before", function()
    local w = open(REMIND)
    ask(1)
    local left, due = w:run()
    assert.same({ 0, 900.0 }, { left, due })
    now = now + 899
    assert.equal(1.0, select(2, w:run()))
    assert.same({}, answers())
    now = now + 1
    left, due = w:run()
    assert.same({ 0 }, { left, due })
    assert.same({ 1 }, answers())
    w:run()
    assert.same({ 1 }, answers())
  end)

  it("is durable", function()
    ask(1)
    open(REMIND):run()
    store:close()
    store = assert(rille.open(path, { load = load, clock = clock }))
    now = now + 1000
    open(REMIND):run()
    open(REMIND):run()
    assert.same({ 1 }, answers())
  end)

  it("keeps the order of what is due", function()
    local w = open(handler [[ctx:emit("answers", { type = "R", data = event.data }, { delay = event.data })]])
    for _, n in ipairs { 30, 10, 20, 10, 50 } do ask(n) end
    w:run()
    now = now + 40
    w:run()
    assert.same({ 10, 10, 20, 30 }, answers())
    now = now + 40
    w:run()
    assert.same({ 10, 10, 20, 30, 50 }, answers())
  end)

  it("of many is delivered once by two that see it due", function()
    local first = open(REMIND)
    local other <close> = assert(rille.open(path, { load = load, clock = clock }))
    local second = open(REMIND, nil, other)
    for i = 1, 20 do ask(i) end
    first:run()
    second:run()
    now = now + 901
    for _ = 1, 40 do
      first:run { ms = 0 }
      second:run { ms = 0 }
    end
    first:run()
    assert.same(stores.range(1, 20), answers())
  end)

  it("survives any order of many timers", function()
    values.seed "processor_spec"
    local w = open(handler [[ctx:emit("answers", { type = "R", data = event.data }, { delay = event.data })]])
    local expected = {}
    for i = 1, 300 do expected[i] = math.random(1, 5000) ask(expected[i]) end
    table.sort(expected)
    w:run()
    while #answers() < 300 do
      now = now + math.random(1, 500)
      w:run()
      assert(now < START + 10000)
    end
    assert.same(expected, answers())
  end)
end)

describe("on_error", function()
  local function failing(policy, more)
    return handler([[if event.data < 0 then error("it is negative") end
      ctx:emit("answers", { type = "A", data = event.data })]], ("on_error = '%s', %s"):format(policy, more or ""))
  end

  it("stop: the rest waits, and what went before is written", function()
    local w = open(failing "stop")
    ask(1)
    local bad = ask(-1)
    ask(2)
    for _ = 1, 2 do
      local message, detail = script_failure(w:run())
      contains(message, "p.lua:1: it is negative (at position 2: Asked in stream asked)")
      assert.equal(bad, detail.position)
      assert.same({ 1 }, answers())
    end
    files["p.lua"] = ANSWER
    assert.equal(0, (w:run()))
    assert.same({ 1, -1, 2 }, answers())
  end)

  it("skip: goes on behind it", function()
    local w = open(failing "skip")
    for _, n in ipairs { 1, -1, 2 } do ask(n) end
    assert.equal(0, (w:run()))
    assert.same({ 1, 2 }, answers())
    assert.equal(store:head(), w:mark())
  end)

  it("retry: again, later each time, then stops", function()
    local fails = 3
    local w = open(handler([[ctx.host.try() ctx:emit("answers", { type = "A", data = event.data })]],
      "on_error = 'retry', attempts = 4,"), { provide = { try = function()
        fails = fails - 1
        if fails >= 0 then error("not now", 0) end
      end } })
    ask(1)
    ask(2)
    for _, wait in ipairs { 1, 2, 4 } do
      assert.same({ 0, wait + 0.0 }, { w:run() })
      assert.same({ 0, wait + 0.0 }, { w:run() })
      now = now + wait
    end
    assert.equal(0, (w:run()))
    assert.same({ 1, 2 }, answers())
    fails = 100
    ask(3)
    for _ = 1, 3 do
      w:run()
      now = now + 300
    end
    contains(script_failure(w:run()), "not now")
    assert.same({ 1, 2 }, answers())
  end)

  it("a word that is none is refused", function()
    files["p.lua"] = failing "pork"
    local message, code = failure(store:processor("p", "p.lua"))
    assert.equal("script", code)
    contains(message, "did you mean 'park'")
  end)
end)

describe("a parked event", function()
  local PARK = [[return { key = "stream", on_error = "park", on = { Asked = function(event, ctx)
    if event.data < 0 then
      error("it is negative")
    end
    ctx:emit("answers", { type = "A", data = event.data })
  end } }]]
  local MENDED = PARK:gsub("event.data < 0", "event.data < -5")

  it("keeps why, and who waits behind it", function()
    local w = open(PARK)
    ask(1, "a")
    local bad = ask(-1, "a")
    local behind = ask(2, "a")
    ask(3, "b")
    assert.equal(0, (w:run()))
    assert.same({ 1, 3 }, answers())
    assert.equal(store:head(), w:mark())
    local list = w:parked()
    assert.equal(2, #list)
    assert.equal(bad, list[1].position)
    assert.equal("a", list[1].key)
    assert.equal("p.lua:3: it is negative", list[1].message)
    contains(list[1].traceback, "p.lua:3: in")
    assert(not list[1].traceback:find "rille%.", list[1].traceback)
    assert.equal(64, #list[1].script)
    assert.equal(1, list[1].attempts)
    assert.equal(behind, list[2].position)
    assert.is_true(list[2].behind)
  end)

  it("is retried with those behind it, in order, after the script was mended", function()
    local w = open(PARK)
    local bad = ask(-1, "a")
    for i = 1, 3 do ask(i, "a") end
    w:run()
    assert.equal("invalid", select(2, failure(w:retry(bad + 1))))
    script_failure(w:retry(bad))
    assert.equal(2, w:parked()[1].attempts)
    files["p.lua"] = MENDED
    assert.same({ 4, 0 }, { w:retry(bad) })
    assert.same({ -1, 1, 2, 3 }, answers())
    assert.same({}, w:parked())
    assert.equal("notfound", select(2, failure(w:retry(bad))))
    ask(9, "a")
    w:run()
    assert.same({ -1, 1, 2, 3, 9 }, answers())
  end)

  it("that fails behind another stays, in front of the rest", function()
    local w = open(PARK)
    local bad = ask(-1, "a")
    ask(1, "a")
    local worse = ask(-9, "a")
    ask(2, "a")
    w:run()
    files["p.lua"] = MENDED
    assert.same({ 2, 2 }, { w:retry(bad) })
    assert.same({ -1, 1 }, answers())
    local list = w:parked()
    assert.same({ worse, worse + 1 }, { list[1].position, list[2].position })
    assert.is_nil(list[1].behind)
    ask(3, "a")
    w:run()
    assert.equal(3, #w:parked())
  end)

  it("is parked for every instance, now and later", function()
    local w = open(PARK)
    local bad = ask(-1, "a")
    w:run()
    w:close()
    store:close()
    store = assert(rille.open(path, { load = load, clock = clock }))
    w = open(PARK)
    ask(1, "a")
    w:run()
    assert.equal(2, #w:parked())
    local other <close> = assert(rille.open(path, { load = load, clock = clock }))
    local second = open(MENDED, nil, other)
    assert.same({ 2, 0 }, { second:retry(bad) })
    ask(2, "a")
    w:run()
    assert.same({ -1, 1, 2 }, answers())
    assert.same({}, w:parked())
  end)

  it("of a processor without key lets others pass", function()
    local w = open((PARK:gsub('key = "stream",', "")))
    for _, n in ipairs { 1, -1, 2 } do ask(n) end
    assert.equal(0, (w:run()))
    assert.same({ 1, 2 }, answers())
    assert.equal(1, #w:parked())
  end)

  it("is seen with the state of its own time", function()
    local text = [[return { key = "stream", on_error = "park",
      state = { initial = 0, on = { Asked = function(n) return n + 1 end } },
      on = { Asked = function(event, ctx)
        if %s then error("no") end
        ctx:emit("answers", { type = "A", data = ctx.state })
      end } }]]
    local w = open(text:format "event.data == 1")
    for _ = 1, 3 do ask(1, "a") end
    ask(2, "b")
    w:run()
    files["p.lua"] = text:format "false"
    w:retry(1)
    assert.same({ 1, 1, 2, 3 }, answers())
  end)
end)

describe("two instances", function()
  it("with two handles react once, also where one does not flush", function()
    for _, sync in ipairs { "never", "always" } do
      local other <close> = assert(rille.open(path, { sync = sync, background = false, load = load, clock = clock }))
      local first, second = open(ANSWER), open(ANSWER, nil, other)
      local from = #answers()
      for i = from + 1, from + 50 do
        ask(i)
        local one, two = first, second
        if i % 2 == 0 then one, two = two, one end
        assert(one:run { ms = i % 3 == 0 and 0 or nil })
        assert(two:run { ms = i % 5 == 0 and 0 or nil })
      end
      assert(store:sync())
      assert.equal(0, (first:run()))
      assert.equal(0, (second:run()))
      assert.same(stores.range(1, from + 50), answers())
      first:close()
      second:close()
    end
  end)
end)

describe("a script", function()
  local WRONG = {
    { "return { on = {}, onn = 1 }", "did you mean 'on'" },
    { "return {}", "needs on" },
    { "return { on = { A = 1 } }", "on.A must be a function" },
    { "return { on = { ['$A'] = function() end } }", "rille's own" },
    { "return { on = {}, key = 1 }", "key must be" },
    { "return { on = {}, attempts = 0 }", "attempts must be" },
    { "return { on = {}, state = 1 }", "state must be a reducer" },
    { "return { on = {}, state = { on = {} } }", "initial" },
    { "return { on = {}, state = { initial = 1, on = {}, key = 'stream' } }", "no key of its own" },
    { "return { on = { A = function() end }, from = { typs = {} } }", "from: " },
    { "return { on = { A = function() end }, from = 1 }", "from must be" },
    { "return 1", "must return a table" },
    { "x = 1", "x" },
  }
  for _, row in ipairs(WRONG) do
    it("is refused: " .. row[1], function()
      files["p.lua"] = row[1]
      local message, code = failure(store:processor("p", "p.lua"))
      assert.equal("script", code)
      contains(message, "p.lua")
      contains(message, row[2])
    end)
  end

  it("whose state fails stops its processor at that event, with the rest written", function()
    local w = open [[return { key = "stream", on_error = "skip",
      state = { initial = {}, on = { Bad = function() error("no") end } },
      on = { Asked = function(event, ctx) ctx:emit("answers", { type = "A", data = event.data }) end } }]]
    ask(1)
    local bad = assert(store:append("x", { type = "Bad" })).last
    ask(2)
    local message, detail = script_failure(w:run())
    contains(message, "no (at position 2: Bad in stream x)")
    assert.equal(bad, detail.position)
    assert.same({ 1 }, answers())
  end)

  it("whose key fails or is a table names the event", function()
    local w = open "return { key = function(e) return { 1 } end, on = { Asked = function() end } }"
    ask(1)
    contains(script_failure(w:run()), "key returned a table")
  end)

  it("can't run the processor it is of", function()
    local w
    local answer
    w = open(handler "ctx.host.again()", { provide = { again = function() answer = { w:run() } end } })
    ask(1)
    w:run()
    assert.equal("busy", answer[3])
  end)

  it("has parameters", function()
    files["p.lua"] = "local params = ... " .. handler [[ctx:emit("answers", { type = "A", data = params.n })]]
    ask(1)
    assert(store:processor("p", "p.lua", { params = { n = 7 } })):run()
    assert.same({ 7 }, answers())
  end)
end)

describe("misuse", function()
  it("raises", function()
    files["p.lua"] = ANSWER
    contains(raised(store.processor, store, "p", "p.lua", { parms = {} }), "did you mean 'params'")
    contains(raised(store.processor, store, nil, "p.lua"), "name")
    contains(raised(store.processor, store, "p"), "script")
    contains(raised(store.processor, store, "p", "p.lua", { provide = 1 }), "provide must be")
    local w = open(ANSWER)
    contains(raised(w.run, w, { mss = 1 }), "did you mean 'ms'")
    contains(raised(w.run, w, { ms = "1" }), "ms must be a number")
    contains(raised(w.retry, w, "1"), "position")
    assert.equal("invalid", select(2, failure(store:processor(("x"):rep(241), "p.lua"))))
    assert.equal("script", select(2, failure(store:processor("p", "none.lua"))))
  end)
end)
