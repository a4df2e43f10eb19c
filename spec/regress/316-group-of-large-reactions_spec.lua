-- Up to 256 reactions of a processor wait in memory for one append, whatever they had emitted: so
-- an isolated one was stopped for memory that its script had never asked for at once, at each run
-- again; and one of the caller's own could take all memory that there was.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("reactions that emit much", function()
  local store, path, text
  before_each(function() store, path = stores.new { load = function() return text end } end)
  after_each(function()
    store:close()
    scratch.remove(path)
  end)

  it("are written before they fill an isolate", function()
    text = [[return { on = { Asked = function(event, ctx)
      ctx:emit("answers", { type = "Answered", data = ("x"):rep(64 * 1024) }) end } }]]
    stores.fill(store, "asked", 200, 100, function() return { type = "Asked" } end)
    local w = assert(store:processor("p", "p.lua", { isolated = true, memory_bytes = 4 * 1024 * 1024 }))
    assert.equal(0, (assert(w:run())))
    assert.equal(200, store:version "answers")
  end)

  it("name the script and its line where they emit too much", function()
    text = [[return { on = { Asked = function(event, ctx)
      local much = ("x"):rep(1000 * 1000)
      for _ = 1, 9999 do
        ctx:emit("answers", { type = "Answered", data = much })
      end end } }]]
    stores.fill(store, "asked", 1, 1, function() return { type = "Asked" } end)
    local w = assert(store:processor("p", "p.lua"))
    local message, code = stores.failure(w:run())
    assert.equal("script", code)
    stores.contains(message, "p.lua:4: emit: one reaction emits at most 64 MiB (at position 1: ")
    assert.equal(1, store:head())
  end)

  it("name the script where a version that they expect is not there", function()
    text = [[return { on = { Asked = function(event, ctx)
      ctx:emit("answers", { type = "Answered" }, { expect = 77 }) end } }]]
    stores.fill(store, "asked", 1, 1, function() return { type = "Asked" } end)
    stores.contains((stores.failure(assert(store:processor("p", "p.lua")):run())), "p.lua: stream \"answers\" ")
  end)

  it("are written in appends of a bounded size", function()
    text = [[return { on = { Asked = function(event, ctx)
      ctx:emit("answers", { type = "Answered", data = ("x"):rep(1000 * 1000) }) end } }]]
    stores.fill(store, "asked", 6, 6, function() return { type = "Asked" } end)
    local w = assert(store:processor("p", "p.lua"))
    local before = store:stats().appends
    assert.equal(0, (assert(w:run())))
    assert.equal(6, store:version "answers")
    assert(store:stats().appends - before >= 3)
  end)
end)
