-- A redaction that came upon damage was noted, and could not be finished: then no opening could
-- finish it, either, and the store could not be opened for writing any more.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

it("a store opens, and shows nothing of what is redacted, though the redaction can't be finished", function()
  local store, path = stores.new()
  for i = 1, 5 do
    assert(store:append("x", { type = "A", data = { secret = ("secret-%d-"):format(i):rep(20) } }))
  end
  assert(store:close())
  local name = path .. "/log/0000000000000000.seg"
  local file = assert(io.open(name, "r+b"))
  local at = assert(file:read("a"):find("secret-4-", 1, true))
  file:seek("set", at + 30)
  file:write "#"
  file:close()
  store = assert(rille.open(path))
  assert.equal("corrupt", (select(2, stores.failure(store:redact(2)))))
  store:close()
  for _ = 1, 2 do
    store = assert(rille.open(path))
    local iterator = store:all()
    assert.equal(1, iterator().position)
    local event = iterator()
    assert.same({ 2, true }, { event.position, event.redacted })
    assert.is_nil(event.data)
    assert(store:append("y", { type = "B" }))
    assert(store:close())
  end
  scratch.remove(path)
end)
