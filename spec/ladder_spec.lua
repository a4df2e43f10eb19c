-- ladder_spec.lua: a fold to a position in the past begins near by, and says the same.
local rille = require "rille"
local core = require "spec.support.core"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local EVENTS = 20000
local SUM = [[return { initial = { sum = 0, n = 0 }, on = { Counted = function(s, e)
  s.sum = s.sum + e.data.n; s.n = s.n + 1 end } }]]
local BY = [[return { initial = { sum = 0 }, key = function(e) return e.data.n % 3 end, on = { Counted = function(s, e)
  s.sum = s.sum + e.data.n end } }]]

local files, store, path

local function load(name) return files[name], "there is no such file" end

---How many rungs there are.
local function rungs()
  local n, key = 0, "L"
  while true do
    key = core.kept_next(store, key, "L")
    if not key then return n end
    n = n + 1
  end
end

before_each(function()
  files = { ["sum.lua"] = SUM, ["by.lua"] = BY }
  store, path = stores.new { load = load }
  stores.fill(store, "s", EVENTS, 500)
end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

local function sum(n) return n * (n + 1) // 2 end

describe("the ladder", function()
  it("changes no answer, at whatever position", function()
    assert.same({ sum = sum(EVENTS), n = EVENTS }, (store:fold "sum.lua"))
    assert.is_true(rungs() >= 15 and rungs() <= 25)
    for at = 0, EVENTS, 371 do
      local state, position = store:fold("sum.lua", { at = at })
      assert.same({ sum = sum(at), n = at }, state)
      assert.equal(at, position)
    end
  end)

  it("keeps the rungs of the last forms of a script alone", function()
    assert(store:fold("by.lua", { key = 1 }))
    local of_another, most = rungs(), nil
    for form = 1, 40 do
      files["sum.lua"] = "local form = " .. form .. " " .. SUM
      assert.same({ sum = sum(EVENTS), n = EVENTS }, (store:fold "sum.lua"))
      if form == 1 then most = of_another + 16 * (rungs() - of_another) end
      assert(rungs() <= most, ("%d rungs after %d forms, at most %d"):format(rungs(), form, most))
    end
    assert.equal(most, rungs())
    for _, form in ipairs { 40, 39, 25, 24, 1 } do -- kept and removed ones; the answer is the same
      files["sum.lua"] = "local form = " .. form .. " " .. SUM
      assert.same({ sum = sum(5000), n = 5000 }, (store:fold("sum.lua", { at = 5000 })))
    end
    assert(of_another > 0 and rungs() <= most)
  end)

  it("serves streams by position and by version", function()
    store:append("t", { type = "Counted", data = { n = 1000000 } })
    for _ = 1, 2 do
      for at = 0, EVENTS, 1777 do
        local state, _, version = store:fold("sum.lua", { stream = "s", at = at })
        assert.same({ sum = sum(at), n = at }, state)
        assert.equal(at, version)
        state, _, version = store:fold("sum.lua", { stream = "s", version = at })
        assert.same({ sum = sum(at), n = at }, state)
        assert.equal(at, version)
      end
    end
    local state, _, version = store:fold("sum.lua", { stream = "s" })
    assert.same({ sum = sum(EVENTS), n = EVENTS }, state)
    assert.equal(EVENTS, version)
  end)

  it("serves keys by function", function()
    for _ = 1, 2 do
      for at = 0, EVENTS, 4001 do
        local expected = 0
        for n = 1, at do
          if n % 3 == 1 then expected = expected + n end
        end
        assert.same({ sum = expected }, (store:fold("by.lua", { key = 1, at = at })))
      end
    end
  end)

  it("does not serve what is read of a truncated stream", function()
    assert(store:fold("sum.lua", { stream = "s" }))
    assert(store:truncate("s", { before = 10001 }))
    assert.same({ sum = sum(EVENTS) - sum(10000), n = 10000 }, (store:fold("sum.lua", { stream = "s" })))
    assert.same({ sum = sum(9000), n = 9000 }, (store:fold("sum.lua", { stream = "s", at = 9000 })))
  end)

  it("belongs to one form of the script", function()
    assert(store:fold "sum.lua")
    local before = rungs()
    files["sum.lua"] = "-- a comment\n" .. SUM
    assert(store:fold("sum.lua", { at = 5000 }))
    assert.equal(before, rungs())
    files["sum.lua"] = SUM:gsub("%+ e.data.n", "- e.data.n")
    assert.same({ sum = -sum(5000), n = 5000 }, (store:fold("sum.lua", { at = 5000 })))
    assert.is_true(rungs() > before)
  end)

  it("is left out by who only reads, and gone with the index", function()
    store:close()
    store = assert(rille.open(path, { load = load, readonly = true }))
    assert.same({ sum = sum(EVENTS), n = EVENTS }, (store:fold "sum.lua"))
    assert.equal(0, rungs())
    store:close()
    store = assert(rille.open(path, { load = load }))
    assert(store:fold "sum.lua")
    store:close()
    scratch.remove(path .. "/index")
    store = assert(rille.open(path, { load = load }))
    assert.equal(0, rungs())
    assert.same({ sum = sum(7777), n = 7777 }, (store:fold("sum.lua", { at = 7777 })))
  end)

  it("has fewer rungs where the states are large", function()
    files["large.lua"] = [[local blob = ("x"):rep(100000)
      return { initial = { n = 0, blob = blob }, on = { Counted = function(s) s.n = s.n + 1 end } }]]
    assert.equal(EVENTS, (store:fold "large.lua").n)
    assert.is_true(rungs() <= EVENTS * 16 // 100000 + 2)
    assert.equal(12345, (store:fold("large.lua", { at = 12345 })).n)
  end)
end)
