-- A process that was killed between writing a decision and flushing it leaves a decision that a
-- power cut may take. Recovery told the members of it all the same, made that durable, and noted
-- the end: home's events could still be lost, the others could not.
local core = require "spec.support.core"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local means = core.transaction

---A transaction that is decided in `home`, whose coordinator does nothing more.
local function decide(home, there)
  local instance = assert(means.instance(home, "killed"))
  local id, home_end = assert(instance:begin())
  local promised = assert(means.prepare(there, { { stream = "b", events = { type = "Deposited" } } },
    { id = id, name = "there", home_kind = "store", home_path = core.store_place(home), home_end = home_end,
      coordinator = "killed", deadline = core.wall() + 60, detail = "" }))
  assert(means.flush(there, promised.flush))
  local detail = { participants = { { name = "here", kind = "store", home = true, member = true },
    { name = "there", kind = "store", uuid = there:stats().uuid, path = core.store_place(there), member = true,
      vote = "yes" } }, versions = {}, excluded = {} }
  assert(means.decide(home, { { stream = "a", events = { type = "Withdrawn" } } },
    { id = id, home_end = home_end, outcome = "committed", members = { "there" },
      detail = assert(rille.encode(detail)) }))
  return id
end

describe("a decision that is not durable yet", function()
  it("is made so before any member is told", function()
    local home, home_path = stores.new { sync = "always" }
    local there, there_path = stores.new { sync = "always" }
    local c = assert(rille.coordinator(home))
    decide(home, there)
    assert(home:stats().durable < home:stats().written, "the decision was durable by itself: this spec shows nothing")
    assert(c:recover())
    assert.same({ "Deposited" }, stores.fields("type", there:all()))
    assert.equal(home:stats().written, home:stats().durable)
    assert.same({ "Withdrawn" }, stores.fields("type", home:all()))
    c:close()
    home:close()
    there:close()
    scratch.remove(home_path)
    scratch.remove(there_path)
  end)
end)
