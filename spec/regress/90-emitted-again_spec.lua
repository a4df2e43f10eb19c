-- A processor stopped, or parked the event, with "duplicate" where only some of what it emitted
-- was in its stream already: docs/processors.md says that such an event is not written again.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local files, store, path

before_each(function()
  files = {}
  store, path = stores.new { load = function(name) return files[name] end }
  assert(store:append("answers", { type = "A", id = "one", data = "first" }))
  assert(store:append("asked", { type = "Asked" }))
end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

local function open(body, fields)
  files["p.lua"] = ("return { %s on = { Asked = function(event, ctx) %s end } }"):format(fields or "", body)
  return assert(store:processor("p", "p.lua"))
end

local function data(stream) return stores.fields("data", store:read(stream)) end

describe("an emitted event with an id that its stream has", function()
  it("is left out, and the others are written", function()
    local w = open [[
      ctx:emit("answers", { type = "A", data = "before" })
      ctx:emit("answers", { type = "A", id = "one", data = "again" })
      ctx:emit("others", { type = "A", id = "two", data = "new" })
      ctx:emit("answers", { type = "A", id = "three", data = "after" }) ]]
    assert.equal(0, (w:run()))
    assert.same({ "first", "before", "after" }, data "answers")
    assert.same({ "new" }, data "others")
    assert.equal(store:head(), w:mark())
  end)

  it("is left out also when a parked event is tried again", function()
    local w = open('error "no"', 'on_error = "park",')
    assert(w:run())
    open [[
      ctx:emit("answers", { type = "A", id = "one", data = "again" })
      ctx:emit("others", { type = "A", id = "two", data = "new" }) ]]
    assert.same({ 1, 0 }, { w:retry(2) })
    assert.same({ "first" }, data "answers")
    assert.same({ "new" }, data "others")
    assert.same({}, (w:parked()))
  end)
end)
