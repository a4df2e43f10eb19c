-- lost_home_spec.lua: homes that are copied, restored, moved or gone while a transaction is in
-- doubt; participants that are copied; coordinators that are stopped, late, or two of them.
--
-- A copy never settles what the original has promised, and what came out of a backup never
-- says "aborted" of what it does not know. Who is in doubt then stays so, until the original is
-- back or somebody resolves it by hand.
local bank = require "spec.crash.bank"
local raid = require "spec.crash.raid"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local transaction = require("spec.support.core").transaction
local values = require "spec.support.values"

values.seed "lost_home_spec"

local UNDECIDED, DECIDED = "before decide 1", "before commit 1"
local DEADLINE_S = 1 -- enough, on a busy machine, too, to come so far before it
local r, home, away

before_each(function()
  r = raid.new "2"
  home, away = r:path "home", r.base .. "/away"
end)
after_each(function() r:remove() end)

local function move(from, to) scratch.shell("mv '%s' '%s'", from, to) end
local function copy(from, to) scratch.shell("cp -r '%s' '%s'", from, to) end

local function open(path, options) return assert(rille.open(path, options or { create = false })) end

---Calls f(store) on the store at a path, which is opened for that.
local function with(path, f, options)
  local store = open(path, options)
  local results = table.pack(pcall(f, store))
  store:close()
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2)
end

local function id_of(name) return with(r:path(name), function(s) return s:indoubt()[1].id end) end

---Opens a participant, which settles, and settles again; it must stay in doubt.
local function stays_in_doubt(name)
  with(r:path(name), function(s)
    local settled = assert(s:settle())
    assert.equal(1, settled.unreachable)
    assert(settled.message and #settled.message > 0, "it does not say why")
    assert.equal(1, #s:indoubt())
    local _, code, detail = stores.failure(s:append("account", { type = "Refused", data = { amount = 0 } }))
    assert.equal("locked", code)
    assert.equal(s:indoubt()[1].id, detail.transaction)
    assert(s:append("other", { type = "Possible" }))
    assert(s:verify {}.ok)
  end)
end

local function resolve(name, outcome)
  with(r:path(name), function(s)
    assert(s:resolve(s:indoubt()[1].id, outcome, { reason = "home is lost" }))
    assert.same({}, s:indoubt())
    assert(s:append("account", { type = "After", data = { amount = 0 } }))
  end)
end

local function transfers(name) return with(r:path(name), bank.seen) end

describe("home is copied:", function()
  it("the copy settles nothing, with the original away, and the original does later", function()
    r:leave(UNDECIDED .. ":kill")
    copy(home, away .. "-copy")
    move(home, away)
    move(away .. "-copy", home)
    stays_in_doubt "m1"
    with(home, function(s) assert(assert(rille.coordinator(s)):close()) end) -- closes the epochs of the dead
    stays_in_doubt "m1"
    stays_in_doubt "m2"
    scratch.remove(home)
    move(away, home)
    assert.same({}, r:judge())
  end)

  it("what is in doubt is settled with the original, though the copy is open and found first", function()
    r:leave(UNDECIDED .. ":kill")
    copy(home, away)
    with(away, function(copied)
      assert(copied:append("notes", { type = "Copied" }))
      assert.same({}, r:judge())
    end)
  end)

  it("the copy tells what had been decided before", function()
    r:leave(DECIDED .. ":kill")
    copy(home, away)
    scratch.remove(home)
    move(away, home)
    local seen = r:judge()
    assert(seen["transfer-1"])
  end)
end)

describe("home is restored from a backup:", function()
  ---Backed up when the coordinator is at a point, which then goes on and dies at another.
  local function restored(at, dies_at)
    local process = r:stop(at, { plot = dies_at .. ":kill" })
    with(home, function(s) assert(s:backup(away)) end)
    r:go_on(process)
    scratch.remove(home)
    move(away, home)
  end

  it("one of before the decision does not know, never says aborted, and by hand it is resolved", function()
    restored(UNDECIDED, DECIDED)
    stays_in_doubt "m1"
    stays_in_doubt "m2"
    with(home, function(s)
      local c = assert(rille.coordinator(s, { name = "restored" }))
      local id = id_of "m1"
      assert.equal("unknown", (c:outcome(id)))
      assert.equal("unknown", (c:outcome(id, { settle = true })))
      c:close()
    end)
    stays_in_doubt "m1"
    resolve("m1", "commit")
    resolve("m2", "commit")
    assert(transfers "m1"["transfer-1"] and transfers "m2"["transfer-1"])
  end)

  it("one of before the decision does not abort it either when members have committed", function()
    restored(UNDECIDED, "after commit 1")
    with(r:path "m1", function(s) assert.same({}, s:indoubt()) end)
    stays_in_doubt "m2"
    resolve("m2", "commit")
    assert(transfers "m1"["transfer-1"] and transfers "m2"["transfer-1"])
  end)

  it("one of after the decision says what it was", function()
    restored(DECIDED, "after commit 1")
    assert(r:judge()["transfer-1"])
  end)

  it("one of before it began does not know it", function()
    with(home, function(s) assert(s:backup(away)) end)
    r:leave(UNDECIDED .. ":kill")
    scratch.remove(home)
    move(away, home)
    stays_in_doubt "m1"
    resolve("m1", "abort")
    resolve("m2", "abort")
    r.ids = {}
    assert.same({}, r:judge())
  end)
end)

describe("home is gone:", function()
  it("its transactions are listed; the stores open; by hand they are resolved", function()
    r:leave(DECIDED .. ":kill")
    scratch.remove(home)
    stays_in_doubt "m1"
    stays_in_doubt "m2"
    with(r:path "m1", function(s)
      local doubt = s:indoubt()[1]
      assert.same({ "m1", "m2" }, doubt.participants)
      assert.equal("teller", doubt.coordinator)
      stores.contains(doubt.place, "home.rille")
    end)
    resolve("m1", "commit")
    resolve("m2", "commit")
    assert(transfers "m1"["transfer-1"] and transfers "m2"["transfer-1"])
  end)

  it("it is back, and says otherwise than was done by hand: that is told once, kept and listed", function()
    r:leave(UNDECIDED .. ":kill")
    move(home, away)
    resolve("m1", "commit")
    move(away, home)
    with(r:path "m2", function(s) assert.same({}, s:indoubt()) end)
    with(r:path "m1", function(s)
      local message, code = stores.failure(s:settle())
      assert.equal("conflict", code)
      stores.contains(message, "by hand")
      assert(s:settle())
    end)
    for _ = 1, 2 do
      with(r:path "m1", function(s) assert.is_true(s:indoubt()[1].contradicted) end)
    end
    assert(transfers "m1"["transfer-1"] and not transfers "m2"["transfer-1"])
  end)

  it("it is back, and says otherwise than was done by hand: no other transaction waits for that", function()
    r:leave(UNDECIDED .. ":kill")
    move(home, away)
    resolve("m1", "commit")
    move(away, home)
    r:leave(UNDECIDED .. ":kill")
    with(r:path "m1", function(s)
      local list = s:indoubt()
      assert.equal(1, #list)
      assert.is_true(list[1].contradicted)
    end)
  end)

  it("it is elsewhere, and found by its place", function()
    r:leave(DECIDED .. ":kill")
    move(home, away)
    stays_in_doubt "m1"
    with(r:path "m1", function(s)
      assert.equal(1, s:settle { home = away }.committed)
      assert.same({}, s:indoubt())
    end)
    with(r:path "m2", function(s) assert.same({}, s:indoubt()) end, { create = false, peers = { away } })
    move(away, home)
    assert(r:judge()["transfer-1"])
  end)
end)

describe("a copy of a participant", function()
  it("does not decide anything at home", function()
    r:leave(UNDECIDED .. ":kill")
    copy(r:path "m1", away)
    local before = with(home, function(s) return s:stats().log_bytes end)
    with(away, function(s)
      local settled = assert(s:settle())
      assert.equal(0, settled.committed + settled.aborted)
      assert.equal(1, #s:indoubt())
    end)
    assert.equal(before, with(home, function(s) return s:stats().log_bytes end))
    assert.same({}, r:judge())
  end)
end)

describe("a coordinator", function()
  it("that is stopped is waited for, and goes on to commit", function()
    local process = r:stop(UNDECIDED)
    with(r:path "m1", function(s)
      assert.equal(1, s:settle().undecided)
      local _, code = stores.failure(s:append("account", { type = "Refused" }))
      assert.equal("locked", code)
      _, code = stores.failure(s:append({ { stream = "account", events = { { type = "Refused" } } }, wait = 0.1 }))
      assert.equal("locked", code)
      assert.same({}, (bank.seen(s))) -- the state before
    end)
    r:go_on(process)
    assert(r:judge()["transfer-1"])
  end)

  it("that is stopped beyond the deadline has lost: who settled was first", function()
    r.options.timeout = DEADLINE_S
    local process = r:stop(UNDECIDED)
    scratch.shell("sleep %g", DEADLINE_S + 0.1)
    with(r:path "m2", function(s) assert.same({}, s:indoubt()) end)
    r:go_on(process)
    assert.same({}, r:judge())
    stores.contains(table.concat(r.told, "\n"), "told transfer-1 aborted")
  end)

  it("that is stopped after it decided can't be overtaken", function()
    r.options.timeout = DEADLINE_S
    local process = r:stop "after decide 1"
    scratch.shell("sleep %g", DEADLINE_S + 0.1)
    with(r:path "m2", function(s) assert.same({}, s:indoubt()) end)
    assert(transfers "m2"["transfer-1"])
    r:go_on(process)
    assert(r:judge()["transfer-1"])
    stores.contains(table.concat(r.told, "\n"), "told transfer-1 committed")
  end)

  it("is killed while it is stopped", function()
    local process = r:stop(UNDECIDED)
    r:kill_stopped(process)
    assert.same({}, r:judge())
  end)

  it("with an id that another has used meanwhile gives the other's result", function()
    local process = r:stop(UNDECIDED, { only = "m1" })
    local other = r:stop(UNDECIDED, { only = "m2", id = "transfer-1" })
    local line = "told transfer-1 committed "
    assert.equal(line, r:go_on(other)[1])
    assert.equal(line, r:go_on(process)[1])
    assert(transfers "m2"["transfer-1"] and not transfers "m1"["transfer-1"])
    with(r:path "m1", function(s) assert.same({}, s:indoubt()) end)
    with(home, function(s)
      local c = assert(rille.coordinator(s))
      local outcome, result = c:outcome "transfer-1"
      assert.equal("committed", outcome)
      assert.same({ "m2" }, result.members)
      assert.same({}, c:pending())
      c:close()
    end)
  end)

  it("is not disturbed by others who die with its stores open", function()
    local n = 0
    for _ in pairs(r:beside(20)) do n = n + 1 end
    assert.equal(20, n)
  end)
end)

describe("late prepare after abort:", function()
  it("it is refused, also by who opens the store later", function()
    local id, home_end, work
    with(home, function(h)
      local instance = assert(transaction.instance(h, "late"))
      id, home_end = assert(instance:begin())
      work = { { stream = "account", events = { { type = "Moved", data = { amount = 0 } } } } }
      with(r:path "m1", function(s)
        assert(transaction.abort(s, id))
        local fields = { id = id, name = "m1", home_kind = "store", home_path = home, home_end = home_end,
                         coordinator = "late", deadline = 0 }
        local _, code = stores.failure(transaction.prepare(s, stores.work(s, work), fields))
        assert.equal("aborted", code)
        assert.same({}, s:indoubt())
      end)
      instance:close()
    end)
    with(r:path "m1", function(s)
      local fields = { id = id, name = "m1", home_kind = "store", home_path = home, home_end = home_end,
                       coordinator = "late", deadline = 0 }
      local _, code = stores.failure(transaction.prepare(s, stores.work(s, work), fields))
      assert.equal("aborted", code) -- also after a restart
    end)
    r.ids = {}
    assert.same({}, r:judge())
  end)
end)
