-- projection_kill_spec.lua: several processes carry the same projection on, save it, rebuild
-- it and are killed at any moment; what each reads is what a fold to that position gives.
local rille = require "rille"
local process = require "spec.support.process"
local rounds = require "spec.support.rounds"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"

values.seed "projection_kill_spec"

local KILLS = rounds(16)
local PROCESSES = 3
local MODULE = assert(package.searchpath("rille", package.cpath))

local SCRIPT = [[
local rille = require "rille"
return { initial = { n = 0 }, key = "stream", on = {
  Counted = function(s, e) s.n = s.n + 1; s.last = e.version end,
  Reset = function() return rille.null end } }]]

-- Prints a line for each thousand checks, and at once what is wrong.
local CHILD = [[
  local module, path, script, seed = ...
  package.preload.rille = package.loadlib(module, "luaopen_rille")
  local rille = require "rille"
  math.randomseed(math.tointeger(seed))
  local store = assert(rille.open(path, { sync = "never" }))
  local p = assert(store:projection("p", script, { cache = 64 }))
  local function key() return ("k%03d"):format(math.random(200)) end
  -- A fold gives the first state where no event was.
  local function same(a, b) return (a and a.n or 0) == (b and b.n or 0) and (a and a.last) == (b and b.last) end
  local function check()
    local k = key()
    local how = ({ "strong", "session", "eventual", "weak" })[math.random(4)]
    local state, position, code = p:get(k, { consistency = how })
    if state == nil then
      assert(not code, position)
      if how ~= "strong" then return end
      position = p.states.mark
    end
    local expected, message = store:fold(script, { stream = k, at = position })
    assert(expected ~= nil or type(message) == "number", message)
    if not same(state, expected) then
      print(("WRONG: key %s at %d, %s: got %s, expected %s"):format(k, position, how,
        state and state.n or "none", expected and expected.n or "none"))
    end
  end
  local checks = 0
  print "ready"
  io.stdout:flush()
  while true do
    local dice = math.random(100)
    if dice <= 30 then
      local parts = {}
      for i = 1, math.random(8) do
        parts[i] = { stream = key(), events = { { type = math.random(9) == 1 and "Reset" or "Counted" } } }
      end
      assert(store:append(parts))
    elseif dice <= 90 then check()
    elseif dice <= 93 then assert(p:update())
    elseif dice <= 97 then assert(p:update { ms = math.random(3) })
    elseif dice == 98 then assert(p:rebuild())
    else
      assert(p:close())
      p = assert(store:projection("p", script, { cache = 64 }))
    end
    checks = checks + 1
    if checks % 1000 == 0 then print(checks) io.stdout:flush() end
  end
]]

it("a projection says the same whoever carries it on, and whoever dies", function()
  local store, path = stores.new()
  local script = scratch.file("projection.lua", SCRIPT)
  local children, wrong = {}, {}
  local function start(i)
    children[i] = process.start(CHILD, MODULE, path, script, math.random(1 << 30))
    local line = children[i]:line()
    if line ~= "ready" then wrong[#wrong + 1] = line end
  end
  for i = 1, PROCESSES do start(i) end
  for _ = 1, KILLS do
    os.execute(("sleep %.3f"):format(math.random() * 0.3))
    local i = math.random(PROCESSES)
    os.execute("kill -9 " .. children[i].pid)
    local rest = children[i]:finish()
    for line in rest:gmatch "[^\n]+" do
      if not line:find "^%d+$" then wrong[#wrong + 1] = line end
    end
    start(i)
  end
  for i = 1, PROCESSES do
    os.execute("kill -9 " .. children[i].pid)
    local rest = children[i]:finish()
    for line in rest:gmatch "[^\n]+" do
      if not line:find "^%d+$" then wrong[#wrong + 1] = line end
    end
  end
  assert.same({}, wrong)
  local p = assert(store:projection("p", script))
  for key, state in p:each() do
    local expected = store:fold(script, { stream = key })
    assert.same(expected, state)
  end
  assert.is_true(assert(store:verify { deep = true }).ok)
  store:close()
  store = assert(rille.open(path, { readonly = true }))
  store:close()
  scratch.remove(path)
end)
