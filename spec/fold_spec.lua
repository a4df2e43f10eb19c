-- fold_spec.lua: a state is what a reducer makes of events, at any point of the past.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

local ACCOUNT = [[
return {
  initial = { balance = 0, seen = 0 },
  key = "stream",
  on = {
    Deposited = function(state, event) state.balance = state.balance + event.data.amount end,
    Withdrawn = function(state, event) state.balance = state.balance - event.data.amount end,
    ["*"] = function(state) state.seen = state.seen + 1 end,
  },
}]]

local COUNT = [[return { initial = 0, on = { ["*"] = function(n) return n + 1 end } }]]

local files, store, path

before_each(function()
  files = { ["account.lua"] = ACCOUNT, ["count.lua"] = COUNT }
  store, path = stores.new {
    load = function(name)
      if files[name] then return files[name] end
      return nil, "there is no such file"
    end,
  }
end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

local function deposit(stream, amount)
  return assert(store:append(stream, { type = "Deposited", data = { amount = amount } }))
end

---Folds a reducer given as text.
local function fold(text, options)
  files["it.lua"] = text
  return store:fold("it.lua", options)
end

---A reducer of one state with this handler for all events.
local function all(initial, body)
  return ("return { initial = %s, on = { ['*'] = function(state, event, key) %s end } }")
    :format(initial, body)
end

local function script_failure(...)
  local message, code, detail = failure(...)
  assert.equal("script", code)
  return message, detail
end

describe("a fold of a stream", function()
  before_each(function()
    for i = 1, 10 do
      deposit("account-1", i)
      deposit("account-2", 100)
    end
    assert(store:append("account-1", { { type = "Withdrawn", data = { amount = 5 } }, { type = "Closed" } }))
  end)

  it("gives state, position and version", function()
    local state, position, version = store:fold("account.lua", { stream = "account-1" })
    assert.same({ balance = 50, seen = 1 }, state)
    assert.equal(22, position)
    assert.equal(12, version)
    assert(store:append("account-1", { type = "Opened" }, { expect = version }))
  end)

  it("may name it as key", function()
    assert.same({ balance = 1000, seen = 0 }, (store:fold("account.lua", { key = "account-2" })))
    assert.same({ balance = 1000, seen = 0 },
      (store:fold("account.lua", { key = "account-2", stream = "account-2" })))
    local message, code = failure(store:fold("account.lua", { key = "account-1", stream = "account-2" }))
    assert.equal("invalid", code)
    contains(message, "differ")
    assert.equal("invalid", select(2, failure(store:fold "account.lua")))
  end)

  it("up to a version", function()
    for version = 0, 10 do
      local state, _, at = store:fold("account.lua", { stream = "account-1", version = version })
      assert.same({ balance = version * (version + 1) // 2, seen = 0 }, state)
      assert.equal(version, at)
    end
    local message, code = failure(store:fold("account.lua", { stream = "account-1", version = 13 }))
    assert.equal("invalid", code)
    contains(message, "version = 13 is beyond the stream's, which is 12")
    assert.equal("invalid", select(2, failure(store:fold("count.lua", { version = 1 }))))
  end)

  it("at a position", function()
    for at = 0, 22 do
      local n = math.min((at + 1) // 2, 10)
      local state, position, version = store:fold("account.lua", { stream = "account-1", at = at })
      local balance = n * (n + 1) // 2 - (at >= 21 and 5 or 0)
      assert.same({ balance = balance, seen = at == 22 and 1 or 0 }, state)
      assert.same({ at, n + math.max(0, at - 20) }, { position, version })
    end
    local message, code = failure(store:fold("account.lua", { stream = "account-1", at = 23 }))
    assert.equal("invalid", code)
    contains(message, "at = 23 is beyond the head, which is 22")
  end)

  it("at a position and up to a version: whichever is first", function()
    local function balance(at, version)
      local options = { stream = "account-1", at = at, version = version }
      return store:fold("account.lua", options).balance
    end
    assert.equal(3, balance(22, 2))
    assert.equal(3, balance(3, 9))
  end)

  it("that has no event is the initial state", function()
    local state, position, version = store:fold("account.lua", { stream = "nobody" })
    assert.same({ balance = 0, seen = 0 }, state)
    assert.same({ 22, 0 }, { position, version })
  end)

  it("counts versions of events that nobody handles", function()
    local deaf = [[return { initial = 0, on = { Nothing = function() return 1 end } }]]
    assert.same({ 0, 22, 12 }, { fold(deaf, { stream = "account-1" }) })
    assert.same({ 0, 22, 12 }, { fold("return { initial = 0, on = {} }", { stream = "account-1" }) })
    assert.same({ 0, 22 }, { fold "return { initial = 0, on = {} }" })
  end)

  it("gives a state that is yours", function()
    local first = store:fold("account.lua", { stream = "account-1" })
    first.balance = nil
    assert.equal(50, store:fold("account.lua", { stream = "account-1" }).balance)
  end)
end)

describe("a fold of everything", function()
  it("is in the order of positions", function()
    for i = 1, 600 do assert(store:append("s" .. i % 3, { type = "T" .. i % 2, data = i })) end
    local body = "if event.position ~= state.n + 1 or event.data ~= event.position then " ..
      "error 'out of order' end state.n = state.n + 1"
    local state, position, version = fold(all("{ n = 0 }", body))
    assert.same({ n = 600 }, state)
    assert.equal(600, position)
    assert.is_nil(version)
    assert.equal(600, (store:fold "count.lua"))
    assert.equal(17, (store:fold("count.lua", { at = 17 })))
    assert.equal(0, (store:fold("count.lua", { at = 0 })))
    assert.equal(200, (store:fold("count.lua", { stream = "s1" })))
  end)

  it("of an empty store is the initial state", function()
    assert.same({ 0, 0 }, { store:fold "count.lua" })
  end)

  it("goes over segments and blocks", function()
    store:close()
    store = assert(rille.open(path, { sync = "never", segment_bytes = 65536,
      load = function(name) return files[name] end }))
    stores.fill(store, "long", 5000, 113)
    local sum = all("0", "return state + event.data.n")
    assert.equal(5000 * 5001 // 2, (fold(sum)))
    assert.equal(5000 * 5001 // 2, (fold(sum, { stream = "long" })))
    assert.equal(257 * 258 // 2, (fold(sum, { stream = "long", version = 257 })))
    assert.equal(256 * 257 // 2, (fold(sum, { at = 256 })))
  end)

  it("takes a key only where the reducer has one", function()
    assert.equal("invalid", select(2, failure(store:fold("count.lua", { key = "x" }))))
  end)
end)

describe("the wildcard", function()
  it("takes what no name takes", function()
    assert(store:append("s", { { type = "A" }, { type = "B" }, { type = "C" }, { type = "A" } }))
    assert.same({ a = 2, other = "BC" }, (fold [[
      return { initial = { a = 0, other = "" }, on = {
        A = function(state) state.a = state.a + 1 end,
        ["*"] = function(state, event) state.other = state.other .. event.type end } }]]))
  end)
end)

describe("keys by function", function()
  local BY_CUSTOMER = [[
    return { initial = function(key) return { key = key, n = 0 } end,
      key = function(event) return event.data.who end,
      on = { Said = function(state, event, key)
        if key ~= state.key then error("the key is " .. tostring(key)) end
        state.n = state.n + 1
      end } }]]

  local function said(who) assert(store:append("talk", { type = "Said", data = { who = who } })) end

  it("choose by string, integer, list, or skip", function()
    said "ann"
    said(7)
    said { "bob", "ann" }
    said(rille.array {})
    said(nil)
    said { 7, 8 }
    assert(store:append("talk", { type = "Other", data = { who = "ann" } }))
    local function n(key) return fold(BY_CUSTOMER, { key = key }).n end
    assert.equal(2, n "ann")
    assert.equal(1, n "bob")
    assert.equal(2, n "7")
    assert.equal(2, n(7))
    assert.equal(1, n(8))
    assert.equal(0, n "nobody")
    assert.equal("invalid", select(2, failure(fold(BY_CUSTOMER))))
  end)

  it("go along one stream where it is given", function()
    said "ann"
    assert(store:append("other", { type = "Said", data = { who = "ann" } }))
    assert.equal(2, fold(BY_CUSTOMER, { key = "ann" }).n)
    local state, position, version = fold(BY_CUSTOMER, { key = "ann", stream = "talk" })
    assert.same({ 1, 2, 1 }, { state.n, position, version })
  end)

  it("that are nothing of the kind are errors", function()
    for value, kind in pairs { ["1.5"] = "float", ["{ x = 1 }"] = "table that is no list", ["true"] = "boolean" } do
      files = {}
      store:close()
      scratch.remove(path)
      store = assert(rille.open(path, { sync = "never", load = function(name) return files[name] end }))
      assert(store:append("s", { type = "A" }))
      local text = ("return { initial = 0, key = function() return %s end, " ..
        "on = { A = function(n) return n + 1 end } }"):format(value)
      local message, detail = script_failure(fold(text, { key = "x" }))
      contains(message, "key returned a " .. kind)
      assert.equal(1, detail.position)
    end
  end)
end)

describe("the initial state", function()
  before_each(function() deposit("account-1", 1) end)

  it("is copied for each fold, or made by a function of the key", function()
    local nested = all("{ list = {} }", "state.list[#state.list + 1] = event.position")
    assert.same({ list = { 1 } }, (fold(nested)))
    assert.same({ list = { 1 } }, (fold(nested)))
    assert.equal("account-1!", (fold([[
      return { initial = function(key) return key .. "!" end, key = "stream", on = {} }]],
      { stream = "account-1" })))
  end)

  it("may be any plain value", function()
    for text, value in pairs { ["0"] = 0, ["''"] = "", ["false"] = false, ["1.5"] = 1.5, ["{}"] = {} } do
      assert.same(value, (fold(("return { initial = %s, on = {} }"):format(text))))
    end
  end)

  it("may be nothing else", function()
    contains(script_failure(fold(all("{ print_it = function() end }", ""))), "initial")
    contains(script_failure(fold "return { initial = function() end, on = {} }"), "initial returned nothing")
    contains(script_failure(fold "return { initial = function() error 'no luck' end, on = {} }"), "no luck")
    contains(script_failure(fold "return { on = {} }"), "needs initial")
  end)
end)

describe("a handler", function()
  before_each(function()
    for i = 1, 5 do deposit("account-1", i) end
  end)

  it("returns the new state, or changes a table in place", function()
    assert.equal(15, (fold(all("0", "return state + event.data.amount"))))
    assert.same({ 1, 2, 3, 4, 5 }, (fold(all("{}", "state[#state + 1] = event.data.amount"))))
    assert.same({ n = 5 }, (fold(all("{ n = 0 }", "return { n = state.n + 1 }"))))
    assert.equal(false, (fold(all("true", "return false"))))
  end)

  it("that returns nothing for a number, string or boolean is an error", function()
    for initial, kind in pairs { ["0"] = "number", ["''"] = "string", ["true"] = "boolean" } do
      local message, detail = script_failure(fold(all(initial, "")))
      contains(message, "the handler returned nothing, but the state is a " .. kind)
      assert.equal(1, detail.position)
    end
  end)

  it("removes the key with null; it begins anew", function()
    local text = [[
      local rille = require "rille"
      return { initial = { n = 0 }, on = { ["*"] = function(state, event)
        state.n = state.n + 1
        if event.data.amount == params_at then return rille.null end
      end } }]]
    local state, position = fold((text:gsub("params_at", "5")))
    assert.is_nil(state)
    assert.equal(5, position)
    assert.same({ n = 2 }, (fold((text:gsub("params_at", "3")))))
  end)

  it("sees all of the event", function()
    assert(store:append("full", { type = "Full", data = { 1 }, meta = { by = "me" }, tags = { "t", "u" },
      id = "given", time = 12.5 }))
    assert.same({ "Full", "full", 6, 1, 12.5, "given", "t,u", "me", 1 }, (fold [[
      return { initial = {}, on = { Full = function(state, e)
        return { e.type, e.stream, e.position, e.version, e.time, e.id, table.concat(e.tags, ","),
          e.meta.by, e.data[1] }
      end } }]]))
  end)

  it("owns the event's data, and nothing else of it", function()
    assert.same({ 5 }, (fold(all("{}", "event.data.amount = event.data.amount * 10; " ..
      "if event.data.amount == 10 then state.first = nil end state[1] = event.data.amount // 10"))))
    assert.same({ amount = 5 }, (fold(all("{}", "return event.data"))))
    contains(script_failure(fold(all("0", "event.type = 'X'"))), "can't be changed")
    contains(script_failure(fold(all("0", "return event.colour"))), "no field 'colour'")
  end)

  it("can't keep the event", function()
    contains(script_failure(fold(all("{}", "return event"))), "event")
    contains(script_failure(fold(all("{}", "state.last = event"))), "state.last")
  end)

  it("keeps nothing outside the state from fold to fold", function()
    local text = [[
      local calls = 0
      return { initial = 0, on = { ["*"] = function() calls = calls + 1 return calls end } }]]
    assert.equal(5, (fold(text)))
    assert.equal(5, (fold(text)))
    contains(script_failure(fold(all("0", "total = 1"))), "global 'total' can't be set")
    contains(script_failure(fold(all("0", "string.x = 1"))), "string.x is read-only")
  end)

  it("can't yield", function()
    contains(script_failure(fold(all("0", "return coroutine.yield()"))), "can't yield")
    local answer = coroutine.wrap(function() return (store:fold "count.lua") end)()
    assert.equal(5, answer)
  end)
end)

describe("a state", function()
  before_each(function() deposit("account-1", 1) end)

  it("is a tree of plain data", function()
    contains(script_failure(fold(all("{}", "state.f = function() end"))), "state.f is a function")
    contains(script_failure(fold(all("{}", "state.a = { b = { state } }"))), "state.a.b[1]")
    contains(script_failure(fold(all("{}", "state[1] = 1 state.x = 1"))), "state")
    contains(script_failure(fold(all("{}", "return function() end"))), "state is a function")
  end)

  it("may be empty, an array, or hold null", function()
    assert.same({}, (fold(all("{ 1 }", "return {}"))))
    local state = fold "local r = require 'rille' return { initial = { x = r.null, a = r.array {} }, on = {} }"
    assert.equal(rille.null, state.x)
    assert.equal("rille.array", getmetatable(state.a))
  end)
end)

describe("a state that can't be kept", function()
  before_each(function() for i = 1, 5 do deposit("account-1", i) end end)

  ---Breaks the state with the third event.
  local function broken(body)
    return fold(("return { initial = { n = 0 }, on = { ['*'] = function(state, event)\n" ..
      "state.n = state.n + 1\nif state.n == 3 then %s end end } }"):format(body))
  end

  it("is named with the place in it, the script and the event that made it", function()
    for body, words in pairs {
      ["state.f = { function() end }"] = "state.f[1] is a function",
      ["state.deep = { e = event }"] = "state.deep.e is an event",
      ["state.me = state"] = "state.me is a cycle",
      ["local t = {} state.a, state.b = t, { t }"] = "state.b[1] is a table that stands elsewhere",
      ["state.x = { [1.5] = 1 }"] = "state.x has a float as key",
      ["state.x = { 1, a = 2 }"] = "state.x has both string and integer keys",
      ["local t = state for _ = 1, 200 do t.t = {} t = t.t end"] = "is more than 128 tables deep",
    } do
      local message, detail = script_failure(broken(body))
      contains(message, "it.lua:1: the state can't be kept: ")
      contains(message, words)
      contains(message, "(at position 3: Deposited in stream account-1)")
      assert.equal(3, detail.position)
    end
  end)

  it("has a table in two places, however many tables it has", function()
    local message = script_failure(broken [[
      local t = {} for i = 1, 100 do t[i] = { i } end state.t = t  t[101] = t[50] ]])
    contains(message, "state.t[101] is a table that stands elsewhere, too")
    assert.same(100, #assert(broken "local t = {} for i = 1, 100 do t[i] = { i } end state.t = t").t)
  end)

  it("but only for a while is no error", function()
    assert.same({ n = 5 }, (fold [[return { initial = { n = 0 }, on = { ["*"] = function(state)
      state.n = state.n + 1
      state.f = state.n < 5 and function() end or nil
    end } }]]))
  end)

  it("as the first one is the script's fault, whether it is a value or is made", function()
    contains(script_failure(fold "return { initial = { f = math.max }, on = {} }"),
      "initial can't be a state: state.f is a function")
    contains(script_failure(fold "return { initial = function() return { f = math.max } end, on = {} }"),
      "initial can't be kept: state.f is a function")
    contains(script_failure(fold "return { initial = function() end, on = {} }"), "initial returned nothing")
    contains(script_failure(fold "return { initial = require 'rille'.null, on = {} }"), "initial is rille.null")
  end)
end)

describe("what a handler or a key function gives", function()
  it("is refused with the script's line, not that of who called fold", function()
    deposit("account-1", 1)
    contains(script_failure(fold "return { initial = 0, on = {\nDeposited = function() end } }"),
      "it.lua:2: the handler returned nothing, but the state is a number")
    contains(script_failure(fold("return { initial = 0,\nkey = function() return 1.5 end,\n" ..
      "on = { Deposited = function(n) return n end } }", { key = "a" })), "it.lua:2: key returned a float")
  end)
end)

describe("an error", function()
  it("names file, line, position, type and stream", function()
    for i = 1, 3 do deposit("account-" .. i, i) end
    local message, detail = script_failure(fold [[
return { initial = 0, on = {
  Deposited = function(n, event)
    if event.data.amount == 2 then
      error "two is too many"
    end
    return n + 1
  end } }]])
    contains(message, "it.lua:4: two is too many")
    contains(message, "at position 2: Deposited in stream account-2")
    assert.same({ position = 2 }, detail)
    assert.equal(3, (store:fold "count.lua"))
  end)

  it("in the midst of a stream leaves the store as it was", function()
    for i = 1, 300 do deposit("s", i) end
    local text = all("0", "if event.version == 270 then local x = nil; return x.y end return state + 1")
    for _ = 1, 20 do
      local message, detail = script_failure(fold(text, { stream = "s" }))
      contains(message, "it.lua:1:")
      assert.equal(270, detail.position)
    end
    assert.equal(269, (fold(text, { stream = "s", version = 269 })))
    deposit("s", 301)
  end)

  it("may be any value", function()
    deposit("s", 1)
    for _, value in ipairs { "nil", "{}", "42", "true", "function() end", "event" } do
      local message = script_failure(fold(all("0", "error(" .. value .. ")")))
      contains(message, "position 1")
    end
  end)

  it("of endless recursion is caught", function()
    deposit("s", 1)
    contains(script_failure(fold(all("0", "local function f(n) return 1 + f(n) end return f(1)"))), "overflow")
  end)
end)

describe("a reducer that does not load", function()
  local function why(text) return script_failure(fold(text)) end

  it("says where and why", function()
    contains(why "return {\n  initial = = 1 }", "it.lua:2:")
    contains(why "local x\nerror 'early'", "it.lua:2: early")
    contains(why "x = 1 return {}", "it.lua:1: global 'x' can't be set")
    contains(why "return os.time()", "it.lua:1: undefined global 'os'")
    contains(why "return 7", "it.lua: a script must return a table, got number")
    contains(why "", "must return a table")
    contains(why(string.dump(function() end)), "it.lua: compiled Lua is refused")
    contains(why "return { initial = 0 }", "it.lua: a reducer needs on")
    contains(why "return { initial = 0, on = 7 }", "a reducer needs on")
    contains(why "return { initial = 0, on = { A = 7 } }", "on.A must be a function, not number")
    contains(why "return { initial = 0, on = { [1] = function() end } }", "no type's name")
    contains(why "return { initial = 0, on = {}, key = 7 }", "key must be")
    contains(why "return { initial = 0, on = {}, key = 'type' }", "key must be")
    contains(why "return { initial = 0, on = {}, inital = 1 }", "'inital' (did you mean 'initial'?)")
    contains(script_failure(store:fold "absent.lua"), "absent.lua: there is no such file")
  end)

  it("is read again when it was mended", function()
    deposit("s", 1)
    why "return {"
    assert.equal(1, (fold(COUNT)))
  end)
end)

describe("loading", function()
  before_each(function() deposit("s", 2) end)

  it("brings neighbours by require", function()
    files["folder/main.lua"] = [[
      local double = require "double"
      return { initial = 0, on = { Deposited = function(n, e) return n + double(e.data.amount) end } }]]
    files["folder/double.lua"] = [[local two = require "two" return function(n) return two * n end]]
    files["folder/two.lua"] = "return 2"
    assert.equal(4, (store:fold "folder/main.lua"))
    files["folder/two.lua"] = "return 3"
    assert.equal(6, (store:fold "folder/main.lua"))
    files["folder/two.lua"] = "local a = nil\nreturn a.b"
    contains(script_failure(store:fold "folder/main.lua"), "folder/two.lua:2:")
    files["folder/two.lua"] = nil
    contains(script_failure(store:fold "folder/main.lua"), "folder/two.lua")
    contains(script_failure(fold "require 'os' return {}"), "require 'os'")
    contains(script_failure(fold "require '../x' return {}"), "plain name")
  end)

  it("gives params", function()
    local text = [[local params = ... return { initial = 0, on = {
      Deposited = function(n, e) return n + params.factor * e.data.amount end } }]]
    assert.equal(20, (fold(text, { params = { factor = 10 } })))
    contains(script_failure(fold(text, { params = { factor = print } })), "params.factor is a function")
    local mine = { list = { 1 } }
    assert.equal(2, (fold("local params = ... params.list[2] = 5 " ..
      "return { initial = #params.list, on = {} }", { params = mine })))
    assert.same({ list = { 1 } }, mine)
  end)

  it("is of files where no function is given", function()
    store:close()
    store = assert(rille.open(path))
    local name = scratch.file("count.lua", "return { initial = 0, on = { ['*'] = require 'helper' } }")
    scratch.file("helper.lua", "return function(n) return n + 1 end")
    assert.equal(1, (store:fold(name)))
    contains(script_failure(store:fold(scratch.folder .. "/absent.lua")), "absent.lua")
  end)

  it("may fail in the host's function", function()
    local answer
    store:close()
    store = assert(rille.open(path, { load = function() return answer() end }))
    local cases = {
      [function() error "disk on fire" end] = "disk on fire",
      [function() return nil, "not today" end] = "not today",
      [function() return nil end] = "x.lua",
      [function() return 7 end] = "got number",
      [function() error() end] = "x.lua",
      [function() return coroutine.yield() end] = "x.lua",
    }
    for f, text in pairs(cases) do
      answer = f
      contains(script_failure(coroutine.wrap(function() return store:fold "x.lua" end)()), text)
    end
  end)

  it("may use the store", function()
    store:close()
    store = assert(rille.open(path, { sync = "never", load = function()
      assert(store:append("loaded", { type = "Loaded" }))
      return COUNT
    end }))
    assert.equal(2, (store:fold "x.lua"))
    assert.equal(3, (store:fold "x.lua"))
  end)
end)

describe("misuse", function()
  it("raises", function()
    local function message(...) return raised(store.fold, store, ...) end
    contains(message(), "name of a reducer")
    contains(message(7), "name of a reducer")
    contains(message("count.lua", 7), "options must be a table")
    contains(message("count.lua", { strem = "x" }), "unknown option 'strem'")
    contains(message("count.lua", { strem = "x" }), "did you mean 'stream'?")
    contains(failure(store:fold("count.lua", { at = -1 })), "at must be an integer")
    contains(message("count.lua", { at = 1.5 }), "at must be an integer")
    contains(message("count.lua", { version = "1" }), "version must be an integer")
    contains(message("count.lua", { stream = 7 }), "stream must be a string")
    contains(message("account.lua", { key = {} }), "key must be a string or an integer")
    contains(message("account.lua", { key = 1.5 }), "key must be a string or an integer")
  end)

  it("of a closed store is nil, message, closed", function()
    store:close()
    local message, code = failure(store:fold "count.lua")
    assert.equal("closed", code)
    contains(message, "closed")
  end)
end)
