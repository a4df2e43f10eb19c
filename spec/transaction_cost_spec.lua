-- transaction_cost_spec.lua: how often transactions flush. The stores count that themselves;
-- once, the calls are counted that reach the system (spec/crash/trap.c).
local power = require "spec.crash.power"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local trap = require "spec.crash.trap"
local failure = stores.failure

-- A thread that flushes when it likes is no matter of numbers.
local QUIET = { sync = "always", background = false }

local home, a, b, coordinator, opened

local function new_store()
  local store, path = stores.new(QUIET)
  opened[#opened + 1] = { store, path }
  return store
end

before_each(function()
  opened = {}
  home, a, b = new_store(), new_store(), new_store()
  coordinator = assert(rille.coordinator(home, { name = "counted" }))
end)
after_each(function()
  if coordinator then coordinator:close() end
  for _, each in ipairs(opened) do
    each[1]:close()
    scratch.remove(each[2])
  end
end)

local EVENT = { type = "Moved", data = { amount = 5 } }

local function flushes()
  return { home = home:stats().flushes, a = a:stats().flushes, b = b:stats().flushes }
end

---How many flushes of each store a call makes, then what it returns.
local function counted(f, ...)
  local before = flushes()
  local results = table.pack(f(...))
  local after = flushes()
  for name, n in pairs(before) do after[name] = after[name] - n end
  return after, table.unpack(results, 1, results.n)
end

---A transaction of one event for each of these stores.
local function transact(options, ...)
  local list = { ... }
  return coordinator:transact(options, function(tx)
    for _, store in ipairs(list) do assert(tx:append(store, "account-1", EVENT)) end
    return true
  end)
end

local function committed(result, message)
  assert(result, message)
  assert.equal("committed", result.outcome)
end

describe("a transaction flushes", function()
  it("each of n stores once, if home has events in it", function()
    local cost, result, message = counted(transact, {}, home, a)
    committed(result, message)
    assert.same({ home = 1, a = 1, b = 0 }, cost)
    cost, result, message = counted(transact, {}, home, a, b)
    committed(result, message)
    assert.same({ home = 1, a = 1, b = 1 }, cost)
  end)

  it("home too, if that only keeps the log", function()
    local cost, result, message = counted(transact, {}, a, b)
    committed(result, message)
    assert.same({ home = 1, a = 1, b = 1 }, cost)
  end)

  it("not again once it has answered: many cost as often as one", function()
    local cost = counted(function()
      for _ = 1, 10 do committed(transact({}, home, a)) end
    end)
    assert.same({ home = 10, a = 10, b = 0 }, cost)
  end)

  it("no store in which it only checks, while that has nothing unflushed", function()
    assert(b:append("limits", { type = "Set" }))
    local function check(tx) assert(tx:append(b, { { stream = "limits", expect = 1 } })) end
    local cost, result, message = counted(coordinator.transact, coordinator, {}, function(tx)
      assert(tx:append(home, "account-1", EVENT))
      assert(tx:append(a, "account-1", EVENT))
      check(tx)
      return true
    end)
    committed(result, message)
    assert.same({ home = 1, a = 1, b = 0 }, cost)
    cost, result, message = counted(coordinator.transact, coordinator, {}, function(tx)
      assert(tx:append(home, "account-1", EVENT))
      check(tx)
      return true
    end)
    committed(result, message)
    assert.same({ home = 1, a = 0, b = 0 }, cost)
  end)

  it("once, as an append does, if one store is all there is", function()
    local cost, result, message = counted(transact, {}, home)
    committed(result, message)
    assert.same({ home = 1, a = 0, b = 0 }, cost)
    cost, result, message = counted(transact, {}, a)
    committed(result, message)
    assert.same({ home = 0, a = 1, b = 0 }, cost)
  end)

  it("home and the one store, if the work has an id to be remembered there", function()
    local cost, result, message = counted(transact, { id = "order-1" }, a)
    committed(result, message)
    assert.same({ home = 1, a = 1, b = 0 }, cost)
    cost, result, message = counted(transact, { id = "order-1" }, a)
    committed(result, message)
    assert.is_true(result.duplicate)
    assert.same({ home = 0, a = 0, b = 0 }, cost)
  end)
end)

describe("a transaction that comes to nothing flushes", function()
  local NONE = { home = 0, a = 0, b = 0 }

  local function aborted(cost, ...)
    local _, code = failure(...)
    assert.equal("aborted", code)
    assert.same(NONE, cost)
  end

  it("nothing if its function says no", function()
    aborted(counted(coordinator.transact, coordinator, {}, function(tx)
      assert(tx:append(home, "account-1", EVENT))
      assert(tx:append(a, "account-1", EVENT))
      return false
    end))
  end)

  it("nothing if its function fails", function()
    local cost, ok = counted(pcall, coordinator.transact, coordinator, {}, function(tx)
      assert(tx:append(a, "account-1", EVENT))
      error "enough"
    end)
    assert.is_false(ok)
    assert.same(NONE, cost)
  end)

  it("nothing if home refuses, and asks nobody else", function()
    aborted(counted(coordinator.transact, coordinator, {}, function(tx)
      assert(tx:append(home, "account-1", EVENT, { expect = 7 }))
      assert(tx:append(a, "account-1", EVENT))
      return true
    end))
  end)

  it("nothing if another store refuses, wherever it stands", function()
    for _, order in ipairs { { a, b }, { b, a } } do
      aborted(counted(coordinator.transact, coordinator, {}, function(tx)
        assert(tx:append(home, "account-1", EVENT))
        for _, store in ipairs(order) do
          assert(tx:append(store, "account-1", EVENT, { expect = store == b and 7 or nil }))
        end
        return true
      end))
    end
  end)

  it("nothing by hand, too", function()
    local cost = counted(function()
      local tx = assert(coordinator:begin {})
      assert(tx:append(home, "account-1", EVENT))
      assert(tx:append(a, "account-1", EVENT))
      assert(tx:abort())
    end)
    assert.same(NONE, cost)
  end)
end)

describe("of the calls to the system", function()
  ---The inodes of a store's segments, each with the store's name.
  local function segments(map, name, path)
    local pipe = assert(io.popen(("ls -i '%s'/log/*.seg"):format(path)))
    for line in pipe:lines() do map[assert(line:match "^%s*(%d+)")] = name end
    pipe:close()
    return map
  end

  ---Without writes home that no flush follows at once: they note ends, and nobody waits for them.
  local function without_ends(list)
    local kept = {}
    for i, step in ipairs(list) do
      if step ~= "write home" or list[i + 1] == "flush home" then kept[#kept + 1] = step end
    end
    return kept
  end

  ---Writes and flushes of logs, between the first acknowledgement and the last.
  local function steps(record, names)
    local list, acknowledged = {}, 0
    for _, call in ipairs(power.read(record)) do
      local name = names[call[2]]
      if call[1] == "A" then
        acknowledged = acknowledged + 1
        list[#list + 1] = "answer"
      elseif acknowledged > 0 and name and (call[1] == "W" or call[1] == "S") then
        list[#list + 1] = (call[1] == "W" and "write " or "flush ") .. name
      end
    end
    while list[#list] ~= "answer" do list[#list] = nil end
    return without_ends(list)
  end

  it("the promise is flushed first, then the decision, and then nobody waits", function()
    if not trap.works() then return pending "calls are counted on Linux, with a C compiler" end
    local first, second = scratch.path(), scratch.path()
    local record = trap.count({ under = scratch.folder }, "transact", { first, second, 4 })
    local names = segments(segments({}, "home", first), "other", second)
    local expected = { "answer" }
    for _ = 1, 3 do
      for _, step in ipairs { "write other", "flush other", "write home", "flush home", "write other", "answer" } do
        expected[#expected + 1] = step
      end
    end
    assert.same(expected, steps(record, names))
    scratch.remove(first)
    scratch.remove(second)
  end)
end)
