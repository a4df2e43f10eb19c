-- One call, or one instruction of Lua's own, could work for minutes where an isolated script chose what it was given:
-- a thousand times the same long text where numbers are expected; texts of zero bytes, which Lua compares in pieces
-- as long as one byte each; integers that all collide in a table once it has grown.
local stores = require "spec.support.stores"

local store, body
local SECONDS = (os.getenv "RILLE_SLOW" or os.getenv "RILLE_PRELOAD") and 20 or 2 -- of the processor's time

before_each(function()
  local script = function() return ("return { initial = {}, on = { T = function()\n%s\nend } }"):format(body) end
  store = stores.new { load = script }
  assert(store:append("a", { type = "T" }))
end)
after_each(function() store:close() end)

local function limit_of(text)
  body = text
  local began = os.clock()
  local state, message, code, detail = store:fold("x.lua", { isolated = true })
  assert.equal(nil, state)
  assert.equal("budget", code, message)
  local took = os.clock() - began
  assert(took < SECONDS, ("it took %.1f s"):format(took))
  return detail.limit
end

local LISTED = [[local s, t = ("0"):rep(262144), {}
for i = 1, 4000 do t[i] = s end
return %s]]

describe("what one instruction may take:", function()
  for _, call in ipairs { "math.max(table.unpack(t))", "math.min(table.unpack(t))", "string.char(table.unpack(t))",
    "utf8.char(table.unpack(t))", "string.format(('%%d'):rep(4000), table.unpack(t))" } do
    it("numbers in long texts, " .. call:match "^[^(]*", function()
      assert.equal("instructions", limit_of(LISTED:gsub("%%s", (call:gsub("%%", "%%%%")))))
    end)
  end

  it("long texts that are compared", function()
    limit_of [[local a = ("\0"):rep(16777216)
      local b = a .. "b"
      while true do local _ = a < b end]]
  end)

  it("a table whose keys collide", function()
    assert.equal("instructions", limit_of [[local n, t = 131071, {}
      for i = 0, 65536 do t[i * n] = true end]])
  end)

  it("a table of many keys is nothing bad", function()
    body = [[local t = {}
      for i = 1, 60000 do t["key " .. i] = true end]]
    assert(store:fold("x.lua", { isolated = true }))
  end)
end)
