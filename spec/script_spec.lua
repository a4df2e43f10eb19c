-- script_spec.lua: a script has an identity that only its meaning changes, and an edit is
-- taken up while it runs, if it loads.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local script = require "rille.script"
local stores = require "spec.support.stores"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

local IDENTITY_BYTES = 32
local PIECES = 40

local files, asked, store, path

---What the option load gives, of `files`.
local function load(name)
  asked = asked + 1
  if files[name] then return files[name] end
  return nil, "there is no such file"
end

before_each(function()
  files, asked = {}, 0
  store, path = stores.new { load = load }
end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

local function define(value)
  if value.refused then return nil, value.refused end
  return value
end

local function open(name, params, on)
  return script.open(on or store, name or "it.lua", { params = params, define = define })
end

---The identity of a text, with neighbours and parameters.
local function identity(text, neighbours, params)
  files = { ["it.lua"] = text }
  for name, neighbour in pairs(neighbours or {}) do files[name .. ".lua"] = neighbour end
  return assert(open("it.lua", params)).identity
end

local function same(a, b) assert.equal(identity(a), identity(b)) end
local function differ(a, b)
  if identity(a) == identity(b) then error(("one identity: %q, %q"):format(a, b), 2) end
end

describe("the identity of a script", function()
  it("is 32 bytes, the same each time", function()
    local first = identity "return { 1 }"
    assert.equal(IDENTITY_BYTES, #first)
    assert.equal(first, identity "return { 1 }")
  end)

  it("is not changed by comments, white space, a first line for the system, a byte order mark", function()
    same("local a = 1 return { a }", "local a=1\r\n\treturn{a}")
    same("local a = 1 return { a }", "-- said\nlocal a --[[ more\n ]] = --[==[ ]] ]==] 1 return { a } -- end")
    same("return { 1 }", "#!/usr/bin/lua\nreturn { 1 }")
    same("return { 1 }", "\239\187\191return { 1 }")
    same("return { 1 }", "--[\nreturn { 1 }")
    same("return { 1 }", "--[=\nreturn { 1 }")
    same("return { [[a\nb]] }", "return { [[a\r\nb]] }")
  end)

  it("is changed by every token", function()
    differ("return { 1 }", "return { 2 }")
    differ("return { 1 }", "return { 1.0 }")
    differ("return { 1 }", "return { '1' }")
    differ("return { 'a' }", "return { 'b' }")
    differ("return { 'a b' }", "return { 'a  b' }")
    differ("return { '--a' }", "return { '--b' }")
    differ("return { [[a\nb]] }", "return { [[a\n\nb]] }")
    differ("return { [[ ]] }", "return { [[  ]] }")
    differ("return { 'a\\'--' }", "return { 'a\\' --' }")
    differ("return { 1 < 2 }", "return { 1 <= 2 }")
    differ("return { 8 // 3 }", "return { 8 / 3 }")
    differ("return { 1, 2 }", "return { 12 }")
    differ("return { 0x1p+1 }", "return { 0x1p-1 }")
    differ("return { 1e+1 }", "return { 1e-1 }")
    differ("return { a = 1, b = 2 }", "return { b = 2, a = 1 }")
    differ("local a, b = 1, 2 return { a .. b }", "local a, b = 1, 2 return { b .. a }")
    differ("goto l ::l:: return { 1 }", "goto m ::m:: return { 1 }")
  end)

  it("tells the parts of neighbouring tokens apart", function()
    differ("local a = 1 return { a }", "local aa = 1 return { aa }")
    differ("return { 'a', 'b' }", "return { 'a,b' }")
    differ("return { [[a]] }", "return { [==[a]==] }")
    differ("return { 'a\\z \n b' }", "return { 'a\\z \n c' }")
  end)

  it("covers parameters, as plain data", function()
    local text = "local p = ... return { p }"
    local none = identity(text)
    local one = identity(text, nil, { a = 1, b = { 2, "x" } })
    assert.not_equal(none, one)
    assert.equal(one, identity(text, nil, { b = { 2, "x" }, a = 1 }))
    assert.not_equal(one, identity(text, nil, { a = 1, b = { 2, "y" } }))
    assert.not_equal(identity(text, nil, 1), identity(text, nil, 1.5))
    assert.not_equal(none, identity(text, nil, false))
  end)

  it("covers the neighbours that are required, by name", function()
    local text = "return { require 'helper' }"
    local one = identity(text, { helper = "return { 1 }" })
    assert.equal(one, identity(text, { helper = "return { 1 } -- the same", other = "return 2" }))
    assert.not_equal(one, identity(text, { helper = "return { 2 }" }))
    local nested = identity(text, { helper = "return require 'deep'", deep = "return 1" })
    assert.not_equal(nested, identity(text, { helper = "return require 'deep'", deep = "return 2" }))
  end)

  it("is not changed by the folder, nor by the script's own name", function()
    local text, neighbour = "return { require 'helper' }", "return 1"
    files = { ["a.lua"] = text, ["helper.lua"] = neighbour, ["x/y/b.lua"] = text, ["x/y/helper.lua"] = neighbour }
    assert.equal(assert(open "a.lua").identity, assert(open "x/y/b.lua").identity)
  end)

  it("takes a text in which anything can stand", function()
    math.randomseed(7)
    local parts = { "--", "[[", "]]", "[=[", "]=]", "'", '"', "\\", "\n", "\r", "a", "1", "0x", "e", "+", ".", "..",
      "\0", "\200", " ", "#", "=", "@", "z", "(" }
    local loaded = 0
    for _ = 1, 3000 do
      local pieces = {}
      for i = 1, math.random(PIECES) do pieces[i] = parts[math.random(#parts)] end
      local junk = table.concat(pieces)
      local text = "return { pcall(require, 'junk') }"
      local one = identity(text, { junk = junk })
      assert.not_equal(one, identity(text, { junk = junk .. "\nx" }))
      if _G.load(junk) then loaded = loaded + 1 end
    end
    assert(loaded > 0, "nothing compiled")
  end)

  it("is one only for texts that compile to the same code", function()
    -- Bytes of a real script are replaced, removed, added; lines stay, as code knows its lines.
    math.randomseed(11)
    local file = assert(io.open("lua/rille/sandbox.lua", "rb"))
    local text = file:read "a"
    file:close()
    local function of(junk) return identity("return { pcall(require, 'junk') }", { junk = junk }) end
    local function code(junk)
      local chunk = _G.load(junk, "=junk", "t")
      return chunk and string.dump(chunk, true)
    end
    local function lines(junk) return select(2, junk:gsub("\n", "")) end
    local letters = " \tab_01.-=[]\"'\\~<>/(){},;:#"
    local before, compiled, equal, other = of(text), code(text), 0, 0
    for _ = 1, 3000 do
      local at, letter = math.random(#text), math.random(#letters)
      local with = ({ "", letters:sub(letter, letter) })[math.random(2)]
      local changed = text:sub(1, at - 1) .. with .. text:sub(at + math.random(0, 1))
      local made = changed ~= text and lines(changed) == lines(text) and code(changed)
      if made and of(changed) == before then
        equal = equal + 1
        assert(made == compiled, "one identity, another code, at byte " .. at)
      elseif made then
        other = other + 1
      end
    end
    assert(equal > 100 and other > 100, ("too few: %d, %d"):format(equal, other))
  end)
end)

describe("opening a script", function()
  it("gives what define made of it", function()
    files["it.lua"] = "local p = ... return { n = p.n }"
    local watcher = assert(script.open(store, "it.lua", {
      params = { n = 3 }, define = function(value, name) return { value.n, name } end,
    }))
    assert.same({ 3, "it.lua" }, watcher.definition)
    assert.is_nil(watcher.fault)
  end)

  it("says what is wrong: no such file, no Lua, refused, parameters", function()
    local message, code = failure(open "missing.lua")
    contains(message, "missing.lua: there is no such file")
    assert.equal("script", code)
    files["it.lua"] = "return {\n\n oops oops }"
    message, code = failure(open())
    contains(message, "it.lua:3:")
    assert.equal("script", code)
    files["it.lua"] = "return { refused = 'it.lua: no reducer' }"
    contains(failure(open()), "no reducer")
    message, code = failure(open("it.lua", { print }))
    contains(message, "params")
    assert.equal("invalid", code)
  end)

  it("raises where it is misused", function()
    contains(raised(script.open, store, 7, { define = define }), "string")
    contains(raised(script.open, store, "it.lua", { define = define, param = 1 }), "'param'")
    contains(raised(script.open, store, "it.lua", {}), "define must be a function")
  end)

  it("keeps the parameters that it was opened with", function()
    local params = { n = 1 }
    files["it.lua"] = "local p = ... return { n = p.n }"
    local watcher = assert(open("it.lua", params))
    params.n, files["it.lua"] = 2, "local p = ... return { n = p.n, more = 1 }"
    assert.is_true(watcher:refresh())
    assert.same({ n = 1, more = 1 }, watcher.definition)
  end)
end)

describe("a script that the host's function gives", function()
  it("is taken up when it changes, also in a neighbour", function()
    files["it.lua"], files["helper.lua"] = "return { n = require 'helper' }", "return 1"
    local watcher = assert(open())
    local first = watcher.identity
    assert.is_false(watcher:refresh())
    files["helper.lua"] = "return 2"
    assert.is_true(watcher:refresh())
    assert.equal(2, watcher.definition.n)
    assert.not_equal(first, watcher.identity)
    files["helper.lua"] = "return 1"
    assert.is_true(watcher:refresh())
    assert.equal(first, watcher.identity)
  end)

  it("stays as it was while the new text can't be had, is none, or is refused", function()
    files["it.lua"] = "return { n = 1 }"
    local watcher = assert(open())
    local first = watcher.identity
    for _, text in ipairs { "return {", "return { refused = 'no' }", "error 'broken'", "return 7", false } do
      files["it.lua"] = text
      local changed, message = watcher:refresh()
      assert.is_false(changed)
      assert.is_string(message)
      assert.equal(message, watcher.fault)
      assert.same({ false }, { watcher:refresh() }) -- said once
      assert.equal(message, watcher.fault)
      assert.equal(1, watcher.definition.n)
      assert.equal(first, watcher.identity)
    end
    files["it.lua"] = "return { n = 1 } -- mended"
    assert.same({ false }, { watcher:refresh() })
    assert.is_nil(watcher.fault)
    files["it.lua"] = "return { n = 2 }"
    assert.is_true(watcher:refresh())
  end)

  it("stays where the function raises", function()
    files["it.lua"] = "return { n = 1 }"
    local broken = false
    local other, place = stores.new { load = function(name)
      if broken then error "the network is down" end
      return load(name)
    end }
    local watcher = assert(open("it.lua", nil, other))
    broken = true
    local changed, message = watcher:refresh()
    assert.is_false(changed)
    contains(message, "the network is down")
    assert.equal(1, watcher.definition.n)
    other:close()
    scratch.remove(place)
  end)

  it("is asked for its texts, and no more, where nothing changed", function()
    files["it.lua"], files["helper.lua"] = "return { n = require 'helper' }", "return 1"
    local watcher = assert(open())
    asked = 0
    watcher:refresh()
    assert.equal(2, asked)
  end)
end)

describe("a script that is a file", function()
  local plain, folder, place

  before_each(function()
    plain, place = stores.new()
    folder = scratch.path "scripts"
    scratch.shell("mkdir '%s'", folder)
  end)
  after_each(function()
    plain:close()
    scratch.remove(place)
    scratch.remove(folder)
  end)

  local function write(name, text)
    local file = assert(io.open(folder .. "/" .. name, "wb"))
    assert(file:write(text))
    file:close()
  end

  local function watch() return assert(open(folder .. "/it.lua", nil, plain)) end

  it("is taken up at the next look, though it was written a moment ago", function()
    write("it.lua", "return { n = require 'helper' }")
    write("helper.lua", "return 1")
    local watcher = watch()
    local first = watcher.identity
    for n = 2, 6 do
      write("helper.lua", "return " .. n)
      assert.is_true(watcher:refresh())
      assert.equal(n, watcher.definition.n)
      assert.is_false(watcher:refresh())
    end
    write("helper.lua", "return 1 -- as before")
    assert.is_true(watcher:refresh())
    assert.equal(first, watcher.identity)
  end)

  it("is not taken up before it has rested, where there is no time to wait", function()
    write("it.lua", "return { n = 1 }")
    local watcher = watch()
    local n, changed = 1
    repeat -- it has rested where a busy machine is too late
      n = n + 1
      write("it.lua", ("return { n = %d }"):format(n))
      changed = watcher:refresh(0)
    until not changed or n == 50
    assert.is_false(changed)
    assert.equal(n - 1, watcher.definition.n)
    assert.is_nil(watcher.fault)
    scratch.shell "sleep 0.05"
    assert.is_true(watcher:refresh(0))
    assert.equal(n, watcher.definition.n)
  end)

  it("never runs half written", function()
    write("it.lua", "return { n = 100000 }")
    local watcher = watch()
    local text = "return { n = 200000, " .. ("x = 1, "):rep(PIECES) .. "}"
    local file = assert(io.open(folder .. "/it.lua", "wb"))
    file:setvbuf "no"
    for i = 1, #text do
      file:write(text:sub(i, i))
      if i % 10 == 0 then watcher:refresh(1) end
      assert.equal(100000, watcher.definition.n)
    end
    file:close()
    watcher:refresh()
    assert.equal(200000, watcher.definition.n)
  end)

  it("stays while it is broken, and says where", function()
    write("it.lua", "return { n = 1 }")
    local watcher = watch()
    write("it.lua", "local a = 1\nreturn { n = }")
    local changed, message = watcher:refresh()
    assert.is_false(changed)
    contains(message, folder .. "/it.lua:2:")
    assert.same({ false }, { watcher:refresh() })
    assert.equal(1, watcher.definition.n)
    write("it.lua", "local a = 1\nreturn { n = 2 }")
    assert.is_true(watcher:refresh())
    assert.is_nil(watcher.fault)
  end)

  it("stays when it is deleted, and comes back", function()
    write("it.lua", "return { n = 1 }")
    local watcher = watch()
    assert(os.remove(folder .. "/it.lua"))
    local changed, message = watcher:refresh()
    assert.is_false(changed)
    contains(message, "it.lua")
    assert.same({ false }, { watcher:refresh() })
    assert.equal(1, watcher.definition.n)
    write("it.lua", "return { n = 2 }")
    assert.is_true(watcher:refresh())
    assert.equal(2, watcher.definition.n)
  end)

  it("sees a file that another is renamed to, of the same size and age", function()
    write("it.lua", "return { n = 1 }")
    local watcher = watch()
    write("other.lua", "return { n = 2 }")
    scratch.shell("cd '%s' && touch -r it.lua other.lua && mv other.lua it.lua", folder)
    assert.is_true(watcher:refresh())
    assert.equal(2, watcher.definition.n)
  end)

  it("sees a neighbour appear that was missing", function()
    write("it.lua", "local ok, n = pcall(require, 'helper') return { n = ok and n or 0 }")
    local watcher = watch()
    assert.equal(0, watcher.definition.n)
    write("helper.lua", "return 5")
    assert.is_true(watcher:refresh())
    assert.equal(5, watcher.definition.n)
  end)

  it("can't be opened while it is a folder", function()
    scratch.shell("mkdir '%s/it.lua'", folder)
    local message, code = failure(open(folder .. "/it.lua", nil, plain))
    contains(message, "it.lua")
    assert.equal("script", code)
  end)

  it("keeps the kind of numbers of its parameters", function()
    write("it.lua", "local p, null = ..., require 'rille'.null "
      .. "return { math.type(p.i), math.type(p.f), p.none == null, #p.list }")
    local watcher = assert(open(folder .. "/it.lua", { i = 1, f = 1.0, none = rille.null, list = { 1, 2 } }, plain))
    assert.same({ "integer", "float", true, 2 }, watcher.definition)
  end)
end)
