-- A finalizer of the host's runs whenever memory is collected, in the midst of a projection's
-- run, too. One that read the same projection then took the events from the old mark on once
-- more, on states that had them already; and that was saved.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

---Calls f again and again, whenever memory is collected, until it gives true.
local function often(f)
  setmetatable({}, { __gc = function()
    if not f() then often(f) end
  end })
end

describe("a projection that is carried on", function()
  local store, path, p
  before_each(function()
    local text = [[return { initial = 0, on = { Counted = function(n)
      local garbage = {}
      for i = 1, 50 do garbage[i] = { i } end
      return n + 1
    end } }]]
    store, path = stores.new { load = function() return text end }
    stores.fill(store, "s", 3000)
    p = assert(store:projection("p", "p.lua"))
  end)
  after_each(function()
    store:close()
    scratch.remove(path)
  end)

  local function busy(expected, f)
    local code
    often(function()
      local ok, state, _, why = pcall(f)
      assert(ok, state)
      code = code or state == nil and why
      return code
    end)
    assert.equal(expected, (p:get()))
    assert.equal("busy", code)
    assert.equal(expected, (p:get()))
    assert(p:update())
  end

  it("can't be read", function()
    busy(3000, function() return p:get() end)
  end)

  it("can't be read weakly", function()
    assert(p:update())
    stores.fill(store, "s", 3000)
    busy(6000, function() return p:get(nil, { consistency = "weak" }) end)
  end)

  it("can't be carried on", function()
    busy(3000, function() return p:update { ms = 1 } end)
  end)

  it("can't be rebuilt", function()
    busy(3000, function() return p:rebuild() end)
  end)

  it("can't be read when poll carries it on with others", function()
    local q = assert(store:projection("q", "p.lua"))
    local codes = {}
    often(function()
      local state, _, code = q:get()
      codes[#codes + 1] = state == nil and code or nil
      return codes[1]
    end)
    assert(store:poll())
    assert.equal("busy", codes[1])
    assert.equal(3000, (p:get()))
    assert.equal(3000, (q:get()))
  end)
end)
