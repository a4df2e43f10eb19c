-- luas_spec.lua: what docs/luas.md says of LuaJIT, and the examples for LÖVE and Neovim. It runs
-- programs with the module that make luajit makes; what is not installed is skipped.
local place = require "spec.support.place"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local MODULE = (os.getenv "RILLE_LUAJIT_BUILD" or (os.getenv "RILLE_BUILD" or "build") .. "/luajit") .. "/?.so"

local function has(command)
  return process.run("command -v " .. command .. " >/dev/null && echo yes") == "yes\n"
end

---Skips the test unless there is the module, and these programs.
local function need(...)
  local file = io.open((MODULE:gsub("%?", "rille")), "rb")
  if not file then return pending "the module is not made for LuaJIT: make luajit" end
  file:close()
  for _, command in ipairs { ... } do
    if not has(command) then return pending(command .. " is not installed") end
  end
  return true
end

---What LuaJIT prints for a program, in which `rille` is the module and `store` a new store.
local function run(code)
  local path = scratch.file("luas.lua", ([[
    package.cpath = %q
    local rille = require "rille"
    local store = assert(rille.open(%q, { sync = "never", load = function(name) return _G[name] end }))
    ]]):format(MODULE, scratch.path "luas.rille") .. code)
  local output, status = process.run_ours("unset LD_PRELOAD; luajit '" .. path .. "'")
  assert.equal(0, status, output)
  return output
end

describe("the Lua half", function()
  it("is in the grammar of every Lua", function()
    if not need "luajit" then return end
    local output, status = process.run(
      "for f in lua/embed.lua lua/rille/*.lua lua/postgres/*.lua; do luajit -b $f - >/dev/null || exit 1; done")
    assert.equal(0, status, output)
  end)
end)

describe("under LuaJIT", function()
  it("integers beyond 2^53 are int64_t, and stay what they are", function()
    if not need "luajit" then return end
    assert.equal("number\t9007199254740992\ncdata\t9007199254740993LL\ncdata\t9223372036854775807LL\n"
      .. "cdata\t5LL\n", run [[
      local big = 9007199254740993LL
      store:append("s", { type = "T", data = { 2 ^ 53, big, 9223372036854775807ULL, 5LL } })
      for e in store:read "s" do
        for _, v in ipairs(e.data) do print(type(v), type(v) == "cdata" and v or ("%d"):format(v)) end
      end]])
  end)

  it("a whole number is an integer, -0.0 and what an int64_t has not are floats", function()
    if not need "luajit" then return end
    assert.equal("[1,-0.0,100,9007199254740994,1152921504606846976,9223372036854774784,-9223372036854775808,"
      .. "9.223372036854776e+18,-9.223372036854778e+18,1e+300]\n", run [[
      local numbers = { 1.0, -0.0, 1e2, 2^53 + 2, 2^60, 2^63 - 1024, -2^63, 2^63, -2^63 - 2048, 1e300 }
      print((rille.json.encode(numbers)))
      local json = rille.json.encode(rille.decode(rille.encode(numbers)))
      assert(json == rille.json.encode(numbers)) ]])
  end)

  it("a whole number beyond 2^53 comes back as an int64_t, and as a key, too", function()
    if not need "luajit" then return end
    assert.equal("number\tcdata\t1152921504606846976LL\tcdata\t-9223372036854775808LL\n"
      .. "cdata\t1152921504606846976LL\nvalue has the key 1152921504606846976 twice\n", run [[
      store:append("s", { type = "T", data = { 2 ^ 53, 2 ^ 60, -2 ^ 63 } })
      for e in store:read "s" do
        local least, large, most = unpack(e.data)
        print(type(least), type(large), large, type(most), most)
      end
      local key = next(assert(rille.decode(assert(rille.encode { [2 ^ 60] = true }))))
      print(type(key), key)
      print((select(2, rille.encode { [2 ^ 60] = 1, [1152921504606846976LL] = 2 }))) ]])
  end)

  it("a count that begins as an int64_t is one in every state, and exact", function()
    if not need "luajit" then return end
    assert.equal("18014398509481985LL\n18014398509481985LL\n", run [[
      script = "return { initial = 0LL, on = { T = function(state, event) return state + event.data end } }"
      local p = assert(store:projection("sum", "script"))
      for i, n in ipairs { 1, 2 ^ 53, 2 ^ 53 } do
        store:append("s", { type = "T", data = n })
        assert(p:get())
      end
      print((assert(p:get())))
      print((assert(store:fold("script", { stream = "s" })))) ]])
  end)

  it("what no integer holds is refused by name", function()
    if not need "luajit" then return end
    assert.equal("value.a is a cdata\nvalue has an int64_t as key that a number holds: use tonumber\n"
      .. "value has the key 9007199254740993 twice\n", run [[
      print((select(2, rille.encode { a = 9223372036854775808ULL })))
      print((select(2, rille.encode { [5LL] = 1 })))
      print((select(2, rille.encode { [9007199254740993LL] = 1, [9007199254740993LL] = 2 }))) ]])
  end)

  it("a script has what 5.4 has besides, and bit, but no ffi and no jit", function()
    if not need "luajit" then return end
    assert.equal("integer,float,3,2,\0\5,12,nil,nil,nil\n", run [[
      script = "local function try(name) return (pcall(function() return _G[name] end)) and 'there' or 'nil' end "
        .. "return { initial = '', on = { T = function() return table.concat({ math.type(1), math.type(1.5), "
        .. "utf8.len 'a\195\164b', table.pack(1, nil).n, string.pack('>I2', 5), bit.band(12, 13), "
        .. "try 'ffi', try 'jit', try 'newproxy' }, ',') end } }"
      store:append("s", { type = "T" })
      print((assert(store:fold("script", { stream = "s" })))) ]])
  end)

  it("strings have the scripts' methods inside, and the host's outside", function()
    if not need "luajit" then return end
    assert.equal("A\nhost\n", run [[
      function string.upper() return "host" end
      script = "return { initial = '', on = { T = function() return ('a'):upper() end } }"
      store:append("s", { type = "T" })
      print((store:fold("script", { stream = "s" })))
      print(("a"):upper())]])
  end)

  it("a zero byte ends a pattern, but not an isolate's", function()
    if not need "luajit" then return end
    assert.equal("zero false nil\nfound true 2\n", run [[
      script = "return { initial = '', on = { T = function() "
        .. "local ok, at = pcall(string.find, 'ab', '[\\0b]') "
        .. "return tostring(ok) .. ' ' .. tostring(ok and at or nil) end } }"
      store:append("s", { type = "T" })
      print("zero " .. store:fold("script", { stream = "s" }))
      print("found " .. store:fold("script", { stream = "s", isolated = true }))]])
  end)

  it("what table.insert puts into a view, only that script sees; an isolated one can't", function()
    if not need "luajit" then return end
    assert.equal("7 nil\nscript nil\n", run [[
      local handler = "return { initial = '', on = { T = function() %s return tostring(math[1]) end } }"
      writes, reads = handler:format "table.insert(math, 7)", handler:format ""
      store:append("s", { type = "T" })
      for _, isolated in ipairs { false, true } do
        local state, _, code = store:fold("writes", { stream = "s", isolated = isolated })
        print((state or code) .. " " .. store:fold("reads", { stream = "s", isolated = isolated }))
      end]])
  end)

  it("an isolate has its limits, although the host's code is compiled", function()
    if not need "luajit" then return end
    assert.equal("budget instructions\nbudget memory\n", run [[
      store:append("s", { type = "T" })
      for _, body in ipairs { "while true do end", "local t = {} for i = 1, 1e9 do t[i] = {} end" } do
        script = "return { initial = 0, on = { T = function() " .. body .. " end } }"
        local _, _, code, detail = store:fold("script", { stream = "s", isolated = true,
          instructions = 1000000, memory_bytes = 2 * 1024 * 1024 }) -- far less than half a second of them
        print(code .. " " .. detail.limit)
      end]])
  end)

  it("states of 5.4 are made anew: its identity is another", function()
    if not need "luajit" then return end
    local path = scratch.path "both.rille"
    local program = ([[package.cpath = arg[1]
      local rille = require "rille"
      local store = assert(rille.open(%q))
      if store:version "account-1" == 0 then
        store:append("account-1", { { type = "Opened", data = { owner = "Ann" } },
          { type = "Deposited", data = { amount = 100 } } })
      end
      local p = assert(store:projection("balances", "examples/reducers/account.lua"))
      print(p:get().balance, p:mark())
      store:close()]]):format(path)
    local file = scratch.file("both.lua", program)
    local first = process.lua(program, (os.getenv "RILLE_BUILD" or "build") .. "/?.so")
    assert.equal("100\t2\n", first)
    assert.equal("100\t2\n", (process.run(("luajit '%s' '%s'"):format(file, MODULE))))
    assert.equal("100\t2\n", (process.lua(program, (os.getenv "RILLE_BUILD" or "build") .. "/?.so")))
  end)
end)

---A game of examples/ that is played by spec/support/player.lua, with its saves in a home of its own.
---@return string command, to be given keys; string home
local function played(name)
  local home = scratch.path(name)
  local game = home .. "/examples/" .. name
  local modules = MODULE:match "^(.*)/"
  scratch.shell("mkdir -p '%s/examples' '%s/build' && cp -r examples/%s '%s'", home, home, name, game)
  scratch.shell("cat spec/support/player.lua >>'%s/main.lua'", game)
  scratch.shell("ln -s '%s' '%s/build/luajit'", modules:find "^/" and modules or place.root .. "/" .. modules, home)
  return ("HOME='%s' XDG_DATA_HOME='%s' timeout 60 xvfb-run -a -s '-screen 0 640x480x24' "
    .. "love '%s' --frames=9 --keys=%%s --shot=shot.png 2>&1"):format(home, home, game), home
end

describe("examples", function()
  it("love: a window opens, keys move, and the save is there when it starts again", function()
    if not need("love", "xvfb-run") then return end
    local command, home = played "love"
    local output, status = process.run(command:format "right,down,right,u")
    assert.equal(0, status, output)
    output, status = process.run(command:format "down")
    assert.equal(0, status, output)
    local shot = assert(io.open(home .. "/love/rille-coins/shot.png", "rb"))
    assert.equal("\137PNG", shot:read(4))
    shot:close()
    local rille = require "rille"
    local store = assert(rille.open(home .. "/love/rille-coins/saves/coins.rille", { readonly = true }))
    local state = assert(store:fold("examples/love/game.lua", { stream = "game" }))
    assert.same({ 3, 3, 4 }, { state.x, state.y, state.steps })
    store:close()
  end)

  it("savefile: the same game in a window goes on with a save of version 1", function()
    if not need("love", "xvfb-run") then return end
    local command, home = played "savefile"
    local saves = home .. "/love/rille-savefile/saves"
    scratch.shell("mkdir -p '%s'", saves)
    local said, imported = process.run_ours(("'%s/bin/rille' import '%s/walk.rille' examples/savefile/version-1.jsonl")
      :format(os.getenv "RILLE_BUILD" or "build", saves))
    assert.equal(0, imported, said)
    local output, status = process.run(command:format "right,down,down")
    assert.equal(0, status, output)
    assert(io.open(home .. "/love/rille-savefile/shot.png", "rb")):close()
    local store = assert(require "rille".open(saves .. "/walk.rille", { readonly = true }))
    local player = assert(store:fold("examples/savefile/scripts/player.lua", { stream = "player-1" }))
    assert.same({ 9, 7, 18 }, { player.x, player.y, player.steps })
    store:close()
  end)

  it("neovim: each text that was written is there again", function()
    if not need "nvim" then return end
    local home = scratch.path "nvim"
    local output, status = process.run(([[mkdir -p '%s' && HOME='%s' XDG_DATA_HOME='%s' timeout 60 nvim --headless \
      -u NONE --cmd 'set rtp+=examples/neovim' -c "lua require'timeline'.setup{ module='%s' }" -c 'e %s/notes.txt' \
      -c "call setline(1, ['one', 'two', 'three']) | w | call setline(2, 'zwei') | w | 1d | w" -c 'Timeline' \
      -c "lua for v = 1, 3 do print('=' .. table.concat(require'timeline'.text(0, v), '/')) end" -c qa 2>&1]])
      :format(home, home, home, MODULE, home))
    assert.equal(0, status, output)
    for _, text in ipairs { "=one/two/three", "=one/zwei/three", "=zwei/three", "3 lines" } do
      assert(output:find(text, 1, true), output)
    end
  end)
end)
