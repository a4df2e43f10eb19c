-- held_spec.lua: the rule of locks K2 (core/locks.h), asked of the code: what a transaction that is
-- prepared keeps others from, in a table of what it does and what they do; of appends, of truncating
-- and deleting, of another transaction's promise, and of a decision at home. That the rule is right
-- is locks_spec.lua's to show.
local core = require "spec.support.core"
local stores = require "spec.support.stores"
local means = core.transaction

local GOLD = { type = "Mined", tags = { "gold" } }
local IRON = { type = "Mined", tags = { "iron" } }

local function writes(stream, event) return { stream = stream, events = event or IRON } end
local function checks(stream, expect) return { stream = stream, expect = expect or "none" } end
local function unless(query) return { stream = "own", events = IRON, unless = query } end

---What T does, what x does, and whether x is locked. Each way round it is the same.
local ROWS = {
  { "both write one stream", { writes "a" }, { writes "a" }, true },
  { "one writes what the other checks", { writes "a" }, { checks "a" }, true },
  { "both only check one stream", { checks "a" }, { checks "a" }, false },
  { "one checks any version of what the other writes", { writes "a" }, { checks("a", "any") }, false },
  { "they write two streams", { writes "a" }, { writes "b" }, false },
  { "they share a tag and a type", { writes("a", GOLD) }, { writes("b", GOLD) }, false },
  { "one asks by a tag that the other writes", { writes("a", GOLD) }, { unless { tags = { "gold" } } }, true },
  { "one asks by a type that the other writes", { writes "a" }, { unless { types = { "Mined" } } }, true },
  { "one asks by a stream that the other writes", { writes "a" }, { unless { stream = "a" } }, true },
  { "one asks by a category that the other writes", { writes "a-1" }, { unless { category = "a" } }, true },
  { "one asks by another tag", { writes("a", GOLD) }, { unless { tags = { "silver" } } }, false },
  { "one asks by two tags, of which the other writes one", { writes("a", GOLD) },
    { unless { tags = { "gold", "iron" } } }, false },
  { "the second of two items meets", { writes("a", GOLD) }, { unless { { stream = "z" }, { tags = { "gold" } } } },
    true },
  { "both ask the same", { checks "a", unless = { tags = { "gold" } } }, { checks "b", unless = { tags = { "gold" } } },
    false },
  { "both move one mark", { mark = { "m", 0, 1 } }, { mark = { "m", 0, 1 } }, true },
  { "they move two marks", { mark = { "m", 0, 1 } }, { mark = { "n", 0, 1 } }, false },
  { "the second stream of each meets", { writes "a", writes "b" }, { writes "c", writes "b" }, true },
}

---As store:append takes it: `unless` beside the parts.
local function work(given)
  local list = { unless = given.unless, mark = given.mark }
  for i, part in ipairs(given) do
    list[i] = { stream = part.stream, events = part.events, expect = part.expect }
    list.unless = list.unless or part.unless
  end
  return list
end

describe("what is prepared", function()
  local home, store, instance
  before_each(function()
    home, store = stores.new(), stores.new { background = false }
    instance = assert(means.instance(home, "spec"))
  end)
  after_each(function()
    instance:close()
    store:close()
    home:close()
  end)

  ---Prepares it, in the store of its own or of a test.
  local function prepare(given)
    local id, home_end = instance:begin()
    local done, message, code = means.prepare(store, stores.work(store, work(given)),
      { id = id, name = "there", home_kind = "store", home_path = "", home_end = home_end, coordinator = "spec" })
    return done and id, message, code
  end

  ---Decides it, in the store as home.
  local function decide(given)
    local own = assert(means.instance(store, "home"))
    local id, home_end = own:begin()
    local decided, _, code = means.decide(store, stores.work(store, work(given)),
      { id = id, home_end = home_end, outcome = "committed", members = {}, detail = "" })
    own:close()
    return decided, code
  end

  for _, row in ipairs(ROWS) do
    local name, one, other, is_locked = row[1], row[2], row[3], row[4]
    it(("%s: %s"):format(name, is_locked and "locked" or "not locked"), function()
      for _, pair in ipairs { { one, other }, { other, one } } do
        local id = assert(prepare(pair[1]))
        local expected = is_locked and "locked" or nil
        local _, _, code = prepare(pair[2])
        assert.equal(expected, code)
        if not code then -- what it promised is taken back, or the append would meet that
          for _, doubt in ipairs(store:indoubt()) do
            if doubt.id ~= id then assert(means.abort(store, doubt.id)) end
          end
        end
        local _, _, refused, detail = store:append(work(pair[2]))
        assert.equal(expected, refused)
        if is_locked then
          assert.equal(id, detail.transaction)
          assert.equal("locked", (select(2, decide(pair[2]))))
        end
        assert(means.abort(store, id))
        store:close()
        store = stores.new { background = false }
      end
    end)
  end

  it("keeps what it writes or checks from being truncated or deleted, and nothing else", function()
    for _, stream in ipairs { "a", "b", "c" } do assert(store:append(stream, IRON)) end
    local id = assert(prepare { writes "a", checks("b", 1) })
    for _, stream in ipairs { "a", "b" } do
      assert.equal("locked", (select(3, store:truncate(stream, { before = 1 }))))
      assert.equal("locked", (select(3, store:delete(stream))))
    end
    assert(store:delete "c")
    assert(means.abort(store, id))
    assert(store:delete "a")
  end)
end)
