-- A program in C decides on a home that has a coordinator in Lua, too, and may keep there what it likes, or
-- nothing, of who took part. The coordinator took that for "nobody is left to be told" and noted the end, while
-- a member was still in doubt; and bytes of another form made it raise.
local core = require "spec.support.core"
local rille = require "rille"
local stores = require "spec.support.stores"
local means = core.transaction

local DETAILS = { nothing = "", ["a number"] = "\7", ["a map of its own"] = rille.encode { note = "by C" },
  ["another list"] = rille.encode { participants = { "there" } } }

---A transaction that is decided, and prepared in `there`, as core/drive.c does it; nobody has been told.
local function decide(home, there, detail)
  local c = assert(rille.coordinator(home, { name = "c" }))
  local id, home_end = assert(c.instance:begin())
  local work, deadline = stores.work(there, { { stream = "a", events = { type = "Moved" } } }), core.wall() + 100
  assert(means.prepare(there, work, { id = id, name = "there", home_kind = "store", home_path = core.store_place(home),
    home_end = home_end, coordinator = "c", client = "order", deadline = deadline, detail = "" }))
  assert(means.decide(home, nil, { id = id, client = "order", home_end = home_end, outcome = "committed",
    members = { "there" }, detail = detail, deadline = deadline }))
  assert(home:sync())
  c.instance:close()
  return id
end

describe("what a program in C has decided", function()
  for name, detail in pairs(DETAILS) do
    it("is not ended while a member is in doubt: " .. name, function()
      local home, there = stores.new(), stores.new()
      local id = decide(home, there, detail)
      local c = assert(rille.coordinator(home))
      assert(c:recover())
      local pending = assert(c:pending())
      assert.same({ id, "order", {} }, { pending[1].id, pending[1].client, pending[1].participants })
      assert.equal("pending", require "rille.settling".unfinished(home)[1].state)
      assert.equal(1, #there:indoubt())
      local _, code = stores.failure(c:resolve(id, { participant = "there", outcome = "commit", reason = "seen" }))
      assert.equal("notfound", code)

      for _, either in ipairs { id, "order" } do
        local word, result = c:outcome(either)
        assert.same({ "committed", id }, { word, result.transaction })
      end
      local again = assert(c:transact({ id = "order" }, function() error "it was done before" end))
      assert.same({ "order", true }, { again.id, again.duplicate })

      assert.equal(1, assert(there:settle()).committed)
      assert.equal(1, there:version "a")
      assert(c:close())
      assert(home:close())
      assert(there:close())
    end)
  end
end)
