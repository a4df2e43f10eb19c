-- effects.lua: processors whose processes are killed at any moment: what they are asked for, a script that has effects
-- of it, the kills, and whether each effect is there exactly once.
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local effects = {}

local KEYS = 5
local MODULE = assert(package.searchpath("rille", package.cpath))

local SCRIPT = [[
return { key = "stream", on_error = "park",
  state = { initial = 0, on = { Asked = function(n) return n + 1 end } },
  on = { Asked = function(event, ctx)
    if event.data.n %% 20 == %d then error "not yet" end
    local data = { n = event.data.n, count = ctx.state }
%s  end } }]]

local CHILD = [[
  local module, path, script, passes, other, way = ...
  package.preload.rille = package.loadlib(module, "luaopen_rille")
  local rille = require "rille"
  local store = assert(rille.open(path))
  %s
  print "ready"
  io.stdout:flush()
  while true do
    local left, due, code = w:run { ms = 2 }
    if not left and code ~= passes then error(due) end
    if left == 0 then store:wait(store:head() + 1, math.min(type(due) == "number" and due or 0.01, 0.01)) end
  end
]]

---A file with a script that emits so. One event in 20, whose number leaves `failing`, fails; with 99 none does.
---@return string path
function effects.script(name, emits, failing) return scratch.file(name, SCRIPT:format(failing, emits)) end

---Starts a process that runs the processor `w` of that text, and a failure of the code `passes` is none to it.
function effects.start(text, path, script, passes, ...)
  local child = process.start(CHILD:format(text), MODULE, path, script, passes or "", ...)
  local said = child:line()
  assert(said == "ready", said)
  return child
end

---What it has said until then is an error that it met.
local function kill(child)
  os.execute("kill -9 " .. child.pid)
  local said = child:finish()
  assert(said == "", said)
end

---Appends inputs from `n` on to streams of their turn.
local function put(store, n)
  for _ = 1, math.random(1, 12) do
    n = n + 1
    assert(store:append("in-" .. n % KEYS, { type = "Asked", data = { n = n } }))
  end
  return n
end

---Two processes, of which one is killed so many times, and another takes its place, while events come; then both.
---@return integer how many events have come
function effects.kill_often(store, kills, start)
  local n, children = 0, { start(), start() }
  for _ = 1, kills do
    n = put(store, n)
    local i = math.random(2)
    os.execute(("sleep 0.%03d"):format(math.random(0, 60)))
    kill(children[i])
    children[i] = start()
  end
  kill(children[1])
  kill(children[2])
  return n
end

local function retry_all(w)
  for _, entry in ipairs(w:parked()) do
    if not entry.behind then assert(w:retry(entry.position)) end
  end
end

---What is left when all were killed, and the script is mended: something was parked.
function effects.come_to_rest(store, w)
  assert(assert(w:run()) == 0)
  assert(#w:parked() > 0, "nothing was parked")
  while #w:parked() > 0 do retry_all(w) end
  local left, due = assert(w:run())
  while due do
    store:wait(store:head() + 1, due)
    left, due = assert(w:run())
  end
  assert(left == 0)
end

---Effects of one type: each number up to n once; unless they come later, of each key in the order of its inputs.
function effects.check(store, kind, n)
  local seen, last = {}, {}
  for event in store:all { types = { kind } } do
    local number = event.data.n
    assert(not seen[number], ("%s of input %d is there twice"):format(kind, number))
    seen[number] = true
    assert((number - 1) // KEYS + 1 == event.data.count, ("%s of input %d has another state"):format(kind, number))
    if kind ~= "Later" then
      assert(number > (last[event.stream] or 0), "the effects of a key changed their order")
      last[event.stream] = number
    end
  end
  for i = 1, n do assert(seen[i], ("%s of input %d is missing"):format(kind, i)) end
end

return effects
