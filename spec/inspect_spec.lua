-- inspect_spec.lua: the words of the command `rille` for projections: project, state, diff,
-- why, marks, verify --deep.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains = stores.contains

local BUILD = os.getenv "RILLE_BUILD" or "build"

local ACCOUNT = [[
local params = ...
local factor = params and params.factor or 1
return { initial = { balance = 0 }, key = "stream", on = {
  Deposited = function(state, event) state.balance = state.balance + factor * event.data.amount end } }]]

local path, script

local function read(name)
  local file <close> = assert(io.open(name, "rb"))
  return file:read "a"
end

---Status, output and messages of a run.
local function run(...)
  local words = { BUILD .. "/bin/rille", ... }
  for i, word in ipairs(words) do words[i] = "'" .. word:gsub("'", "'\\''") .. "'" end
  local out, err = scratch.path "out", scratch.path "err"
  local _, _, status = os.execute(("%s >'%s' 2>'%s' </dev/null"):format(table.concat(words, " "), out, err))
  return status, read(out), read(err)
end

local function output(...)
  local status, out, err = run(...)
  assert.equal("", err)
  assert.equal(0, status)
  return out
end

local function refusal(...)
  local status, out, err = run(...)
  assert.equal("", out)
  assert.equal(1, status)
  return err
end

local function lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = assert(rille.json.decode(line)) end
  return list
end

before_each(function()
  local store
  store, path = stores.new()
  for i = 1, 4 do
    assert(store:append("account-" .. 1 + i % 2, { type = "Deposited", data = { amount = i } }))
  end
  assert(store:append("account-1", { type = "Noted" }))
  store:close()
  script = scratch.file("account.lua", ACCOUNT)
  contains(output("project", path, "balances", script), "balances: at position 5")
end)
after_each(function() scratch.remove(path) end)

describe("rille state", function()
  it("prints a key's state, or all of them", function()
    assert.same({ balance = 6 }, rille.json.decode(output("state", path, "balances", "account-1")))
    assert.same({ { key = "account-1", state = { balance = 6 } }, { key = "account-2", state = { balance = 4 } } },
      lines(output("state", path, "balances")))
  end)

  it("prints it as it was, with its position for --json", function()
    assert.same({ key = "account-1", position = 3, state = { balance = 2 } },
      rille.json.decode(output("state", path, "balances", "account-1", "--at", "3", "--json")))
  end)

  it("follows the consistency that is asked for", function()
    local store = assert(rille.open(path))
    assert(store:append("account-1", { type = "Deposited", data = { amount = 10 } }))
    store:close()
    assert.same({ balance = 6 },
      rille.json.decode(output("state", path, "balances", "account-1", "--consistency", "eventual")))
    assert.same({ balance = 16 }, rille.json.decode(output("state", path, "balances", "account-1")))
  end)

  it("says what is not there", function()
    contains(refusal("state", path, "nothing"), 'no projection that is called "nothing"')
    contains(refusal("state", path, "balances", "account-9"), "account-9")
    contains(refusal("state", path, "balances", "account-1", "--at", "99"), "beyond the head")
  end)

  it("uses the parameters with which the projection was made", function()
    output("project", path, "double", script, "--param", "factor=2")
    assert.same({ balance = 12 }, rille.json.decode(output("state", path, "double", "account-1")))
  end)
end)

describe("rille diff", function()
  it("shows what became of the states in between", function()
    assert.equal("account-1\n  balance: 2 -> 6\naccount-2\n  balance: 1 -> 4\n",
      output("diff", path, "balances", "2", "4"))
    assert.same({ { key = "account-2", changes = { { place = "state", after = { balance = 1 } } } } },
      lines(output("diff", path, "balances", "0", "1", "--json")))
    assert.equal("", output("diff", path, "balances", "4", "5"))
    contains(refusal("diff", path, "balances", "1", "99"), "beyond the head")
  end)
end)

describe("rille why", function()
  it("shows the events that touched a key, each with the change it made", function()
    local list = lines(output("why", path, "balances", "account-1", "--json"))
    assert.equal(2, #list)
    assert.equal(2, list[1].position)
    assert.equal(4, list[2].position)
    assert.same({ { place = "balance", before = 2, after = 6 } }, list[2].changes)
    contains(output("why", path, "balances", "account-1"), "\n  balance: 2 -> 6\n")
  end)
end)

describe("rille marks", function()
  it("shows each projection, its mark and how far it is behind", function()
    local store = assert(rille.open(path))
    assert(store:append("account-1", { type = "Noted" }))
    store:close()
    assert.same({ { kind = "projection", name = "balances", mark = 5, lag = 1, script = script } },
      lines(output("marks", path)))
  end)
end)

describe("rille verify --deep", function()
  it("computes the states once more", function()
    contains(output("verify", path, "--deep"), "no problems")
    os.remove(script)
    local status, out = run("verify", path, "--deep")
    assert.equal(1, status)
    contains(out, "can't be computed again")
  end)
end)
