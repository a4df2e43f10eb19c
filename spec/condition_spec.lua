-- condition_spec.lua: what must be true for an append besides `expect`: that no event
-- matches, that a mark is where it was; and that the same ids are written once.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"
local model = require "spec.support.model"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

values.seed "condition_spec"

local RANDOM_APPENDS = 400

local store, path

local function new_store() store, path = stores.new() end

local function drop_store()
  store:close()
  scratch.remove(path)
end

local function reopen()
  store:close()
  store = assert(rille.open(path, { sync = "never" }))
end

local function reopen_without_index()
  store:close()
  scratch.remove(path .. "/index")
  store = assert(rille.open(path, { sync = "never" }))
end

---A refused append, and that nothing was written.
local function refused(...)
  local head = store:head()
  local message, code, detail = failure(store:append(...))
  assert.equal(head, store:head())
  return message, code, detail
end

local function conflict(...)
  local message, code, detail = refused(...)
  assert.equal("conflict", code)
  return detail, message
end

-- unless ----------------------------------------------------------------------------------

---Asks whether the query matches: by an append in both forms that is only checked.
local function found(query)
  local done, message, code, detail = store:append("checked", {}, { unless = query })
  local done_too, _, code_too, detail_too = store:append { unless = query }
  assert.equal(done == nil, done_too == nil)
  if done then
    assert.equal(0, store:version "checked")
    return nil
  end
  assert.same({ "conflict", "conflict" }, { code, code_too })
  assert.is_nil(detail.stream)
  assert.is_nil(detail.mark)
  assert.equal("integer", math.type(detail.position))
  assert.equal(math.type(detail.position), math.type(detail_too.position))
  contains(message, tostring(detail.position))
  return detail.position
end

describe("unless", function()
  before_each(function()
    new_store()
    assert(store:append("account-1", { { type = "Opened", tags = { "branch:7", "vip" } },   -- 1
      { type = "Closed", tags = { "branch:7" } } }))                                        -- 2
    assert(store:append("limits", { type = "Raised" }))                                     -- 3
    assert(store:append("account-2", { type = "Opened", tags = { "branch:8", "vip" } }))    -- 4
  end)
  after_each(drop_store)

  it("lets pass where nothing matches, and refuses where something does", function()
    assert(store:append("a", { type = "A" }, { unless = { types = { "Nothing" } } }))
    assert.same({ position = 2 }, conflict("a", { type = "A" }, { unless = { types = { "Closed" } } }))
    assert.same({ position = 3 }, conflict { { stream = "a", events = { { type = "A" } } },
      unless = { { stream = "limits" } } })
    assert.equal(1, store:version "a")
  end)

  local cases = {
    { "types are ORed", { types = { "Raised", "Nothing" } }, 3 },
    { "tags are ANDed", { tags = { "branch:7", "vip" } }, 1 },
    { "... and none may be missing", { tags = { "branch:8", "branch:7" } }, nil },
    { "types and tags are ANDed", { types = { "Closed" }, tags = { "vip" } }, nil },
    { "a stream", { stream = "limits" }, 3 },
    { "... with a type", { stream = "limits", types = { "Opened" } }, nil },
    { "a category", { category = "account", types = { "Closed" } }, 2 },
    { "... is not the beginning of a name", { category = "acc" }, nil },
    { "items are ORed", { { types = { "Nothing" } }, { tags = { "branch:8" } } }, 4 },
    { "... and none needs to match", { { types = { "Nothing" } }, { tags = { "none" } } }, nil },
    { "after the last one", { types = { "Closed" }, after = 2 }, nil },
    { "after the one before", { types = { "Closed" }, after = 1 }, 2 },
    { "after, for all items", { { types = { "Closed" } }, { stream = "limits" }, after = 3 }, nil },
    { "after, for one item", { { types = { "Closed" }, after = 2 }, { stream = "limits" } }, 3 },
    { "... and for another", { { types = { "Closed" }, after = 2 }, { stream = "limits", after = 3 } }, nil },
    { "after, an item's own instead of the query's", { { stream = "limits", after = 1 }, after = 3 }, 3 },
    { "... also where it is the larger one", { { stream = "limits", after = 3 }, after = 1 }, nil },
    { "... the query's for others", { { tags = { "branch:8" }, after = 0 }, { stream = "limits" }, after = 3 }, 4 },
    { "... which it does not narrow", { { types = { "Nothing" }, after = 0 }, { stream = "limits" }, after = 3 }, nil },
    { "no items: anything", { after = 3 }, 4 },
    { "no items, after the head", { after = 4 }, nil },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      assert.equal(case[3], found(case[2]))
      reopen()
      assert.equal(case[3], found(case[2]))
    end)
  end

  it("does not see the events of its own append", function()
    local query = { types = { "Unique" } }
    assert(store:append("a", { type = "Unique" }, { unless = query }))
    assert.same({ position = 5 }, conflict("a", { type = "Unique" }, { unless = query }))
    query.after = 5
    assert(store:append("a", { { type = "Unique" }, { type = "Unique" } }, { unless = query }))
  end)

  it("decides on what was read", function()
    local query = { { types = { "Closed" }, tags = { "branch:7" } }, { stream = "limits" }, after = 0 }
    query.after = store:head()
    local seen = #stores.list(store:all { { types = { "Closed" }, tags = { "branch:7" } }, { stream = "limits" } })
    assert.equal(2, seen)
    assert(store:append("report", { type = "Counted", data = seen }, { unless = query }))
    assert(store:append("limits", { type = "Raised" }))
    assert.same({ position = 6 }, conflict("report", { type = "Counted", data = seen }, { unless = query }))
  end)

  it("and expect must both hold", function()
    assert(store:append("limits", { type = "A" }, { expect = 1, unless = { types = { "A" } } }))
    assert.same({ stream = "limits", version = 2 },
      conflict("limits", { type = "A" }, { expect = 1, unless = { types = { "B" } } }))
    assert.same({ position = 5 }, conflict("limits", { type = "A" }, { expect = 2, unless = { types = { "A" } } }))
  end)

  it("of what lies beyond the head is refused", function()
    for _, query in ipairs { { after = 5 }, { types = { "A" }, after = 5 }, { { types = { "A" } }, after = 99 },
        { { types = { "A" }, after = 99 } } } do
      local message, code = refused("a", { type = "A" }, { unless = query })
      assert.equal("invalid", code)
      contains(message, "after")
    end
  end)

  it("is a query's items and after, and nothing else", function()
    contains(raised(store.append, store, "a", {}, { unless = 7 }), "unless must be a query, not number")
    for _, name in ipairs { "before", "limit" } do
      contains(raised(store.append, store, "a", {}, { unless = { [name] = 1 } }), "unless has no '" .. name)
    end
    for _, name in ipairs { "reverse", "explain" } do
      contains(raised(store.append, store, "a", {}, { unless = { [name] = true } }), "unless has no '" .. name)
    end
    contains(raised(store.append, store, { unless = { typs = {} } }), "(did you mean 'types'?)")
    contains(raised(store.append, store, { unles = {} }), "(did you mean 'unless'?)")
    contains(raised(store.append, store, { { stream = "a", unless = {} } }), "unknown field")
  end)

  it("sees hidden events", function()
    assert(store:delete "limits")
    assert.equal(3, found { stream = "limits" })
  end)
end)

-- Small alphabets, so that chance makes matches.
local function one_of(list) return list[math.random(#list)] end
local TYPES, TAGS = { "A", "B", "C", "D" }, { "t", "u", "v", "w" }
local STREAMS = { "s-1", "s-2", "r-1", "r" }

local function some(list, most)
  local chosen = {}
  for i = 1, math.random(0, most) do chosen[i] = one_of(list) end
  return chosen
end

local function some_event() return { type = one_of(TYPES), tags = some(TAGS, 3) } end

local function some_item(head)
  return { types = some(TYPES, 2), tags = some(TAGS, 2),
    stream = math.random(3) == 1 and one_of(STREAMS) or nil,
    category = math.random(4) == 1 and one_of { "s", "r" } or nil,
    after = math.random(2) == 1 and math.max(0, head - math.random(0, 6)) or nil }
end

describe("unless, at random", function()
  after_each(drop_store)

  it("is what a scan of all events finds", function()
    new_store()
    local known, conflicts = model.new(), 0
    for i = 1, RANDOM_APPENDS do
      local head = store:head()
      local query = { after = math.max(0, head - math.random(0, 12)) }
      for n = 1, math.random(1, 3) do query[n] = some_item(head) end
      local matching = {}
      for _, event in ipairs(known:all(query)) do matching[event.position] = true end
      local part = { stream = one_of(STREAMS), events = { some_event(), some_event() } }
      local done, message, code, detail = store:append { part, unless = query }
      if next(matching) == nil then
        assert(done, message)
        known:append { part }
      else
        conflicts = conflicts + 1
        assert.equal("conflict", code)
        assert(matching[detail.position], ("append %d: %s matches nothing"):format(i, detail.position))
        assert.equal(head, store:head())
      end
      if i % 100 == 0 then reopen() end
    end
    assert(conflicts > RANDOM_APPENDS / 10 and conflicts < RANDOM_APPENDS * 9 / 10, conflicts)
  end)
end)

-- mark ------------------------------------------------------------------------------------

describe("a mark", function()
  before_each(function()
    new_store()
    stores.fill(store, "a", 5)
  end)
  after_each(drop_store)

  it("is 0 until it is set", function()
    assert.equal(0, store:mark "mailer")
    assert(store:append { mark = { "mailer", 0, 3 } })
    assert.equal(3, store:mark "mailer")
    assert.equal(0, store:mark "other")
    assert.equal(5, store:head())
  end)

  it("moves alone, or with events, or not at all", function()
    local done = assert(store:append { mark = { "mailer", 0, 1 } })
    assert.same({ versions = {}, duplicate = false }, done)
    assert.same({ first = 6, last = 6, versions = { out = 1 }, duplicate = false },
      store:append { { stream = "out", events = { { type = "Sent" } } }, mark = { "mailer", 1, 2 } })
    assert.same({ first = 7, last = 7, version = 2, duplicate = false },
      store:append("out", { type = "Sent" }, { mark = { "mailer", 2, 3 } }))
    assert.equal(3, store:mark "mailer")
    assert.equal("conflict", select(2, refused("out", { type = "Sent" }, { expect = 9, mark = { "mailer", 3, 4 } })))
    assert.equal(3, store:mark "mailer")
  end)

  it("that was moved by another refuses", function()
    assert(store:append { mark = { "mailer", 0, 2 } })
    local detail, message = conflict("out", { type = "Sent" }, { mark = { "mailer", 0, 1 } })
    assert.same({ mark = "mailer", position = 2 }, detail)
    contains(message, "mailer")
    assert.same({ mark = "mailer", position = 2 }, (conflict { mark = { "mailer", 3, 4 } }))
    assert.same({ mark = "new", position = 0 }, (conflict { mark = { "new", 1, 2 } }))
    assert.equal(0, store:version "out")
    assert.equal(2, store:mark "mailer")
  end)

  it("and unless are told apart", function()
    assert(store:append { mark = { "mailer", 0, 2 } })
    local both = { mark = { "mailer", 2, 3 }, unless = { types = { "Counted" } } }
    assert.is_nil((conflict(both)).mark)
    both = { mark = { "mailer", 1, 3 }, unless = { types = { "None" } } }
    assert.same({ mark = "mailer", position = 2 }, (conflict(both)))
    assert(store:append { mark = { "mailer", 2, 3 }, unless = { types = { "None" } } })
  end)

  it("stays, in the log", function()
    assert(store:append { mark = { "mailer", 0, 2 } })
    assert(store:append("out", { type = "Sent" }, { mark = { "mailer\0x", 0, 5 } }))
    for _, again in ipairs { reopen, reopen_without_index } do
      again()
      assert.equal(2, store:mark "mailer")
      assert.equal(5, store:mark "mailer\0x")
      assert.equal(2, store:stats().marks)
      assert.same({ mark = "mailer", position = 2 }, (conflict { mark = { "mailer", 1, 3 } }))
    end
    assert.is_true(store:verify().ok)
  end)

  it("makes a loop of one's own exact", function()
    local function run(crash_at)
      local mark = store:mark "doubler"
      for event in store:all { types = { "Counted" }, after = mark } do
        if event.position == crash_at then return end
        local done = store:append("doubled", { type = "Doubled", data = 2 * event.data.n },
          { mark = { "doubler", mark, event.position } })
        if not done then return end
        mark = event.position
      end
    end
    run(3)
    run(5)
    reopen()
    run()
    local list = {}
    for event in store:read "doubled" do list[#list + 1] = event.data end
    assert.same({ 2, 4, 6, 8, 10 }, list)
  end)

  it("is { name, from, to }", function()
    for _, wrong in ipairs { 7, {}, { "m" }, { "m", 0 }, { 7, 0, 1 }, { "m", "0", 1 }, { "m", 0, 1.5 },
      { "m", 0, {} } } do
      contains(raised(store.append, store, { mark = wrong }), "mark must be { name, from, to }")
    end
    contains(raised(store.append, store, { mark = { name = "m" } }), "unknown field of a mark")
    for _, wrong in ipairs { { "", 0, 1 }, { "m", -1, 1 }, { "m", 0, -1 }, { ("m"):rep(256), 0, 1 } } do
      local message, code = refused { mark = wrong }
      assert.equal("invalid", code)
      contains(message, "mark")
    end
    assert(store:append { mark = { ("m"):rep(255), 0, 1 } })
    contains(raised(store.mark, store), "string expected")
    contains(raised(store.mark, store, 7), "string expected")
  end)
end)

describe("wait, of an append", function()
  it("is checked, and for a lock", function()
    new_store()
    assert(store:append("a", { type = "A" }, { wait = 0 }))
    assert(store:append { { stream = "a", events = { { type = "A" } } }, wait = 1.5 })
    assert(store:append("a", { type = "A" }, { wait = math.huge }))
    for _, wrong in ipairs { -1, 0 / 0 } do
      local message, code = refused("a", { type = "A" }, { wait = wrong })
      assert.equal("invalid", code)
      contains(message, "wait must not be negative")
    end
    contains(raised(store.append, store, { wait = "1" }), "wait must be a number, not string")
    drop_store()
  end)
end)

-- Ids -------------------------------------------------------------------------------------

local function batch(from, to, more)
  local list = {}
  for i = from, to do list[#list + 1] = { type = "A", id = "id-" .. i, data = i } end
  list[#list + 1] = more
  return list
end

describe("ids", function()
  before_each(function()
    new_store()
    assert(store:append("before", { type = "B" }))
    assert(store:append("a", batch(1, 5)))
    assert(store:append("behind", { { type = "B" }, { type = "B", id = "alone" } }))
  end)
  after_each(drop_store)

  local FIRST = { first = 2, last = 6, version = 5, duplicate = true }

  ---The append is answered with what was told then, and nothing is written.
  local function repeated(expected, ...)
    local head = store:head()
    assert.same(expected, store:append(...))
    assert.equal(head, store:head())
  end

  it("that were written are not written again", function()
    repeated(FIRST, "a", batch(1, 5))
    repeated(FIRST, "a", batch(1, 5))
    repeated({ first = 8, last = 8, version = 2, duplicate = true }, "behind", { type = "B", id = "alone" })
  end)

  it("of the beginning are recognised", function()
    repeated({ first = 2, last = 4, version = 3, duplicate = true }, "a", batch(1, 3))
    repeated({ first = 2, last = 2, version = 1, duplicate = true }, "a", batch(1, 1)[1])
  end)

  it("are the same under every expectation, and conditions that no longer hold", function()
    for _, expect in ipairs { "any", "none", "exists", 0, 5, 99 } do
      repeated(FIRST, "a", batch(1, 5), { expect = expect })
    end
    repeated(FIRST, "a", batch(1, 5), { unless = { types = { "A" } } })
    repeated(FIRST, "a", batch(1, 5), { mark = { "m", 7, 8 } })
    assert.equal(0, store:mark "m")
  end)

  it("are remembered", function()
    for _, again in ipairs { reopen, reopen_without_index } do
      again()
      repeated(FIRST, "a", batch(1, 5))
      assert.equal(2, store:stats().ids)
    end
    stores.fill(store, "a", 300, 7)
    repeated(FIRST, "a", batch(1, 5))
  end)

  it("belong to their stream", function()
    assert.same({ first = 9, last = 13, version = 5, duplicate = false }, store:append("b", batch(1, 5)))
    repeated({ first = 9, last = 13, version = 5, duplicate = true }, "b", batch(1, 5))
    repeated(FIRST, "a", batch(1, 5))
  end)

  it("are known by the append that they were in", function()
    assert(store:append("a", batch(6, 8)))
    repeated({ first = 9, last = 11, version = 8, duplicate = true }, "a", batch(6, 8))
    repeated(FIRST, "a", batch(1, 5))
    assert.equal("duplicate", select(2, refused("a", batch(1, 8))))
  end)

  it("of which the first is known and a later one is not are refused", function()
    for _, events in ipairs { batch(1, 6), batch(1, 5, { type = "A" }), batch(1, 3, { type = "A", id = "new" }) } do
      local message, code, detail = refused("a", events)
      assert.equal("duplicate", code)
      assert.same({ stream = "a" }, detail)
      contains(message, '"a"')
    end
    assert.equal(5, store:version "a")
  end)

  it("may be in several parts", function()
    local function parts()
      return { { stream = "p", events = batch(1, 2) }, { stream = "q", events = batch(3, 4) },
        { stream = "a", expect = 5 } }
    end
    local versions = { p = 2, q = 2, a = 5 }
    assert.same({ first = 9, last = 12, versions = versions, duplicate = false }, store:append(parts()))
    repeated({ first = 9, last = 12, versions = versions, duplicate = true }, parts())
    stores.fill(store, "p", 2)
    repeated({ first = 9, last = 12, versions = versions, duplicate = true }, parts())
    local _, code = refused { { stream = "p", events = batch(1, 2) }, { stream = "r", events = batch(5, 6) } }
    assert.equal("duplicate", code)
    assert.equal(0, store:version "r")
  end)

  it("that rille makes are never the same", function()
    local event = stores.list(store:read "before")[1]
    assert.is_false(assert(store:append("c", { type = "A" })).duplicate)
    assert.is_false(assert(store:append("c", { type = "A" })).duplicate)
    assert.not_equal(event.id, stores.list(store:read "c")[1].id)
  end)

  it("that failed may be used again", function()
    assert.equal("conflict", select(2, refused("n", batch(1, 2), { expect = 7 })))
    assert.is_false(assert(store:append("n", batch(1, 2), { expect = "none" })).duplicate)
    repeated({ first = 9, last = 10, version = 2, duplicate = true }, "n", batch(1, 2), { expect = "none" })
  end)
end)
