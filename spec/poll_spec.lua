-- poll_spec.lua: store:poll runs all that was opened through a handle, to rest or within a time.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

local START = 1700000000

local files, store, path, now

before_each(function()
  files, now = {}, START
  store, path = stores.new {
    load = function(name)
      if files[name] then return files[name] end
      return nil, "there is no such file"
    end,
    clock = function() return now end,
  }
end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

---A processor that makes of one type another.
local function link(from, to, how)
  files[from .. ".lua"] = ([[return { on = {
    %s = function(e, ctx) ctx:emit('s', { type = '%s', data = e.data }%s) end } }]]):format(from, to, how or "")
  return assert(store:processor(from, from .. ".lua"))
end

local function put(n) assert(store:append("s", { type = "A", data = n })) end

local function data(type_name) return stores.fields("data", store:all { types = { type_name } }) end

describe("poll", function()
  it("has nothing to do where nothing is opened", function()
    put(1)
    assert.equal(0, store:poll())
    assert.equal(0, store:poll(1))
  end)

  it("runs everything to rest, whatever the order in which it was opened", function()
    link("C", "D")
    link("B", "C")
    link("A", "B")
    for i = 1, 10 do put(i) end
    assert.equal(0, (store:poll()))
    assert.same(stores.range(1, 10), data "D")
    assert.equal(0, (store:poll()))
    assert.equal(40, store:head())
  end)

  it("does the same whenever it is done", function()
    local function log()
      link("A", "B")
      link("B", "C")
      for i = 1, 30 do
        put(i)
        if i % 7 == 0 then store:poll() end
      end
      store:poll()
      return table.concat(stores.fields("type", store:all()), " ")
    end
    local first = log()
    store:close()
    scratch.remove(path)
    store, path = stores.new { load = function(name) return files[name] end, clock = function() return now end }
    assert.equal(first, log())
  end)

  it("says how many are left when its time is up, and comes to an end", function()
    link("A", "B")
    link("B", "C")
    local n = 3000
    for i = 1, n do put(i) end
    local left = store:poll(0)
    assert(left > 0)
    local polls = 0
    repeat
      left, polls = store:poll(1), polls + 1
      assert(polls < 20000, "it does not come to rest")
    until left == 0
    assert.same(stores.range(1, n), data "C")
  end)

  it("delivers what is due, and says when the next is", function()
    link("A", "B", ", { delay = 10 }")
    link("B", "C")
    put(1)
    assert.same({ 0, 10.0 }, { store:poll() })
    now = now + 4
    assert.same({ 0, 6.0 }, { store:poll() })
    assert.same({}, data "C")
    now = now + 6
    assert.same({ 0 }, { store:poll() })
    assert.same({ 1 }, data "C")
  end)

  it("carries projections on, with what processors have emitted", function()
    files["count.lua"] = "return { initial = 0, on = { B = function(n) return n + 1 end } }"
    local p = assert(store:projection("count", "count.lua"))
    link("A", "B")
    for i = 1, 10 do put(i) end
    assert.equal(0, (store:poll()))
    assert.same({ 10, 20 }, { p:get(nil, { consistency = "weak" }) })
    assert.equal(20, p:mark())
    put(11)
    repeat until store:poll(1) == 0
    assert.same({ 11 }, { (p:get(nil, { consistency = "weak" })) })
  end)

  it("names the first that fails, and runs the others", function()
    files["bad.lua"] = "return { on = { A = function() error 'no' end } }"
    assert(store:processor("bad", "bad.lua"))
    link("A", "B")
    put(1)
    local message, code, detail = failure(store:poll())
    contains(message, "bad.lua:1: no (at position 1: A in stream s)")
    assert.same({ "script", 1 }, { code, detail.position })
    assert.same({ 1 }, data "B")
  end)

  it("takes up changed scripts, and reports those that don't load", function()
    link("A", "B")
    files["A.lua"] = "return {"
    put(1)
    local left, _, fault = store:poll()
    assert.equal(0, left)
    contains(fault, "A.lua:1:")
    assert.same({ 1 }, data "B")
    files["A.lua"] = "return { on = { A = function(e, ctx) ctx:emit('s', { type = 'Z', data = e.data }) end } }"
    put(2)
    store:poll()
    assert.same({ 2 }, data "Z")
  end)

  it("leaves out what is closed, and what another handle has opened", function()
    link("A", "B"):close()
    link("B", "C")
    local other <close> = assert(rille.open(path, { sync = "never", load = function(name) return files[name] end }))
    assert(other:processor("A", "A.lua"))
    put(1)
    store:poll()
    assert.same({}, data "B")
    other:poll()
    assert.same({ 1 }, data "B")
    store:poll()
    assert.same({ 1 }, data "C")
  end)

  it("can't be called by what it runs", function()
    local answer
    files["p.lua"] = "return { on = { A = function(e, ctx) ctx.host.poll() end } }"
    assert(store:processor("p", "p.lua", { provide = { poll = function() answer = { store:poll() } end } }))
    put(1)
    assert.equal(0, (store:poll()))
    assert.equal("busy", answer[3])
  end)

  it("keeps nothing of a store that is gone", function()
    local gone = setmetatable({}, { __mode = "k" })
    do
      local other = assert(rille.open(path, { load = function(name) return files[name] end }))
      files["p.lua"] = "return { on = {} }"
      gone[assert(other:processor("p", "p.lua"))] = true
      other:close()
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(gone))
  end)

  it("is refused on a closed store, and other budgets than numbers", function()
    link("A", "B")
    contains(raised(store.poll, store, "1"), "number")
    assert.equal("invalid", select(2, failure(store:poll(-1))))
    store:close()
    assert.equal("closed", select(2, failure(store:poll())))
  end)
end)
