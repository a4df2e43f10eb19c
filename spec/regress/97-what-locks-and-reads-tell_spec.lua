-- Small untruths beside transactions: a lock named the first stream of what was refused, not the
-- one that is held; a mark was read as it was before a decided transaction moved it; home could
-- promise something to itself, which its decision then overwrote; a follower waited for ever
-- for a commit whose writer, without a thread, did nothing more; and to settle from a home that is
-- only read, what was decided there counted before it was durable.
local core = require "spec.support.core"
local process = require "spec.support.process"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local means = core.transaction

local EVENT = { type = "Moved" }
local here, there, here_path, there_path, instance

before_each(function()
  here_path, there_path = scratch.path "here", scratch.path "there"
  here, there = assert(rille.open(here_path)), assert(rille.open(there_path, { background = false }))
  instance = assert(means.instance(here, "spec"))
end)

after_each(function()
  instance:close()
  here:close()
  there:close()
end)

---Begins a transaction and prepares the work: its id, and what it began with.
local function prepare(work, store)
  local id, home_end = instance:begin()
  store = store or there
  local done, message, code = means.prepare(store, stores.work(store, work), { id = id, name = "there",
    home_kind = "store", home_path = here_path, home_end = home_end, coordinator = "spec" })
  if not done then return nil, message, code end
  assert(means.flush(there, done.flush))
  return id, home_end
end

local function decide(id, home_end)
  return assert(means.decide(here, nil, { id = id, home_end = home_end, outcome = "committed", members = { "there" },
                                         detail = "" }))
end

describe("a lock", function()
  it("is told by the stream that is held", function()
    assert(prepare { { stream = "held", events = EVENT } })
    local parts = { { stream = "free", events = EVENT }, { stream = "held", expect = 0 } }
    local message = stores.failure(there:append(parts))
    stores.contains(message, '"held"')
  end)
end)

describe("a mark", function()
  it("is read with what is decided", function()
    local id, home_end = prepare { mark = { "m", 0, 5 } }
    assert(means.flush(here, decide(id, home_end)["end"]))
    assert.equal(5, there:mark "m")
  end)
end)

describe("home", function()
  it("promises nothing to itself", function()
    local _, code = stores.failure(prepare({ { stream = "a", events = EVENT } }, here))
    assert.equal("invalid", code)
    assert.same({}, here:indoubt())
  end)

  it("tells who can't flush it only what is durable", function()
    local id, home_end = prepare { { stream = "a", events = EVENT } }
    local look = [[
      local rille = require "rille"
      local home = assert(rille.open(arg[1], { readonly = true }))
      local store = assert(rille.open(arg[2]))
      io.write(store:version "a", " ", #store:indoubt())
    ]]
    local decided = decide(id, home_end)
    assert.equal("0 1", (process.lua(look, here_path, there_path)))
    assert(means.flush(here, decided["end"]))
    assert.equal("1 0", (process.lua(look, here_path, there_path)))
  end)
end)

describe("a follower", function()
  it("need not wait for who committed to do more", function()
    local id, home_end = prepare { { stream = "a", events = EVENT } }
    assert(means.flush(here, decide(id, home_end)["end"]))
    local follow = process.start([[
      local store = assert(require "rille".open(arg[1], { background = false }))
      print "ready"
      print(store:wait(0, 20))
      store:close()
    ]], there_path)
    repeat local line = follow:line() until line == "ready" or not line
    assert(means.commit(there, id))
    assert.equal("true", follow:line())
    follow:finish()
  end)
end)

describe("a promise of very many parts", function()
  it("has the version that each stream will have", function()
    local work = {}
    for i = 1, 6000 do work[i] = { stream = "s" .. i % 2000, events = EVENT } end
    local id, home_end = instance:begin()
    local done = assert(means.prepare(there, stores.work(there, work), { id = id, name = "there", home_kind = "store",
      home_path = here_path, home_end = home_end, coordinator = "spec" }))
    assert.equal(3, done.versions.s7)
    assert(means.abort(there, id))
  end)
end)
