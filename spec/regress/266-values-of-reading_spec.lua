-- A value that can't be (a position below 0, a consistency that there is not) raised in fold and in get,
-- and was returned everywhere else; only types raise.
local stores = require "spec.support.stores"

describe("a value that can't be is returned", function()
  local store, script, remove
  before_each(function() store, script, remove = stores.scripted() end)
  after_each(function() remove() end)

  it("by fold and by get, also of isolated scripts; each raises it", function()
    for _, isolated in ipairs { false, true } do
      script.text = [[return { initial = 0, key = "stream", on = { Counted = function(n) return n + 1 end } }]]
      local p = assert(store:projection("p" .. tostring(isolated), "p.lua", { isolated = isolated }))
      for part, f in pairs {
        ["at must be an integer that is not negative"] = function()
          return store:fold("p.lua", { stream = "s", at = -1, isolated = isolated })
        end,
        ["version must be"] = function()
          return store:fold("p.lua", { stream = "s", version = -1, isolated = isolated })
        end,
        ["at must be"] = function() return p:get("s", { at = -1 }) end,
        ["after must be"] = function() return p:get("s", { consistency = "session", after = -1 }) end,
        ["max_lag must be"] = function() return p:get("s", { max_lag = -1 }) end,
        ["consistency must be \"strong\""] = function() return p:get("s", { consistency = "strongg" }) end,
      } do
        local message, code = stores.failure(f())
        stores.contains(message, part)
        assert.equal("invalid", code)
      end
      local message = stores.raised(function() for _ in p:each { limit = -1 } do end end)
      stores.contains(message, "limit must be an integer that is not negative")
      stores.contains(message, "266-values")
      assert(p:close())
    end
  end)
end)
