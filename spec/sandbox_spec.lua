-- sandbox_spec.lua: scripts see nothing of the host, and run the same each time.
-- luacheck: globals string.shout table.concat
local rille = require "rille"
local sandbox = require "rille.sandbox"

-- A fixed seed: the orders tried below are many, but the same in each run.
local SEED = 20240229

---Loads files["main.lua"], or `files` itself where it is a string.
local function load(files, params)
  if type(files) == "string" then files = { ["main.lua"] = files } end
  return sandbox.load("main.lua", {
    rille = rille,
    params = params,
    read = function(name)
      if files[name] then return files[name] end
      return nil, "there is no such file"
    end,
  })
end

---The values that the body of a script returns.
local function run(body, params)
  local value = assert(load("return table.pack((function(params) " .. body .. " end)(...))", params))
  return table.unpack(value, 1, value.n)
end

---The message with which a script fails.
local function failure(files, params)
  local value, message = load(files, params)
  assert.is_nil(value)
  assert.is_string(message)
  return message
end

local function contains(part, text)
  if not text:find(part, 1, true) then
    error(("expected %q in %q"):format(part, text), 2)
  end
end

local function shuffled(list)
  local copy = table.move(list, 1, #list, 1, {})
  for i = #copy, 2, -1 do
    local j = math.random(i)
    copy[i], copy[j] = copy[j], copy[i]
  end
  return copy
end

describe("loading a script", function()
  it("gives what it returned, and the files it was made of", function()
    local value, message, files = load {
      ["main.lua"] = "local h = require 'helper' return { n = h.n + 1, again = require 'helper' == h }",
      ["helper.lua"] = "return { n = 41 }",
    }
    assert.same({ n = 42, again = true }, value)
    assert.is_nil(message)
    assert.equal(2, #files)
    assert.equal("main.lua", files[1].name)
    assert.same({ name = "helper.lua", text = "return { n = 41 }" }, files[2])
  end)

  it("reads files where no read is given, past a byte order mark and a first line for the system", function()
    local name = os.tmpname()
    local file = assert(io.open(name, "wb"))
    file:write "\239\187\191#!/usr/bin/env lua\nreturn { 7, pcall(error, 'x') }"
    file:close()
    local value, message, files = sandbox.load(name)
    os.remove(name)
    assert.is_nil(message)
    assert.same({ 7, false, "x" }, value)
    assert.equal("\239\187\191#!", files[1].text:sub(1, 5))
    value, message = sandbox.load(name)
    assert.is_nil(value)
    assert.equal(1, message:find(name, 1, true))
  end)

  it("reads beside the script", function()
    local asked = {}
    assert(sandbox.load("scripts/deep/main.lua", {
      read = function(name)
        asked[#asked + 1] = name
        return name:find "main" and "return { require 'a-b_1' }" or "return 1"
      end,
    }))
    assert.same({ "scripts/deep/main.lua", "scripts/deep/a-b_1.lua" }, asked)
  end)

  for what, case in pairs {
    ["nothing returned"] = { "local x = 1", "main.lua: a script must return a table, got nil" },
    ["a function returned"] = { "return function() end", "main.lua: a script must return a table, got function" },
    ["a syntax error"] = { "local x = 1\nlocal y = = 2", "main.lua:2: unexpected symbol near '='" },
    ["a runtime error"] = { "local t\n\nlocal x = t.y", "main.lua:3: attempt to index a nil value (local 't')" },
    ["an error with a message"] = { "\nerror 'boom'", "main.lua:2: boom" },
    ["an error without a position"] = { "\nerror('boom', 0)", "main.lua:2: boom" },
    ["an error that is a table"] = { "error {}", "main.lua:1: the error is a table value" },
    ["an error that is nil"] = { "error()", "main.lua:1: the error is a nil value" },
    ["an error that is a number"] = { "error(42)", "main.lua:1: 42" },
    ["an error with __tostring"] = {
      "error(setmetatable({}, { __tostring = function() return 'mine' end }))", "main.lua:1: mine",
    },
    ["an error whose place is lost in a tail call"] = {
      "return require 'nope'", "main.lua: require 'nope': nope.lua: there is no such file",
    },
    ["a full stack"] = { "local function f() return 1 + f() end\nf()", "main.lua:1: stack overflow" },
    ["bytecode"] = { string.dump(function() end), "main.lua: compiled Lua is refused: a script is source text" },
  } do
    it("tells of " .. what, function() assert.equal(case[2], failure(case[1])) end)
  end

  it("tells of a read that fails, raises, or gives no text", function()
    assert.equal("main.lua: there is no such file", failure {})
    local function message_of(read) return select(2, sandbox.load("main.lua", { read = read })) end
    contains("the disk is gone", message_of(function() error "the disk is gone" end))
    assert.equal("main.lua: text was expected, got nil", message_of(function() end))
    assert.equal("main.lua: text was expected, got number", message_of(function() return 5 end))
  end)

  it("gives the files also when it fails, so that they can be watched", function()
    local _, _, files = load { ["main.lua"] = "require 'helper'", ["helper.lua"] = "x = = 1" }
    assert.equal("helper.lua", files[2].name)
  end)
end)

describe("require", function()
  it("tells where in a neighbour's neighbour it went wrong", function()
    local files = { ["main.lua"] = "\nrequire 'a'", ["a.lua"] = "\n\nrequire 'b'" }
    files["b.lua"] = "local x = 1\n\n\nerror 'deep'"
    assert.equal("b.lua:4: deep", failure(files))
    files["b.lua"] = "\n\nreturn return"
    assert.equal("b.lua:3: unexpected symbol near 'return'", failure(files))
    files["b.lua"] = "\nerror {}"
    assert.equal("b.lua:2: the error is a table value", failure(files))
    files["b.lua"] = nil
    assert.equal("a.lua:3: require 'b': b.lua: there is no such file", failure(files))
    files["b.lua"] = "\27Lua"
    assert.equal("a.lua:3: require 'b': b.lua: compiled Lua is refused: a script is source text", failure(files))
    files["b.lua"] = "local x = 1"
    assert.equal("a.lua:3: require 'b': b.lua returned nothing", failure(files))
  end)

  it("refuses a cycle by name", function()
    local message = failure { ["main.lua"] = "require 'a'", ["a.lua"] = "require 'b'", ["b.lua"] = "require 'a'" }
    assert.equal("b.lua:1: require 'a': a cycle: a.lua -> b.lua -> a.lua", message)
    assert.equal("main.lua:1: require 'main': a cycle: main.lua -> main.lua", failure "require 'main'")
  end)

  it("is no cycle when a failed neighbour is asked for again", function()
    local value = assert(load { ["main.lua"] = "return { pcall(require, 'a'), select(2, pcall(require, 'a')) }",
      ["a.lua"] = "error 'no'" })
    assert.same({ false, "a.lua:1: no" }, value)
  end)

  it("keeps false, which is not nothing", function()
    local value = assert(load {
      ["main.lua"] = "return { require 'a', require 'a' }",
      ["a.lua"] = "return false",
    })
    assert.same({ false, false }, value)
  end)

  local names = { "'a.b'", "'../a'", "'a/b'", "''", "'a\\\\b'", "'/etc/passwd'", "'a\\0b'", "1", "{}", "nil" }
  for _, name in ipairs(names) do
    it("refuses the name " .. name, function()
      contains("main.lua:1: require: a plain name of a neighbour was expected", failure("require(" .. name .. ")"))
    end)
  end

  it("is over when the script has loaded, but for what it has already", function()
    local value = assert(load {
      ["main.lua"] = "require 'a' return { f = function(n) local m = require(n) return m end }",
      ["a.lua"] = "return 1",
      ["b.lua"] = "return 2",
    })
    assert.same({ true, 1 }, { sandbox.call(value.f, "a") })
    local ok, message = sandbox.call(value.f, "b")
    assert.is_false(ok)
    assert.equal("main.lua:1: require 'b': only while the script is being loaded", message)
  end)

  it("gives null and array as rille, which can't be changed", function()
    local null, array = run "local r = require 'rille' return r.null, r.array { 1 }"
    assert.equal(rille.null, null)
    assert.equal(debug.getmetatable(rille.array {}), debug.getmetatable(array))
    assert.equal("main.lua:1: rille.null is read-only", failure "require 'rille'.null = 1")
    assert.same({ "array", "null" }, { run [[
      local names = {}
      for name in pairs(require "rille") do names[#names + 1] = name end
      return table.unpack(names)]] })
  end)
end)

describe("parameters", function()
  it("reach the script as a deep copy", function()
    local params = { limit = 5, list = { 1, 2.5, { "x" } }, none = rille.null, empty = rille.array {}, [7] = true }
    local value = assert(load("local p = ... p.limit = 6 p.list[3][1] = 'y' return p", params))
    assert.equal(5, params.limit)
    assert.equal("x", params.list[3][1])
    assert.equal(6, value.limit)
    assert.equal("y", value.list[3][1])
    assert.equal(true, value[7])
    assert.equal(rille.null, value.none)
    assert.are_not.equal(params.empty, value.empty)
    assert.equal(debug.getmetatable(params.empty), debug.getmetatable(value.empty))
    assert.same({ 0 }, assert(load "return { select('#', ...) - 1 }"))
  end)

  local loop = {}
  loop.a = { loop }
  for what, case in pairs {
    ["a function"] = { { a = { b = { 1, print } } }, "params.a.b[2] is a function" },
    ["a function alone"] = { print, "params is a function" },
    ["a file"] = { { io.stdout }, "params[1] is a userdata" },
    ["a coroutine"] = { { x = coroutine.create(print) }, "params.x is a thread" },
    ["a cycle"] = { loop, "params.a[1] contains itself" },
    ["a metatable"] = { { t = setmetatable({}, {}) }, "params.t has a metatable" },
    ["a boolean key"] = { { t = { [true] = 1 } }, "params.t has a boolean as a key" },
    ["a fractional key"] = { { [1.5] = 1 }, "params has a number as a key" },
    ["a table as a key"] = { { [{}] = 1 }, "params has a table as a key" },
  } do
    it("can't hold " .. what, function()
      assert.equal("main.lua: " .. case[2], failure("return {}", case[1]))
    end)
  end
end)

describe("what a script lacks", function()
  for name, hint in pairs {
    os = "scripts have no os (time is event.time)",
    io = "scripts have no files (what a script needs comes in its params)",
    print = "scripts have nowhere to print to",
    warn = "scripts have nowhere to print to",
    debug = "scripts have no debug library",
    package = "scripts have no package library (require loads a file beside the script)",
    coroutine = "scripts have no coroutines (a handler can't yield)",
    collectgarbage = "when memory is collected is no business of a script",
    load = "scripts can't make code (require loads a file beside the script)",
    loadstring = "scripts can't make code (require loads a file beside the script)",
    loadfile = "scripts can't make code (require loads a file beside the script)",
    dofile = "scripts can't make code (require loads a file beside the script)",
  } do
    it("is named with a hint: " .. name, function()
      assert.equal("main.lua:2: undefined global '" .. name .. "': " .. hint, failure("\nlocal x = " .. name))
    end)
  end

  it("is named: any other global", function()
    assert.equal("main.lua:1: undefined global 'balnce'", failure "return { balnce }")
    assert.equal("main.lua:1: undefined global '1'", failure "return { _G[1] }")
  end)

  it("is a global of its own, while loading as in a handler", function()
    local why = ": use local, and keep in the state what must last "
      .. "(anything outside it is lost when events are replayed)"
    assert.equal("main.lua:1: global 'count' can't be set" .. why, failure "count = 1")
    assert.equal("main.lua:1: global 'pairs' can't be set" .. why, failure "pairs = nil")
    assert.equal("main.lua:1: global 'f' can't be set" .. why, failure "function f() end")
    local value = assert(load "return { f = function() seen = true end }")
    assert.same({ false, "main.lua:1: global 'seen' can't be set" .. why }, { sandbox.call(value.f) })
  end)

  it("is the host's globals", function()
    _G.rille_spec_global = "host"
    local message = failure "return { rille_spec_global }"
    _G.rille_spec_global = nil
    assert.equal("main.lua:1: undefined global 'rille_spec_global'", message)
  end)

  it("is math.randomseed, string.dump and %p", function()
    assert.equal("main.lua:1: math.randomseed: rille seeds math.random, from the event", failure "math.randomseed(1)")
    assert.same({ nil, nil }, { run "return string.dump, (''):len() and (''). dump" })
    assert.equal("main.lua:1: '%p' is refused: addresses differ between runs", failure "string.format('%p', {})")
    assert.equal("main.lua:1: '%p' is refused: addresses differ between runs", failure "('%d%%%-9p'):format(1, {})")
  end)

  it("is otherwise nothing: the whitelist works", function()
    assert.same({ "_G", "_VERSION", "assert", "error", "getmetatable", "ipairs", "math", "next", "pairs", "pcall",
      "rawequal", "rawget", "rawlen", "rawset", "require", "select", "setmetatable", "string", "table", "tonumber",
      "tostring", "type", "utf8", "xpcall" }, { run [[
        local names = {}
        for name, value in pairs(_G) do assert(value ~= nil) names[#names + 1] = name end
        return table.unpack(names)]] })
    assert.same({ 3, "a-b", 2, "b,a", 3.0, "é", "nil" }, { run [[
      local t = { "b", "a" }
      return select("#", 1, 2, 3), table.concat({ "a", "b" }, "-"), utf8.len "aé", table.concat(t, ","),
        math.sqrt(9), utf8.char(233), type(rawget(_G, "unpack"))]] })
  end)
end)

describe("libraries", function()
  for _, library in ipairs { "string", "table", "math", "utf8" } do
    it("are read-only: " .. library, function()
      assert.equal(("main.lua:1: %s.mine is read-only"):format(library), failure(library .. ".mine = 1"))
      local first = next(_G[library])
      assert.equal(("main.lua:1: %s.%s is read-only"):format(library, first),
        failure(("%s.%s = nil"):format(library, first)))
    end)
  end

  it("are copies that the host's changes do not reach", function()
    local concat = table.concat
    string.shout = function(s) return s:upper() .. "!" end
    table.concat = function() return "patched" end
    local shout, has, joined = run "return ('x').shout, string.shout, table.concat({ 1, 2 })"
    local works = ("x"):shout()
    string.shout, table.concat = nil, concat
    assert.is_nil(shout)
    assert.is_nil(has)
    assert.equal("12", joined)
    assert.equal("X!", works)
  end)
end)

describe("the string methods of the host", function()
  before_each(function() string.shout = function(s) return s .. "!" end end)
  after_each(function() string.shout = nil end)

  it("are back after a script, whether it failed or not", function()
    local value = assert(load "return { good = function() return ('').shout end, bad = function() error 'x' end }")
    assert.same({ true, nil }, { sandbox.call(value.good) })
    assert.equal("x!", ("x"):shout())
    assert.is_false((sandbox.call(value.bad)))
    assert.equal("x!", ("x"):shout())
    failure "error 'x'"
    assert.equal("x!", ("x"):shout())
  end)

  it("are there in what a script calls of the host, and gone again in the script", function()
    local value = assert(load "return { f = function(host, g) return host(g), ('').shout, host(g) end }")
    assert.same({ true, "a!", nil, "a!" }, { sandbox.call(value.f, sandbox.host, function() return ("a"):shout() end) })
    local ok, message = sandbox.call(value.f, sandbox.host, function() error({ "kept" }, 0) end)
    assert.is_false(ok)
    assert.equal("main.lua:1: the error is a table value", message)
    assert.equal("x!", ("x"):shout())
  end)

  it("are back when results fill the stack to its last slot", function()
    local function try(n)
      local ok, message = sandbox.call(table.unpack, setmetatable({}, { __len = function() return n end }))
      assert.equal("x!", ("x"):shout())
      return ok or message
    end
    local least, most = 900000, 1000000 -- LUAI_MAXSTACK is 1000000
    while most - least > 1 do
      local n = (least + most) // 2
      if try(n) == true then least = n else most = n end
    end
    assert.is_true(least > 900000 and most < 1000000) -- both answers were met
    contains("too many results", try(most))
  end)

  it("are there for read", function()
    local value = sandbox.load("main.lua", {
      read = function(name)
        return name == "main.lua" and "return { require 'a' }" or "return '" .. ("a"):shout() .. "'"
      end,
    })
    assert.same({ "a!" }, value)
  end)
end)

-- Order ------------------------------------------------------------------------

local function bytes_before(a, b)
  for i = 1, math.min(#a, #b) do
    if a:byte(i) ~= b:byte(i) then return a:byte(i) < b:byte(i) end
  end
  return #a < #b
end

local RANKS = { boolean = 1, number = 2, string = 3 }

local function key_before(a, b)
  local left, right = RANKS[type(a)], RANKS[type(b)]
  if left ~= right then return left < right end
  if left == 1 then return not a and b end
  if left == 2 then return a < b end
  return bytes_before(a, b)
end

---The keys in the order in which a script's pairs gives them.
local walk = assert(load [[return { keys = function(t)
  local keys = {}
  for key, value in pairs(t) do
    assert(rawequal(t[key], value))
    keys[#keys + 1] = key
  end
  assert(rawequal(next(t), keys[1]))
  return keys
end }]]).keys

describe("pairs", function()
  before_each(function() math.randomseed(SEED) end)

  ---Expects one order of `keys` for tables that came about in different ways.
  local function expect_order(keys)
    local expected = table.move(keys, 1, #keys, 1, {})
    table.sort(expected, key_before)
    for round = 1, 20 do
      local t = {}
      if round % 2 == 0 then
        for i = 1, 40 do t["gone" .. i], t[i * 3] = true, true end
        for i = 1, 40 do t["gone" .. i], t[i * 3] = nil, nil end
      end
      for _, key in ipairs(shuffled(keys)) do t[key] = { key } end
      assert.same(expected, walk(t))
    end
  end

  it("walks false, true, numbers ascending, strings bytewise", function()
    expect_order { false, true, -3, 0, 1, 2, 3, 2.5, -0.5, 1e300, "", "a", "a\0", "a\0b", "B", "ab", "é", "z", "\255" }
  end)

  it("compares integers and floats exactly", function()
    local big = 1 << 53
    expect_order { big, big + 1, big + 2, big + 3, -big, -big - 1, 2.0 ^ 53 + 2 ^ 10 + 0.0, 2.0 ^ 63, -2.0 ^ 64, 1 / 0,
      -1 / 0, math.maxinteger, math.mininteger, math.mininteger + 1, math.maxinteger - 1, 0.5, -0.5, 1e18 + 0.0 }
  end)

  for _, n in ipairs { 0, 1, 2, 7, 8, 9, 16, 17, 63, 64, 65, 66, 127, 128, 129, 300, 1000 } do
    it("gives one order to " .. n .. " keys, whatever the history of the table", function()
      local names, mixed, sparse, sequence = {}, {}, {}, {}
      for i = 1, n do
        names[i] = "key" .. i * 7919 % 1009
        mixed[i] = i % 3 == 0 and i or i % 3 == 1 and "k" .. i or i + 0.5
        sparse[i] = i * 3 - n
        sequence[i] = i
      end
      expect_order(names)
      expect_order(mixed)
      expect_order(sparse)
      expect_order(sequence)
    end)
  end

  it("walks sequences in order up to and beyond the kept iterators", function()
    for _, n in ipairs { 255, 256, 257, 5000 } do
      local t = {}
      for i = 1, n do t[i] = i end
      assert.same(t, walk(t))
    end
  end)

  it("makes the same bytes from tables that were filled in different orders", function()
    local encode = assert(load [[return { f = function(t)
      local out = {}
      for key, value in pairs(t) do out[#out + 1] = string.format("%s=%s", key, value) end
      return table.concat(out, ";")
    end }]]).f
    local keys = { "id", "name", 3, 1, 2, "when", 2.5 }
    local seen = {}
    for _ = 1, 50 do
      local t = {}
      for _, key in ipairs(shuffled(keys)) do t[key] = "v" .. key end
      seen[encode(t)] = true
    end
    assert.same({ ["1=v1;2=v2;2.5=v2.5;3=v3;id=vid;name=vname;when=vwhen"] = true }, seen)
  end)

  it("leaves out what is cleared on the way, and what is added", function()
    for _, source in ipairs { "{ 1, 2, 3, 4, 5, 6, 7, 8 }", "{ [1] = 1, [2] = 1, [3] = 1, [4] = 1, x = 1 }" } do
      local seen, rest = run([[
        local t, seen = ]] .. source .. [[, {}
        for key in pairs(t) do
          seen[#seen + 1] = tostring(key)
          if type(key) == "number" and key % 2 == 1 then t[key + 1] = nil end
          t[#t + 100] = true
          t["new" .. tostring(key)] = true
        end
        return table.concat(seen, " "), t.new1]])
      assert.equal(source:find "x" and "1 3 x" or "1 3 5 7", seen)
      assert.is_true(rest)
    end
  end)

  it("can be nested over one table, and left in the middle", function()
    assert.equal("aaabbabb", run [[
      local t, out = { a = 1, b = 2 }, {}
      for x in pairs(t) do for y in pairs(t) do out[#out + 1] = x .. y end end
      for x in pairs(t) do break end
      return table.concat(out)]])
  end)

  it("does not ask __pairs", function()
    assert.equal("a", run "return (pairs(setmetatable({ a = 1 }, { __pairs = function() error 'asked' end }))())")
  end)

  it("refuses keys without an order by name", function()
    for kind, key in pairs { table = "{}", ["function"] = "pairs", userdata = "require 'rille'.null" } do
      local message = "main.lua:1: a " .. kind
        .. " is a key of this table: only booleans, numbers and strings have an order"
      assert.equal(message, failure("for k in pairs { [" .. key .. "] = 1 } do end"))
      assert.equal(message, failure("for k in pairs { 1, 2, [" .. key .. "] = 1, x = 2 } do end"))
      assert.equal(message, failure("return { next { [" .. key .. "] = 1 } }"))
      local many = "local t = {} for i = 1, 100 do t['k' .. i] = i end t[" .. key .. "] = 1 for k in pairs(t) do end"
      assert.equal(message, failure(many))
    end
    contains("main.lua:1: bad argument #1 to 'pairs' (table expected, got nil)", failure "for k in pairs(nil) do end")
  end)
end)

describe("next", function()
  it("gives the first key and its value, nil when there is none", function()
    local results = table.pack(run "local k, v = next { b = 1, a = 2, c = 3 } return k, v, next { 9, 8 }")
    assert.same({ "a", 2, 1, 9, n = 4 }, results)
    assert.same({ true, false, true }, {
      run "return next {} == nil, next { false } == nil, next { [false] = 1 } == false" })
  end)

  it("refuses to go on from a key", function()
    local message = "main.lua:1: next(t, key) has no defined order: use pairs(t)"
    assert.equal(message, failure "next({ 1 }, 1)")
    assert.equal(message, failure "next({ 1 }, nil)")
    contains("use pairs(t)", failure "for k in next, { 1 } do end")
  end)
end)

describe("table.sort", function()
  before_each(function() math.randomseed(SEED) end)
  local sort = assert(load "return { f = table.sort }").f

  it("is stable, for every length", function()
    for n = 0, 70 do
      local items, expected = {}, {}
      for i = 1, n do items[i] = { key = math.random(5), at = i } end
      for key = 1, 5 do
        for _, item in ipairs(items) do
          if item.key == key then expected[#expected + 1] = item end
        end
      end
      sort(items, function(a, b) return a.key < b.key end)
      assert.equal(#expected, #items)
      for i = 1, n do assert.equal(expected[i], items[i]) end
    end
  end)

  it("orders numbers exactly and strings bytewise", function()
    local big = 1 << 53
    local numbers = { -1 / 0, math.mininteger, -big - 1, -big + 0.0, -1.5, -1, 0, 0.5,
      big + 0.0, big + 1, big + 2.0, math.maxinteger, 2.0 ^ 63 }
    local strings = { "", "A", "Z", "a", "a\0", "a\0\0", "a\0b", "ab", "z", "\195\169", "\255" }
    for _, expected in ipairs { numbers, strings } do
      for _ = 1, 30 do
        local list = shuffled(expected)
        sort(list)
        assert.same(expected, list)
      end
    end
  end)

  it("survives any order function, and keeps every item", function()
    local orders = {
      function() return true end,
      function() return false end,
      function() return math.random(2) == 1 end,
      function(a, b) return a ~= b end,
      function(a, b) return a <= b end,
    }
    for _, order in ipairs(orders) do
      for _, n in ipairs { 2, 8, 9, 31, 32, 33, 500 } do
        local list, sum = {}, 0
        for i = 1, n do list[i] = i end
        sort(list, order)
        for i = 1, n do sum = sum + list[i] end
        assert.equal(n * (n + 1) // 2, sum)
      end
    end
    local nan = { 3, 0 / 0, 1, 0 / 0, 2 }
    sort(nan)
    assert.equal(5, #nan)
  end)

  it("leaves the table alone when the order function raises", function()
    local list = { 5, 4, 3, 2, 1 }
    local calls = 0
    local ok, message = pcall(sort, list, function(a, b)
      calls = calls + 1
      if calls == 4 then error("enough", 0) end
      return a < b
    end)
    assert.is_false(ok)
    assert.equal("enough", message)
    assert.same({ 5, 4, 3, 2, 1 }, list)
  end)

  it("is not confused by an order function that changes the table", function()
    local list = {}
    for i = 1, 40 do list[i] = 41 - i end
    sort(list, function(a, b)
      for i = #list, 1, -1 do list[i] = nil end
      return a < b
    end)
    for i = 1, 40 do assert.equal(i, list[i]) end
  end)

  it("asks the same questions each time", function()
    local first
    for _ = 1, 3 do
      local asked, list = {}, {}
      for i = 1, 200 do list[i] = i * 7919 % 101 end
      sort(list, function(a, b)
        asked[#asked + 1] = a .. "<" .. b
        return a < b
      end)
      first = first or table.concat(asked, " ")
      assert.equal(first, table.concat(asked, " "))
    end
  end)

  it("goes through metamethods", function()
    assert.equal("1 2 3", run [[
      local mt = { __lt = function(a, b) return a.n < b.n end }
      local t = {}
      for i, n in ipairs { 3, 1, 2 } do t[i] = setmetatable({ n = n }, mt) end
      table.sort(t)
      return t[1].n .. " " .. t[2].n .. " " .. t[3].n]])
  end)

  it("names what can't be compared, and where", function()
    assert.equal("main.lua:1: attempt to compare string with number", failure "table.sort { 1, 'x' }")
    assert.equal("main.lua:1: attempt to compare two table values", failure "table.sort { {}, {} }")
    contains("main.lua:1: bad argument #2 to 'sort' (function expected, got number)", failure "table.sort({ 1, 2 }, 5)")
    contains("array too big",
      failure "table.sort(setmetatable({}, { __len = function() return 1 << 30 end }), rawequal)")
    contains("string.1 is read-only", failure [[
      table.sort(setmetatable({}, { __len = function() return 2 end, __newindex = string }), rawequal)]])
  end)
end)

describe("text", function()
  it("holds no addresses", function()
    assert.same({ "table", "function", "function", "null" }, {
      run "return tostring {}, tostring(pairs), tostring(function() end), tostring(require 'rille'.null)" })
    assert.same({ "table", "a table 5", "table|     table" }, {
      run "return ('%s'):format({}), string.format('a %s %d', {}, 5), ('%s|%10s'):format({}, {})" })
    assert.same({ "table", "table", "table" }, {
      run "return tostring(_G), tostring(string), tostring(setmetatable({}, {}))" })
  end)

  it("respects __tostring and __name", function()
    assert.same({ "mine", "<mine>", "Account" }, { run [[
      local t = setmetatable({}, { __tostring = function() return "mine" end })
      return tostring(t), ("<%s>"):format(t), tostring(setmetatable({}, { __name = "Account" }))]] })
    assert.equal("main.lua:1: '__tostring' must return a string",
      failure "tostring(setmetatable({}, { __tostring = function() return {} end }))")
  end)

  it("is otherwise Lua's", function()
    assert.same({ "nil", "true", "1", "1.0", "0.1", "x", "  7|007|1.50|%|\"a\\\n\"|ff" }, { run [[
      return tostring(nil), tostring(true), tostring(1), tostring(1.0), tostring(0.1), tostring("x"),
        ("%3d|%03d|%.2f|%%|%q|%x"):format(7, 7, 1.5, "a\n", 255)]] })
    contains("main.lua:1: bad argument #2 to 'format' (number expected, got string)",
      failure "string.format('%d', 'x')")
    contains("main.lua:1: bad argument #3 to 'format' (no value)", failure "string.format('%s %s', 1)")
    contains("main.lua:1: invalid conversion '%y' to 'format'", failure "string.format('%y', 1)")
  end)
end)

-- Random numbers -----------------------------------------------------------------

---SplitMix64 and xoshiro256**, as published, in Lua: reference(seed) --> function that gives bits.
---And of such bits a number in [0, 1), and one of 1 to 8. A text, since LuaJIT can't read it.
local REFERENCE = [[
  local function reference_bits(seed)
    local s = {}
    for i = 1, 4 do
      seed = seed + 0x9e3779b97f4a7c15
      local z = seed
      z = (z ~ z >> 30) * 0xbf58476d1ce4e5b9
      z = (z ~ z >> 27) * 0x94d049bb133111eb
      s[i] = z ~ z >> 31
    end
    local function rotate(x, n) return x << n | x >> 64 - n end
    return function()
      local result = rotate(s[2] * 5, 7) * 9
      local t = s[2] << 17
      s[3], s[4] = s[3] ~ s[1], s[4] ~ s[2]
      s[2], s[1] = s[2] ~ s[3], s[1] ~ s[4]
      s[3], s[4] = s[3] ~ t, rotate(s[4], 45)
      return result
    end
  end
  return reference_bits, function(bits) return (bits >> 11) * 2.0 ^ -53 end, function(bits) return (bits & 7) + 1 end]]

describe("math.random", function()
  local random = assert(load "return { f = math.random }").f

  it("follows from the seed alone, by a published generator", function()
    local reference_bits, fraction_of, eighth_of = assert(_G.load(REFERENCE))()
    for _, seed in ipairs { 0, 1, 2, -1, 1 << 40, math.mininteger } do
      for _ = 1, 2 do
        sandbox.seed(seed)
        local bits = reference_bits(seed)
        for _ = 1, 20 do assert.equal(bits(), random(0)) end
      end
    end
    sandbox.seed(5)
    local bits = reference_bits(5)
    for _ = 1, 20 do assert.equal(fraction_of(bits()), random()) end
    for _ = 1, 20 do assert.equal(eighth_of(bits()), random(8)) end
  end)

  it("is seeded while a script loads, too", function()
    local first = run "return math.random(1 << 60)"
    random()
    assert.equal(first, run "return math.random(1 << 60)")
  end)

  it("reaches all of an interval and nothing outside", function()
    sandbox.seed(SEED)
    local seen = {}
    for _ = 1, 2000 do
      seen[random(-3, 3)] = true
      local f = random()
      assert.is_true(f >= 0 and f < 1)
    end
    assert.same({ [-3] = true, [-2] = true, [-1] = true, [0] = true, true, true, true }, seen)
    assert.equal(7, random(7, 7))
    assert.equal("integer", math.type(random(math.mininteger, math.maxinteger)))
  end)

  it("refuses an empty interval", function()
    contains("main.lua:1: bad argument #2 to 'random' (interval is empty)", failure "math.random(2, 1)")
    contains("main.lua:1: bad argument #1 to 'random' (interval is empty)", failure "math.random(-1)")
    contains("main.lua:1: wrong number of arguments", failure "math.random(1, 2, 3)")
  end)
end)

describe("metatables", function()
  it("work as in Lua", function()
    assert.same({ 7, true, "P", 3, 5, true, true, "called", "x1", true }, { run [[
      local P = { __name = "P" }
      P.__index = P
      P.__add = function(a, b) return setmetatable({ n = a.n + b.n }, P) end
      P.__eq = function(a, b) return a.n == b.n end
      P.__lt = function(a, b) return a.n < b.n end
      P.__len = function(a) return a.n end
      P.__call = function() return "called" end
      P.__concat = function(a, b) return "x" .. b end
      function P:twice() return self.n * 2 + 1 end
      local p, q = setmetatable({ n = 3 }, P), setmetatable({ n = 2 }, P)
      return p:twice(), getmetatable(p) == P, tostring(p), #p, (p + q).n, p < q == false,
        p == setmetatable({ n = 3 }, P), p(), p .. 1, getmetatable(setmetatable(p, nil)) == nil]] })
  end)

  it("take what is defined after their first use, once the script has loaded", function()
    local value = assert(load [[
      local C = {}
      local c = setmetatable({}, C)
      C.__index = function(_, key) return key .. "!" end
      C.__call = function() return 1 end
      C.__call = nil
      return { f = function() return c.x end, c = c }]])
    assert.same({ true, "x!" }, { sandbox.call(value.f) })
    assert.is_nil(debug.getmetatable(value.c).__call)
  end)

  it("can be inherited and closed", function()
    assert.same({ "base", "closed" }, { run [[
      local Base = { greet = function() return "base" end }
      local Derived = setmetatable({}, { __index = Base })
      Derived.__index = Derived
      local log
      do local x <close> = setmetatable({}, { __close = function() log = "closed" end }) end
      return setmetatable({}, Derived).greet(), log]] })
  end)

  it("respect __metatable", function()
    assert.equal("locked", run "return getmetatable(setmetatable({}, { __metatable = 'locked' }))")
    assert.equal("main.lua:1: cannot change a protected metatable",
      failure "setmetatable(setmetatable({}, { __metatable = false }), {})")
  end)

  it("refuse __gc and __mode, also when they come later", function()
    for _, name in ipairs { "__gc", "__mode" } do
      local why = ("a metatable with %s is refused: when memory is collected differs between runs"):format(name)
      assert.equal("main.lua:1: " .. why, failure("setmetatable({}, { " .. name .. " = 'k' })"))
      assert.equal("main.lua: " .. why,
        failure("local m = {} local t = setmetatable({}, m) m." .. name .. " = 'k' return t"))
    end
  end)

  it("give no weak table to a handler that sets __mode later", function()
    local value = assert(load [[return { f = function()
      local mt = {}
      local t = setmetatable({}, mt)
      mt.__mode = "v"
      getmetatable(t).__mode = "v"
      rawset(mt, "__mode", "v")
      t[1] = {}
      return t
    end }]])
    local _, t = sandbox.call(value.f)
    collectgarbage()
    collectgarbage()
    assert.is_table(t[1])
  end)

  it("are forgotten with the script's own", function()
    local value = assert(load [[return { f = function()
      for _ = 1, 20000 do setmetatable({}, { __index = {} }) end
    end }]])
    sandbox.call(value.f)
    collectgarbage()
    collectgarbage()
    local before = collectgarbage "count"
    for _ = 1, 5 do sandbox.call(value.f) end
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 1000)
  end)
end)

-- Escapes ------------------------------------------------------------------------

describe("a script that wants out", function()
  ---What is wanted, the attempt, and what is in the message with which it fails.
  -- luacheck: push no max line length
  local attempts = {
    { "the methods of strings", "getmetatable('').__index.upper = function() return 'pwned' end",
      "attempt to index a boolean value" },
    { "the methods of strings, by a library", "string.upper = function() return 'pwned' end",
      "string.upper is read-only" },
    { "the methods of strings, by rawset", "rawset(string, 'upper', 1)", "rawset: this table is read-only" },
    { "methods by a new metatable", "setmetatable('', { __index = {} })", "table expected, got string" },
    { "a library's metatable", "getmetatable(string).__index.rep = 1", "attempt to index a boolean value" },
    { "a library with a new metatable", "setmetatable(string, { __newindex = rawset })",
      "cannot change a protected metatable" },
    { "a library without metatable", "setmetatable(string, nil)", "cannot change a protected metatable" },
    { "a library by table.insert", "table.insert(table, 1)", "table.1 is read-only" },
    { "a library by table.move", "table.move({ 1 }, 1, 1, 1, math)", "math.1 is read-only" },
    { "a library by inheritance", "setmetatable({}, { __newindex = string }).rep = 1", "string.rep is read-only" },
    { "a library as an array", "require 'rille'.array(string)", "bad argument #1 to 'array'" },
    { "the contents behind a library", "local f, s = pairs(string) s.rep = 1", "attempt to index a nil value" },
    { "the environment by rawset", "rawset(_G, 'pairs', 1)", "rawset: this table is read-only" },
    { "the environment's metatable", "getmetatable(_G).__index = {}", "attempt to index a boolean value" },
    { "the environment with a new metatable", "setmetatable(_ENV, {})", "cannot change a protected metatable" },
    { "the environment as an array", "require 'rille'.array(_G)", "bad argument #1 to 'array'" },
    { "the environment by a chain of _G", "_G._G._G.x = 1", "global 'x' can't be set" },
    { "the environment of a sub-table", "local a = { _ENV = {} } return { a._ENV.x + 1 }",
      "attempt to perform arithmetic on a nil value" },
    { "the metatable of null", "getmetatable(require 'rille'.null).__index = {}", "attempt to index a boolean value" },
    { "null itself", "require 'rille'.null.x = 1", "attempt to index a rille.null value" },
    { "the metatable of arrays", "getmetatable(require 'rille'.array {}).__index = {}",
      "attempt to index a boolean value" },
    { "an array's metatable, replaced", "setmetatable(require 'rille'.array {}, {})",
      "cannot change a protected metatable" },
    { "the function behind rille", "require 'rille'.array = 1", "rille.array is read-only" },
    { "rille by rawset", "rawset(require 'rille', 'null', 1)", "rawset: this table is read-only" },
    { "code from text", "return load('return 1')()", "undefined global 'load'" },
    { "code from bytes", "return load('\\27Lua')", "undefined global 'load'" },
    { "the registry", "return debug.getregistry()", "undefined global 'debug'" },
    { "a file", "return io.open('/etc/passwd')", "undefined global 'io'" },
    { "a library of C", "return package.loadlib('libc.so.6', 'system')", "undefined global 'package'" },
    { "a command", "return os.execute('true')", "undefined global 'os'" },
    { "a coroutine", "coroutine.wrap(function() end)()", "undefined global 'coroutine'" },
    { "a hook by a coroutine", "coroutine.wrap(function() debug.sethook() end)()", "undefined global 'coroutine'" },
    { "the collector", "return collectgarbage('count')", "undefined global 'collectgarbage'" },
    { "a finalizer that loops", "setmetatable({}, { __gc = function() while true do end end })", "__gc is refused" },
    { "a finalizer that comes back", "local function m() setmetatable({}, { __gc = function() m() end }) end m()",
      "__gc is refused" },
    { "a weak metatable", "setmetatable({}, setmetatable({ __newindex = {} }, { __mode = 'v' }))",
      "__mode is refused" },
    { "bytecode of a function", "return { string.dump(function() end) }",
      "attempt to call a nil value (field 'dump')" },
    { "bytecode by a method", "return { (''):dump() }", "attempt to call a nil value (method 'dump')" },
    { "an address", "return { string.format('%p', {}) }", "'%p' is refused" },
    { "a neighbour outside", "require '../secret'", "a plain name of a neighbour was expected" },
    { "the host's modules", "require 'busted'", "require 'busted': busted.lua: there is no such file" },
    { "an iterator on another table", "local f = pairs { 1 } f(5, 0)", "this function is for pairs alone" },
    { "an iterator from another place", "local f = pairs { 1 } f({}, math.mininteger)",
      "this function is for pairs alone" },
    { "yielding in a sort", "table.sort({ 3, 2, 1 }, function() coroutine.yield() end)",
      "undefined global 'coroutine'" },
    { "a recursive sort", "local function f() table.sort({ 3, 2, 1 }, function() f() end) end f()", "stack overflow" },
    { "a recursive gsub", "local function f(s) return (s:gsub('.', f)) end f('x')", "stack overflow" },
    { "a huge sort", "table.sort(setmetatable({}, { __len = function() return math.maxinteger end }))",
      "array too big" },
    { "500 arguments to format", "string.format(('%s'):rep(500), table.unpack({}, 1, 100))", "no value" },
  }
  -- luacheck: pop
  for _, attempt in ipairs(attempts) do
    it("does not get " .. attempt[1], function()
      local upper, methods = string.upper, debug.getmetatable("")
      contains(attempt[3], failure(attempt[2]))
      assert.equal(upper, string.upper)
      assert.equal(methods, debug.getmetatable(""))
      assert.equal(string, methods.__index)
      assert.equal("A", ("a"):upper())
    end)
  end

  it("can't write to anything that it can reach", function()
    local written, reached = run [[
      local seen, written, reached = {}, {}, 0
      local visit
      local function attack(path, t)
        local before = rawlen(t)
        for _, try in ipairs {
          function() t.probe = 1 end,
          function() rawset(t, "probe", 1) end,
          function() table.insert(t, 1) end,
          function() table.move({ 1 }, 1, 1, 1, t) end,
          function() setmetatable(t, { __index = { probe = 1 } }) end,
          function() setmetatable(t, nil) end,
          function() require("rille").array(t) end,
        } do
          if pcall(try) then written[#written + 1] = path end
        end
        if rawget(t, "probe") or rawlen(t) ~= before then written[#written + 1] = path end
      end
      function visit(path, value)
        if type(value) ~= "table" and type(value) ~= "userdata" and type(value) ~= "string" then return end
        if type(value) ~= "string" then
          if seen[value] then return end
          seen[value] = true
          reached = reached + 1
        end
        local metatable = getmetatable(value)
        if metatable then visit(path .. " metatable", metatable) end
        if type(value) ~= "table" then return end
        attack(path, value)
        local _, state = pairs(value)
        visit(path .. " iterated", state)
        for key, field in pairs(value) do visit(path .. "." .. tostring(key), field) end
      end
      visit("_G", _G)
      visit("rille", require "rille")
      visit("string", "text")
      local _, message = pcall(error, nil)
      visit("error", message)
      xpcall(string.rep, function(e) visit("handler", e) end)
      visit("null", require("rille").null)
      return table.concat(written, ", "), reached]]
    assert.equal("", written)
    assert.equal(7, reached) -- _G, four libraries, rille, null
  end)

  it("shares nothing with another load", function()
    local one = assert(load "return { env = _G, string = string, format = string.format, rille = require 'rille' }")
    local two = assert(load "return { env = _G, string = string, format = string.format, rille = require 'rille' }")
    assert.are_not.equal(one.env, two.env)
    assert.are_not.equal(one.string, two.string)
    assert.are_not.equal(one.rille, two.rille)
    assert.are_not.equal(one.env, _G)
    assert.are_not.equal(one.string, string)
  end)
end)

describe("the locale of the host", function()
  local function collating()
    for _, name in ipairs { "de_DE.UTF-8", "en_US.UTF-8", "de_DE.utf8", "en_US.utf8" } do
      if os.setlocale(name) then return name end
    end
  end
  after_each(function() os.setlocale "C" end)

  it("does not reach scripts, and is the host's again afterwards", function()
    if not collating() then return pending "no locale that collates is installed" end
    assert.is_true("a" < "B")
    local before, number, upper = run "return 'B' < 'a', ('%.1f'):format(0.5), ('\\228'):upper()"
    assert.is_true(before)
    assert.equal("0.5", number)
    assert.equal("\228", upper)
    assert.is_true("a" < "B")
    failure "error 'x'"
    assert.is_true("a" < "B")
  end)
end)
