-- open_spec.lua: what a path can be, who may open it, and how often.
local rille = require "rille"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

local SEGMENT_BYTES_LEAST = 64 << 10

---Opens in another process; "ok" or the code, and what else it printed.
local OPEN_ELSEWHERE = [[
local rille = require "rille"
local store, message, code, detail = rille.open(arg[1], load("return {" .. (arg[2] or "") .. "}")())
if store then print("ok", store:head()) store:close()
else print(code, detail and detail.pid, message) end
]]

local function elsewhere(path, options)
  local output, status = process.lua(OPEN_ELSEWHERE, path, options)
  assert(status == 0, output)
  local first, second, rest = output:match "^(%S+)\t(%S+)\t?([^\n]*)"
  return first, tonumber(second), rest ~= "" and rest or nil
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

---What is in a folder, its files' bytes included.
local function contents(path)
  return (process.run(("cd '%s' && find . -type f | LC_ALL=C sort | xargs cksum"):format(path)))
end

describe("a path", function()
  local path
  before_each(function() path = scratch.path() end)
  after_each(function() scratch.remove(path) end)

  it("at which nothing is becomes a store", function()
    local store = assert(rille.open(path))
    assert.equal(0, store:head())
    assert(store:append("a", { type = "A" }))
    assert.is_true(store:close())
    store = assert(rille.open(path))
    assert.equal(1, store:head())
    store:close()
    for _, name in ipairs { "store", "log", "index" } do assert(exists(path .. "/" .. name), name) end
    assert.equal("", (process.run(("ls -d '%s'.new-* 2>/dev/null"):format(path))))
  end)

  it("may be an empty folder", function()
    scratch.shell("mkdir '%s'", path)
    local store = assert(rille.open(path))
    assert(store:append("a", { type = "A" }))
    store:close()
    assert.equal("ok", (elsewhere(path, "create = false")))
  end)

  it("that is absent is not made with create = false, nor with readonly", function()
    for _, options in ipairs { { create = false }, { readonly = true }, { readonly = true, create = true } } do
      local message, code = failure(rille.open(path, options))
      assert.equal("notfound", code)
      contains(message, "there is no store at " .. path)
      assert.is_false(exists(path))
    end
  end)

  it("that is an empty folder is not made a store with create = false", function()
    scratch.shell("mkdir '%s'", path)
    assert.equal("notfound", select(2, failure(rille.open(path, { create = false }))))
    assert.equal("", (process.run("ls -A '" .. path .. "'")))
  end)

  it("that is another folder is refused, and left alone", function()
    scratch.shell("mkdir '%s' && echo mine > '%s/notes.txt'", path, path)
    local before = contents(path)
    for _, options in ipairs { {}, { create = false }, { readonly = true } } do
      local message, code = failure(rille.open(path, options))
      assert.equal("invalid", code)
      contains(message, path)
      assert.equal(before, contents(path))
    end
  end)

  it("that is a file is refused, and left alone", function()
    scratch.shell("echo mine > '%s'", path)
    local message, code = failure(rille.open(path))
    assert.equal("invalid", code)
    contains(message, "is a file")
    assert.equal("mine\n", (process.run("cat '" .. path .. "'")))
  end)

  it("below what is absent can't be made", function()
    local message, code, detail = failure(rille.open(path .. "/deep/er"))
    assert.equal("io", code)
    contains(message, path)
    assert.equal("integer", math.type(detail.errno))
  end)

  it("may hold spaces, and may be as long as the system allows", function()
    scratch.shell("mkdir '%s'", path)
    local odd = path .. "/a b'c\"d\u{e4}"
    local store = assert(rille.open(odd))
    assert(store:append("a", { type = "A" }))
    store:close()
    assert.equal(1, assert(rille.open(odd)):head())
    collectgarbage()
    local message, code = failure(rille.open(path .. ("/x"):rep(3000)))
    assert.equal("invalid", code)
    assert(#message < 1000, message)
  end)

  it("that is an empty string is refused", function()
    assert.equal("string", type((failure(rille.open ""))))
  end)
end)

describe("options", function()
  local path
  before_each(function() path = scratch.path() end)
  after_each(function() scratch.remove(path) end)

  local function message(...) return raised(rille.open, ...) end

  it("of unknown names raise, with the nearest", function()
    contains(message(path, { readonyl = true }), "unknown option 'readonyl' (did you mean 'readonly'?)")
    contains(message(path, { creat = true }), "unknown option 'creat' (did you mean 'create'?)")
    contains(message(path, { colour = "blue" }), "unknown option 'colour'")
    contains(message(path, { "readonly" }), "option must have a name, not a number")
    assert.is_false(exists(path))
  end)

  it("of wrong types raise", function()
    contains(message(7), "string expected")
    contains(message(), "string expected")
    contains(message(path, 7), "table expected")
    contains(message(path, { readonly = 1 }), "readonly must be a boolean, not number")
    contains(message(path, { create = "no" }), "create must be a boolean, not string")
    contains(message(path, { sync = true }), "sync must be a string, not boolean")
    contains(message(path, { segment_bytes = "1" }), "segment_bytes must be an integer, not string")
    contains(message(path, { segment_bytes = 1e6 + 0.5 }), "segment_bytes must be an integer")
    contains(message(path, { background = 1 }), "background must be a boolean, not number")
    contains(message(path, { rebuild = "yes" }), "rebuild must be a boolean, not string")
    contains(message(path, { sync_interval_ms = "1" }), "sync_interval_ms must be an integer")
    contains(message(path, { clock = 7 }), "clock must be a function, not number")
    contains(message(path, { load = "x" }), "load must be a function, not string")
    assert.is_false(exists(path))
  end)

  it("of wrong values are refused", function()
    local why, code = failure(rille.open(path, { sync = "sometimes" }))
    assert.equal("invalid", code)
    contains(why, 'sync is "sometimes"')
    contains(why, '"interval"')
    assert.is_false(exists(path))
  end)

  it("background may be either", function()
    for _, background in ipairs { true, false } do
      local store = assert(rille.open(path, { background = background, sync = "interval" }))
      assert(store:append("a", { type = "A" }))
      assert(store:close())
    end
    local store = assert(rille.open(path))
    assert.equal(2, store:durable())
    store:close()
  end)

  it("sync_interval_ms is 1 at least", function()
    for _, wrong in ipairs { 0, -5 } do
      local why, code = failure(rille.open(path, { sync = "interval", sync_interval_ms = wrong }))
      assert.equal("invalid", code)
      contains(why, "sync_interval_ms must be at least 1")
    end
    assert.is_false(exists(path))
    assert(rille.open(path, { sync = "interval", sync_interval_ms = 1 })):close()
  end)

  it("segment_bytes is 16 GiB at most", function()
    local most = 16 * 2 ^ 30
    local why, code = failure(rille.open(path, { segment_bytes = math.tointeger(most) + 1 }))
    assert.equal("invalid", code)
    contains(why, "16 GiB")
    assert.is_false(exists(path))
    assert(rille.open(path, { segment_bytes = math.tointeger(most) })):close()
  end)

  it("segment_bytes is 65536 at least", function()
    local why, code = failure(rille.open(path, { segment_bytes = SEGMENT_BYTES_LEAST - 1 }))
    assert.equal("invalid", code)
    contains(why, "65536")
    assert.equal("invalid", select(2, failure(rille.open(path, { segment_bytes = -1 }))))
    assert.is_false(exists(path))
    assert(rille.open(path, { segment_bytes = SEGMENT_BYTES_LEAST })):close()
  end)
end)

describe("the same store twice in one process", function()
  local path, link, first

  before_each(function()
    path = scratch.path()
    link = path .. ".link"
    first = assert(rille.open(path, { sync = "never" }))
    scratch.shell("ln -s '%s' '%s'", path, link)
  end)
  after_each(function()
    first:close()
    scratch.remove(path)
    scratch.remove(link)
  end)

  ---Both see and continue what the other wrote.
  local function one_store(second)
    assert.not_equal(first, second)
    assert(first:append("a", { type = "First" }, { expect = "none" }))
    assert.equal(2, assert(second:append("a", { type = "Second" }, { expect = 1 })).version)
    assert.equal("conflict", select(3, first:append("a", { type = "First" }, { expect = 1 })))
    assert.same({ "First", "Second" }, stores.fields("type", first:read "a"))
    assert.same({ "First", "Second" }, stores.fields("type", second:read "a"))
    assert.equal(first:stats().uuid, second:stats().uuid)
    second:close()
    assert.equal(2, first:head())
  end

  it("is one", function() one_store(assert(rille.open(path, { sync = "never" }))) end)
  it("is one through a symlink", function() one_store(assert(rille.open(link, { sync = "never" }))) end)

  it("is one by a relative path", function()
    local up = ("../"):rep(40) .. path:sub(2)
    one_store(assert(rille.open(up, { sync = "never" })))
  end)

  it("is one by a roundabout path", function()
    one_store(assert(rille.open(path .. "/log/../../" .. path:match "[^/]+$" .. "//.", { sync = "never" })))
  end)

  it("stays open until the last of them is closed", function()
    local second = assert(rille.open(path, { sync = "never" }))
    first:close()
    assert(second:append("a", { type = "A" }))
    assert.equal("busy", (elsewhere(path, "rebuild = true")))
    second:close()
    assert.equal("ok", (elsewhere(path, "rebuild = true")))
    first = assert(rille.open(path))
    assert.equal(1, first:head())
  end)

  it("is two once the first was removed", function()
    assert(first:append("a", { type = "A" }))
    scratch.shell("mv '%s' '%s.old'", path, path)
    local second = assert(rille.open(path, { sync = "never" }))
    assert.equal(0, second:head())
    assert.equal(1, first:head())
    assert.not_equal(first:stats().uuid, second:stats().uuid)
    second:close()
    first:close()
    scratch.remove(path .. ".old")
  end)
end)

describe("rebuild", function()
  local path
  before_each(function()
    path = scratch.path()
    local store = assert(rille.open(path, { sync = "never" }))
    stores.fill(store, "a", 10)
    store:close()
  end)
  after_each(function() scratch.remove(path) end)

  it("makes the index anew", function()
    local store = assert(rille.open(path, { rebuild = true }))
    assert.same(stores.range(1, 10), stores.versions(store:read "a"))
    assert.is_true(store:verify().ok)
    store:close()
    assert.same({ "ok", 10 }, { elsewhere(path) })
  end)

  it("is for whoever has the store alone", function()
    local store = assert(rille.open(path))
    local kind, pid, message = elsewhere(path, "rebuild = true")
    assert.equal("busy", kind)
    assert.is_nil(pid) -- whose the others are is not known
    contains(message, "close it in all of them")
    assert.same({ "ok", 10 }, { elsewhere(path) })
    store:close()
  end)

  it("leaves who only reads with what is there", function()
    local store = assert(rille.open(path, { readonly = true }))
    assert.same({ "ok", 10 }, { elsewhere(path, "rebuild = true") })
    assert.same(stores.range(1, 10), stores.versions(store:read "a"))
    process.lua([[assert(require "rille".open(arg[1]):append("a", { type = "A" }))]], path)
    assert.is_true(store:wait(11, 60))
    assert.equal(11, store:version "a")
    store:close()
    assert.same({ "ok", 11 }, { elsewhere(path, "rebuild = true") })
  end)
end)

describe("readonly", function()
  local path
  before_each(function()
    path = scratch.path()
    local store = assert(rille.open(path, { sync = "never" }))
    stores.fill(store, "a", 10)
    store:close()
  end)
  after_each(function() scratch.remove(path) end)

  it("reads all and writes nothing", function()
    local before = contents(path .. "/log")
    local store = assert(rille.open(path, { readonly = true }))
    assert.equal(10, store:head())
    assert.same(stores.range(1, 10), stores.versions(store:read "a"))
    assert.equal(10, store:version "a")
    assert.equal("readonly", select(3, store:append("a", { type = "A" })))
    assert.is_true(store:sync())
    assert.is_true(store:close())
    assert.equal(before, contents(path .. "/log"))
  end)

  it("is shared with other processes, who may write", function()
    local store = assert(rille.open(path, { readonly = true }))
    assert.same({ "ok", 10 }, { elsewhere(path, "readonly = true") })
    assert.same({ "ok", 10 }, { elsewhere(path) })
    store:close()
    store = assert(rille.open(path))
    assert.same({ "ok", 10 }, { elsewhere(path, "readonly = true") })
    store:close()
  end)

  it("needs no index, and leaves none", function()
    scratch.remove(path .. "/index")
    local store = assert(rille.open(path, { readonly = true }))
    assert.same(stores.range(1, 10), stores.versions(store:read "a"))
    assert.same({ 10 }, stores.positions(store:all { reverse = true, limit = 1 }))
    assert.equal(1, store:stats().streams)
    store:close()
    assert.is_false(exists(path .. "/index"))
  end)

  it("works in a folder that can't be written", function()
    scratch.shell("chmod -R a-w '%s'", path)
    local output, status = process.lua([[
      local store = assert(require "rille".open(arg[1], { readonly = true }))
      assert(store:head() == 10)
      local n = 0
      for event in store:read "a" do n = n + 1 assert(event.data.n == n) end
      print(n)
    ]], path)
    scratch.shell("chmod -R u+w '%s'", path)
    assert.same({ "10\n", 0 }, { output, status })
  end)
end)
