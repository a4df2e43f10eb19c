-- upcast_spec.lua: a script sees old events as it would have them, in folds and projections.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains = stores.contains

local files, store, path

before_each(function()
  files = {}
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

---A reducer that lists what it sees.
local function lister(upcast, more)
  return ([[
local function note(state, event)
  local data = event.data
  state[#state + 1] = ("%%s %%s@%%d"):format(event.type, data and data.v or "-", event.position)
end
return { initial = {}, on = { New = note, Same = note %s }, upcast = { %s } }]]):format(more or "", upcast)
end

local names = 0

---What fold and a projection make of a reducer, which must be the same.
local function both(text)
  files["it.lua"] = text
  names = names + 1
  local folded, message, code, detail = store:fold "it.lua"
  local kept = assert(store:projection("p" .. names, "it.lua"))
  local state, message2, code2, detail2 = kept:get()
  kept:close()
  assert.same({ folded, code, detail }, { state, code2, detail2 })
  if code then assert.equal(message, message2) end
  return folded, message, code, detail
end

local function put(type, v) assert(store:append("a", { type = type, data = v and { v = v }, tags = { "t" } })) end

describe("upcast", function()
  it("gives handlers the new type and data, and all else of the event", function()
    put("Old", 1)
    put("New", 2)
    assert.same({ "New 10@1", "New 2@2" },
      (both(lister "Old = function(e) return { type = 'New', data = { v = e.data.v * 10 } } end")))
    assert.same({ 1, 1, "a", { "t" } }, (both [[return { initial = {}, upcast = {
        Old = function() return { type = "New" } end },
      on = { New = function(s, e) if e.position == 1 then
        s[1], s[2], s[3], s[4] = e.position, e.version, e.stream, e.tags end end } }]]))
  end)

  it("drops with nil, splits with a list, and may leave the event as it is", function()
    put("Old", 1)
    put("Two", 2)
    put("Same", 3)
    assert.same({ "New 2@2", "New 5@2", "Same 3@3" }, (both(lister [[
      Old = function() end, Same = function(e) return e end,
      Two = function(e) return { { type = "New", data = e.data }, { type = "New", data = { v = 5 } } } end]])))
    files["it.lua"] = lister "Old = function() return {} end, Two = function() end, Same = function() end"
    assert.same({}, (store:fold "it.lua"))
  end)

  it("may change events of a type that it keeps", function()
    put("Same", 1)
    assert.same({ "Same 2@1" }, (both(lister
      "Same = function(e) return { type = 'Same', data = { v = e.data.v + 1 } } end")))
  end)

  it("goes on from old to new, up to a bound", function()
    put("V1", 1)
    assert.same({ "New 4@1" }, (both(lister [[
      V1 = function(e) return { type = "V2", data = { v = e.data.v + 1 } } end,
      V2 = function(e) return { type = "V3", data = { v = e.data.v * 2 } } end,
      V3 = function(e) return { type = "New", data = e.data } end]])))
    local _, message, code = both(lister [[
      V1 = function() return { type = "V2" } end, V2 = function() return { type = "V1" } end]])
    assert.equal("script", code)
    contains(message, "became another 16 times")
  end)

  it("gives the wildcard what no name takes", function()
    put("Old", 1)
    put("Other", 2)
    assert.same({ "Newer 1@1", "Other 2@2" }, (both(lister(
      "Old = function(e) return { type = 'Newer', data = e.data } end", ", ['*'] = note"))))
  end)

  it("comes before the key", function()
    put("Old", 1)
    put("New", 2)
    files["it.lua"] = [[return { initial = { n = 0 }, key = function(e) return e.type .. e.data.v end,
      upcast = { Old = function(e) return { { type = "New", data = e.data }, { type = "New", data = { v = 9 } } } end },
      on = { New = function(s, e) s.n = s.n + e.data.v end } }]]
    local kept = assert(store:projection("keys", "it.lua"))
    for key, n in pairs { New1 = 1, New2 = 2, New9 = 9 } do
      assert.same({ n = n }, (store:fold("it.lua", { key = key })))
      assert.same({ n = n }, (kept:get(key)))
    end
    assert.is_nil(kept:get "Old1")
    kept:close()
  end)

  it("of a stream counts its versions all the same", function()
    for i = 1, 4 do put(i % 2 == 0 and "Old" or "Unheard", i) end
    files["it.lua"] = lister "Old = function() end"
    assert.same({ {}, 4, 4 }, { store:fold("it.lua", { stream = "a" }) })
  end)

  it("names what is wrong, and the event", function()
    put("New", 1)
    put("Old", 2)
    for body, words in pairs {
      ["return 5"] = "upcast.Old returned a number: it gives an event, a list of them, or nil",
      ["return { data = 1 }"] = "upcast.Old gave an event without type",
      ["return { 5 }"] = "upcast.Old gave a list with a number in it",
      ["return { type = 3 }"] = "whose type is a number",
      ["return { type = '' }"] = "whose type has 0 bytes",
      ["return { type = ('x'):rep(256) }"] = "whose type has 256 bytes",
      ["return { type = 'x', tag = 1 }"] = "with the field 'tag'",
      ["return { type = 'x', data = e }"] = "data is an event",
      ["error 'no'"] = "no",
    } do
      local _, message, code, detail = both(lister(("Old = function(e) %s end"):format(body)))
      assert.equal("script", code)
      contains(message, "it.lua:")
      contains(message, words)
      contains(message, "(at position 2: Old in stream a)")
      assert.equal(2, detail.position)
    end
  end)

  it("is looked at when the script is loaded", function()
    for field, words in pairs {
      ["upcast = 5"] = "upcast must be { OldName = function }, not number",
      ["upcast = { Old = 5 }"] = "upcast.Old must be a function, not number",
      ["upcast = { math.max }"] = "upcast has a key that is no type's name: 1",
      ["upcasts = {}"] = "did you mean 'upcast'?",
    } do
      files["it.lua"] = ("return { initial = 0, on = {}, %s }"):format(field)
      local _, message, code = store:fold "it.lua"
      assert.equal("script", code)
      contains(message, words)
    end
  end)

  it("is the script's own affair: the store's events stay what they are", function()
    put("Old", 1)
    both(lister "Old = function(e) e.data.v = 7 return { type = 'New', data = e.data } end")
    local event = store:read "a"()
    assert.same({ "Old", { v = 1 } }, { event.type, event.data })
  end)
end)

describe("one event that goes to many keys", function()
  it("gives each of them data of its own", function()
    put("New", 1)
    put("New", 2)
    files["it.lua"] = [[return { initial = { seen = {} }, key = function() return { "x", "y" } end,
      on = { New = function(s, e) e.data.v = e.data.v + 1 s.seen[#s.seen + 1] = e.data end } }]]
    local kept = assert(store:projection("many", "it.lua"))
    for _, key in ipairs { "x", "y" } do
      assert.same({ seen = { { v = 2 }, { v = 3 } } }, (kept:get(key)))
      assert.same({ seen = { { v = 2 }, { v = 3 } } }, (store:fold("it.lua", { key = key })))
    end
    kept:close()
  end)
end)

describe("upcast of a processor", function()
  ---Runs a processor that tells what its handlers get; what it told.
  local function told(fields, options)
    files["p.lua"] = ([[
local function tell(event, ctx)
  local data = event.data
  local text = ("%%s %%s@%%d"):format(event.type, data and data.v or "-", event.position)
  ctx:emit("told", { type = "Told", data = text })
end
return { on = { New = tell, Same = tell }, %s }]]):format(fields)
    names = names + 1
    local w = assert(store:processor("w" .. names, "p.lua", options))
    local left, message, code, detail = w:run()
    local list = stores.fields("data", store:read "told")
    return list, left == nil and { message, code, detail }, w
  end

  it("gives handlers the new type and data, and all else of the event", function()
    put("Old", 1)
    put("New", 2)
    put("Other", 3)
    assert.same({ "New 10@1", "New 2@2" },
      (told "upcast = { Old = function(e) return { type = 'New', data = { v = e.data.v * 10 } } end }"))
  end)

  it("drops, splits and chains within one reaction", function()
    put("Gone", 1)
    put("Both", 2)
    put("Oldest", 3)
    local list = told [[upcast = { Gone = function() end,
      Oldest = function(e) return { type = "Old", data = e.data } end,
      Old = function(e) e.data.v = e.data.v + 1 return { type = "New", data = e.data } end,
      Both = function(e) return { { type = "New", data = e.data }, { type = "Same", data = e.data } } end }]]
    assert.same({ "New 2@2", "Same 2@2", "New 4@3" }, list)
  end)

  it("is asked before the key, and holds for the state, too", function()
    put("Old", 7)
    files["p.lua"] = [[return { key = function(event) return event.data.k end,
      upcast = { Old = function(e) return { type = "New", data = { k = "k" .. e.data.v } } end },
      state = { initial = { n = 0 }, on = { New = function(s) s.n = s.n + 1 end } },
      on = { New = function(e, ctx) ctx:emit("told", { type = "Told", data = { ctx.key, ctx.state.n } }) end } }]]
    assert(assert(store:processor("k", "p.lua")):run())
    assert.same({ { "k7", 1 } }, stores.fields("data", store:read "told"))
  end)

  it("gives each handler data of its own", function()
    put("Old", 1)
    files["p.lua"] = [[return { upcast = { Old = function(e)
        return { { type = "A", data = e.data }, { type = "B", data = e.data } } end },
      on = { A = function(e) e.data.v = 100 end,
             B = function(e, ctx) ctx:emit("told", { type = "Told", data = e.data.v }) end } }]]
    assert(assert(store:processor("own", "p.lua")):run())
    assert.same({ 1 }, stores.fields("data", store:read "told"))
  end)

  it("stops at what can't be, naming the event, and writes nothing", function()
    put("Old", 1)
    for what, expected in pairs {
      ["return 5"] = "p.lua: upcast.Old returned a number",
      ["return { type = 5 }"] = "whose type is a number",
      ["return { type = '' }"] = "whose type has 0 bytes",
      ["return { data = 1 }"] = "without type",
      ["return { { type = 'New' }, 1 }"] = "a list with a number in it",
      ["return { type = 'New', tags = {} }"] = "the field 'tags'",
      ["return { type = 'New', data = math.floor }"] = "can't be",
      ["return { type = 'Old2' }"] = "which is all it may",
      ["error 'no idea'"] = "p.lua:7: no idea",
    } do
      local list, failed = told(([[upcast = { Old = function(e)
        %s end,
        Old2 = function() return { type = "Old3" } end,
        Old3 = function() return { type = "Old2" } end }]]):format(what))
      assert.same({}, list)
      assert.equal("script", failed[2])
      contains(failed[1], expected)
      contains(failed[1], "at position 1: Old in stream a")
    end
  end)

  it("refuses one event for two keys, and parks what fails until the script is mended", function()
    put("Old", 1)
    put("New", 2)
    local split = [[key = function(e) return e.type end, on_error = "park", upcast = { Old = function(e)
      return { { type = "New", data = e.data }, { type = "Same", data = e.data } } end }]]
    local list, _, w = told(split)
    assert.same({ "New 2@2" }, list)
    local parked = assert(w:parked())
    assert.equal(1, #parked)
    contains(parked[1].message, "different keys")
    assert.same({ 1, "Old" }, { parked[1].position, parked[1].type })
    files["p.lua"] = files["p.lua"]:gsub("return e.type", "return 'one'")
    assert.same({ 1, 0 }, { w:retry(1) })
    assert.same({ "New 2@2", "New 1@1", "Same 1@1" }, stores.fields("data", store:read "told"))
  end)

  it("reads no more than it may need, and `from` means what is stored", function()
    put("Old", 1)
    put("New", 2)
    assert.same({ "New 2@2" }, (told [[from = { types = { "New" } }, upcast = { Old = function(e)
      return { type = "New", data = e.data } end }]]))
  end)
end)
