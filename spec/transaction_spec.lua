-- transaction_spec.lua: rille.coordinator: several stores, and handlers, do something together or
-- not at all.
local core = require "spec.support.core"
local disk = require "spec.crash.disk"
local process = require "spec.support.process"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local trap = require "spec.crash.trap"
local contains, failure, raised = stores.contains, stores.failure, stores.raised

local here, there, third, c
local paths

---A store of this name in the test's folder.
local function open(name, options)
  local path = paths.folder .. "/" .. name .. ".rille"
  paths[name] = path
  return assert(rille.open(path, options))
end

before_each(function()
  paths = { folder = scratch.path "transaction" }
  scratch.shell("mkdir '%s'", paths.folder)
  here, there, third = open "here", open "there", open "third"
  c = assert(rille.coordinator(here, { name = "spec" }))
end)

after_each(function()
  c:close()
  here:close()
  there:close()
  third:close()
  scratch.remove(paths.folder)
end)

local function event(n) return { type = "Moved", data = { n = n } } end

---Moves money from here to there; `more` may add to it.
local function move(options, more)
  return c:transact(options or {}, function(tx)
    assert(tx:append(here, "account-1", event(-5)))
    assert(tx:append(there, "account-2", event(5)))
    if more then more(tx) end
    return true
  end)
end

local function types(store, stream) return stores.fields("type", store:read(stream)) end

local function nothing_happened()
  assert.same({}, types(here, "account-1"))
  assert.same({}, types(there, "account-2"))
  assert.same({}, there:indoubt())
  assert.same({}, c:pending())
end

---What an aborted transaction says.
local function aborted(...)
  local message, code, detail = failure(...)
  assert.equal("aborted", code, message)
  return message, detail
end

describe("a transaction over two stores", function()
  it("commits in both, and tells where", function()
    local result = assert(move { id = "order-1" })
    assert.equal("committed", result.outcome)
    assert.equal("order-1", result.id)
    assert.is_false(result.duplicate)
    assert.same({ "here", "there" }, result.members)
    assert.same({}, result.excluded)
    assert.same({}, result.pending)
    assert.same({ here = { ["account-1"] = 1 }, there = { ["account-2"] = 1 } }, result.versions)
    assert.same({ here = { first = 1, last = 1 } }, result.positions)
    assert.same({ "Moved" }, types(here, "account-1"))
    assert.same({ "Moved" }, types(there, "account-2"))
  end)

  it("costs one flush a store", function()
    move()
    local before = { here:stats().flushes, there:stats().flushes }
    move()
    assert.same({ before[1] + 1, before[2] + 1 }, { here:stats().flushes, there:stats().flushes })
  end)

  it("is aborted by a participant's no: nothing is shown", function()
    assert(there:append("account-2", event(0)))
    local message, detail = aborted(move({}, function(tx)
      assert(tx:append(there, "account-2", {}, { expect = 7 }))
    end))
    contains(message, "account-2")
    assert.equal("no", detail.votes.there.vote)
    assert.equal("conflict", detail.votes.there.code)
    assert.equal("yes", detail.votes.here.vote)
    assert.is_true(detail.again)
    assert.same({}, types(here, "account-1"))
    assert.equal(1, there:version "account-2")
  end)

  it("asks home first, and then nobody else", function()
    local _, detail = aborted(move({}, function(tx) tx:append(here, "account-1", {}, { expect = 3 }) end))
    assert.equal("conflict", detail.votes.here.code)
    assert.equal("none", detail.votes.there.vote)
    nothing_happened()
  end)

  it("is decided under home's conditions: what was true before the others promised counts no more", function()
    local meanwhile -- by a voter, which is asked when the store has promised
    c:close()
    c = assert(rille.coordinator(here, { participants = { meanwhile = {
      prepare = function()
        assert.equal(1, #there:indoubt())
        assert(here:append(meanwhile))
        return true
      end } } }))
    local closed = { type = "Closed", tags = { "closed" } }
    for _, row in ipairs {
      { { expect = 0 }, { { stream = "account-1", events = event(1) } } },
      { { unless = { tags = { "closed" } } }, { { stream = "other", events = closed } } },
      { { mark = { "mailer", 0, 1 } }, { mark = { "mailer", 0, 2 } } },
    } do
      meanwhile = row[2]
      local _, detail = aborted(move({}, function(tx)
        assert(tx:append(here, "account-1", {}, row[1]))
        assert(tx:enlist "meanwhile")
      end))
      assert.equal("conflict", detail.votes.here.code)
      assert.equal("yes", detail.votes.there.vote)
      assert.is_true(detail.again)
      assert.same({}, there:indoubt())
    end
    assert.equal(0, there:version "account-2")
    assert.equal(1, here:version "account-1") -- the first that came in between
  end)

  it("is over: its locks are gone and its end is noted", function()
    move { id = "a" }
    assert(c:recover())
    assert.same({}, c:pending())
    assert.same({}, there:indoubt())
    assert(there:append("account-2", event(1), { expect = 1 }))
    local word, result = c:outcome "a"
    assert.equal("committed", word)
    assert.same({ first = 1, last = 1 }, result.positions.there)
  end)

  it("is brought to its end although a store was closed right after", function()
    assert(move {})
    there:close()
    assert(c:recover())
    assert.same({}, c:pending())
    there = open "there"
    assert.same({ "Moved" }, types(there, "account-2"))
  end)

  it("has conditions: unless, with items of several appends, and a mark", function()
    assert(there:append("limits", { type = "Closed", tags = { "branch:7" } }))
    local function limited(after)
      return move({}, function(tx)
        assert(tx:append(there, "other", {}, { unless = { stream = "nowhere" } }))
        assert(tx:append { { stream = "x" } } == nil)
      end, after)
    end
    assert.has_error(limited)
    local _, detail = aborted(move({}, function(tx)
      assert(tx:append(there, "other", {}, { unless = { stream = "nowhere" } }))
      assert(tx:append(there, "other", {}, { unless = { types = "Closed", after = 0 } }))
    end))
    assert.equal("conflict", detail.votes.there.code)
    assert(move({}, function(tx)
      assert(tx:append(there, "other", {}, { unless = { stream = "nowhere" } }))
      assert(tx:append(there, "other", {}, { unless = { types = "Closed", after = there:head() } }))
      assert(tx:append(there, { { stream = "m" }, mark = { "mailer", 0, 1 } }))
    end))
    assert.equal(1, there:mark "mailer")
  end)

  it("is not changed by what the caller does to its tables later", function()
    local data = { list = rille.array {}, deep = { n = 1 } }
    assert(c:transact({}, function(tx)
      local e = { type = "T", data = data, tags = { "a" } }
      assert(tx:append(here, "s", e))
      assert(tx:append(there, "s", { e, e }))
      e.type, data.deep.n, e.tags[1] = "X", 2, "b"
      return true
    end))
    local e = here:read("s")()
    assert.same({ "T", 1, "a" }, { e.type, e.data.deep.n, e.tags[1] })
    assert.equal(rille.encode { list = rille.array {}, deep = { n = 1 } }, rille.encode(e.data))
    assert.equal(2, there:version "s")
  end)

  it("takes one store once, however often it is opened", function()
    local again = assert(rille.open(paths.there))
    local result = assert(move({}, function(tx) assert(tx:append(again, "account-2", event(6))) end))
    assert.same({ "here", "there" }, result.members)
    assert.equal(2, result.versions.there["account-2"])
    again:close()
  end)

  it("gives stores of one name a number", function()
    scratch.shell("mkdir '%s/more'", paths.folder)
    local twin = assert(rille.open(paths.folder .. "/more/there.rille"))
    local result = assert(move({}, function(tx) assert(tx:append(twin, "s", event(1))) end))
    assert.same({ "here", "there", "there#2" }, result.members)
    twin:close()
  end)

  it("knows many by their names as it knows few", function()
    local others, expected, renamed = {}, { "here", "there", "third", "eleventh" }, { [3] = "third", [11] = "eleventh" }
    for i = 2, 11 do table.insert(expected, "there#" .. i) end
    for i = 1, 12 do
      scratch.shell("mkdir '%s/more%d'", paths.folder, i)
      others[i] = assert(rille.open(("%s/more%d/there.rille"):format(paths.folder, i)))
    end
    local result = assert(move({}, function(tx)
      for i, other in ipairs(others) do
        assert(tx:append(other, "s", event(i)))
        if renamed[i] then assert(tx:enlist(other, { name = renamed[i] })) end
        assert(tx:append(others[1], "s", event(i)))
      end
      local _, taken, code = tx:enlist(others[5], { name = "eleventh" })
      assert.same({ "invalid", true }, { code, taken:find("another is", 1, true) ~= nil })
    end))
    assert.equal(13, result.versions["there#2"].s)
    table.sort(expected)
    table.sort(result.members)
    assert.same(expected, result.members)
    for _, other in ipairs(others) do other:close() end
  end)

  it("works with three stores, and with conditions alone in one", function()
    local result = assert(move({}, function(tx) assert(tx:append(third, "limits", {}, { expect = "none" })) end))
    assert.same({ "here", "there", "third" }, result.members)
    assert(third:append("limits", event(1)))
    local _, detail = aborted(move({}, function(tx)
      assert(tx:append(third, "limits", {}, { expect = "none" }))
    end))
    assert.equal("no", detail.votes.third.vote)
    assert.same({}, there:indoubt())
    assert.same({}, third:indoubt())
  end)

  it("is a plain append where one other store is all, and nobody will ask by id", function()
    local result = assert(c:transact({}, function(tx) return tx:append(there, "s", event(1)) end))
    assert.same({ "there" }, result.members)
    assert.same({ first = 1, last = 1 }, result.positions.there)
    assert.same({}, c:pending())
    local _, detail = aborted(c:transact({}, function(tx) return tx:append(there, "s", {}, { expect = 9 }) end))
    assert.is_true(detail.again)
  end)

  it("happens at home alone, too", function()
    local result = assert(c:transact({ id = "x" }, function(tx) return tx:append(here, "s", event(1)) end))
    assert.same({ "here" }, result.members)
    assert.same({ here = { s = 1 } }, result.versions)
    assert.is_true(c:transact({ id = "x" }, error).duplicate)
    assert.same({}, c:pending())
  end)

  it("does nothing where nothing was asked", function()
    local result = assert(c:transact({}, function() return true end))
    assert.same({}, result.members)
    assert.same({}, c:pending())
  end)
end)

describe("the function", function()
  it("aborts by returning nothing, false, or nil and a reason", function()
    for _, case in ipairs { { nil }, { false }, { nil, "too poor" } } do
      local message, detail = aborted(c:transact({}, function(tx)
        tx:append(here, "account-1", event(1))
        tx:append(there, "account-2", event(1))
        return case[1], case[2]
      end))
      assert.is_false(detail.again)
      if case[2] then contains(message, "too poor") end
    end
    nothing_happened()
  end)

  it("aborts by failing, and its error is raised again", function()
    local thrown = {}
    local ok, caught = pcall(c.transact, c, {}, function(tx)
      tx:append(here, "account-1", event(1))
      error(thrown)
    end)
    assert.is_false(ok)
    assert.equal(thrown, caught)
    nothing_happened()
  end)

  it("can't use its transaction later", function()
    local kept
    assert(move({}, function(tx) kept = tx end))
    local _, code = failure(kept:append(here, "s", event(1)))
    assert.equal("closed", code)
    _, code = failure(kept:commit())
    assert.equal("closed", code)
    assert.is_true(kept:abort())
  end)

  it("is told of values that can't be, at once", function()
    aborted(c:transact({}, function(tx)
      local message, code = failure(tx:append(there, "s", { type = "T", data = { f = print } }))
      assert.equal("invalid", code)
      contains(message, "function")
      message, code = failure(tx:append(there, "s", {}, { wait = 1 }))
      contains(message, "attempts")
      assert.equal("invalid", code)
      assert(tx:append(there, "s", {}, { mark = { "m", 0, 1 } }))
      message, code = failure(tx:append(there, "s", {}, { mark = { "n", 0, 1 } }))
      contains(message, "one mark")
      assert.equal("invalid", code)
      contains(raised(tx.append, tx, there, "s", { typ = "T" }), "did you mean")
      contains(raised(tx.append, tx, "there", "s", {}), "needs a store")
      return nil
    end))
  end)
end)

describe("by hand", function()
  it("begin and commit are the same", function()
    local tx = assert(c:begin { id = "h" })
    assert(tx:append(here, "a", event(1)))
    assert(tx:append(there, "a", event(1)))
    assert.equal("committed", tx:commit().outcome)
    local message, code, result = failure(c:begin { id = "h" })
    assert.equal("duplicate", code)
    contains(message, "h")
    assert.same({ "here", "there" }, result.members)
  end)

  it("abort, close, and the end of a block give it up", function()
    do
      local tx <close> = assert(c:begin())
      assert(tx:append(here, "account-1", event(1)))
    end
    local tx = assert(c:begin {})
    tx:append(there, "account-2", event(1))
    assert.is_true(tx:abort())
    assert.is_true(tx:abort())
    local _, code = failure(tx:commit())
    assert.equal("closed", code)
    nothing_happened()
  end)
end)

describe("an id", function()
  it("gives the result of then, and runs nothing", function()
    local first = assert(move { id = "order" })
    local second = assert(c:transact({ id = "order" }, error))
    assert.is_true(second.duplicate)
    first.duplicate = true
    assert.same(first, second)
    assert.equal(1, here:version "account-1")
  end)

  it("whose transaction was aborted is tried anew", function()
    aborted(move({ id = "order" }, function(tx) tx:append(there, "x", {}, { expect = 1 }) end))
    assert(move { id = "order" })
    assert.equal("committed", (c:outcome "order"))
  end)

  it("has an outcome, known to every coordinator of home", function()
    local other = assert(rille.coordinator(here, { name = "other" }))
    assert.equal("none", (other:outcome "order"))
    local result = assert(move { id = "order" })
    local word, told = other:outcome "order"
    assert.equal("committed", word)
    assert.same(result.versions, told.versions)
    assert.equal("committed", (other:outcome(result.transaction)))
    other:close()
  end)

  it("of a transaction that is still open is undecided, until it is settled", function()
    local tx = assert(c:begin {})
    tx:append(here, "account-1", event(1))
    tx:append(there, "account-2", event(1))
    assert.equal("undecided", (c:outcome(tx.id)))
    assert.equal("aborted", (c:outcome(tx.id, { settle = true })))
    local message = aborted(tx:commit())
    contains(message, "settled")
    nothing_happened()
  end)
end)

describe("locks", function()
  it("are told with their holder, and another try may get through", function()
    local tries = 0
    local voter = { prepare = function()
      tries = tries + 1
      local _, code, detail = failure(there:append("account-2", event(1)))
      assert.equal("locked", code)
      assert.equal("spec", detail.coordinator)
      assert.equal("number", type(detail.age))
      assert.equal("string", type(detail.transaction))
      local other = assert(rille.coordinator(third, { name = "other" }))
      local _, seen = aborted(other:transact({}, function(tx)
        tx:append(third, "s", event(1))
        return tx:append(there, "account-2", event(1))
      end))
      assert.equal("locked", seen.votes.there.code)
      assert.is_true(seen.again)
      other:close()
      return true
    end }
    c:close()
    c = assert(rille.coordinator(here, { name = "spec", participants = { voter = voter } }))
    assert(move({ timeout = 10 }, function(tx) assert(tx:enlist "voter") end))
    assert.equal(1, tries)
    assert(there:append("account-2", event(1), { expect = 1 }))
  end)

  it("are waited for by an append, as long as it says", function()
    local voter = { prepare = function()
      local begun = os.time()
      local _, code = failure(there:append("account-2", event(1), { wait = 0.1 }))
      assert.equal("locked", code)
      return os.time() - begun < 5
    end }
    c:close()
    c = assert(rille.coordinator(here, { participants = { voter = voter } }))
    assert(move({}, function(tx) assert(tx:enlist "voter") end))
  end)

  it("attempts: the function runs again", function()
    local runs = 0
    local result = assert(c:transact({ attempts = 5, timeout = 5 }, function(tx)
      runs = runs + 1
      tx:append(here, "a", event(1))
      return tx:append(there, "a", {}, { expect = runs < 3 and 9 or "none" })
    end))
    assert.equal(3, runs)
    assert.equal("committed", result.outcome)
  end)
end)

describe("several at once", function()
  ---Runs `f` while a transaction is prepared in `there` and not decided, then lets it commit.
  local function between(f)
    local ran
    c:close()
    c = assert(rille.coordinator(here, { name = "spec", participants = { voter = { prepare = function()
      ran = true
      f()
      return true
    end } } }))
    assert(move({}, function(tx)
      assert(tx:append(there, "tagged", { type = "Moved", tags = { "shared" } }))
      assert(tx:enlist "voter")
    end))
    assert.is_true(ran)
  end

  it("two on one stream: the second is locked", function()
    between(function()
      local other = assert(rille.coordinator(third, { name = "other" }))
      local _, detail = aborted(other:transact({}, function(tx)
        tx:append(third, "s", event(1))
        return tx:append(there, "account-2", event(1))
      end))
      assert.equal("locked", detail.votes.there.code)
      other:close()
    end)
  end)

  it("a shared tag locks nothing", function()
    between(function()
      assert(there:append("elsewhere", { type = "Moved", tags = { "shared" } }))
      local _, code = failure(there:append("elsewhere", event(2), { unless = { tags = { "shared" } } }))
      assert.is_true(code == "locked" or code == "conflict")
    end)
    assert.same({ "Moved" }, types(there, "elsewhere"))
  end)

  it("two coordinators with one client id: the second gets the first one's result", function()
    local other = assert(rille.coordinator(here, { name = "other" }))
    local second = assert(other:begin { id = "order" })
    assert(second:append(here, "account-1", event(1)))
    assert(second:append(third, "account-3", event(1)))
    local first = assert(move { id = "order" })
    local result = assert(second:commit())
    assert.is_true(result.duplicate)
    assert.equal(first.transaction, result.transaction)
    assert.equal(1, here:version "account-1")
    assert.equal(0, third:version "account-3")
    assert.same({}, third:indoubt())
    other:close()
  end)

  it("a strong read settles what is decided, and shows it", function()
    local program = [[
      local rille = require "rille"
      local there = assert(rille.open(arg[1]))
      local function count(options)
        local n = 0
        for _ in there:read("account-2", options) do n = n + 1 end
        return n
      end
      print(count { consistency = "eventual" })
      io.read()
      print(count {})
      print(#there:indoubt())
      there:close()]]
    local reader = process.start(program, paths.there)
    assert.equal("0", reader:line())
    assert(move {})
    reader.input:write "\n"
    reader.input:flush()
    assert.equal("1", reader:line())
    assert.equal("0", reader:line())
    reader:finish()
  end)
end)

describe("handlers", function()
  local calls

  local function handlers(mail)
    calls = {}
    local function note(what, answer)
      return function(id, work)
        table.insert(calls, { what, work })
        assert(type(id) == "string" or id == nil)
        if type(answer) == "function" then return answer(id, work) end
        return table.unpack(answer or { true })
      end
    end
    c:close()
    c = assert(rille.coordinator(here, { participants = {
      mail = { prepare = note("prepare", mail.prepare), commit = note("commit", mail.commit),
               abort = note("abort", mail.abort), recover = mail.recover },
      audit = { prepare = note("audit", mail.audit) },
    } }))
  end

  local function with_mail(options)
    return move({}, function(tx) assert(tx:enlist("mail", options or { work = { "receipt" } })) end)
  end

  it("prepare and commit with their work", function()
    handlers {}
    local result = assert(with_mail())
    assert.same({ { "prepare", { "receipt" } }, { "commit", { "receipt" } } }, calls)
    assert.same({ "here", "there", "mail" }, result.members)
    assert(c:recover())
    assert.same({}, c:pending())
  end)

  it("say no, with a reason", function()
    handlers { prepare = { nil, "no stamps" } }
    local message, detail = aborted(with_mail())
    contains(message, "no stamps")
    assert.equal("refused", detail.votes.mail.code)
    assert.is_false(detail.again)
    nothing_happened()
  end)

  it("that fail say no", function()
    handlers { prepare = function() error "broken" end }
    contains(aborted(with_mail()), "broken")
    nothing_happened()
  end)

  it("are aborted when they have promised, again and again until they say true", function()
    local times = 0
    handlers { abort = function()
      times = times + 1
      return times > 2
    end }
    aborted(move({}, function(tx)
      tx:enlist "mail"
      assert(tx:enlist "audit")
      assert(tx:append(third, "x", {}, { expect = 4 }))
    end))
    for _ = 1, 3 do assert(c:recover()) end
    assert.equal(3, times)
    nothing_happened()
  end)

  it("are committed again and again until they say true: a handler is repeated", function()
    local ready = false
    handlers { commit = function() return ready end }
    local result = assert(with_mail())
    assert.same({ "mail" }, result.pending)
    assert(c:recover())
    local pending = c:pending()
    assert.same({ "mail" }, pending[1].participants)
    assert(c:recover())
    assert.equal(1, #c:pending())
    ready = true
    assert(c:recover())
    assert.same({}, c:pending())
    assert.same({ "receipt" }, calls[#calls][2])
  end)

  it("can be resolved by hand, which is logged", function()
    handlers { commit = { false } }
    local result = assert(with_mail())
    assert(c:recover())
    local message, code = failure(c:resolve(result.id, { participant = "nobody", outcome = "commit", reason = "r" }))
    assert.equal("notfound", code)
    contains(message, "nobody")
    assert(c:resolve(result.id, { participant = "mail", outcome = "commit", reason = "sent by hand" }))
    assert.same({}, c:pending())
    local logged = here:read("$transactions")()
    assert.same({ "mail", "commit", "sent by hand" },
      { logged.data.participant, logged.data.outcome, logged.data.reason })
  end)

  it("with prepare alone vote and hold nothing", function()
    handlers { audit = { nil, "never on a Sunday" } }
    local message, detail = aborted(move({}, function(tx) tx:enlist "audit" end))
    contains(message, "never on a Sunday")
    assert.equal("no", detail.votes.audit.vote)
    handlers {}
    local result = assert(move({}, function(tx) tx:enlist "audit" end))
    assert.same({ "here", "there" }, result.members)
    assert.same({}, result.excluded)
  end)

  it("a member that can't be reached is pending, keeps nobody waiting, and is told later", function()
    local away = paths.there .. ".away"
    local once = true
    handlers { commit = function() -- it is decided, and told to the mail first
      if once and there:close() then os.rename(paths.there, away) end
      once = false
      return true
    end }
    local result = assert(c:transact({}, function(tx)
      assert(tx:enlist("mail", { work = { "receipt" } }))
      assert(tx:append(here, "account-1", event(-5)))
      return tx:append(there, "account-2", event(5))
    end))
    assert.same({ "committed", { "there" } }, { result.outcome, result.pending })
    assert.equal(1, here:version "account-1")
    scratch.shell("mv '%s' '%s'", away, paths.there)
    assert(c:recover())
    assert.same({}, c:pending())
    there = open "there"
    assert.same({ "Moved" }, types(there, "account-2"))
  end)

  it("that are optional may be left out", function()
    handlers { prepare = { nil, "full" } }
    local result = assert(move({ policy = "required" }, function(tx)
      tx:enlist("mail", { optional = true, work = "x" })
    end))
    assert.same({ "here", "there" }, result.members)
    contains(result.excluded.mail, "full")
  end)

  it("are asked at once what they hold, and told", function()
    local held = {}
    handlers {
      prepare = function(id) held[id] = true return true end,
      commit = function() return false end,
      recover = function()
        local ids = {}
        for id in pairs(held) do ids[#ids + 1] = id end
        return ids
      end,
    }
    local result = assert(with_mail())
    local told
    c:close()
    c = assert(rille.coordinator(here, { participants = { mail = {
      prepare = function() return true end, abort = function() return true end,
      commit = function(id, work) told = { id, work } return true end,
      recover = function() return { result.transaction } end,
    } } }))
    assert.same({ result.transaction, { "receipt" } }, told)
    assert.same({}, c:pending())
  end)

  it("that nobody knows are not found", function()
    move({}, function(tx)
      local message, code = failure(tx:enlist "mial")
      assert.equal("notfound", code)
      contains(message, "mial")
    end)
    contains(raised(rille.coordinator, here, { participants = { m = { prepar = print } } }), "did you mean 'prepare'")
  end)
end)

describe("what fails on the way", function()
  it("a member that can't be reached is pending, and told later", function()
    c:close()
    c = assert(rille.coordinator(here, { participants = { mail = {
      prepare = function() return true end,
      commit = function()
        there:close()
        return true
      end } } }))
    local result = assert(c:transact({ id = "m" }, function(tx)
      assert(tx:enlist "mail")
      assert(tx:append(here, "account-1", event(-5)))
      return tx:append(there, "account-2", event(5))
    end))
    assert.same({ "there" }, result.pending)
    assert.same({ "there" }, c:pending()[1].participants)
    assert(c:recover())
    assert.same({}, c:pending())
    there = open "there"
    assert.same({ "Moved" }, types(there, "account-2"))
  end)

  it("a failed flush of the decision: unknown, until home is repaired, and then the same for all", function()
    if not trap.works() then return pending "calls fail on Linux, with a C compiler" end
    c:close()
    here:close()
    there:close()
    local lines = trap.run({ under = paths.here, mark = paths.folder .. "/mark", fail = 2, errno = 5 }, "decide",
      { paths.here, paths.there, paths.folder .. "/mark" })
    local text = table.concat(lines, "\n")
    contains(text, "unknown")
    assert(not text:find "aborted", text)
    here, there = open "here", open "there"
    c = assert(rille.coordinator(here))
    local committed = c:outcome "order" == "committed"
    assert(c:recover())
    assert.equal(committed and 1 or 0, #types(here, "a"))
    assert.equal(committed and 1 or 0, #types(there, "a"))
    assert.same({}, there:indoubt())
  end)

  it("a full disk at commit has room for what was promised", function()
    local done = disk.with(3, function(folder)
      local small = assert(rille.open(folder .. "/small.rille"))
      local filled
      c:close()
      c = assert(rille.coordinator(here, { participants = { voter = { prepare = function()
        disk.take_space(folder, 0)
        filled = true
        return true
      end } } }))
      local result = assert(c:transact({}, function(tx)
        assert(tx:append(here, "a", event(1)))
        assert(tx:append(small, "a", { type = "Moved", data = ("x"):rep(5000) }))
        return tx:enlist "voter"
      end))
      assert.is_true(filled)
      assert.same({}, result.pending)
      assert.same({ "Moved" }, types(small, "a"))
      small:close()
    end)
    if not done then pending(disk.missing) end
  end)

  it("forgotten decisions are unknown, not aborted", function()
    local result = assert(move {})
    assert(c:recover())
    assert.equal("committed", (c:outcome(result.transaction)))
    for _ = 1, 3 do assert(here:append("later", { type = "T", data = ("x"):rep(300000) })) end -- what is new stays
    assert(core.transaction.forget(here, os.time() + 60))
    assert.equal("unknown", (c:outcome(result.transaction)))
  end)
end)

describe("policies", function()
  it("leave an optional store out, which then has nothing", function()
    assert(third:append("s", event(1)))
    local result = assert(move({ policy = "required" }, function(tx)
      tx:enlist(third, { optional = true, name = "copy", weight = 2 })
      tx:append(third, "s", event(2), { expect = 9 })
    end))
    assert.same({ "here", "there" }, result.members)
    contains(result.excluded.copy, "expected version 9")
    assert.equal(1, third:version "s")
    assert.same({}, third:indoubt())
  end)

  it("that wait are asked once more at the timeout", function()
    scratch.shell("mkdir -p '%s'", paths.folder)
    local file = assert(io.open(paths.folder .. "/wait.lua", "w"))
    file:write [[return { decide = function(tx)
      if tx.elapsed >= tx.timeout then return "abort", "waited long enough" end
      return "wait" end }]]
    file:close()
    local message = aborted(move { policy = paths.folder .. "/wait.lua", timeout = 0.2 })
    contains(message, "waited long enough")
    nothing_happened()
  end)

  it("that are not there are told", function()
    local _, code = failure(move { policy = paths.folder .. "/none.lua" })
    assert.is_true(code == "script" or code == "notfound")
  end)
end)

describe("a coordinator", function()
  it("checks what it is given", function()
    contains(raised(rille.coordinator, here, { nam = "x" }), "did you mean 'name'")
    contains(raised(c.transact, c, { tmeout = 1 }, print), "did you mean 'timeout'")
    contains(raised(c.transact, c, { timeout = 0 }, print), "timeout")
    contains(raised(c.transact, c, {}), "function")
    local _, code = failure(c:transact({ id = ("x"):rep(256) }, print))
    assert.equal("invalid", code)
  end)

  it("forgets what is old and has ended, not what a participant may still ask for", function()
    assert(move { id = "young" })
    assert(c:recover())
    assert.is_true(c:forget(86400))
    assert.equal("committed", (c:outcome "young"))
    local message, code = failure(c:forget(10))
    contains(message, "86400")
    assert.equal("invalid", code)
    contains(raised(function() c:forget "all" end), "seconds must be a number")
  end)

  it("is closed, and says so", function()
    contains(tostring(c), "spec")
    assert.is_true(c:close())
    assert.is_true(c:close())
    contains(tostring(c), "closed")
    for _, name in ipairs { "begin", "pending", "recover", "poll" } do
      local _, code = failure(c[name](c))
      assert.equal("closed", code)
    end
    local _, code = failure(c:outcome "x")
    assert.equal("closed", code)
  end)

  it("that is closed has aborted what it had not decided", function()
    local tx = assert(c:begin {})
    tx:append(here, "account-1", event(1))
    tx:append(there, "account-2", event(1))
    local id = tx.id
    c:close()
    local _, code = failure(tx:commit())
    assert.is_true(code == "aborted" or code == "closed")
    c = assert(rille.coordinator(here))
    assert.equal("aborted", (c:outcome(id)))
    nothing_happened()
  end)
end)

describe("docs/transactions.md", function()
  it("shows a program that runs, and what it prints", function()
    local file <close> = assert(io.open "docs/transactions.md")
    local program, output = file:read "a":match "\n```lua\n([^`]*)```\n+```text\n([^`]*)```"
    local path = paths.folder .. "/program.lua"
    local out <close> = assert(io.open(path, "w"))
    local module = assert(package.searchpath("rille", package.cpath))
    if not module:find "^/" then module = process.run "pwd":match "[^\n]+" .. "/" .. module end
    out:write(("package.cpath = %q\n"):format(module), program)
    out:close()
    scratch.shell("mkdir '%s/shown'", paths.folder)
    local pipe = assert(io.popen(("cd '%s/shown' && '%s' ../program.lua 2>&1")
      :format(paths.folder, os.getenv "RILLE_LUA" or "lua5.4")))
    local printed = pipe:read "a"
    pipe:close()
    assert.equal(output, printed)
  end)
end)

-- Processes that die ---------------------------------------------------------------------------------

---A program that moves money and is killed in a handler's call.
local function killed(call, more)
  return ([[
    local rille = require "rille"
    local here, there = assert(rille.open(arg[1])), assert(rille.open(arg[2]))
    local function die()
      local stat = io.open "/proc/self/stat"
      os.execute("kill -9 " .. stat:read "n")
    end
    local functions = { prepare = function() return true end, commit = function() return true end,
                        abort = function() return true end }
    functions.%s = die
    local c = assert(rille.coordinator(here, { name = "dying", participants = { last = functions } }))
    c:transact({ id = "killed", timeout = %s }, function(tx)
      tx:append(here, "account-1", { type = "Moved" })
      tx:append(there, "account-2", { type = "Moved" })
      tx:enlist("last", { work = "w" })
      return true
    end)
    print "not killed"]]):format(call, more or "60")
end

local function run_killed(call, more)
  c:close()
  here:close()
  there:close()
  local output = process.lua(killed(call, more), paths.here, paths.there)
  assert(not output:find "not killed", output)
  assert(not output:find "error", output)
end

describe("a coordinator that is killed", function()
  if process.run "test -r /proc/self/stat && echo yes" ~= "yes\n" then return pending "there is no /proc here" end

  it("before it decided: who opens the store settles, nothing has happened", function()
    run_killed "prepare"
    there = open "there"
    here = open "here"
    assert.same({}, there:indoubt())
    assert.same({}, types(there, "account-2"))
    assert(there:append("account-2", event(1)))
    c = assert(rille.coordinator(here))
    assert.is_true(({ aborted = true, none = true })[(c:outcome "killed")])
  end)

  it("before it decided: with home out of reach it stays in doubt, and opens", function()
    run_killed "prepare"
    scratch.shell("mv '%s' '%s.away'", paths.here, paths.here)
    there = open "there"
    local doubt = there:indoubt()[1]
    assert.same({ "here", "there", "last" }, doubt.participants)
    assert.equal("dying", doubt.coordinator)
    assert.equal("killed", doubt.client)
    assert.equal(paths.here, doubt.place)
    assert.is_true(doubt.age >= 0)
    local _, code, detail = failure(there:append("account-2", event(1)))
    assert.equal("locked", code)
    assert.equal(doubt.id, detail.transaction)
    contains(raised(function() for _ in there:read "account-2" do error "an event" end end), doubt.id)
    assert.equal(0, #stores.list(there:read("account-2", { consistency = "eventual" })))
    assert.equal(0, #stores.list(there:read "unrelated"))
    assert.equal(1, there:settle().unreachable)
    assert.equal(1, there:settle { home = paths.here .. ".away" }.aborted)
    assert.same({}, there:indoubt())
    here = assert(rille.open(paths.here .. ".away"))
    c = assert(rille.coordinator(here))
  end)

  it("whose home is never seen again: resolved by hand, and a contradiction is kept", function()
    run_killed "prepare"
    scratch.shell("mv '%s' '%s.away'", paths.here, paths.here)
    there = open "there"
    local id = there:indoubt()[1].id
    local _, code = failure(there:resolve(id, "commit", { reason = "" }))
    assert.equal("invalid", code)
    contains(raised(there.resolve, there, id, "commit"), "reason")
    assert(there:resolve(id, "commit", { reason = "the other side has it" }))
    assert.same({ "Moved" }, types(there, "account-2"))
    here = assert(rille.open(paths.here .. ".away"))
    c = assert(rille.coordinator(here))
    there:settle { home = paths.here .. ".away" }
    assert.is_true(there:indoubt()[1].contradicted)
  end)

  it("tells a host of what is in doubt for long, once", function()
    run_killed "prepare"
    scratch.shell("mv '%s' '%s.away'", paths.here, paths.here)
    local told = {}
    there = open("there", { on_indoubt = function(list) told[#told + 1] = list[1].id end, indoubt_age = 0 })
    assert(there:poll())
    assert(there:poll())
    assert.same({ there:indoubt()[1].id }, told)
    here = assert(rille.open(paths.here .. ".away"))
    c = assert(rille.coordinator(here))
  end)

  it("after it decided: the next one brings it to its end", function()
    run_killed "commit"
    here = open "here"
    local id
    local told = {}
    c = assert(rille.coordinator(here, { participants = { last = { prepare = print, abort = print,
      commit = function(transaction, work) id = transaction told[#told + 1] = work return true end } } }))
    assert.same({ "w" }, told)
    assert.same({}, c:pending())
    there = open "there"
    assert.same({ "Moved" }, types(there, "account-2"))
    local word, result = c:outcome "killed"
    assert.equal("committed", word)
    assert.equal(id, result.transaction)
    assert.same({ first = 1, last = 1 }, result.positions.there)
  end)

  it("after it decided, and there is no handler of that name: listed, and blocks nobody", function()
    run_killed "commit"
    here, there = open "here", open "there"
    local hooked = {}
    c = assert(rille.coordinator(here, { indoubt = function(list) hooked[#hooked + 1] = #list end, indoubt_age = 0 }))
    assert.same({ "Moved" }, types(there, "account-2"))
    assert.same({ "last" }, c:pending()[1].participants)
    assert.equal("dying", c:pending()[1].coordinator)
    assert(c:poll())
    assert(here:poll())
    assert.same({ 1 }, hooked)
    assert(c:resolve("killed", { participant = "last", outcome = "commit", reason = "known to be sent" }))
    assert.same({}, c:pending())
  end)
end)
