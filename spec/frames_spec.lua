-- frames_spec.lua: who has only some milliseconds for what it follows does not wait for the disk:
-- the background thread writes what is kept. Nothing is lost where that fails.
local rille = require "rille"
local power = require "spec.crash.power"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local trap = require "spec.crash.trap"
local values = require "spec.support.values"

local SOAK = math.max(1, tonumber(os.getenv "RILLE_SOAK") or 1)
local KEYS, EVENTS, CACHE = 600, 6000, 128
local FAILED_CALLS = 12 * SOAK -- at random ones
local ONE_WRITE = 8 -- calls of it, at most: pages lie side by side
local NUMBERS = { EIO = 5, ENOSPC = 28 }

local SCRIPT = [[return { initial = { n = 0, sum = 0 }, key = function(event) return event.data.key end, on = {
  Counted = function(state, event) state.n = state.n + 1 state.sum = state.sum + event.data.n end } }]]

values.seed "frames_spec"

local script, path

local function fill(store, events)
  for _ = 1, events, 100 do
    local list = {}
    for i = 1, 100 do
      list[i] = { type = "Counted", data = { key = "k" .. math.random(KEYS), n = math.random(1000) } }
    end
    assert(store:append("s", list))
  end
end

before_each(function()
  script = scratch.file("frames.lua", SCRIPT)
  local store
  store, path = stores.new()
  fill(store, EVENTS)
  assert(store:close())
end)
after_each(function() scratch.remove(path) end)

---The calls that changed a file while frames went by.
local function calls_of(record)
  local calls, during = {}, false
  for _, call in ipairs(power.read(record)) do
    if call[1] == "A" then during = call[2] == "frames"
    elseif during and call[1] ~= "S" then calls[#calls + 1] = call end
  end
  return calls
end

---How often the disk was waited for, by the thread that runs Lua and by others.
local function flushes(record, main)
  local own, others = 0, 0
  for _, call in ipairs(calls_of(record)) do
    if call[1] == "B" and math.tointeger(tonumber(call[3])) == main then own = own + 1
    elseif call[1] == "B" then others = others + 1 end
  end
  return own, others
end

local function run_frames(settings, background, ...)
  local running = trap.start(settings, "frames", { path, script, 2, background, CACHE, ... })
  local lines, status = running:wait()
  assert(status == 0, table.concat(lines, "\n"))
  local frames, failures, rest = lines[1]:match "^frames (%d+) failures (%d+) (.*)$"
  return { frames = math.tointeger(tonumber(frames)), failures = math.tointeger(tonumber(failures)), rest = rest,
    pid = running.pid }
end

---Every state is what a fold of the log makes of it.
local function check_states()
  local store = assert(rille.open(path))
  local expected = {}
  for event in store:all() do
    local data = event.data
    local state = expected[data.key] or { n = 0, sum = 0 }
    state.n, state.sum = state.n + 1, state.sum + data.n
    expected[data.key] = state
  end
  for _, name in ipairs { "p", "q" } do
    local p, got = assert(store:projection(name, script)), {}
    for key, state in p:each() do got[key] = state end
    assert.same(expected, got)
  end
  assert(store:verify().ok)
  assert(store:close())
end

describe("frames", function()
  it("never wait for the disk, which another thread does", function()
    if not trap.works() then return pending "calls are recorded on Linux, with a C compiler" end
    local record = scratch.path "record"
    local run = run_frames({ under = scratch.folder, record = record }, "background")
    local own, others = flushes(record, run.pid)
    assert.equal("all", run.rest)
    assert.equal(0, own)
    assert(others >= 4, "only " .. others .. " writes in the background")
    check_states()
  end)

  it("do wait for it where there is no other thread", function()
    if not trap.works() then return pending "calls are recorded on Linux, with a C compiler" end
    local record = scratch.path "record"
    local run = run_frames({ under = scratch.folder, record = record }, "alone")
    local own, others = flushes(record, run.pid)
    assert.equal("all", run.rest)
    assert.equal(0, others)
    assert(own >= 4, "only " .. own .. " writes")
    check_states()
  end)

  it("tell that a write has failed, and lose nothing by it", function()
    if not trap.works() then return pending "calls are counted on Linux, with a C compiler" end
    local met = 0
    for i = 1, FAILED_CALLS do
      local mark, record = scratch.path "mark", scratch.path "record"
      local errno = i % 2 == 0 and NUMBERS.EIO or NUMBERS.ENOSPC
      local n = math.random(20)
      local settings = { under = path, fail = n, errno = errno, mark = mark, record = record }
      local run = run_frames(settings, "background", mark)
      -- A failed flush of the log is final; any other write is made again.
      if run.failures == 5 then assert(run.rest:find "^io: ", run.rest)
      else assert(run.rest == "all" and run.failures <= 1, run.rest) end
      if #calls_of(record) >= n + ONE_WRITE then -- the last may fail when the frames are over
        met = met + 1
        assert(run.failures > 0, ("call %d failed, and nobody was told"):format(n))
      end
      check_states()
      local store = assert(rille.open(path, { sync = "never" }))
      fill(store, 2000)
      assert(store:close())
    end
    assert(met > 0, "no call failed in time")
  end)

  it("go on after a handler failed while a write was under way", function()
    local files = { ["p.lua"] = SCRIPT }
    local store = assert(rille.open(path, { sync = "never", load = function(name) return files[name] end }))
    local p = assert(store:projection("p", "p.lua", { cache = CACHE }))
    assert(store:append("s", { type = "Counted", data = { key = "k1", n = "no number" } }))
    local bad = store:head()
    local left, message, code
    repeat left, message, code = p:update { ms = 1 } until left == nil
    assert.equal("script", code)
    stores.contains(message, "at position " .. bad)
    assert.equal(bad - 1, p:mark())
    files["p.lua"] = SCRIPT:gsub("event%.data%.n ", "(math.tointeger(event.data.n) or 0) ")
    local state = assert(p:get "k1")
    assert.same(store:fold("p.lua", { key = "k1" }), state)
    assert(p:close())
    assert(store:close())
  end)

  it("may end by closing, rebuilding and listing while a write is under way", function()
    local store = assert(rille.open(path, { sync = "never" }))
    for round = 1, 12 do
      local p = assert(store:projection("p", script, { cache = CACHE }))
      for _ = 1, math.random(4) do assert(p:update { ms = math.random(3) / 4 }) end
      local what = math.random(4)
      if what == 1 then assert(p:rebuild())
      elseif what == 2 then
        local n = 0
        for _, state in p:each { consistency = "weak" } do n = n + state.n end
        assert.equal(p:mark(), n)
      elseif what == 3 then assert.same(store:fold(script, { key = "k7" }), p:get "k7") end
      if round % 3 ~= 0 then assert(p:close()) end -- else it is collected
      collectgarbage()
      fill(store, 500)
    end
    assert(store:close())
    check_states()
  end)
end)
