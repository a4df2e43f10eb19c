-- A store was moved away while it was open, and another was made at its path: new log files, and those
-- that a scavenge or a redaction made, went into the other one's folder. That was damaged, and events
-- that had been acknowledged were in neither.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local options = { segment_bytes = 65536, background = false }
local BIG = ("x"):rep(3000)

local function grow(store, n)
  for i = 1, n do
    local done, message, code = store:append("a", { type = "A", data = BIG })
    if not done then return i - 1, message, code end
  end
  return n
end

local function refused(result, message, code)
  assert.is_nil(result)
  assert.equal("io", code)
  stores.contains(message, "moved")
end

---What is at the path by now is sound, and has so many events of a type.
local function check(path, type, count)
  local store = assert(rille.open(path, { create = false }))
  assert.is_true(store:verify().ok)
  local n = 0
  for event in store:all() do
    assert.equal(type, event.type)
    n = n + 1
  end
  assert.equal(count, n)
  store:close()
end

describe("a store that is moved while it is open, with another in its place", function()
  local store, path, away
  before_each(function()
    path, away = scratch.path "here", scratch.path "away"
    store = assert(rille.open(path, options))
    assert.equal(30, (grow(store, 30)))
    assert(os.rename(path, away))
    local other = assert(rille.open(path, options))
    for _ = 1, 30 do assert(other:append("b", { type = "B", data = BIG })) end
    other:close()
  end)
  after_each(function()
    scratch.remove(path)
    scratch.remove(away)
  end)

  it("puts nothing into the other when its log grows", function()
    local more, message, code = grow(store, 60)
    refused(nil, message, code)
    store:close()
    check(path, "B", 30)
    check(away, "A", 30 + more)
  end)

  it("nor when log files are replaced", function()
    assert(store:truncate("a", { before = 20 }))
    refused(store:scavenge())
    refused(store:redact({ 3, 25 }))
    store:close()
    check(path, "B", 30)
    assert(store:close())
  end)

  it("and does not copy the other's files", function()
    local copy = scratch.path "copy"
    refused(store:backup(copy))
    assert.is_nil(io.open(copy))
    store:close()
    check(path, "B", 30)
    check(away, "A", 30)
  end)
end)
