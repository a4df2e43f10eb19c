-- transaction_postgres_spec.lua: transactions in which a PostgreSQL takes part, or is home.
local postgres = require "spec.support.postgres"
local rille = require "rille"
local stores = require "spec.support.stores"
local scratch = require "spec.support.scratch"
local case, contains, failure = postgres.case, stores.contains, stores.failure

local missing = postgres.lacks()
local server, plain, shop, bare, here, there, folder, c

if not missing then
  server, plain = postgres.new "max_prepared_transactions=20", postgres.new "max_prepared_transactions=0"
  for _, one in ipairs { server, plain } do one:psql "create table moves (id text primary key, n int)" end
end

teardown(function()
  if missing then return end
  server:close()
  plain:close()
end)

before_each(function()
  if missing then return end
  server:psql "set lock_timeout = '5s'; truncate moves"
  plain:psql "set lock_timeout = '5s'; truncate moves"
  folder = scratch.path "transactions"
  scratch.shell("mkdir '%s'", folder)
  here, there = assert(rille.open(folder .. "/here.rille")), assert(rille.open(folder .. "/there.rille"))
  shop, bare = assert(rille.postgres(server:conninfo())), assert(rille.postgres(plain:conninfo()))
  c = assert(rille.coordinator(here, { name = "spec", participants = { shop = shop, bare = bare,
    mail = { prepare = function() return true end, commit = function() return true end },
    audit = { prepare = function() return true end } } }))
end)

after_each(function()
  if missing then return end
  c:close()
  shop:close()
  bare:close()
  here:close()
  there:close()
  scratch.remove(folder)
end)

local function count(one) return tonumber(one:psql "select count(*) from moves") end

local function move(options, name, more)
  return c:transact(options, function(tx)
    assert(tx:enlist(name):exec("insert into moves values ($1, $2)", options.id or "x", 5))
    if more then return more(tx) end
    return true
  end)
end

local function in_both(tx)
  return tx:append(here, "account-1", { type = "Moved" }) and tx:append(there, "account-2", { type = "Moved" })
end

describe("PostgreSQL beside stores", function()
  case("commits with them", function()
    local result = assert(move({ id = "order-1" }, "shop", in_both))
    assert.same({ "shop", "here", "there" }, result.members)
    assert.same({}, result.pending)
    assert.equal(1, count(server))
    assert.equal(1, there:version "account-2")
    assert.equal("0", server:psql "select count(*) from pg_prepared_xacts")
    assert.is_true(c:transact({ id = "order-1" }, error).duplicate)
    assert(c:recover())
    assert.same({}, c:pending())
  end)

  case("aborts with them", function()
    local _, code = failure(move({ id = "order-2" }, "shop", function(tx)
      return in_both(tx) and tx:append(there, "account-2", {}, { expect = 9 })
    end))
    assert.equal("aborted", code)
    assert.equal(0, count(server))
    assert.equal("0", server:psql "select count(*) from pg_prepared_xacts")
    _, code = failure(move({ id = "order-3" }, "shop", function() return false end))
    assert.equal("aborted", code)
    assert.equal(0, count(server))
  end)

  case("says no where it has no prepared transactions, and what to do", function()
    local message, code = failure(move({ id = "order-4" }, "bare", in_both))
    assert.equal("aborted", code)
    contains(message, "max_prepared_transactions")
    assert.equal(0, there:version "account-2")
    assert.same({}, there:indoubt())
  end)
end)

describe("PostgreSQL as home", function()
  case("alone needs no prepared transactions", function()
    local result = assert(move({ id = "order-5" }, "bare"))
    assert.same({ "bare" }, result.members)
    assert.equal("order-5", result.id)
    assert.equal(1, count(plain))
    assert.is_true(c:transact({ id = "order-5" }, error).duplicate)
    assert.equal("committed", (c:outcome "order-5"))
    assert.equal("committed", (c:outcome(result.transaction)))
    assert(move({}, "bare"))
  end)

  case("by name, with stores beside it", function()
    local result = assert(move({ id = "order-6", home = "bare" }, "bare", function(tx)
      return in_both(tx) and tx:enlist "audit"
    end))
    assert.same({ "bare", "here", "there" }, result.members)
    assert.equal(1, count(plain))
    local again = assert(c:transact({ id = "order-6" }, error)) -- the same, though the store decided nothing
    assert.is_true(again.duplicate)
    for _, field in ipairs { "id", "transaction", "members", "versions", "excluded" } do
      assert.same(result[field], again[field])
    end
    assert.equal(1, here:version "account-1")
    assert.equal(1, there:version "account-2")
    assert(c:recover())
    assert.same({}, c:pending())
    assert.same({}, there:indoubt())
    assert.is_true(here:verify().ok)
    assert(there:sync())
    local word, told = c:outcome "order-6"
    assert.equal("committed", word)
    assert.same({ result.transaction, result.versions, {} }, { told.transaction, told.versions, told.pending })
    assert.same({ here = { first = 1, last = 1 }, there = { first = 1, last = 1 } }, told.positions)
  end)

  case("decides to abort where a store says no", function()
    local _, code = failure(move({ id = "order-7", home = "bare" }, "bare", function(tx)
      return in_both(tx) and tx:append(there, "account-2", {}, { expect = 9 })
    end))
    assert.equal("aborted", code)
    assert.equal(0, count(plain))
    assert.same({}, here:indoubt())
  end)

  case("takes nobody beside it who could not be found again", function()
    local message, code = failure(move({ home = "bare" }, "bare", function(tx) return tx:enlist "mail" end))
    assert.equal("unsupported", code)
    contains(message, "mail")
    assert.equal(0, count(plain))
    message, code = failure(c:transact({ home = "mail" }, print))
    assert.equal("invalid", code)
    contains(message, "mail")
    message, code = failure(c:transact({ home = "bare" }, function(tx) return in_both(tx) end))
    assert.equal("invalid", code)
    contains(message, "bare")
  end)

  case("knows a caller's id that its store has no record of", function()
    assert(move({ id = "order-8" }, "bare"))
    local uuid = here:stats().uuid
    plain:psql(("insert into rille_decision values ('client %s order-9', 'commit')"):format(uuid))
    local result = assert(c:transact({ id = "order-9" }, error))
    assert.is_true(result.duplicate)
    assert.equal("committed", (c:outcome "order-9"))
  end)

  case("settles what a store is in doubt about", function()
    local c2 = assert(rille.coordinator(here, { name = "dying", participants = { bare = bare } }))
    local tx = assert(c2:begin { home = "bare", timeout = 3 })
    assert(tx:enlist("bare"):exec("insert into moves values ('late', 1)"))
    assert(tx:append(there, "account-2", { type = "Moved" }))
    -- As if its coordinator died when the store had promised.
    local policy = tx.policy
    tx.policy = setmetatable({ ask = function() tx.steps = nil error "gone" end }, { __index = policy })
    assert.has_error(function() tx:commit() end)
    assert.equal(1, #there:indoubt())
    assert.equal("postgres", there:indoubt()[1].kind)
    assert.equal("bare", there:indoubt()[1].place)
    assert.is_string(there:indoubt()[1].home) -- which server it is
    c2.instance:close()
    tx.decider.branch:close()
    assert.equal(1, there:settle().aborted)
    assert.same({}, there:indoubt())
    assert.equal(0, count(plain))
  end)
end)
