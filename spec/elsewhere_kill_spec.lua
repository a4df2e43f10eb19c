-- elsewhere_kill_spec.lua: two processes run a processor that writes to another store, and are
-- killed, at any moment, again and again: each event has its effect there and here exactly once.
local rille = require "rille"
local process = require "spec.support.process"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local values = require "spec.support.values"

values.seed "elsewhere_kill_spec"

local KILLS = rounds(16)
local KEYS = 5
local MODULE = assert(package.searchpath("rille", package.cpath))

-- One event in 20 fails until the script is mended; each has an effect there and one here, and
-- one there later.
local SCRIPT = [[
return { key = "stream", on_error = "park",
  state = { initial = 0, on = { Asked = function(n) return n + 1 end } },
  on = { Asked = function(event, ctx)
    if event.data.n %% 20 == %d then error "not yet" end
    local data = { n = event.data.n, count = ctx.state }
    ctx:emit("effects-" .. event.stream, { type = "There", data = data }, { to = "other" })
    ctx:emit("effects-" .. event.stream, { type = "There2", data = data }, { to = "other" })
    ctx:emit("effects-" .. event.stream, { type = "Here", data = data })
    ctx:emit("later", { type = "Later", data = data }, { to = "other", delay = 0.005 })
  end } }]]

local CHILD = [[
  local module, path, other, script, way = ...
  package.preload.rille = package.loadlib(module, "luaopen_rille")
  local rille = require "rille"
  local store, there = assert(rille.open(path)), assert(rille.open(other))
  local c = way == "a transaction" and assert(rille.coordinator(store)) or nil
  local w = assert(store:processor("p", script, { stores = { other = there }, coordinator = c }))
  print "ready"
  io.stdout:flush()
  while true do
    local left, due, code = w:run { ms = 2 }
    if not left and code ~= "locked" then error(due) end -- by the other process, or one that is dead
    if left == 0 then store:wait(store:head() + 1, math.min(type(due) == "number" and due or 0.01, 0.01)) end
  end
]]

local paths = {}

local function write_script(failing) return scratch.file("elsewhere.lua", SCRIPT:format(failing)) end

local function start(way)
  local child = process.start(CHILD, MODULE, paths.here, paths.there, paths.script, way)
  assert.equal("ready", child:line())
  return child
end

---Kills it; what it has said until then is an error that it met.
local function kill(child)
  os.execute("kill -9 " .. child.pid)
  assert.equal("", (child:finish()))
end

---Appends inputs from `n` on to streams of their turn.
local function put(store, n)
  for _ = 1, math.random(1, 12) do
    n = n + 1
    assert(store:append("in-" .. n % KEYS, { type = "Asked", data = { n = n } }))
  end
  return n
end

---Effects of one type: each number once, of each key in the order of its inputs.
local function check(store, kind, n)
  local seen, last = {}, {}
  for event in store:all { types = { kind } } do
    local number = event.data.n
    assert(not seen[number], ("%s of input %d is there twice"):format(kind, number))
    seen[number] = true
    assert.equal((number - 1) // KEYS + 1, event.data.count)
    if kind ~= "Later" then
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

---What is left when all were killed.
local function come_to_rest(store, w)
  assert.equal(0, (assert(w:run())))
  assert(#w:parked() > 0, "nothing was parked")
  while #w:parked() > 0 do retry_all(w) end
  local left, due = assert(w:run())
  while due do
    store:wait(store:head() + 1, due)
    left, due = assert(w:run())
  end
  assert.equal(0, left)
end

for _, way in ipairs { "ids", "a transaction" } do
  describe("a processor that writes to another store by " .. way .. ", killed at any moment", function()
    it("has each effect exactly once", function()
      paths.here, paths.there, paths.script = scratch.path "here.rille", scratch.path "there.rille", write_script(7)
      local store, there = assert(rille.open(paths.here)), assert(rille.open(paths.there))
      local n, children = 0, { start(way), start(way) }
      for _ = 1, KILLS do
        n = put(store, n)
        local i = math.random(2)
        os.execute(("sleep 0.%03d"):format(math.random(0, 60)))
        kill(children[i])
        children[i] = start(way)
      end
      kill(children[1])
      kill(children[2])
      write_script(99)
      local c = way == "a transaction" and assert(rille.coordinator(store)) or nil
      local w = assert(store:processor("p", paths.script, { stores = { other = there }, coordinator = c }))
      come_to_rest(store, w)
      check(there, "There", n)
      check(there, "There2", n)
      check(there, "Later", n)
      check(store, "Here", n)
      assert.equal(store:head(), w:mark())
      assert.same({}, there:indoubt())
      store:close()
      there:close()
      scratch.remove(paths.here)
      scratch.remove(paths.there)
    end)
  end)
end
