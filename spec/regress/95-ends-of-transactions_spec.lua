-- What an end of a transaction forgot: branches that were never asked stayed at work; a store that
-- the host had closed kept it pending for as long as its coordinator lived; a policy was not asked
-- where one other store was all; what the function had committed by hand was called aborted; and
-- what the host's clock raised left locks.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local failure = stores.failure

local here, there, c, there_path, calls

---Stands for a database: what is done to its branches is noted.
local function database(vote)
  local branch = { note = function() return "" end, commit = function() return true end }
  function branch.prepare() table.insert(calls, "prepare") return vote end
  function branch.abort() table.insert(calls, "abort") return true end
  return { kind = "postgres", enlist = function() return branch end, finish = function() return true end }
end

before_each(function()
  calls = {}
  there_path = scratch.path "there"
  here, there = assert(rille.open(scratch.path "here")), assert(rille.open(there_path))
  c = assert(rille.coordinator(here, { name = "spec", participants = { shop = database "yes" } }))
end)

after_each(function()
  c:close()
  here:close()
  there:close()
end)

local EVENT = { type = "Moved" }

describe("a branch that is at work", function()
  it("is aborted where home says no before it is asked", function()
    local _, code = failure(c:transact({}, function(tx)
      assert(tx:enlist "shop")
      return tx:append(here, "a", EVENT, { expect = 7 })
    end))
    assert.equal("aborted", code)
    assert.same({ "abort" }, calls)
  end)

  it("is aborted where another says no before it is asked", function()
    failure(c:transact({}, function(tx)
      assert(tx:append(there, "a", EVENT, { expect = 7 }))
      return tx:enlist "shop"
    end))
    assert.same({ "abort" }, calls)
  end)

  it("is told once where it was asked", function()
    failure(c:transact({}, function(tx)
      assert(tx:enlist "shop")
      return tx:append(there, "a", EVENT, { expect = 7 })
    end))
    assert.same({ "prepare", "abort" }, calls)
  end)
end)

describe("a member that the host closes after the answer", function()
  it("is told by recovery, and the transaction ends", function()
    assert(c:transact({}, function(tx)
      assert(tx:append(here, "a", EVENT))
      return tx:append(there, "a", EVENT)
    end))
    there:close()
    assert(c:recover())
    assert.same({}, c:pending())
    there = assert(rille.open(there_path))
    assert.equal(1, there:version "a")
  end)
end)

describe("a policy", function()
  it("is asked where one other store is all", function()
    local never = scratch.file("never.lua", [[return { decide = function() return "abort", "never" end }]])
    local message, code = failure(c:transact({ policy = never }, function(tx) return tx:append(there, "a", EVENT) end))
    assert.equal("aborted", code)
    stores.contains(message, "never")
    assert.equal(0, there:version "a")
  end)
end)

describe("a function that commits by itself", function()
  it("has the answer of that", function()
    local result = assert(c:transact({}, function(tx)
      tx:append(here, "a", EVENT)
      assert(tx:commit())
      return true
    end))
    assert.equal("committed", result.outcome)
    assert.equal(1, here:version "a")
  end)
end)

describe("an error of the host's clock", function()
  it("leaves nothing prepared", function()
    local third_path = scratch.path "third"
    local broken = false
    local third = assert(rille.open(third_path, { clock = function()
      if broken then error "no time" end
      return os.time()
    end }))
    stores.contains(stores.raised(c.transact, c, {}, function(tx)
      assert(tx:append(here, "a", EVENT))
      assert(tx:append(there, "a", EVENT))
      assert(tx:append(third, "a", EVENT))
      broken = true
      return true
    end), "no time")
    assert.same({}, there:indoubt())
    broken = false
    third:close()
  end)
end)
