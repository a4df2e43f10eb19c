-- doubting_spec.lua: `rille tx`, run as operators run it.
local process = require "spec.support.process"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains = stores.contains

local BUILD = os.getenv "RILLE_BUILD" or "build"

local folder, here, there

---Runs `rille tx STORE ...`.
---@return integer status, string output
local function tx(store, ...)
  local words = { ("'%s/bin/rille' tx '%s'"):format(BUILD, store) }
  for _, word in ipairs { ... } do words[#words + 1] = "'" .. word .. "'" end
  local output, status = process.run_ours(table.concat(words, " "))
  return status, output
end

local function tx_done(...)
  local status, output = tx(...)
  assert(status == 0, output)
  return output
end

local function tx_lines(...)
  local list = {}
  for line in tx_done(...):gmatch "[^\n]+" do list[#list + 1] = assert(rille.json.decode(line)) end
  return list
end

local function tx_fails(expected, ...)
  local status, output = tx(...)
  assert(status == expected, output)
  assert(output:find "^rille: ", output)
  return output
end

---Moves something from here to there in a process that is killed when its handler is called.
local function killed_in(call)
  local code = ([[
    local rille = require "rille"
    local here, there = assert(rille.open(arg[1])), assert(rille.open(arg[2]))
    local function die() os.execute("kill -9 " .. io.open "/proc/self/stat":read "n") end
    local functions = { prepare = function() return true end, commit = function() return true end }
    functions.%s = die
    local c = assert(rille.coordinator(here, { name = "till", participants = { last = functions } }))
    c:transact({ id = "order-7", timeout = 60 }, function(tx)
      tx:enlist "last"
      tx:append(here, "a", { type = "Moved" })
      tx:append(there, "a", { type = "Moved" })
      tx:enlist(there)
      return true
    end)
    print "not killed"]]):format(call)
  local output = process.lua(code, here, there)
  assert(output == "", output)
end

before_each(function()
  folder = scratch.path "doubting"
  scratch.shell("mkdir '%s'", folder)
  here, there = folder .. "/here.rille", folder .. "/there.rille"
end)
after_each(function() scratch.remove(folder) end)

local function away() scratch.shell("mv '%s' '%s.away'", here, here) end

local function moved(path)
  local store <close> = assert(rille.open(path, { readonly = true }))
  return #stores.list(store:read("a", { consistency = "eventual" }))
end

---A participant is in doubt: its handler comes last, so the store's promise is made.
local function in_doubt()
  local code = [[
    local rille = require "rille"
    local here, there = assert(rille.open(arg[1])), assert(rille.open(arg[2]))
    local function die() os.execute("kill -9 " .. io.open "/proc/self/stat":read "n") end
    local c = assert(rille.coordinator(here, { name = "till", participants = { last = { prepare = die } } }))
    c:transact({ id = "order-7", timeout = 60 }, function(tx)
      tx:append(here, "a", { type = "Moved" })
      tx:append(there, "a", { type = "Moved" })
      tx:enlist "last"
      return true
    end)]]
  local output = process.lua(code, here, there)
  assert(output == "", output)
end

if process.run "test -r /proc/self/stat && echo yes" ~= "yes\n" then
  describe("rille tx", function() pending "there is no /proc here" end)
  return
end

describe("rille tx", function()
  it("lists nothing where all is over", function()
    assert(rille.open(here)):close()
    assert.equal("", tx_done(here, "list"))
    contains(tx_fails(1, here, "show", "x"), "nothing is known")
    contains(tx_fails(1, here, "retry", "x"), "no transaction")
    contains(tx_fails(2, here, "retry"), "ID")
    contains(tx_fails(2, here, "resolve", "x"), "--reason")
    tx_fails(2, here, "forget")
  end)

  it("lists and shows what is in doubt, and changes nothing by that", function()
    in_doubt()
    for _ = 1, 2 do
      local list = tx_lines(there, "list")
      assert.equal(1, #list)
      assert.equal("in doubt", list[1].state)
      assert.equal("till", list[1].coordinator)
      assert.equal("order-7", list[1].client)
      assert.equal(here, list[1].place)
      assert.same({ "here", "there", "last" }, list[1].participants)
      assert.same(list[1].id, tx_lines(there, "show", "order-7", "--json")[1].id)
    end
  end)

  it("retries: asks home", function()
    in_doubt()
    away()
    contains(tx_fails(1, there, "retry", "order-7"), "still in doubt")
    scratch.shell("mv '%s.away' '%s'", here, here)
    contains(tx_done(there, "retry", "order-7"), "over")
    assert.same({}, tx_lines(there, "list"))
    assert.equal(0, moved(there))
  end)

  it("resolves by hand, with the store alone", function()
    in_doubt()
    away()
    contains(tx_done(there, "resolve", "order-7", "commit", "--reason", "seen at the bank"), "commit")
    assert.equal(1, moved(there))
  end)

  it("resolves nothing that home has answered", function()
    in_doubt()
    contains(tx_fails(1, there, "resolve", "order-7", "commit", "--reason", "r"), "settled")
    assert.equal(0, moved(there))
  end)

  it("lists what is pending at home, and retries it", function()
    killed_in "commit"
    local list = tx_lines(here, "list")
    assert.equal("pending", list[1].state)
    assert.same({ "last", "there" }, list[1].participants)
    contains(tx_fails(1, here, "retry", list[1].id), "pending")
    assert.equal(1, moved(there))
    local told = tx_lines(here, "show", list[1].id, "--json")[1]
    assert.equal("pending", told.state)
  end)

  it("shows one that is over", function()
    local a, b = assert(rille.open(here)), assert(rille.open(there))
    local c = assert(rille.coordinator(a, { name = "till" }))
    assert(c:transact({ id = "order-8" }, function(t)
      return t:append(a, "a", { type = "Moved" }) and t:append(b, "a", { type = "Moved" })
    end))
    c:close()
    a:close()
    b:close()
    local told = tx_lines(here, "show", "order-8", "--json")[1]
    assert.equal("committed", told.state)
    assert.is_true(told.ended)
    assert.equal("unanimous", told.policy)
    assert.equal("there", told.participants[2].name)
  end)
end)
