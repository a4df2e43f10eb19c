-- `rille cat STORE STREAM` showed what truncate and delete had hidden.
local stores = require "spec.support.stores"

local BUILD = os.getenv "RILLE_BUILD" or "build"

it("cat with a stream shows what read gives", function()
  local store, path = stores.new { sync = "always" }
  stores.fill(store, "a", 4)
  stores.fill(store, "b", 3)
  stores.fill(store, "a", 1)
  local function shown(words)
    local pipe = assert(io.popen(("%s/bin/rille cat '%s' %s 2>/dev/null"):format(BUILD, path, words)))
    local out, list = pipe:read "a", {}
    assert.is_true(pipe:close())
    for position in out:gmatch '"position":(%d+)' do list[#list + 1] = position end
    return table.concat(list, " ")
  end
  assert.equal("1 2 3 4 8", shown "a")
  assert(store:truncate("a", { before = 3 }))
  assert.equal("3 4 8", shown "a")
  assert.equal("8 4", shown "a --reverse --limit 2")
  assert.equal("4 8", shown "a --after 3")
  assert(store:delete "b")
  assert.equal("", shown "b")
  assert.equal("", shown "nobody")
  assert.equal("1 2 3 4 5 6 7 8", shown "")
  assert(store:delete "a")
  assert.equal("", shown "a")
  assert(store:append("a", { type = "A" }))
  assert.equal("9", shown "a")
  store:close()
end)
