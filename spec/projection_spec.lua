-- projection_spec.lua: states that the store keeps, and how fresh a reader wants them.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

local ACCOUNT = [[
return {
  initial = { balance = 0 },
  key = "stream",
  on = {
    Deposited = function(state, event) state.balance = state.balance + event.data.amount end,
    Closed = function() return require("rille").null end,
  },
}]]
ACCOUNT = 'local rille = require "rille"\n' .. ACCOUNT:gsub('require%("rille"%)', "rille")

local COUNT = [[return { initial = 0, on = { ["*"] = function(n) return n + 1 end } }]]

local files, store, path

local function load(name)
  if files[name] then return files[name] end
  return nil, "there is no such file"
end

local function reopen(options)
  store:close()
  options = options or {}
  options.load = load
  store = assert(rille.open(path, options))
end

before_each(function()
  files = { ["account.lua"] = ACCOUNT, ["count.lua"] = COUNT }
  store, path = stores.new { load = load }
end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

local function deposit(stream, amount, where)
  return assert((where or store):append(stream, { type = "Deposited", data = { amount = amount } }))
end

local function balances(name, options) return assert(store:projection(name or "balances", "account.lua", options)) end

describe("a projection", function()
  it("gives a key's state and the position it is of", function()
    deposit("a", 1)
    deposit("b", 10)
    deposit("a", 2)
    local p = balances()
    local state, position = p:get "a"
    assert.same({ balance = 3 }, state)
    assert.equal(3, position)
    assert.same({ balance = 10 }, (p:get "b"))
  end)

  it("gives nil alone for a key that no event has reached", function()
    deposit("a", 1)
    assert.equal(1, select("#", balances():get "nobody"))
    assert.is_nil((balances():get "nobody"))
  end)

  it("removes a key for null, and begins it anew after that", function()
    deposit("a", 1)
    assert(store:append("a", { type = "Closed" }))
    local p = balances()
    assert.is_nil((p:get "a"))
    deposit("a", 5)
    assert.same({ balance = 5 }, (p:get "a"))
  end)

  it("gives states that are the caller's to change", function()
    deposit("a", 1)
    local p = balances()
    local state = p:get "a"
    state.balance = 1000
    assert.same({ balance = 1 }, (p:get "a"))
  end)

  it("of a reducer without a key has one state", function()
    deposit("a", 1)
    deposit("b", 1)
    local p = assert(store:projection("count", "count.lua"))
    assert.equal(2, (p:get()))
    local message, code = failure(p:get "a")
    assert.equal("invalid", code)
    contains(message, "has no key")
  end)

  it("takes integers for keys, as strings", function()
    files["by.lua"] = [[return { initial = 0, key = function(e) return e.data.amount end,
      on = { Deposited = function(n) return n + 1 end } }]]
    deposit("a", 7)
    deposit("b", 7)
    local p = assert(store:projection("by", "by.lua"))
    assert.equal(2, (p:get(7)))
    assert.equal(2, (p:get "7"))
  end)

  it("goes on where it was when the store is opened again", function()
    files["account.lua"] = ACCOUNT:gsub("state.balance %+ event", "state.balance + 0 + event")
    for i = 1, 50 do deposit("s-" .. i % 5, i) end
    local p = balances()
    assert.same({ balance = 1 + 6 + 11 + 16 + 21 + 26 + 31 + 36 + 41 + 46 }, (p:get "s-1"))
    assert(p:close())
    reopen()
    p = balances()
    assert.equal(50, (p:get("s-1", { consistency = "eventual" })) and p:mark())
    deposit("s-1", 100)
    assert.same({ balance = 335 }, (p:get "s-1"))
  end)

  it("has the same states after its index was deleted", function()
    for i = 1, 50 do deposit("s-" .. i % 5, i) end
    local p = balances()
    local before = p:get "s-2"
    p:close()
    store:close()
    scratch.remove(path .. "/index")
    store = assert(rille.open(path, { load = load }))
    assert.same(before, (balances():get "s-2"))
  end)

  it("keeps memory bounded, with more keys than it may have there", function()
    local p = balances("small", { cache = 64 })
    for round = 1, 3 do
      local events = {}
      for i = 1, 1000 do
        events[i] = { stream = ("k%04d"):format(i), events = { { type = "Deposited", data = { amount = round } } } }
      end
      assert(store:append(events))
    end
    assert.equal(0, p:update())
    for i = 1, 1000, 37 do assert.same({ balance = 6 }, (p:get(("k%04d"):format(i)))) end
    local n = 0
    for key, state in p:each() do
      n = n + 1
      assert.equal(("k%04d"):format(n), key)
      assert.same({ balance = 6 }, state)
    end
    assert.equal(1000, n)
  end)
end)

describe("how fresh a state is", function()
  local p
  before_each(function()
    deposit("a", 1)
    p = balances()
    assert.same({ balance = 1 }, (p:get "a"))
  end)

  it("strong sees every append before the call, another handle's as well", function()
    local other = assert(rille.open(path))
    deposit("a", 2, other)
    other:close()
    assert.same({ balance = 3 }, (p:get "a"))
  end)

  it("session sees this handle's appends, or up to `after`", function()
    deposit("a", 2)
    assert.same({ balance = 3 }, (p:get("a", { consistency = "session" })))
    local other = assert(rille.open(path))
    local last = deposit("a", 4, other).last
    other:close()
    assert.same({ balance = 3 }, (p:get("a", { consistency = "session" })))
    assert.same({ balance = 7 }, (p:get("a", { consistency = "session", after = last })))
    local message, code = failure(p:get("a", { consistency = "session", after = last + 1 }))
    assert.equal("invalid", code)
    contains(message, "beyond the head")
  end)

  it("eventual and weak do not catch up; max_lag bounds them", function()
    deposit("a", 2)
    deposit("a", 4)
    for _, consistency in ipairs { "eventual", "weak" } do
      local state, position = p:get("a", { consistency = consistency })
      assert.same({ balance = 1 }, state)
      assert.equal(1, position)
      assert.same({ balance = 1 }, (p:get("a", { consistency = consistency, max_lag = 2 })))
    end
    assert.same({ balance = 7 }, (p:get("a", { consistency = "weak", max_lag = 1 })))
  end)

  it("eventual sees what another has saved, weak does not", function()
    local q = balances()
    deposit("a", 2)
    assert.equal(0, q:update())
    assert.same({ balance = 1 }, (p:get("a", { consistency = "weak" })))
    assert.same({ balance = 3 }, (p:get("a", { consistency = "eventual" })))
  end)

  it("two handles carry on from each other's states", function()
    local q = balances("balances", { cache = 64 })
    for i = 1, 400 do
      deposit("k" .. i % 100, 1)
      local one = i % 3 == 0 and p or q
      if i % 7 == 0 then assert.equal(0, one:update()) end
      if i % 5 == 0 then assert.same({ balance = i // 100 + (i % 100 > 0 and 1 or 0) }, (one:get("k" .. i % 100))) end
    end
    for i = 0, 99 do
      assert.same({ balance = 4 }, (p:get("k" .. i)))
      assert.same({ balance = 4 }, (q:get("k" .. i)))
    end
  end)

  it("at a past position it is the state of then", function()
    deposit("a", 2)
    deposit("a", 4)
    local state, position = p:get("a", { at = 2 })
    assert.same({ balance = 3 }, state)
    assert.equal(2, position)
    assert.equal(1, select("#", p:get("nobody", { at = 2 })))
    assert(store:append("a", { type = "Closed" }))
    assert.equal(1, select("#", p:get("a", { at = 4 })))
    local _, code = failure(p:get("a", { at = 99 }))
    assert.equal("invalid", code)
  end)

  it("mark and lag tell how far it is", function()
    assert.equal(1, p:mark())
    assert.equal(0, p:lag())
    deposit("a", 1)
    assert.equal(1, p:lag())
    assert.equal(0, p:update())
    assert.equal(2, p:mark())
  end)

  it("an unknown one is refused by name", function()
    contains(failure(p:get("a", { consistency = "strng" })), "\"strong\", \"session\"")
    contains(raised(p.get, p, "a", { consistensy = "strong" }), "did you mean 'consistency'")
    contains(raised(p.get, p, {}), "a key is a string or an integer")
    contains(raised(function() p:get("a", { at = "1" }) end), "projection_spec.lua")
    contains(raised(function() p:get("a", { after = "1" }) end), "after must be an integer")
  end)
end)

describe("each", function()
  it("gives keys in byte order, from behind `after`, as many as `limit`", function()
    for _, key in ipairs { "b", "a", "c\0", "c", "\255" } do deposit(key, 1) end
    local p = balances()
    local function keys(options)
      local list = {}
      for key in p:each(options) do list[#list + 1] = key end
      return list
    end
    assert.same({ "a", "b", "c", "c\0", "\255" }, keys())
    assert(p:update())
    assert.same({ "a", "b", "c", "c\0", "\255" }, keys())
    assert.same({ "c", "c\0" }, keys { after = "b", limit = 2 })
    deposit("bb", 1)
    assert(store:append("c", { type = "Closed" }))
    assert.same({ "a", "b", "bb", "c\0", "\255" }, keys())
    assert.same({}, keys { limit = 0 })
  end)
end)

describe("an edited script", function()
  local edited = ACCOUNT:gsub("event.data.amount", "2 * event.data.amount")

  it("finds none of the old states; reverted, it finds them again", function()
    deposit("a", 1)
    local p = balances()
    assert.same({ balance = 1 }, (p:get "a"))
    files["account.lua"] = edited
    assert.same({ balance = 2 }, (p:get "a"))
    files["account.lua"] = ACCOUNT
    assert.same({ balance = 1 }, (p:get "a"))
    assert.equal(1, p:mark())
  end)

  it("is the same one when only a comment has changed", function()
    deposit("a", 1)
    local p = balances()
    assert(p:update())
    files["account.lua"] = "-- what a comment says\n" .. ACCOUNT
    local state, position = p:get("a", { consistency = "eventual" })
    assert.same({ balance = 1 }, state)
    assert.equal(1, position)
  end)

  it("leaves the old states to eventual and weak readers until its own are complete", function()
    deposit("a", 1)
    local p = balances()
    assert(p:update())
    files["account.lua"] = edited
    assert.same({ balance = 1 }, (p:get("a", { consistency = "eventual" })))
    for key, state in p:each { consistency = "eventual" } do
      assert.equal("a", key)
      assert.same({ balance = 1 }, state)
    end
    assert.same({ balance = 2 }, (p:get "a"))
    assert.same({ balance = 2 }, (p:get("a", { consistency = "eventual" })))
  end)

  it("that does not load leaves the old one running", function()
    deposit("a", 1)
    local p = balances()
    assert.same({ balance = 1 }, (p:get "a"))
    files["account.lua"] = "return {"
    deposit("a", 1)
    assert.same({ balance = 2 }, (p:get "a"))
  end)
end)

describe("a rebuild", function()
  it("gives the same states", function()
    for i = 1, 100 do deposit("k" .. i % 10, i) end
    local p = balances("balances", { cache = 64 })
    assert(p:update())
    local before = {}
    for key, state in p:each() do before[key] = state.balance end
    assert.is_true(p:rebuild())
    for key, state in p:each() do
      assert.equal(before[key], state.balance)
      before[key] = nil
    end
    assert.is_nil(next(before))
    p:close()
    reopen()
    assert.equal(100, balances():mark())
  end)
end)

describe("a reducer that fails", function()
  it("stops its projection at that event, and keeps nothing half-changed", function()
    files["account.lua"] = ACCOUNT:gsub("state.balance = state", [[
      if event.data.amount == 13 then state.balance = -1; error("unlucky") end
      state.balance = state]])
    deposit("a", 1)
    deposit("a", 2)
    deposit("a", 13)
    deposit("b", 4)
    local p = balances()
    local message, code, detail = failure(p:get "a")
    assert.equal("script", code)
    contains(message, "unlucky")
    contains(message, "account.lua:")
    assert.equal(3, detail.position)
    assert.same({ balance = 3 }, (p:get("a", { consistency = "eventual" })))
    assert.equal(2, p:mark())
    files["account.lua"] = ACCOUNT
    assert.same({ balance = 16 }, (p:get "a"))
  end)

  it("is told the event that made a state that can't be kept", function()
    files["bad.lua"] = [[return { initial = {}, on = { Deposited = function(state, event)
      if event.data.amount == 2 then state.f = function() end end end } }]]
    deposit("a", 1)
    deposit("a", 2)
    deposit("a", 3)
    local p = assert(store:projection("bad", "bad.lua"))
    local message, code, detail = failure(p:get())
    assert.equal("script", code)
    contains(message, "function")
    assert.equal(2, detail.position)
    assert.same({}, (p:get(nil, { consistency = "eventual" })))
  end)
end)

describe("a handle of a projection", function()
  it("may be closed twice, and answers \"closed\" then", function()
    local p = balances()
    assert(p:close())
    assert(p:close())
    local _, code = failure(p:get "a")
    assert.equal("closed", code)
    contains(tostring(p), "closed")
  end)

  it("may outlive its store", function()
    deposit("a", 1)
    local p = balances()
    p:get "a"
    store:close()
    local _, code = failure(p:get "a")
    assert.equal("closed", code)
    assert(p:close())
    store = assert(rille.open(path, { load = load }))
  end)

  it("of a store that is open for reading only is kept in memory", function()
    for i = 1, 200 do deposit("k" .. i, i) end
    reopen { readonly = true }
    local p = balances("balances", { cache = 64 })
    assert.same({ balance = 77 }, (p:get "k77"))
    local n = 0
    for _ in p:each() do n = n + 1 end
    assert.equal(200, n)
  end)

  it("is refused for a script that isn't there", function()
    local message, code = failure(store:projection("x", "nowhere.lua"))
    assert.equal("script", code)
    contains(message, "nowhere.lua")
    contains(raised(store.projection, store, "x", "account.lua", { parms = {} }), "did you mean 'params'")
  end)
end)

describe("shares of the keys", function()
  it("have each key in one of them, with the state that it has alone", function()
    for i = 1, 300 do deposit("k" .. i % 50, i) end
    local shares, seen = {}, {}
    for i = 1, 3 do
      shares[i] = balances("balances", { share = { i, 3 } })
      assert.equal(0, shares[i]:update())
      for key, state in shares[i]:each() do
        assert.is_nil(seen[key])
        seen[key] = i
        assert.same(store:fold("account.lua", { stream = key }), state)
      end
    end
    for i = 0, 49 do
      local key = "k" .. i
      assert.is_not_nil(seen[key])
      local message, code = failure(shares[seen[key] % 3 + 1]:get(key))
      assert.equal("invalid", code)
      contains(message, "another share")
    end
    assert.is_true(assert(store:verify { deep = true }).ok)
  end)

  it("are those of keys by function, too, and of nothing else", function()
    files["by.lua"] = [[return { initial = 0, key = function(e) return { e.data.amount % 10, "all" } end,
      on = { Deposited = function(n) return n + 1 end } }]]
    for i = 1, 100 do deposit("s", i) end
    local n = 0
    for i = 1, 2 do
      local p = assert(store:projection("by", "by.lua", { share = { i, 2 } }))
      for key, state in p:each() do
        n = n + 1
        assert.equal(key == "all" and 100 or 10, state)
      end
    end
    assert.equal(11, n)
    local _, code = failure(store:projection("c", "count.lua", { share = { 1, 2 } }))
    assert.equal("invalid", code)
    contains(raised(store.projection, store, "c", "account.lua", { share = { 3, 2 } }), "share must be")
  end)
end)

describe("several projections", function()
  it("are carried on together by poll, and say what each says alone", function()
    files["bad.lua"] = [[return { initial = 0, on = { Deposited = function(n, e)
      if e.data.amount == 150 then error "no" end return n + 1 end } }]]
    local a, b = balances("one", { cache = 64 }), balances("two")
    local count = assert(store:projection("count", "count.lua"))
    local bad = assert(store:projection("bad", "bad.lua"))
    for i = 1, 300 do deposit("k" .. i % 97, i) end
    local message, code = failure(store:poll())
    assert.equal("script", code)
    contains(message, "bad.lua")
    for _, p in ipairs { a, b, count } do assert.equal(300, p:mark()) end
    assert.equal(149, bad:mark())
    assert.equal(149, (bad:get(nil, { consistency = "eventual" })))
    assert.equal(300, (count:get(nil, { consistency = "eventual" })))
    for i = 0, 96 do
      local key = "k" .. i
      assert.same(a:get(key, { consistency = "eventual" }), b:get(key, { consistency = "eventual" }))
      assert.same(store:fold("account.lua", { stream = key }), (a:get(key)))
    end
  end)

  it("keep to a budget together", function()
    local a, b = balances("one"), balances("two")
    for i = 1, 300 do deposit("k" .. i % 97, i) end
    local calls, left = 0
    repeat
      left = assert(store:poll(0.01))
      calls = calls + 1
    until left == 0 or calls > 5000
    assert.equal(0, left)
    assert.same(a:get "k5", b:get "k5")
  end)
end)

describe("an update with a budget", function()
  it("applies whole events until the time is up, and at least gets on", function()
    for i = 1, 300 do deposit("k" .. i % 7, 1) end
    local p = balances()
    local left, calls = nil, 0
    repeat
      local before = left
      left = assert(p:update { ms = 0.01 })
      assert.is_true(not before or left < before)
      calls = calls + 1
    until left == 0 or calls > 1000
    assert.equal(0, left)
  end)
end)
