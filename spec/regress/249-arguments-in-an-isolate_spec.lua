-- Wrong arguments to the handles of isolated scripts came back as failures of the script, or raised with a
-- place inside rille; and errors of a processor's random and of its state said neither where nor at which event.
local stores = require "spec.support.stores"

local REDUCER = [[return { initial = 0, key = "stream", on = { Counted = function(n) return n + 1 end } }]]

describe("the handle of an isolated script", function()
  local store, script, remove
  before_each(function() store, script, remove = stores.scripted() end)
  after_each(function() remove() end)

  it("raises on wrong arguments as any other does", function()
    for _, isolated in ipairs { false, true } do
      script.text = REDUCER
      local p = assert(store:projection("p" .. tostring(isolated), "p.lua", { isolated = isolated }))
      script.text = [[return { on = { Counted = function() end } }]]
      local w = assert(store:processor("w" .. tostring(isolated), "w.lua", { isolated = isolated }))
      script.text = REDUCER
      local function all(options) for _ in p:each(options) do end end
      for part, f in pairs {
        ["a key is a string or an integer, not a table"] = function() p:get {} end,
        ["a key is a string or an integer, not a boolean"] = function() all { after = true } end,
        ["options must be a table"] = function() p:get("s", 5) end,
        ["unknown option 'atx' (did you mean 'at'?)"] = function() p:get("s", { atx = 1 }) end,
        ["at must be an integer that is not negative"] = function() p:get("s", { at = "x" }) end,
        ["limit must be an integer that is not negative"] = function() all { limit = "x" } end,
        ["consistency must be"] = function() all { consistency = "strongg" } end,
        ["unknown option 'limt'"] = function() all { limt = 1 } end,
        ["unknown option 'mss'"] = function() p:update { mss = 1 } end,
        ["ms must be a number"] = function() p:update { ms = "1" } end,
        ["ms must be a number, not string"] = function() w:run { ms = "1" } end,
        ["retry needs the position of a parked event, not a string"] = function() w:retry "1" end,
      } do
        local message = stores.raised(f)
        stores.contains(message, part)
        stores.contains(message, "249-arguments")
      end
      assert.equal(2, (p:get "s"))
      all { limit = 1, after = 1, consistency = "weak", max_lag = 3 }
      assert(w:run { ms = 1 })
      assert.equal(0, (w:run()))
      assert(p:close())
      assert(w:close())
    end
  end)

  it("says where and at which event a processor's script failed", function()
    for name, case in pairs {
      random = { [[return { on = { Counted = function(e, ctx)
        ctx.random(5, 1) end } }]], "w.lua:2: bad argument #2 to 'random' (interval is empty) (at position 1:" },
      state = { [[return { key = "stream", on = { Counted = function(e, ctx) end },
        state = { initial = {}, on = { Counted = function(s)
          s.s = s end } } }]], "can't be kept: state.s is a cycle (at position 1: Counted in stream s)" },
    } do
      for _, isolated in ipairs { false, true } do
        script.text = case[1]
        local w = assert(store:processor(name .. tostring(isolated), "w.lua", { isolated = isolated }))
        local message, code, detail = stores.failure(w:run())
        assert.same({ "script", 1 }, { code, detail.position })
        stores.contains(message, case[2])
        assert(w:close())
      end
    end
  end)
end)
