-- Between the note of a redaction and the moment when kept states that have seen the content are forgotten,
-- verify{deep} held them against events that had lost it, and told that they were damaged: always where who
-- redacts had died in between, and now and then beside one who lives.
local core = require "spec.support.core"
local deep = require "rille.deep"
local rille = require "rille"
local stores = require "spec.support.stores"

local SUM = [[return { initial = { n = 0 }, on = { Counted = function(s, e) s.n = s.n + e.data.n end } }]]

describe("verify with deep", function()
  local store, path, on_load

  local function load()
    local act = on_load
    on_load = nil
    if act then act() end
    return SUM
  end

  before_each(function()
    store, path = stores.new { load = load }
    stores.fill(store, "s", 10)
    local p = assert(store:projection("sums", "sum.lua"))
    assert(p:update())
    assert(p:close())
  end)
  after_each(function() assert(store:close()) end)

  local function problems() return #deep.problems(store) end

  local function spoil()
    local key = core.kept_next(store, "S", "S")
    assert(core.kept_write(store, { { key, rille.encode { n = 1 } } }))
  end

  it("finds no damage where a redaction is noted, and its states are not forgotten yet", function()
    local found
    assert(core.redact(store, { positions = { 3 } }, function()
      found = problems()
      return function() return false end
    end))
    assert.equal(0, found)
    assert.equal(0, problems())
  end)

  it("finds none where all of a redaction comes between the states and the events", function()
    on_load = function()
      local other <close> = assert(rille.open(path, { load = load }))
      assert(other:redact(3))
    end
    assert.equal(0, problems())
    assert.is_nil(on_load)
  end)

  it("finds what is damaged, also beside a scavenge, and after a redaction", function()
    spoil()
    assert.equal(1, problems())
    assert(store:append("t", { type = "Other" }))
    assert(store:delete "t")
    on_load = function() assert(store:scavenge()) end
    assert.equal(1, problems())
    assert(store:append("t", { type = "Other", data = "x" }))
    assert(store:redact(12))
    assert.equal(1, problems())
  end)
end)
