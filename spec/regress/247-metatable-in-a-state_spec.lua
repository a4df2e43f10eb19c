-- A state with a metatable: it was there for as long as the state was in memory, and no more once it had been
-- kept and read again, so the script made another state depending on when that was.
local stores = require "spec.support.stores"

local TEXT = [[
local class = { __index = { step = 7 } }
return { initial = function() return %s end, key = "stream",
  on = { Counted = function(s) s.n = (s.n or 0) + (s.step or 1)
    %s end } }]]

describe("a state with a metatable", function()
  local store, script, remove
  before_each(function() store, script, remove = stores.scripted() end)
  after_each(function() remove() end)

  it("can't be kept", function()
    for _, isolated in ipairs { false, true } do
      script.text = TEXT:format("{}", "if s.n == 2 then s.inner = setmetatable({}, class) end")
      local p = assert(store:projection("p" .. tostring(isolated), "p.lua", { isolated = isolated }))
      for _, how in ipairs { function() return p:get "s" end,
        function() return store:fold("p.lua", { stream = "s", isolated = isolated }) end } do
        local message, code, detail = stores.failure(how())
        assert.same({ "script", { position = 2 } }, { code, detail })
        stores.contains(message, "state.inner has a metatable, which can't be kept: a state is plain data")
      end
    end
  end)

  it("can't be the first one", function()
    script.text = TEXT:format("setmetatable({}, class)", "")
    local message = stores.failure(store:fold("p.lua", { stream = "s" }))
    stores.contains(message, "state has a metatable, which can't be kept")
  end)

  it("is none while a handler runs, and a marked array is none", function()
    script.text = TEXT:format("{ list = require 'rille'.array {} }", [[
      local t = setmetatable({ n = s.n }, class)
      s.n = t.n + t.step]])
    assert.same({ n = 16, list = {} }, (store:fold("p.lua", { stream = "s" })))
  end)
end)
