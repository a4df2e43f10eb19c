-- Who repeated a transaction by its id, or asked for its outcome, was told "locked" while its home had something
-- else in doubt, of a home that is gone: the versions of then were read as strongly as a user reads.
local core = require "spec.support.core"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local means = core.transaction

---Prepares something in the store for a home that is no more.
local function leave_in_doubt(store)
  local gone, path = stores.new()
  local c = assert(rille.coordinator(gone))
  local id, home_end = assert(c.instance:begin())
  local work = stores.work(store, { { stream = "unrelated", events = { type = "Moved" } } })
  assert(means.prepare(store, work, { id = id, name = "home", home_kind = "store", home_path = path,
    home_end = home_end, coordinator = "gone", deadline = core.wall() - 1, detail = "" }))
  assert(c:close())
  assert(gone:close())
  scratch.remove(path)
end

it("a transaction that is committed is told beside another that is in doubt", function()
  local home, there = stores.new(), stores.new()
  local c = assert(rille.coordinator(home))
  local function move()
    return c:transact({ id = "order" }, function(tx)
      assert(tx:append(home, "h", { type = "Moved" }))
      return tx:append(there, "t", { type = "Moved" })
    end)
  end
  local first = assert(move())
  leave_in_doubt(home)
  assert.equal(1, #home:indoubt())
  local again = assert(move())
  assert.is_true(again.duplicate)
  assert.same(first.versions, again.versions)
  local word, result = c:outcome "order"
  assert.same({ "committed", first.versions }, { word, result.versions })
  assert(c:close())
  assert(home:close())
  assert(there:close())
end)
