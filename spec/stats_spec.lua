-- stats_spec.lua: the numbers of store:stats, and that verify finds a store sound.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, raised = stores.contains, stores.raised

local FIELDS = { "head", "written", "durable", "streams", "types", "tags", "ids", "marks", "kept", "log_bytes",
  "unfolded_bytes", "index_bytes", "index_readers", "segments", "appends", "flushes", "folds",
  "indoubt", "pending", "prepares", "decisions", "commits", "forces" }
local TIMES = { "oldest", "prepare_time", "decision_time", "commit_time", "force_time" }

local store, path

-- A thread that flushes and folds when it likes is no matter of numbers.
local QUIET = { sync = "never", background = false }

before_each(function() store, path = stores.new(QUIET) end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

---n appends of a MiB.
local function fill_mibs(n)
  for _ = 1, n do assert(store:append("a", { type = "A", data = ("x"):rep(1 << 20) })) end
end

local function reopen(options)
  store:close()
  store = assert(rille.open(path, options or QUIET))
  return store:stats()
end

describe("stats", function()
  it("are integers, and the store's identity", function()
    local stats = store:stats()
    local seen = 0
    for _ in pairs(stats) do seen = seen + 1 end
    for _, name in ipairs(FIELDS) do assert.equal("integer", math.type(stats[name]), name) end
    for _, name in ipairs(TIMES) do assert.equal("float", math.type(stats[name]), name) end
    assert.equal(#FIELDS + #TIMES + 3, seen) -- uuid, created, failed; there is no last_time yet
    assert.truthy(stats.uuid:find "^%x+%-%x+%-4%x+%-[89ab]%x+%-%x+$", stats.uuid)
    assert.equal(36, #stats.uuid)
  end)

  it("of an empty store are zero", function()
    local stats = store:stats()
    for _, name in ipairs { "head", "written", "durable", "streams", "types", "tags", "ids", "marks", "kept",
      "log_bytes", "unfolded_bytes", "appends", "flushes", "folds" } do
      assert.equal(0, stats[name], name)
    end
    assert.is_false(stats.failed)
    assert.is_nil(stats.last_time)
    assert.equal(1, stats.segments)
  end)

  it("count streams, types and tags that have an event", function()
    assert(store:append("a", { { type = "A", tags = { "x", "y", "x" } }, { type = "B" } }))
    assert(store:append("b", { type = "A", tags = { "y", "z" } }))
    assert(store:append { { stream = "only checked", expect = "none" } })
    assert(not store:append("c", { type = "C", tags = { "c" } }, { expect = 7 }))
    assert(store:version "asked for" == 0)
    local function check(stats)
      assert.same({ 2, 2, 3, 3 }, { stats.streams, stats.types, stats.tags, stats.head })
    end
    check(store:stats())
    check(reopen())
    assert(store:append("a", { type = "A", tags = { "x" } }))
    assert(store:append("c", { type = "C" }))
    local stats = store:stats()
    assert.same({ 3, 3, 3, 5 }, { stats.streams, stats.types, stats.tags, stats.head })
    store:close()
    scratch.remove(path .. "/index")
    store = assert(rille.open(path, QUIET))
    stats = store:stats()
    assert.same({ 3, 3, 3, 5 }, { stats.streams, stats.types, stats.tags, stats.head })
  end)

  it("tell when", function()
    local before = os.time()
    local created = store:stats().created
    assert(created > before - 60 and created < before + 60, created)
    assert(store:append("a", { { type = "A", time = 5 }, { type = "A" } }))
    local last = store:stats().last_time
    assert(last >= created and last < before + 60, last)
    local stats = reopen()
    assert.same({ created, last }, { stats.created, stats.last_time })
  end)

  it("count what came with ids, and marks", function()
    assert(store:append("a", { { type = "A", id = "i1" }, { type = "A", id = "i2" } }))
    assert(store:append { { stream = "a", events = { { type = "A", id = "i3" } } },
      { stream = "b", events = { { type = "A", id = "i1" } } } })
    assert(store:append("b", { type = "A" }, { mark = { "m", 0, 1 } }))
    assert(store:append { mark = { "m", 1, 2 } })
    local function check(stats) assert.same({ 3, 1 }, { stats.ids, stats.marks }) end
    check(store:stats())
    check(reopen())
  end)

  it("count thousands of streams, folded and not", function()
    for i = 1, 3000 do assert(store:append("s" .. i, { type = "T" .. i % 50 })) end
    assert.equal(3000, store:stats().streams)
    assert.equal(3000, reopen().streams)
    for i = 2000, 4000 do assert(store:append("s" .. i, { type = "T" .. i % 60 })) end
    local stats = store:stats()
    assert.same({ 4000, 60 }, { stats.streams, stats.types })
  end)

  it("tell what is in the log and what in the index", function()
    stores.fill(store, "a", 100, 10)
    local stats = store:stats()
    assert(stats.log_bytes > 100 * 64, tostring(stats.log_bytes))
    assert.equal(stats.log_bytes, stats.unfolded_bytes)
    assert.equal(10, stats.appends)
    local after = reopen()
    assert.equal(stats.log_bytes, after.log_bytes)
    assert.equal(0, after.unfolded_bytes)
    assert.equal(stats.uuid, after.uuid)
    assert.equal(0, after.appends)
    assert(after.index_bytes > 0)
  end)

  it("count segments", function()
    store:close()
    store = assert(rille.open(path, { sync = "never", segment_bytes = 65536, background = false }))
    for _ = 1, 40 do assert(store:append("a", { type = "A", data = ("x"):rep(16 << 10) })) end
    local segments = store:stats().segments
    assert(segments >= 8 and segments <= 11, tostring(segments))
    assert.equal(segments, reopen().segments)
  end)

  it("tell what is durable", function()
    stores.fill(store, "a", 7)
    assert(store:sync())
    assert.equal(7, store:stats().durable)
    assert(store:stats().flushes >= 1)
    local flushes = reopen({ sync = "always", background = false }).flushes
    for i = 1, 5 do
      assert(store:append("a", { type = "A" }))
      assert.equal(flushes + i, store:stats().flushes) -- one flush an append
    end
  end)
end)

describe("verify", function()
  it("finds a store sound", function()
    stores.fill(store, "a", 500, 7)
    stores.fill(store, "b", 300, 300)
    for _ = 1, 2 do
      local found = assert(store:verify())
      assert.is_true(found.ok)
      assert.same({}, found.problems)
      assert.equal(800, found.events)
      assert.equal(800, found.readable)
      assert(found.bytes >= store:stats().log_bytes, tostring(found.bytes))
      reopen()
    end
  end)

  it("of an empty store finds nothing", function()
    assert.same({ ok = true, events = 0, bytes = 0, readable = 0, problems = {} }, store:verify())
  end)

  it("tells how far it is", function()
    fill_mibs(36)
    local calls, last = 0, 0
    assert(store:verify { progress = function(done, all)
      calls = calls + 1
      assert(done >= last and done <= all, done .. " of " .. all)
      last = done
    end })
    assert(calls > 1, tostring(calls))
  end)

  it("raises what progress raises, and the store is well", function()
    fill_mibs(36)
    contains(raised(store.verify, store, { progress = function() error "enough" end }), "enough")
    assert.is_true(store:verify().ok)
    assert.equal(37, assert(store:append("a", { type = "A" })).first)
  end)

  it("names a byte that is not what was written", function()
    for i = 1, 100 do assert(store:append("a", { type = "A", data = { "payload", i } })) end
    store:close()
    local file = assert(io.open(path .. "/log/0000000000000000.seg", "r+b"))
    local at = select(2, file:read "a":find(".*payload")) - 3000
    file:seek("set", at)
    local byte = file:read(1)
    file:seek("set", at)
    file:write(string.char(byte:byte() ~ 0x20))
    file:close()
    local message
    store, message = rille.open(path, { readonly = true })
    assert(store, message)
    local found = assert(store:verify())
    assert.is_false(found.ok)
    assert(#found.problems >= 1)
    for _, problem in ipairs(found.problems) do
      assert.truthy(problem.invariant:find "^L%d+$", problem.invariant)
      assert.equal("string", type(problem.message))
    end
    assert(found.readable < 100, tostring(found.readable))
    local ok = pcall(function() return #stores.list(store:all()) end)
    assert.is_false(ok, "damaged bytes were given out")
  end)

  it("takes no other option", function()
    contains(raised(store.verify, store, { progres = print }), "(did you mean 'progress'?)")
  end)
end)
