-- A processor with many timers, or that parks and retries, grew for ever: the streams of what
-- waits were read from their beginning by who opened it, and held bytes that nobody needs.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local values = require "spec.support.values"

local START = 1700000000
local SPARE = 256 -- as in lua/rille/pruning.lua

local store, path, now, text

local function options()
  return { sync = "never", load = function() return text end, clock = function() return now end }
end

before_each(function()
  now = START
  store, path = stores.new(options())
end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

local function open(where, more) return assert((where or store):processor("p", "p.lua", more)) end

---Events of the stream that can still be read, and its version.
local function extent(stream)
  local n = 0
  for _ in store:read(stream) do n = n + 1 end
  return n, store:version(stream)
end

local REMIND = [[return { on = { Asked = function(event, ctx)
  ctx:emit("answers", { type = "Reminded", data = event.data.n }, { delay = event.data.delay }) end } }]]

local function ask(n, delay) assert(store:append("asked", { type = "Asked", data = { n = n, delay = delay } })) end

local function answers(where) return stores.fields("data", (where or store):read "answers") end

---Timers of a second each, in rounds of so many.
local function tick(w, rounds, each, done)
  for round = 1, rounds do
    for i = 1, each do ask(#done + i, 1) end
    assert(w:run())
    now = now + 2
    assert(w:run())
    for _ = 1, each do done[#done + 1] = #done + 1 end
    assert.same(done, answers(), "round " .. round)
  end
  return done
end

describe("the stream of timers", function()
  for _, isolated in ipairs { false, true } do
    it("stays as long as what is left" .. (isolated and ", of an isolate, too" or ""), function()
      text = REMIND
      local w = open(nil, { isolated = isolated or nil })
      tick(w, 2, 400, {})
      local left, version = extent "$delayed-p"
      assert.equal(1600, version)
      assert.is_true(left <= 2 * SPARE, left .. " are left")
      assert.is_true(left >= 1)
    end)
  end

  it("is not held back by one that is due in a year", function()
    text = REMIND
    local w = open()
    for i = 1, 3 do ask("late " .. i, 1e6) end
    local done = tick(w, 2, 600, {})
    local left, version = extent "$delayed-p"
    assert.is_true(version > 2400)
    assert.is_true(left <= 3 * SPARE, left .. " are left")
    local firsts = {}
    for e in store:all { { types = { "$delayed" } } } do
      if e.data.first then firsts[e.data.first] = e.data.event.data end
    end
    assert.same({ "late 1", "late 2", "late 3" }, firsts) -- known elsewhere by their first numbers
    w:close()
    now = now + 1000001
    w = open()
    w:run()
    for i = 1, 3 do done[#done + 1] = "late " .. i end
    assert.same(done, answers())
    w:run()
    assert.same(done, answers())
  end)

  it("is as good as one that was not cut to who had read it before", function()
    text = REMIND
    local other <close> = assert(rille.open(path, options()))
    local w, second = open(), open(other)
    for i = 1, 400 do ask(i, 1) end
    ask("late", 1000)
    w:run()
    second:run() -- has all of them in memory
    now = now + 2
    w:run()
    assert.is_true(extent "$delayed-p" < 800)
    second:run()
    assert.equal(400, #answers(other))
    now = now + 1000
    second:run()
    w:run()
    assert.equal(401, #answers())
  end)

  it("of two that deliver in turns, is delivered once", function()
    text = REMIND
    values.seed "155-timers-for-ever_spec"
    local other <close> = assert(rille.open(path, options()))
    local both, n = { open(), open(other) }, 0
    for _ = 1, 60 do
      for _ = 1, math.random(20) do
        n = n + 1
        ask(n, math.random(1, 40))
      end
      now = now + math.random(0, 3)
      both[math.random(2)]:run { ms = math.random(0, 2) }
    end
    both[1]:run()
    now = now + 100
    both[2]:run()
    local got = answers()
    table.sort(got)
    assert.same(stores.range(1, n), got)
  end)

  it("has a place for timers of any size", function()
    text = [[return { on = { Asked = function(event, ctx)
      ctx:emit("answers", { type = "Reminded", data = ("x"):rep(event.data.n) }, { delay = event.data.delay }) end } }]]
    local w = open()
    for _ = 1, 6 do ask(12 << 20, 1000) w:run() end
    for _ = 1, 300 do ask(1, 1) end
    w:run()
    now = now + 2
    w:run()
    assert.equal(300, #answers())
    assert.is_true(extent "$delayed-p" <= 2 * SPARE)
    now = now + 1000
    w:run()
    assert.equal(306, #answers())
  end)
end)

describe("the stream of parked events", function()
  it("stays as long as what is parked", function()
    local BAD = [[return { key = "stream", on_error = "park", on = { Asked = function(event, ctx)
      if event.data.n %s then error "no" end
      ctx:emit("answers", { type = "Answered", data = event.data.n }) end } }]]
    text = BAD:format "> 0"
    local w = open()
    assert(store:append("first", { type = "Asked", data = { n = 1000 } }))
    assert(w:run())
    local first = w:parked()[1]
    for round = 1, 4 do
      text = BAD:format "> 0"
      for i = 1, 100 do assert(store:append("s" .. i, { type = "Asked", data = { n = i } })) end
      assert(w:run())
      text = BAD:format "> 100"
      for _, entry in ipairs(w:parked()) do
        if entry.position ~= first.position then assert.equal(1, (w:retry(entry.position))) end
      end
      assert.equal(100 * round, #answers())
    end
    local left, version = extent "$parked-p"
    assert.is_true(version > 800)
    assert.is_true(left <= 2 * SPARE + 2, left .. " are left")
    w:close()
    w = open()
    assert.same({ first }, w:parked())
    text = BAD:format "> 10000"
    assert.equal(1, (w:retry(first.position)))
    assert.equal(401, #answers())
    assert.same({}, w:parked())
  end)
end)
