-- What a call reads on the way to its answer could end it with an error that was raised, where the
-- log is damaged or the disk refuses: fold of a stream, a processor's run, poll, what a decider
-- reads, the outcome of a transaction. Isolated, it was called a failure of the script. Only
-- iterators raise; a call returns nil, message, code, detail.
local image = require "spec.crash.image"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local SCRIPTS = {
  ["sum.lua"] = [[return { initial = 0, key = "stream", on = { ["*"] = function(s, e) return s + e.data.n end } }]],
  ["react.lua"] = [[return { on = { Asked = function(event, ctx) ctx:emit("answers", { type = "Answered" }) end } }]],
  ["state.lua"] = [[return { decide = function(_, ctx) ctx:state("sum.lua", { key = "a" }) return {} end }]],
  ["list.lua"] = [[return { decide = function(_, ctx) ctx:all { stream = "a" } return {} end }]],
}

---Overwrites what the first event says in the first file of the log.
local function damage(path)
  local files = image.take(path)
  local name = path .. "/" .. image.segments(files)[1]
  local file = assert(io.open(name, "r+b"))
  local at = assert(file:read "a":find("what is damaged", 1, true))
  file:seek("set", at - 1)
  file:write "what was damage"
  file:close()
end

describe("of a damaged log", function()
  local path, store

  before_each(function()
    store, path = stores.new { segment_bytes = 65536 }
    local c = assert(rille.coordinator(store, { name = "first" }))
    assert(c:transact({ id = "done" }, function(tx)
      assert(tx:append(store, "a", { type = "Asked", data = { n = 1, mark = "what is damaged" } }))
      return true
    end))
    c:close()
    stores.fill(store, "b", 100, 1, function(i) return { type = "Other", data = { n = i, x = ("x"):rep(2000) } } end)
    store:close()
    damage(path)
    store = assert(rille.open(path, { load = function(name) return SCRIPTS[name] end }))
  end)

  after_each(function()
    store:close()
    scratch.remove(path)
  end)

  local function is_told(...)
    local message, code, detail = stores.failure(...)
    assert.equal("corrupt", code)
    stores.contains(message, "damage at byte ")
    assert.equal(1, detail.position)
  end

  it("a fold is refused, isolated as well", function()
    is_told(store:fold("sum.lua", { stream = "a" }))
    is_told(store:fold("sum.lua", { key = "a" }))
    is_told(store:fold("sum.lua", { key = "a", isolated = true }))
  end)

  it("a processor's run is refused, and a poll", function()
    local w = assert(store:processor("w", "react.lua"))
    is_told(w:run())
    is_told(w:run { ms = 2 })
    assert.equal("corrupt", select(3, store:poll()))
    local apart = assert(store:processor("apart", "react.lua", { isolated = true }))
    is_told(apart:run())
  end)

  it("a decision is refused", function()
    is_told(store:decide("state.lua"))
    is_told(store:decide("list.lua"))
  end)

  it("the outcome of a transaction is refused, and doing it again", function()
    local c = assert(rille.coordinator(store, { name = "second" }))
    is_told(c:outcome "done")
    local done, _, code = c:transact({ id = "done" }, function() return true end)
    assert.is_nil(done)
    assert.equal("corrupt", code)
    c:close()
  end)

  it("an iterator raises the message", function()
    local ok, message = pcall(function() for _ in store:read "a" do end end)
    assert.is_false(ok)
    stores.contains(message, "damage at byte ")
  end)
end)
