-- An event that had been upcast already and whose function gave a list with the event in it: what came
-- before it in the list had taken the place of its data, which then was another's, or could not be read.
-- And what a function had changed in the data of an event that it gave back was lost in a reducer, but
-- not in a processor.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local UPCAST = [[upcast = {
  Older = function() return { type = "Old", data = { x = 1234, text = "hello" } } end,
  Old = function(e)
    return { { type = "Before", data = "quite another text, and longer" }, e, { type = "Behind", data = e.data } }
  end,
  Untouched = function() return { type = "Again", data = { x = 7 } } end,
  Again = function(e) return { { type = "Before", data = "b" }, e, e } end,
  Changed = function(e) e.data.x = 5 return e end,
  Twice = function(e) e.data.x = e.data.x + 1 return { e, { type = "Before", data = "b" }, e } end,
  None = function(e) return e.data == nil and { e, e } or nil end }]]

local function add(state) return state .. [[[#s + 1] = { e.type, e.data }]] end

local EXPECTED = {
  { "Before", "quite another text, and longer" }, { "Old", { x = 1234, text = "hello" } },
  { "Behind", { x = 1234, text = "hello" } },
  { "Before", "b" }, { "Again", { x = 7 } }, { "Again", { x = 7 } },
  { "Changed", { x = 5, y = 2 } },
  { "Twice", { x = 2 } }, { "Before", "b" }, { "Twice", { x = 2 } },
  { "None" }, { "None" },
}

describe("what a script says of old events", function()
  local store, path, files
  before_each(function()
    files = {}
    store, path = stores.new { load = function(name) return files[name] end }
    assert(store:append("s", { { type = "Older", data = 1 }, { type = "Untouched" },
      { type = "Changed", data = { x = 1, y = 2 } }, { type = "Twice", data = { x = 1 } }, { type = "None" } }))
  end)
  after_each(function()
    store:close()
    scratch.remove(path)
  end)

  it("is the same to a fold, a projection and a processor", function()
    files["r.lua"] = ("return { initial = {}, %s, on = { ['*'] = function(s, e) %s end } }"):format(UPCAST, add "s")
    assert.same(EXPECTED, (store:fold("r.lua", { stream = "s" })))
    assert.same(EXPECTED, (store:fold("r.lua", { stream = "s", isolated = true })))
    assert.same(EXPECTED, (assert(store:projection("p", "r.lua")):get()))
    files["w.lua"] = ([[return { key = "stream", %s, from = { stream = "s" },
      on = { ["*"] = function(e, ctx) ctx:emit("out", { type = "Seen", data = { e.type, e.data } }) end } }]])
      :format(UPCAST)
    assert(assert(store:processor("w", "w.lua")):run())
    local seen = {}
    for event in store:read "out" do seen[#seen + 1] = event.data end
    assert.same(assert(rille.encode(EXPECTED)), rille.encode(seen))
  end)

  it("can't be what data can't be", function()
    files["r.lua"] = [[return { initial = {}, on = { ["*"] = function(s, e) s[#s + 1] = e.data end },
      upcast = { Changed = function(e)
        e.data.x = e return e end } }]]
    local message, code, detail = stores.failure(store:fold("r.lua", { stream = "s" }))
    assert.same({ "script", { position = 3 } }, { code, detail })
    stores.contains(message, "r.lua:2: upcast.Changed gave an event that can't be: data.x is an event")
  end)
end)
