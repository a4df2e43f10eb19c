-- processor_kill_spec.lua: two processes run the same processor and are killed, at any moment,
-- again and again, while events come: each event has each of its effects exactly once.
local rille = require "rille"
local process = require "spec.support.process"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local values = require "spec.support.values"

values.seed "processor_kill_spec"

local KILLS = rounds(24)
local KEYS = 5
local MODULE = assert(package.searchpath("rille", package.cpath))

-- One event in 20 fails until the script is mended; each has one effect now and one later.
local SCRIPT = [[
return { key = "stream", on_error = "park",
  state = { initial = 0, on = { Asked = function(n) return n + 1 end } },
  on = { Asked = function(event, ctx)
    if event.data.n %% 20 == %d then error "not yet" end
    local data = { n = event.data.n, count = ctx.state }
    ctx:emit("effects-" .. event.stream, { type = "Effect", data = data })
    ctx:emit("effects-" .. event.stream, { type = "Later", data = data }, { delay = 0.005 })
  end } }]]

local CHILD = [[
  local module, path, script = ...
  package.preload.rille = package.loadlib(module, "luaopen_rille")
  local rille = require "rille"
  local store = assert(rille.open(path))
  local w = assert(store:processor("p", script))
  print "ready"
  io.stdout:flush()
  while true do
    local left, due = assert(w:run { ms = 2 })
    if left == 0 then store:wait(store:head() + 1, math.min(type(due) == "number" and due or 0.01, 0.01)) end
  end
]]

local store, path, script

local function write_script(failing) scratch.file("kill.lua", SCRIPT:format(failing)) end

local function start()
  local child = process.start(CHILD, MODULE, path, script)
  assert.equal("ready", child:line())
  return child
end

local function kill(child)
  os.execute("kill -9 " .. child.pid)
  child:finish()
end

---Appends inputs from `n` on to streams of their turn.
local function put(n)
  for _ = 1, math.random(1, 12) do
    n = n + 1
    assert(store:append("in-" .. n % KEYS, { type = "Asked", data = { n = n } }))
  end
  return n
end

---Effects of one type: each number once, of each key in the order of its inputs.
local function check(kind, n)
  local seen, last = {}, {}
  for event in store:all { types = { kind } } do
    local number = event.data.n
    assert(not seen[number], ("%s of input %d is there twice"):format(kind, number))
    seen[number] = true
    assert.equal((number - 1) // KEYS + 1, event.data.count)
    if kind == "Effect" then
      assert(number > (last[event.stream] or 0), "the effects of a key changed their order")
      last[event.stream] = number
    end
  end
  for i = 1, n do assert(seen[i], ("%s of input %d is missing"):format(kind, i)) end
end

local function retry_all(w)
  for _, entry in ipairs(w:parked()) do
    if not entry.behind then assert(w:retry(entry.position)) end
  end
end

describe("a processor whose processes are killed at any moment", function()
  it("has each effect exactly once", function()
    path, script = scratch.path(), scratch.folder .. "/kill.lua"
    write_script(7)
    store = assert(rille.open(path))
    local n, children = 0, { start(), start() }
    for _ = 1, KILLS do
      n = put(n)
      local i = math.random(2)
      os.execute(("sleep 0.%03d"):format(math.random(0, 60)))
      kill(children[i])
      children[i] = start()
    end
    kill(children[1])
    kill(children[2])
    write_script(99)
    local w = assert(store:processor("p", script))
    assert.equal(0, (w:run()))
    assert(#w:parked() > 0, "nothing was parked")
    while #w:parked() > 0 do retry_all(w) end
    local left, due = w:run()
    while due do
      store:wait(store:head() + 1, due)
      left, due = w:run()
    end
    assert.equal(0, left)
    check("Effect", n)
    check("Later", n)
    assert.equal(store:head(), w:mark())
    assert(store:version "$delayed-p" >= 2 * n)
    store:close()
    scratch.remove(path)
  end)
end)
