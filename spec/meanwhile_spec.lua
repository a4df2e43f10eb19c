-- meanwhile_spec.lua: while the disk takes a transaction's decision its result is made, and so the
-- collector may call what it likes, at any allocation: then that closes a store, or raises an error.
local rille = require "rille"
local scratch = require "spec.support.scratch"

local EVENT = { type = "Moved", data = { amount = 5 } }

-- Calls f each time the collector comes, which it does at each allocation.
local function at_each_allocation(f)
  local function plant()
    setmetatable({}, { __gc = function()
      if f() then plant() end
    end })
  end
  plant()
end

local function eagerly(body)
  collectgarbage "stop"
  collectgarbage("incremental", 1, 1000, 0)
  collectgarbage "restart"
  local done = table.pack(pcall(body))
  collectgarbage("incremental", 200, 100, 13)
  assert(done[1], done[2])
  return table.unpack(done, 2, done.n)
end

local function versions_of(folder)
  local home, other = assert(rille.open(folder .. "/home")), assert(rille.open(folder .. "/other"))
  assert(other:settle())
  local found = { home:version "one", other:version "one", #other:indoubt() }
  assert(home:close())
  assert(other:close())
  return found
end

-- One transaction, in which the collector does `what` when it comes for the nth time. The answer, and
-- how often the collector came until it was there.
local function transact(folder, n, what)
  local home, other = assert(rille.open(folder .. "/home")), assert(rille.open(folder .. "/other"))
  local c = assert(rille.coordinator(home))
  local stores, count, over = { home = home, other = other }, 0, false
  local result, message, code = eagerly(function()
    return c:transact({}, function(tx)
      assert(tx:append(home, "one", EVENT))
      assert(tx:append(other, "one", EVENT))
      at_each_allocation(function()
        if over then return false end
        count = count + 1
        if count == n then what(stores) end
        return count < n
      end)
      return true
    end)
  end)
  over = true
  c:close()
  home:close()
  other:close()
  return { result, message, code }, count
end

-- What is done, at the 1st, 2nd, 3rd ... coming of the collector, until that is after the answer.
local function try(what)
  local codes = {}
  for n = 1, 1000 do
    local folder = scratch.path "both"
    scratch.shell("mkdir %s", folder)
    local answer, count = transact(folder, n, what)
    local found = versions_of(folder)
    local word = answer[1] and "committed" or answer[3]
    codes[word] = (codes[word] or 0) + 1
    assert.equal(found[1], found[2], word .. " at " .. n) -- all of it or nothing
    assert.equal(0, found[3], word .. " at " .. n)
    if word == "committed" then assert.equal(1, found[1])
    elseif word ~= "unknown" then assert.equal(0, found[1]) end
    if count < n then return codes, n end
  end
  error "the collector came without end"
end

describe("while the disk takes a decision", function()
  for _, name in ipairs { "home", "other" } do
    it("the collector may close " .. name, function()
      local codes, n = try(function(stores) stores[name]:close() end)
      assert.is_true(n > 10)
      assert.is_true((codes.unknown or 0) >= 1, "nothing was closed behind the decision")
    end)
  end

  it("an error of the collector's is nobody's", function()
    local codes = try(function() error "collected" end)
    assert.is_nil(codes.unknown)
    assert.is_true(codes.committed > 10)
  end)
end)
