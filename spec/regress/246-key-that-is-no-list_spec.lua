-- A key function that returned a table without a list in it, such as { name = "a" }: the event was passed
-- over in silence, as with an empty list.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

it("a key that is a map stops a reducer, and says so", function()
  local text
  local store, path = stores.new { load = function() return text end }
  stores.fill(store, "s", 1)
  local function check(key, isolated)
    text = ("return { initial = 0, key = function(e) return %s end, on = { Counted = function(n) return n + 1 end } }")
      :format(key)
    local p = assert(store:projection("p" .. tostring(isolated), "p.lua", { isolated = isolated }))
    for _, how in ipairs {
      function() return p:get "a" end,
      function() return p:get("a", { at = 1 }) end,
      function() return store:fold("p.lua", { key = "a", isolated = isolated }) end,
    } do
      local message, code, detail = stores.failure(how())
      assert.same({ "script", { position = 1 } }, { code, detail })
      stores.contains(message, "p.lua:1: key returned a table that is no list")
    end
    assert(p:close())
  end
  for _, isolated in ipairs { false, true } do
    check("{ name = 'a' }", isolated)
    check("{ [2] = 'a' }", isolated)
  end
  text = "return { initial = 0, key = function(e) return {} end, on = { Counted = function(n) return n + 1 end } }"
  assert.is_nil((assert(store:projection("p", "p.lua")):get "a"))
  assert.equal(0, (store:fold("p.lua", { key = "a" })))
  store:close()
  scratch.remove(path)
end)
