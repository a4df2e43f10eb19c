-- retention_spec.lua: store:scavenge and store:redact, as scripts and the command see them. (Any order
-- of them, other processes, damage and deaths: spec/c/retention_test.c; power cuts: spec/c/power_test.c.)
local rille = require "rille"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local BUILD = os.getenv "RILLE_BUILD" or "build"
local LUA = os.getenv "RILLE_LUA" or "lua5.4"

local SUMS = [[return {
  key = "stream", initial = function() return { n = 0, last = "" } end,
  on = { Added = function(state, event) state.n, state.last = state.n + event.data.n, event.data.secret end },
}]]
local OTHERS = [[return { initial = function() return { n = 0 } end,
  on = { Other = function(state) state.n = state.n + 1 end } }]]

local scripts = 0

local function script(text)
  scripts = scripts + 1
  return scratch.file(("script%d.lua"):format(scripts), text)
end

---Events Added 1 .. n to "s", each with a secret of its own.
local function fill(store, n)
  for i = 1, n do
    assert(store:append("s", { type = "Added", data = { n = i, secret = "secret-no-" .. i },
                               tags = { "mail:" .. i, "all" } }))
  end
end

---Files under a path that hold a text.
local function files_with(path, text)
  return (process.run(("grep -rlF -e '%s' '%s' || true"):format(text, path)))
end

describe("store:scavenge", function()
  it("takes what is truncated, and nothing else, and tells what it would take", function()
    local store, path = stores.new()
    fill(store, 6)
    assert(store:append("other", { type = "Added", data = { n = 1 } }))
    assert.same({ events = 0, segments = 0, bytes = 0 }, store:scavenge())
    assert(store:truncate("s", { before = 4 }))
    assert.same(stores.range(1, 7), stores.positions(store:all()))
    local would = store:scavenge { dry_run = true }
    assert.equal(3, would.events)
    assert.same(stores.range(1, 7), stores.positions(store:all()))
    assert.same(would, store:scavenge())
    assert.same({ 4, 5, 6, 7 }, stores.positions(store:all()))
    assert.same({ 4, 5, 6 }, stores.versions(store:read "s"))
    assert.equal(6, store:version "s")
    assert.same({}, stores.positions(store:all { tags = { "mail:2" } }))
    assert.equal("", files_with(path .. "/log", "secret-no-2"))
    assert.same({ events = 0, segments = 0, bytes = 0 }, store:scavenge())
    assert.is_true(store:verify().ok)
    local done = assert(store:append("s", { type = "Added", data = { n = 7 } }, { expect = 6 }))
    assert.same({ 8, 7 }, { done.first, done.version })
    assert(store:close())
  end)

  it("leaves ids known, states kept, and a backup that can be used", function()
    local store, path = stores.new()
    local event = { type = "Added", data = { n = 5, secret = "x" }, id = "order-1" }
    assert(store:append("s", event))
    fill(store, 2)
    local sums <close> = assert(store:projection("sums", script(SUMS)))
    assert.equal(8, sums:get "s".n)
    assert(sums:update())
    assert(store:delete "s")
    assert.equal(3, assert(store:scavenge()).events)
    assert.is_true(store:append("s", event).duplicate)
    assert.equal(8, sums:get "s".n)
    assert(store:append("s", { type = "Added", data = { n = 1, secret = "y" } }))
    assert.equal(9, sums:get "s".n)
    local copy = scratch.path "copy.rille"
    assert(store:backup(copy))
    local other <close> = assert(rille.open(copy))
    assert.same({ 4 }, stores.positions(other:all()))
    assert.is_true(other:verify().ok)
    assert(store:close())
    scratch.shell("rm -rf '%s/index'", path)
    store = assert(rille.open(path))
    assert.same({ 4 }, stores.positions(store:all()))
    assert.is_true(store:close())
  end)

  it("goes on where other handles read, and is refused where nothing may be written", function()
    local store, path = stores.new { sync = "always" }
    fill(store, 4)
    local reader <close> = assert(rille.open(path, { readonly = true }))
    local following = reader:all()
    assert.equal(1, following().position)
    assert(store:truncate("s", { before = 4 }))
    assert(store:scavenge())
    assert.equal(4, following().position)
    assert.is_nil(following())
    assert(store:close())
    reader:close()
    local alone <close> = assert(rille.open(path, { readonly = true }))
    assert.equal("readonly", (select(2, stores.failure(alone:scavenge()))))
    assert.equal("readonly", (select(2, stores.failure(alone:redact(1)))))
    assert.equal("closed", (select(2, stores.failure(store:scavenge()))))
    assert.equal("closed", (select(2, stores.failure(store:redact(1)))))
  end)

  it("takes the work of transactions that are over, and leaves their events and outcomes", function()
    local a = stores.new()
    local b, path = stores.new()
    local c <close> = assert(rille.coordinator(a, { name = "c" }))
    local function transfer(id, amount)
      return c:transact({ id = id }, function(tx)
        assert(tx:append(a, "x", { type = "Debited", data = { amount = amount } }))
        assert(tx:append(b, "y", { type = "Credited", data = { amount = amount, secret = "of-" .. id } }))
        return true
      end)
    end
    assert(transfer("t1", 3))
    assert(transfer("t2", 4))
    assert(b:sync())
    local before = stores.list(b:all())
    assert(assert(b:scavenge()).segments > 0)
    assert.same(before, stores.list(b:all()))
    assert.is_true(transfer("t1", 3).duplicate)
    assert(b:redact(1))
    assert.equal("", files_with(path, "of-t1"))
    assert.is_true(b:verify().ok)
    assert(b:close())
    assert(a:close())
  end)
end)

describe("store:redact", function()
  it("takes content, tags and ids out of every file, and leaves the rest", function()
    local store, path = stores.new()
    fill(store, 3)
    assert(store:append("s", { type = "Added", data = { n = 9, secret = "secret-no-9" }, id = "an-id-to-forget" }))
    local sums <close> = assert(store:projection("sums", script(SUMS)))
    assert.equal("secret-no-9", sums:get "s".last)
    assert(sums:update())
    local done = store:redact({ 2, 4, 2 }, { tags = { "mail:1" }, ids = true, reason = "asked" })
    assert.same({ events = 3, segments = 1 }, done)
    local events = stores.list(store:all())
    assert.same({ false, true, false, true },
      { events[1].redacted or false, events[2].redacted, events[3].redacted or false, events[4].redacted })
    assert.is_nil(events[2].data)
    assert.same({ "$redacted", "all" }, events[1].tags)
    assert.same({ 1, 2, 3, 4 }, stores.versions(store:read "s"))
    assert.same({}, stores.positions(store:all { tags = { "mail:1" } }))
    assert.same({ 1, 2, 3 }, stores.positions(store:all { tags = { "all" } }))
    for _, text in ipairs { "secret-no-2", "secret-no-9", "mail:1", "an-id-to-forget" } do
      assert.equal("", files_with(path, text))
    end
    assert.equal(4, sums:get "s".n)
    assert.equal("secret-no-3", sums:get "s".last)
    assert.is_true(store:verify { deep = true }.ok)
    assert(store:append("s", { type = "Added", data = { n = 1, secret = "z" }, tags = { "mail:1" } }))
    assert.same({ 5 }, stores.positions(store:all { tags = { "mail:1" } }))
    assert(store:close())
    scratch.shell("rm -rf '%s/index'", path)
    store = assert(rille.open(path))
    assert.same({ 5 }, stores.positions(store:all { tags = { "mail:1" } }))
    assert.is_true(store:verify().ok)
    assert(store:close())
  end)

  it("takes the name of a stream out, which may begin again", function()
    local store, path = stores.new()
    fill(store, 3)
    assert(store:append("ann@home", { type = "Added", data = { n = 1, secret = "kept" } }))
    assert(store:truncate("ann@home", { before = 2 }))
    assert(store:redact(nil, { streams = { "ann@home" } }))
    assert.equal("", files_with(path, "ann@home"))
    local event = stores.list(store:all { after = 3 })[1]
    assert.same({ "$redacted", "kept" }, { event.stream, event.data.secret })
    assert.equal(0, store:version "ann@home")
    assert.equal(1, assert(store:append("ann@home", { type = "Added", data = {} }, { expect = "none" })).version)
    assert.same({ 5 }, stores.positions(store:read "ann@home"))
    assert.is_true(store:verify().ok)
    assert(store:close())
  end)

  it("marks exactly those projections that saw it", function()
    local store = stores.new()
    fill(store, 3)
    assert(store:append("o", { type = "Other" }))
    local sums, others = script(SUMS), script(OTHERS)
    local early <close> = assert(store:projection("early", sums))
    assert.equal(6, early:get "s".n)
    assert(early:update())
    early:close()
    local late <close> = assert(store:projection("late", sums))
    local other <close> = assert(store:projection("other", others))
    fill(store, 2)
    for _, p in ipairs { late, other } do assert(p:update()) end
    local before = store:stats().kept
    assert(store:redact(6)) -- "early" has not come that far, "other" does not handle its type
    assert(store:stats().kept < before)
    local fresh <close> = assert(store:projection("early", sums))
    assert.equal(4, fresh:mark())
    assert.equal(6, other:mark())
    assert.equal(0, late:mark())
    assert.equal(7, late:get "s".n)
    assert.equal(7, fresh:get "s".n)
    assert.equal(1, other:get().n)
    assert(store:close())
  end)

  it("keeps states from before it, and drops those from behind it", function()
    local store = stores.new()
    local reducer = script [[return { initial = function() return { n = 0 } end,
      on = { Counted = function(state, event) state.n = state.n + event.data.n end } }]]
    stores.fill(store, "c", 4000, 500, function() return { type = "Counted", data = { n = 1 } } end)
    assert.equal(4000, store:fold(reducer, { stream = "c" }).n)
    local rungs = store:stats().kept
    assert(store:redact(2500))
    local left = store:stats().kept
    assert(left < rungs and left > 0, left .. " of " .. rungs)
    assert.equal(3999, store:fold(reducer, { stream = "c" }).n)
    assert.equal(2499, store:fold(reducer, { stream = "c", at = 2500 }).n)
    assert(store:close())
  end)

  it("shows redacted events to handlers that want them, and to no others", function()
    local store = stores.new()
    fill(store, 3)
    local wants = script [[return { redacted = true, initial = function() return { n = 0, gone = 0 } end,
      on = { Added = function(state, event)
        if event.redacted then state.gone = state.gone + (event.data == nil and 1 or 100)
        else state.n = state.n + event.data.n end
      end } }]]
    local echo = script [[return { on = { Added = function(event, ctx)
      ctx:emit("echo", { type = "Echoed", data = { n = event.data.n } }) end } }]]
    assert(store:redact(2))
    assert.same({ n = 4, gone = 1 }, (store:fold(wants, { stream = "s" })))
    assert.equal(4, store:fold(script(SUMS), { stream = "s" }).n)
    local _ <close> = assert(store:processor("echo", echo))
    repeat local left = store:poll() until left == 0
    local echoed = {}
    for e in store:read "echo" do echoed[#echoed + 1] = e.data.n end
    assert.same({ 1, 3 }, echoed)
    local _, message = store:fold(script [[return { initial = {}, redacted = 1, on = {} }]], {})
    assert.truthy(message:find("redacted must be a boolean", 1, true))
    assert(store:close())
  end)

  it("says what can't be", function()
    local store = stores.new()
    fill(store, 2)
    for _, positions in ipairs { 0, 3, { 1, 9 } } do
      assert.equal("invalid", (select(2, stores.failure(store:redact(positions)))))
    end
    assert.equal("invalid", (select(2, stores.failure(store:redact {}))))
    assert.equal("invalid", (select(2, stores.failure(store:redact(1, { reason = ("x"):rep(2000) })))))
    assert.truthy(stores.raised(store.redact, store, "1"):find "positions must be")
    assert.truthy(stores.raised(store.redact, store, 1, { tags = "x" }):find "tags must be a list")
    assert.truthy(stores.raised(store.redact, store, 1, { tag = {} }):find "did you mean")
    assert.same({ 1, 2 }, stores.positions(store:all()))
    assert.is_nil(stores.list(store:all())[1].redacted)
    assert(store:close())
  end)
end)

describe("rille scavenge and rille redact", function()
  local function command(...)
    local text, ok = process.run_ours(("LUA_CPATH='%s/?.so;;' %s %s/bin/rille %s 2>&1 || true")
      :format(BUILD, LUA, BUILD, table.concat({ ... }, " ")))
    return text, ok
  end

  it("do the same, and tell it", function()
    local store, path = stores.new()
    fill(store, 4)
    assert(store:truncate("s", { before = 2 }))
    assert(store:close())
    local said = command("scavenge", path, "--dry-run")
    assert.truthy(said:find("would give back", 1, true), said)
    said = command("scavenge", path)
    assert.truthy(said:find("of 1 event, 1 log file", 1, true), said)
    local done = rille.json.decode((command("redact", path, "3 4 --tag mail:2 --reason asked --json")))
    assert.equal(3, done.events)
    local lines = command("export", path)
    assert.truthy(lines:find('"redacted":true', 1, true))
    assert.falsy(lines:find("secret-no-3", 1, true))
    local copy = scratch.path "imported.rille"
    local file = scratch.file("lines", lines)
    assert.truthy(command("import", copy, file):find("%d event"))
    assert.truthy(command("redact", path):find("nothing is named", 1, true))
    assert.truthy(command("redact", path, "99"):find("position 99 is not there", 1, true))
  end)
end)

describe("docs/retention.md", function()
  it("shows a program that runs, and what it prints", function()
    local text = assert(io.open "docs/retention.md"):read "a"
    local program, output = text:match "\n```lua\n([^`]*)```\n+```text\n([^`]*)```"
    local folder = scratch.path "doc"
    scratch.shell("mkdir '%s'", folder)
    local file = assert(io.open(folder .. "/program.lua", "w"))
    file:write(program)
    file:close()
    local build = BUILD:sub(1, 1) == "/" and BUILD or process.run("pwd"):gsub("\n", "") .. "/" .. BUILD
    local printed = process.run_ours(("cd '%s' && LUA_CPATH='%s/?.so;;' %s program.lua 2>&1")
      :format(folder, build, LUA))
    assert.equal(output, printed)
    local reducer = text:match "%-%- a reducer %-%->\n```lua\n([^`]*)```"
    local store = stores.new()
    assert(store:append("s", { type = "Ordered", data = {} }))
    assert(store:redact(1))
    assert.same({ orders = 1, forgotten = 1 }, (store:fold(scratch.file("doc.lua", reducer))))
    assert(store:close())
  end)
end)
