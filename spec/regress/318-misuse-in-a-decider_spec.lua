-- What was wrong with a query of ctx:all, or an option of ctx:state, named a line of rille's own; and
-- what could not be written of the parts that a decider returned, no script at all.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local REDUCER = [[return { initial = 0, key = "stream", on = { Counted = function(n) return n + 1 end } }]]

describe("a decider that is wrong", function()
  local store, path, body
  before_each(function()
    store, path = stores.new { load = function(name)
      return name:find "reducer" and REDUCER or "return { decide = function(command, ctx)\n" .. body .. "\nend }"
    end }
    stores.fill(store, "a", 1)
  end)
  after_each(function()
    store:close()
    scratch.remove(path)
  end)

  for text, message in pairs {
    ["ctx:all { limt = 5 }"] = "decide.lua:2: unknown option 'limt' (did you mean 'limit'?)",
    ["ctx:all { types = 5 }"] = "decide.lua:2: types must be a list of strings, not number",
    ["ctx:all { { foo = 1 } }"] = "decide.lua:2: unknown field of a query's item 'foo'",
    ["ctx:state('reducer.lua', { stream = 5 })"] = "decide.lua:2: stream must be a string, not number",
    ["ctx:all(5)"] = "decide.lua:2: ctx:all needs a query, not number",
  } do
    it("is told its line: " .. text, function()
      body = text
      local said, code = stores.failure(store:decide("decide.lua", {}))
      assert.equal(message, said)
      assert.equal("script", code)
    end)
  end

  it("is named where what it returned can't be written", function()
    body = "return { stream = 'b', events = { type = 'T', data = function() end } }"
    local said, code = stores.failure(store:decide("decide.lua", {}))
    assert.equal("decide.lua: what decide returned: data is a function", said)
    assert.equal("invalid", code)
  end)
end)
