-- Where an argument of a call was wrong, the message named a line of rille's own instead of the caller's, or a function
-- that nobody called.
local stores = require "spec.support.stores"
local raised, contains = stores.raised, stores.contains

local HERE = "401-whose-argument_spec.lua:"
local store

before_each(function()
  store = stores.new { load = function() return "return { initial = {}, on = {} }" end }
end)
after_each(function() store:close() end)

describe("a wrong argument is the caller's:", function()
  it("poll's", function()
    local message = raised(function() local _ = store:poll "x" end)
    contains(message, HERE)
    contains(message, "ms must be a number, not string")
  end)

  for name, value in pairs { at = "x", version = 1.5 } do
    it("fold's " .. name, function()
      local message = raised(function() local _ = store:fold("x.lua", { stream = "a", [name] = value }) end)
      contains(message, HERE)
      contains(message, name .. " must be an integer that is not negative")
    end)
  end
end)
