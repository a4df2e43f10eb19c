-- completion_spec.lua: what bash, zsh and fish offer behind `rille`: the shells themselves are asked.
local place = require "spec.support.place"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local BIN = place.build .. "/bin"

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function has(tool) return process.run("command -v " .. tool .. " >/dev/null && echo yes") == "yes\n" end

---A folder with a store, a script and a file; the shells run in it.
local FOLDER = scratch.path "folder"
do
  scratch.shell("mkdir '%s' '%s/plain'", FOLDER, FOLDER)
  local store <close> = assert(require "rille".open(FOLDER .. "/bank.rille"))
  for _, name in ipairs { "account-1", "account-2", "user:1", "two words", "bad\27name" } do
    assert(store:append(name, { type = "Deposited", data = { amount = 1 } }))
  end
  assert(store:append("account-1", { type = "Closed" }))
  local file = assert(io.open(FOLDER .. "/balance.lua", "w"))
  file:write [[return { initial = { n = 0 }, key = "stream",
    on = { Deposited = function(state, event) state.n = state.n + event.data.amount end } }]]
  file:close()
  local p = assert(store:projection("balances", FOLDER .. "/balance.lua"))
  assert(p:update {})
end

---The script of a shell, in a file.
local function script(shell)
  local path = scratch.path("completion." .. shell)
  scratch.shell("'%s/rille' --completion %s > '%s'", BIN, shell, path)
  return path
end

---Runs shell text in the folder, with the command on PATH and nothing of the user's.
local function run(text)
  return process.run(("cd %s && export PATH=%s:\"$PATH\" HOME=%s ZDOTDIR=%s && %s"):format(quoted(FOLDER),
    quoted(BIN), quoted(FOLDER), quoted(FOLDER), text))
end

---What must be offered, whichever shell asks: a line, and the candidates that begin so.
local ASKED = {
  { "rille ca", "cat" },
  { "rille help ver", "verify" },
  { "rille --completion ", "bash fish zsh" },
  { "rille cat bank.rille acc", "account-1 account-2" },
  { "rille cat --limit 3 bank.rille acc", "account-1 account-2" },
  { "rille append bank.rille account-1 --type ", "Closed Deposited" },
  { "rille append bank.rille account-1 --type D", "Deposited" },
  { "rille append bank.rille account-1 --expect ", "any exists none" },
  { "rille state bank.rille ", "balances" },
  { "rille state bank.rille balances acc", "account-1 account-2" },
  { "rille state bank.rille balances --consistency we", "weak" },
  { "rille tx bank.rille re", "resolve retry" },
  { "rille fold bank.rille bal", "balance.lua" },
  { "rille cat --rev", "--reverse" },
  { "rille export no-store --stream ", "" },
}

local function sorted_words(list)
  table.sort(list)
  return table.concat(list, " ")
end

---A test for each line; `ask(line)` gives the list that a shell offers.
local function asking(shell, ask)
  for _, case in ipairs(ASKED) do
    it(case[1] .. "<Tab>", function()
      if not has(shell) then return pending(shell .. " is not here") end
      assert.equal(case[2], sorted_words(ask(case[1])))
    end)
  end
end

describe("in bash", function()
  ---COMP_WORDS as readline cuts a line: at blanks, ":" and "=".
  local function offered(line)
    local words = {}
    for word in line:gmatch "%S+" do
      word = word:gsub("[:=]", "\1%0\1")
      for part in word:gmatch "[^\1]+" do words[#words + 1] = quoted(part) end
    end
    if line:find "%s$" then words[#words + 1] = "''" end
    local text = ("source '%s'; compopt() { :; }; COMP_WORDS=(%s); COMP_CWORD=%d; _rille; printf '%%s\\n' "
      .. "\"${COMPREPLY[@]}\""):format(script "bash", table.concat(words, " "), #words - 1)
    local list, output = {}, run("bash --norc -c " .. quoted(text))
    for name in output:gmatch "[^\n]+" do list[#list + 1] = name end
    return list
  end

  asking("bash", offered)

  it("it is registered, and the script is sound", function()
    if not has "bash" then return pending "bash is not here" end
    local path = script "bash"
    assert.equal("complete -F _rille rille\n", run(("bash --norc -c 'source %s && complete -p rille'"):format(path)))
    assert.equal("", run("bash -n " .. path))
  end)

  it("names with blanks and colons are whole words, and a store's folder ends one", function()
    if not has "bash" then return pending "bash is not here" end
    assert.same({ "two\\ words" }, offered "rille cat bank.rille two")
    assert.same({ "1" }, offered "rille cat bank.rille user:")
    assert.same({ "none" }, offered "rille append bank.rille a --expect=n")
    assert.same({ "bank.rille " }, offered "rille cat ba")
    assert.same({ "plain/" }, offered "rille cat pl")
  end)
end)

describe("in fish", function()
  asking("fish", function(line)
    local list = {}
    local output = run(("fish --no-config -c %s"):format(quoted(("source %s; complete -C %s"):format(script "fish",
      quoted(line)))))
    for name in output:gmatch "[^\n]+" do list[#list + 1] = name:match "^[^\t]+" end
    return list
  end)

  it("the script is sound", function()
    if not has "fish" then return pending "fish is not here" end
    assert.equal("", run("fish -n " .. script "fish"))
  end)
end)

describe("in zsh", function()
  -- A zsh on a terminal of its own: Tab lists what fits, and ^X then says that it has.
  local DRIVER = [=[
zmodload zsh/zpty
zpty -b z zsh -f -i
zpty -w z "PS1= ; stty columns 200; autoload -U compinit; compinit -u -D; source $1; bindkey -e
finished() { zle -M FINI'SHED' }; zle -N finished; bindkey '^X' finished; bindkey '^I' list-choices
LISTMAX=1000; zstyle ':completion:*' list-separator '#'; echo REA'DY'"
wait_for() { # what is shown up to a word, within two minutes of all
  local piece
  shown=''
  while (( SECONDS < 120 )); do
    zpty -r -t z piece && shown+=$piece || sleep 0.02
    [[ $shown == *$1* ]] && return
  done
  print "no $1: $shown"; exit 1
}
wait_for READY
for line in "${@:2}"; do
  zpty -w -n z "$line"$'\t\C-x'
  wait_for FINISHED
  print -r -- "$shown"; print -r -- "END"
  zpty -w -n z $'\C-u'
done
zpty -d z
]=]

  ---What zsh lists for each of the lines.
  local function listed(lines)
    local words = {}
    for i, line in ipairs(lines) do words[i] = quoted(line) end
    local driver = scratch.file("driver.zsh", DRIVER)
    local output = run(("TERM=xterm zsh -f '%s' '%s' %s"):format(driver, script "zsh", table.concat(words, " ")))
    local list = {}
    for shown in output:gmatch "(.-)END\n" do
      list[#list + 1] = shown:gsub("\27%[[0-9;]*[A-HJK]", "\n"):gsub("\27%[[0-9;?]*%a", ""):gsub("\r", "")
    end
    assert.equal(#lines, #list, output)
    return list
  end

  it("it offers the same", function()
    if not has "zsh" then return pending "zsh is not here" end
    local lines = {}
    for i, case in ipairs(ASKED) do lines[i] = case[1] end
    for i, shown in ipairs(listed(lines)) do
      local case, found = ASKED[i], {}
      local typed = case[1]:match "%S*$"
      -- The list stands in the lines below the one that is typed.
      for line in shown:gsub("^[^\n]*\n", "", 1):gmatch "[^\n]+" do
        for name in line:gsub("%s+#.*$", ""):gmatch "%S+" do
          if name:sub(1, #typed) == typed and name ~= "FINISHED" then found[name] = true end
        end
      end
      for name in case[2]:gmatch "%S+" do assert(found[name], case[1] .. ": " .. name .. " is not in:\n" .. shown) end
    end
  end)

  it("the script is sound", function()
    if not has "zsh" then return pending "zsh is not here" end
    assert.equal("", run("zsh -n " .. script "zsh"))
  end)
end)

describe("names", function()
  local function names(...)
    local output = process.run(("'%s/rille' names '%s/bank.rille' %s 2>&1"):format(BIN, FOLDER,
      table.concat({ ... }, " ")))
    return (output:gsub("\n", " "))
  end

  it("are those of the store, in byte order, without what would move a cursor", function()
    assert.equal("account-1 account-2 two words user:1 ", names "stream")
    assert.equal("Closed Deposited ", names "type")
    assert.equal("balances ", names "projection")
    assert.equal("", names "processor")
    assert.equal("", names "transaction")
    stores.contains(names("key", "balances"), "account-1 account-2 ")
    assert.equal("", names("key", "none"))
  end)
end)
