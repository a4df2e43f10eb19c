-- A projection whose edited script has another kind of key: the first call after the edit judged its
-- key by the script before, so it refused a key that the new one needs, or took one that it has not.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local BY_STREAM = [[return { initial = 0, key = "stream", on = { Counted = function(n) return n + 1 end } }]]
local BY_TYPE = [[return { initial = 0, key = function(e) return e.type end,
  on = { Counted = function(n) return n + 1 end } }]]
local ONE = [[return { initial = 0, on = { Counted = function(n) return n + 1 end } }]]

describe("the first call after an edit", function()
  for _, isolated in ipairs { false, true } do
    local store, path, text, p
    before_each(function()
      text = BY_STREAM
      store, path = stores.new { load = function() return text end }
      stores.fill(store, "s", 3)
      p = assert(store:projection("p", "p.lua", { isolated = isolated }))
      assert.equal(3, (p:get "s"))
    end)
    after_each(function()
      store:close()
      scratch.remove(path)
    end)
    local where = isolated and ", in an isolate" or ""

    it("asks for a key as the script now has it" .. where, function()
      text = ONE
      local message, code = stores.failure(p:get "s")
      assert.equal("invalid", code)
      stores.contains(message, "has no key")
      text = BY_STREAM
      message, code = stores.failure(p:get())
      assert.equal("invalid", code)
      stores.contains(message, "give one")
      text = ONE
      assert.equal(3, (p:get()))
    end)

    it("reads the past by the key that the script now has" .. where, function()
      text = BY_TYPE
      assert.equal(2, (p:get("Counted", { at = 2 })))
      text = BY_STREAM
      assert.equal(1, (p:get("s", { at = 1 })))
    end)

    it("walks over the keys that it now has" .. where, function()
      text = BY_TYPE
      local keys = {}
      for key in p:each() do keys[#keys + 1] = key end
      assert.same({ "Counted" }, keys)
    end)
  end
end)
