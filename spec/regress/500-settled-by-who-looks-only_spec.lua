-- A projection was asked with "eventual" or "weak", and before it answered what is there it asked
-- the homes of all that was in doubt in the store, flushed, and opened other stores for that: only
-- strong and session reads settle (K5).
local core = require "spec.support.core"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local means = core.transaction

local REDUCER = [[return { initial = { n = 0 }, on = { Moved = function(s) s.n = s.n + 1 end } }]]

---A transaction that is prepared in the store and whose coordinator is dead.
local function leave_in_doubt(home, home_path, store)
  local instance = assert(means.instance(home, "dead"))
  local id, home_end = instance:begin()
  local done = assert(means.prepare(store, stores.work(store, { { stream = "a", events = { type = "Moved" } } }),
    { id = id, name = "there", home_kind = "store", home_path = home_path, home_end = home_end, coordinator = "dead" }))
  assert(means.flush(store, done.flush))
  assert(instance:close())
end

describe("what is in doubt", function()
  it("is settled by strong and session reads of a projection, and by no others", function()
    local script = scratch.file("reducer.lua", REDUCER)
    for _, settles in ipairs { "strong", "session" } do
      local home, home_path = stores.new()
      local store = stores.new { background = false }
      local p = assert(store:projection("moves", script))
      leave_in_doubt(home, home_path, store)
      for _, consistency in ipairs { "eventual", "weak" } do
        for _, max_lag in ipairs { false, 0, 1000 } do
          local _, _, code = p:get(nil, { consistency = consistency, max_lag = max_lag or nil })
          assert.is_nil(code)
          for _ in p:each { consistency = consistency, max_lag = max_lag or nil } do end
        end
        assert.equal(1, #store:indoubt())
      end
      p:get(nil, { consistency = settles })
      assert.equal(0, #store:indoubt())
      assert(store:close())
      assert(home:close())
    end
  end)
end)
