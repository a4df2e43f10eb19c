-- In a forked child `head` and `durable` of what it had inherited were 0, as of an empty store, and
-- `fold` returned no message.
local forked = require "spec.support.forked"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

it("in a child head, durable and fold say that the store was opened before the fork", function()
  if not forked then return pending "there is no C compiler here, or Lua gives no symbols to modules" end
  local store, path = stores.new { sync = "always" }
  assert(store:append("a", { type = "A" }))
  local script = scratch.file("count.lua", "return { initial = 0, on = { A = function(n) return n + 1 end } }")
  local said = forked(function()
    local list = {}
    for _, f in ipairs { store.head, store.durable, function() return store:fold(script, { stream = "a" }) end } do
      local result, message, code = f(store)
      list[#list + 1] = ("%s %s %s"):format(tostring(result), code, tostring(message):match "forked")
    end
    return table.concat(list, "; ")
  end)
  assert.equal("nil closed forked; nil closed forked; nil closed forked", said)
  assert.equal(1, store:head())
  assert.equal(1, store:durable())
  store:close()
  scratch.remove(path)
end)

it("an empty store has the head 0", function()
  local store, path = stores.new()
  assert.equal(0, store:head())
  assert.equal(0, store:durable())
  store:close()
  scratch.remove(path)
end)
