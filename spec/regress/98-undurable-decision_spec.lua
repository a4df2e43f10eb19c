-- A process that was killed between writing a decision and flushing it leaves a decision that a
-- power cut may take. Recovery told the members of it all the same: home's events could still be
-- lost, the others could not.
local core = require "spec.support.core"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local means = core.transaction

---A transaction that is decided in `home`, whose coordinator does nothing more.
local function decide(home)
  local instance = assert(means.instance(home, "killed"))
  local id, home_end = assert(instance:begin())
  local detail = { versions = {}, excluded = {}, participants = {
    { name = "here", kind = "store", home = true, member = true },
    { name = "mail", kind = "handler", member = true, vote = "yes", note = "" } } }
  assert(means.decide(home, stores.work(home, { { stream = "a", events = { type = "Withdrawn" } } }),
    { id = id, home_end = home_end, outcome = "committed", members = { "mail" },
      detail = assert(rille.encode(detail)) }))
end

describe("a decision that is not durable yet", function()
  it("is made so before any member is told", function()
    local home, path = stores.new { sync = "always", background = false }
    local durable, told
    local c = assert(rille.coordinator(home, { participants = { mail = {
      prepare = function() return true end,
      commit = function()
        told, durable = true, home:stats().durable
        return true
      end,
    } } }))
    decide(home)
    assert(home:stats().durable < home:stats().written, "the decision was durable by itself: this spec shows nothing")
    assert(c:recover())
    assert.is_true(told)
    assert.equal(home:stats().written, durable)
    assert.same({ "Withdrawn" }, stores.fields("type", home:all()))
    c:close()
    home:close()
    scratch.remove(path)
  end)
end)
