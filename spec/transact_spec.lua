-- transact_spec.lua: a transaction over stores is done by one call (lua/ltransact.c), any other
-- by the loop in rille/drive.lua. Both answer the same, and leave the same behind.
local core = require "spec.support.core"
local rille = require "rille"
local scratch = require "spec.support.scratch"

-- The functions of the binding that the loop was given.
local function means()
  local drive = require "rille.drive"
  for i = 1, math.huge do
    local name, value = debug.getupvalue(drive.commit, i)
    assert(name, "rille.drive has changed")
    if name == "is_plain" then
      for j = 1, math.huge do
        local inner, found = debug.getupvalue(value, j)
        assert(inner, "rille.drive has changed")
        if inner == "transaction" then return found end
      end
    end
  end
end

local EVENT = { type = "Moved", data = { amount = 5 }, tags = { "branch:7" } }

-- Each case: what is done with home, two other stores and a coordinator.
local CASES = {
  ["all of them"] = function(c, home, a, b)
    return c:transact({}, function(tx)
      assert(tx:append(home, "one", { EVENT, EVENT }))
      assert(tx:append(a, "one", EVENT))
      assert(tx:append(a, "two", EVENT))
      assert(tx:append(a, "one", EVENT))
      return tx:append(b, { { stream = "one", expect = "none" } })
    end)
  end,
  ["without home"] = function(c, _, a, b)
    return c:transact({ id = "work-1" }, function(tx)
      assert(tx:append(a, "one", EVENT))
      return tx:append(b, "one", EVENT)
    end)
  end,
  ["home alone"] = function(c, home)
    return c:transact({}, function(tx) return tx:append(home, "one", EVENT) end)
  end,
  ["one that only takes part"] = function(c, home, a)
    return c:transact({}, function(tx)
      assert(tx:enlist(a, { name = "silent" }))
      return tx:append(home, "one", EVENT)
    end)
  end,
  ["a conflict elsewhere"] = function(c, home, a, b)
    return c:transact({}, function(tx)
      assert(tx:append(home, "one", EVENT))
      assert(tx:append(a, "one", EVENT))
      return tx:append(b, "one", EVENT, { expect = 7 })
    end)
  end,
  ["a conflict at home"] = function(c, home, a)
    return c:transact({}, function(tx)
      assert(tx:append(a, "one", EVENT))
      return tx:append(home, "one", EVENT, { expect = "exists" })
    end)
  end,
  ["what must not be"] = function(c, home, a)
    assert(a:append("one", EVENT))
    return c:transact({}, function(tx)
      assert(tx:append(home, "one", EVENT))
      return tx:append(a, { { stream = "two", events = EVENT }, unless = { tags = { "branch:7" } } })
    end)
  end,
  ["the same work again"] = function(c, home, a)
    local function work(tx)
      assert(tx:append(home, "one", EVENT))
      return tx:append(a, "one", EVENT)
    end
    assert(c:transact({ id = "work-1" }, work))
    return c:transact({ id = "work-1" }, work)
  end,
  ["work that another has done meanwhile"] = function(c, home, a)
    local tx = assert(c:begin { id = "work-1" })
    assert(tx:append(home, "one", EVENT))
    assert(tx:append(a, "one", EVENT))
    assert(c:transact({ id = "work-1" }, function(other) return other:append(home, "two", EVENT) end))
    return tx:commit()
  end,
  ["time that is up"] = function(c, home, a)
    local tx = assert(c:begin { timeout = 0.02 })
    assert(tx:append(home, "one", EVENT))
    assert(tx:append(a, "one", EVENT))
    core.pause(0.03)
    return tx:commit()
  end,
  ["streams in many parts"] = function(c, home, a)
    local parts = {}
    for i = 1, 50 do parts[i] = { stream = "s" .. i % 7, events = EVENT } end
    return c:transact({ id = "work-1" }, function(tx)
      assert(tx:append(a, parts))
      return tx:append(home, "one", EVENT)
    end)
  end,
  ["a lock"] = function(_, home, a)
    local voter = { prepare = function()
      local inner = assert(rille.coordinator(home, { name = "inner" }))
      local result = table.pack(inner:transact({}, function(tx)
        assert(tx:append(home, "two", EVENT))
        return tx:append(a, "one", EVENT)
      end))
      assert(inner:close())
      local detail = result[4]
      for _, vote in pairs(detail and detail.votes or {}) do
        if vote.code == "locked" then return nil, "locked" end
      end
      return true
    end }
    local outer = assert(rille.coordinator(home, { name = "outer", participants = { voter = voter } }))
    local result = table.pack(outer:transact({}, function(tx)
      assert(tx:append(a, "one", EVENT))
      assert(tx:enlist("voter", { optional = true }))
      return true
    end))
    assert(outer:close())
    return table.unpack(result, 1, result.n)
  end,
}

-- What differs from one run to the next.
local function normal(value)
  if type(value) == "string" then
    return (value:gsub("%x+%-%x+%-%x+%-%x+%-%x+%.%d+%.%x+%.%d+", "ID"):gsub("%d+%.%d+ s ago", "AGO"))
  end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, inner in pairs(value) do copy[key] = normal(inner) end
  return copy
end

local function events_of(store)
  local list = {}
  for e in store:all {} do list[#list + 1] = { e.stream, e.version, e.type, e.data, e.tags } end
  return list
end

---What a case answers and leaves, in stores of its own.
local function outcome_of(case)
  local folder = scratch.path "transact"
  local home, a, b
  scratch.shell("mkdir '%s'", folder)
  home = assert(rille.open(folder .. "/home.rille"))
  a, b = assert(rille.open(folder .. "/a.rille")), assert(rille.open(folder .. "/b.rille"))
  local c = assert(rille.coordinator(home, { name = "spec" }))
  local result = table.pack(case(c, home, a, b))
  local seen = { result = normal(result) }
  local id = type(result[1]) == "table" and result[1].id or result[4] and result[4].id
  if id then seen.told = normal(table.pack(c:outcome(id))) end
  assert(c:close())
  seen.doubts, seen.left = #assert(a:indoubt()), #assert(home:indoubt())
  seen.events = { events_of(home), events_of(a), events_of(b) }
  for _, store in ipairs { home, a, b } do
    assert.is_true(assert(store:verify {}).ok)
    assert(store:close())
  end
  scratch.remove(folder)
  return seen
end

describe("by one call or by the loop, a transaction ends the same:", function()
  local names = {}
  for name in pairs(CASES) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    it(name, function()
      local functions = means()
      local transact, called = functions.transact, 0
      functions.transact = function(...)
        called = called + 1
        return transact(...)
      end
      local ok, one = pcall(outcome_of, CASES[name])
      functions.transact = nil
      local also, other = pcall(outcome_of, CASES[name])
      functions.transact = transact
      assert(ok, one)
      assert(also, other)
      assert(called > 0, "it was not done by one call")
      assert.same(other, one)
    end)
  end
end)
