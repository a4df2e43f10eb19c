-- terminal_spec.lua: the command where people meet it: on a screen, at which somebody types.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local terminal = require "spec.support.terminal"
local contains = stores.contains

local DONE, FAILED, USAGE = 0, 1, 2

---A folder with a store of a few events, and scripts.
local function folder()
  local path = scratch.path "folder"
  scratch.shell("mkdir '%s'", path)
  local store = assert(rille.open(path .. "/bank.rille"))
  assert(store:append("account-1", { { type = "Opened", data = { owner = "Zoë" } },
    { type = "Deposited", data = { amount = 5 } } }))
  assert(store:append("日本語", { type = "Deposited", data = { amount = 7, note = "\27[31mred\27]0;title\7" } }))
  store:close()
  local function file(name, text)
    local f = assert(io.open(path .. "/" .. name, "w"))
    f:write(text)
    f:close()
  end
  file("balance.lua", [[return { initial = { balance = 0 }, key = "stream", on = {
  Deposited = function(state, event) state.balance = state.balance + event.data.amount end } }]])
  file("broken.lua", "return {\n  initial = 0\n  on = {} }\n")
  file("failing.lua", [[return { initial = 0, on = {
  Deposited = function(state, event) return state + event.data.sum end } }]])
  return path
end

---A test on a screen in such a folder.
local function screen_it(name, columns, test)
  it(name, function()
    if not terminal.has_tmux then return pending "tmux is not here" end
    local screen = terminal.open(folder(), columns)
    local ok, problem = pcall(test, screen)
    screen:close()
    if not ok then error(problem, 0) end
  end)
end

---No line of a text takes more columns than there are: tmux would have begun another.
local function assert_lines(expected, shown)
  local _, lines = shown:gsub("[^\n]+", "")
  assert.equal(expected, lines, shown)
end

describe("the first evening", function()
  screen_it("goes from nothing to a store, its events, its states", 80, function(screen)
    local shown, status = screen:run "rille"
    assert.equal(USAGE, status)
    contains(shown, "rille append bank.rille account-1 --type Deposited --data '{\"amount\":5}'\n")
    contains(shown, "rille --help lists all commands")
    shown, status = screen:run [[rille append new.rille account-1 --type Deposited --data '{"amount":5}']]
    assert.same({ "version 1, position 1", DONE }, { shown, status })
    shown = screen:run "rille cat new.rille"
    assert(shown:find '^position  time                 stream     version  type       data\n', shown)
    assert(shown:find '\n       1  %d+%-%d+%-%d+ %d+:%d+:%d+  account%-1        1  Deposited  {"amount":5}$', shown)
    assert.equal('{\n  "balance": 5\n}', screen:run "rille fold new.rille balance.lua --stream account-1")
    assert.equal("balances: at position 1", screen:run "rille project new.rille balances balance.lua")
    assert.equal('key        state\naccount-1  {"balance":5}', screen:run "rille state new.rille balances")
    assert.equal('account-1\n  state: nothing -> {"balance":5}', screen:run "rille diff new.rille balances 0 1")
    contains(screen:run "rille why new.rille balances account-1", "account-1 Deposited\n  state: nothing -> ")
    contains(screen:run "rille marks new.rille", "\nprojection  balances     1    0  balance.lua")
  end)

  screen_it("goes wrong in ways that say what to do", 80, function(screen)
    local function fails(expected, text, ...)
      local shown, status = screen:run(text)
      assert.equal(expected, status, shown)
      for _, part in ipairs { ... } do contains((shown:gsub("\n", "")), part) end
      assert(not shown:find("traceback", 1, true) and not shown:find("rille%.%a+:%d"), shown)
    end
    fails(FAILED, "rille cat bnk.rille", "there is no store at bnk.rille (did you mean 'bank.rille'?)")
    fails(USAGE, "rille bank.rille cat", "the command comes first, then the store: rille cat bank.rille")
    fails(USAGE, "rille append account-1 bank.rille --type Paid", "the store comes first, then the stream")
    fails(USAGE, "rille append bank.rille account-1 Paid --type T", "stands behind --type")
    fails(USAGE, "rille imprt bank.rille", "(did you mean 'import'?)")
    fails(FAILED, "rille fold bank.rille broken.lua", "broken.lua:3:")
    fails(FAILED, "rille fold bank.rille failing.lua", "failing.lua:2:", "position 2")
    fails(FAILED, "rille fold bank.rille balance.lua", "give --stream S, or --key K")
    fails(FAILED, "rille state bank.rille balances", "no projection that is called")
    screen:run "rille project bank.rille balances balance.lua"
    fails(FAILED, "rille state bank.rille balnces", "(did you mean 'balances'?)")
    fails(FAILED, "rille state bank.rille balances acount-1", "(did you mean 'account-1'?)")
    fails(DONE, "rille cat bank.rille acount-1", [[no stream is called "acount-1" (did you mean 'account-1'?)]])
    fails(DONE, "rille export bank.rille --type Depsited", "(did you mean 'Deposited'?)")
  end)
end)

describe("a table", function()
  screen_it("fits a narrow screen, wide characters too, and moves no cursor", 40, function(screen)
    local shown = screen:run "rille cat bank.rille"
    assert_lines(4, shown)
    assert(shown:find "^position  stream     type       data\n", shown)
    assert(shown:find '\n       3  日本語     Deposited  {"amoun…$', shown)
    assert_lines(4, screen:run "rille cat bank.rille --reverse")
    local reverse = screen:run "rille cat bank.rille --reverse --json"
    contains((reverse:gsub("\n", "")), [["note":"\u001b[31mred\u001b]0;title\u0007"]])
  end)

  screen_it("of long names is cut where it must be", 60, function(screen)
    screen:run("rille append long.rille " .. ("s"):rep(100) .. " --type " .. ("T"):rep(100))
    local shown = screen:run "rille cat long.rille"
    assert_lines(2, shown)
    assert(shown:find "\n       1  s+…  T+…", shown)
  end)

  screen_it("of help fits as well", 80, function(screen)
    local shown = screen:run "rille append --help"
    assert(not shown:find "\n%l+\n", shown) -- a word that was pushed to a line of its own
  end)
end)

describe("tail -f on a screen", function()
  screen_it("shows what another process appends, and leaves on ^C without a word", 80, function(screen)
    screen:type "rille tail -f bank.rille -n 1"
    screen:wait "日本語"
    local store = assert(rille.open(screen.folder .. "/bank.rille"))
    for i = 1, 3 do
      assert(store:append("account-1", { type = "Deposited", data = { amount = 100 + i } }))
      screen:wait('{"amount":' .. 100 + i .. "}")
    end
    screen:key "C-c"
    local shown = screen:wait "%^C\n>$"
    assert(not shown:find "rille:" and not shown:find "lua", shown)
    screen:type "echo status $?"
    screen:wait "status 0"
    store:close()
  end)
end)

describe("long work on a screen", function()
  screen_it("shows how far it is, and nothing of that stays", 80, function(screen)
    -- The lines come slowly: first some, then, when the bar was seen, the rest.
    scratch.shell("mkfifo '%s/lines'", screen.folder)
    screen:type "clear; rille import bank.rille lines --batch 10"
    local lines = assert(io.open(screen.folder .. "/lines", "w"))
    local line = '{"stream":"s","type":"T","data":{"n":1}}\n'
    local limit = os.time() + 30
    local shown
    repeat
      lines:write(line:rep(200))
      lines:flush()
      shown = screen:text()
    until shown:find "%d events  [%d,]+ events/s" or os.time() > limit
    assert(shown:find "%d events  [%d,]+ events/s", shown)
    lines:close()
    shown = screen:wait "rille: imported %d+ events"
    assert(not shown:find("events  ", 1, true), shown)
  end)
end)

describe("colour", function()
  it("is there on a terminal, unless it is not wanted, and never in a pipe", function()
    if not terminal.has_script then return pending "util-linux's script is not here" end
    local at = { folder = folder() }
    contains((terminal.run("rille stat bank.rille", at)), "\27[")
    for _, environment in ipairs { "NO_COLOR=1", "TERM=dumb" } do
      at.environment = environment
      local shown = terminal.run("rille stat bank.rille; rille cat bank.rille; rille verify bank.rille; rille", at)
      assert(not shown:find("\27", 1, true), shown)
    end
    at.environment = nil
    local piped = terminal.run("rille stat bank.rille | cat; rille cat bank.rille | cat", at)
    assert(not piped:find("\27", 1, true), piped)
  end)
end)
