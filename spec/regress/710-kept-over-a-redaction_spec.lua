-- States that were computed before a redaction, and written after it, came into the new index with
-- what was redacted in them: who keeps states looked whether something was redacted, and could be
-- stopped between the look and the write. So could who redacts, between asking which states have
-- seen the content and saying in the log that it is redacted.
local core = require "spec.support.core"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local WAIT_S = 20
local SECRET = "ann@example.com"

local SCRIPT = [[return { initial = {}, key = function(e) return e.data.key end,
  on = { Mail = function(s, e) s.mail = e.data.mail end } }]]

local script = scratch.file("mails.lua", SCRIPT)

-- A function that a script of rille's has of the core stops its process before it is called; then
-- this process follows, as one of its threads could.
local PRELUDE = [[
  local rille = require "rille"
  local store = assert(rille.open(arg[1]))
  local function stop()
    os.execute("kill -STOP $PPID")
    assert(store:head())
  end
  local function core_of(user)
    local i, upvalue, core = 0, nil, nil
    repeat
      i = i + 1
      upvalue, core = debug.getupvalue(user, i)
    until upvalue == "core"
    return core
  end
  local function stop_before(name, user)
    local core = core_of(user)
    local original = core[name]
    core[name] = function(...)
      core[name] = original
      stop()
      return original(...)
    end
  end
]]

local function stopped(p)
  local file = assert(io.open(("/proc/%d/stat"):format(p.pid)))
  local state = file:read "a":match "%) (%a)"
  file:close()
  if state == "Z" then error(p:finish(), 0) end
  return state == "T"
end

local function wait_stopped(p)
  local till = core.monotonic() + WAIT_S
  while not stopped(p) do
    assert(core.monotonic() < till, "nobody stopped")
    core.pause(0.005)
  end
end

local function go_on(p)
  os.execute("kill -CONT " .. p.pid)
  local output, status = p:finish()
  assert(status == 0, output)
end

local function mail(key, text) return { type = "Mail", data = { key = key, mail = text } } end

local function check_gone(store, path)
  local p = assert(store:projection("mails", script))
  for key, state in p:each { consistency = "eventual" } do assert.not_equal(SECRET, state.mail, key) end
  assert(p:update())
  assert.equal("other@example.com", p:get "1".mail)
  assert(p:close())
  assert.is_true(store:verify { deep = true }.ok)
  assert(store:close())
  assert.equal("", (process.run(("grep -rlaF %s '%s' || true"):format(SECRET, path))))
  scratch.remove(path)
end

---Redacts the second event while a process is stopped that was begun with this.
local function redact_beside(store, path, code)
  local other = process.start(PRELUDE .. code, path, script)
  wait_stopped(other)
  assert(store:redact(2))
  go_on(other)
  check_gone(store, path)
end

---A store with states as of event 1, and the secret behind them.
local function begin()
  local store, path = stores.new { sync = "always" }
  assert(store:append("a", mail("1", "other@example.com")))
  local p = assert(store:projection("mails", script))
  assert(p:update())
  assert(store:append("a", mail("2", SECRET)))
  return store, path, p
end

describe("a redaction", function()
  if process.run "uname -s":match "^%a+" ~= "Linux" then return pending "states of processes are read on Linux" end

  it("is not undone by who was stopped before it wrote the states it had", function()
    local store, path, p = begin()
    assert(p:close())
    redact_beside(store, path, [[
      local p = assert(store:projection("mails", arg[2]))
      stop_before("kept_write", require "rille.states".open)
      assert(p:update())
      assert(store:close())]])
  end)

  it("is not undone by what was left to the background thread", function()
    local store, path, p = begin()
    local others = {}
    for i = 3, 200 do others[#others + 1] = mail(tostring(i), "some@example.com") end
    assert(store:append("a", others))
    assert(p:close())
    redact_beside(store, path, [[
      local p = assert(store:projection("mails", arg[2], { cache = 64 }))
      stop_before("kept_begin", require "rille.states".open)
      repeat local left = assert(p:update { ms = 1000 }) until left == 0
      assert(p:close())
      assert(store:close())]])
  end)

  it("drops states that were kept while it began", function()
    local store, path, p = begin()
    local other = process.start(PRELUDE .. [[
      stop_before("redact", require "rille.retention".redact)
      assert(store:redact(2))
      assert(store:close())]], path, script)
    wait_stopped(other)
    assert(p:update())
    assert(p:close())
    go_on(other)
    check_gone(store, path)
  end)

  it("drops records of states that were built since it looked at them", function()
    local store, path, p = begin()
    local other = process.start(PRELUDE .. [[
      local core = core_of(require "rille.retention".redact)
      local redact = core.redact
      function core.redact(s, asked, noted)
        return redact(s, asked, function()
          local keeps = noted()
          stop()
          return keeps
        end)
      end
      assert(store:redact(2))
      assert(store:close())]], path, script)
    wait_stopped(other)
    assert(p:rebuild())
    assert(p:update())
    assert(p:close())
    go_on(other)
    check_gone(store, path)
  end)
end)
