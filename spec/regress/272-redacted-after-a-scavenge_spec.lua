-- What a scavenge had taken was not found any more when it was asked which kept states have seen what is
-- redacted: so their states stayed, with the content, and with names of streams for keys.
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local SECRET = "ann@example.com"
local MANY = 1500 -- events: more than from rung to rung

local by_stream = scratch.file("by-stream.lua", [[return { initial = { n = 0 }, key = "stream",
  on = { Mail = function(s, e) s.n, s.last = s.n + 1, e.data.from end } }]])
local by_sender = scratch.file("by-sender.lua", [[return { key = function(e) return e.data.from end,
  initial = { n = 0 }, on = { Mail = function(s) s.n = s.n + 1 end } }]])
local others = scratch.file("others.lua", "return { initial = 0, on = { Other = function(s) return s + 1 end } }")

local function fill(store, stream, type, n, data)
  stores.fill(store, stream, n, 500, function() return { type = type, data = data, tags = { data and data.from } } end)
end

---A store whose events of the stream were hidden, and taken; its path.
local function scavenged(stream)
  local store, path = stores.new()
  fill(store, "old", "Other", 2)
  fill(store, "other", "Other", 1)
  fill(store, stream, "Mail", MANY, { from = SECRET })
  for name, script in pairs { streams = by_stream, senders = by_sender, others = others } do
    assert(assert(store:projection(name, script)):update())
  end
  assert(store:fold(by_stream, { stream = stream }))
  assert(store:delete(stream))
  assert(store:delete "old")
  assert(store:scavenge())
  return store, path
end

---In no file; the states that had none of it are the very ones of before, with what is taken since.
local function check_gone(store, path)
  assert.equal("", (process.run(("grep -rlaF %s '%s' || true"):format(SECRET, path))))
  for _, script in ipairs { by_stream, by_sender } do
    for key in assert(store:projection(script == by_stream and "streams" or "senders", script)):each() do
      assert.not_equal(SECRET, key)
    end
  end
  assert.equal(3, assert(store:projection("others", others)):get())
  assert(store:close())
  scratch.remove(path)
end

describe("a redaction after a scavenge", function()
  it("finds by a name which states have seen what was taken", function()
    local store, path = scavenged(SECRET)
    assert(store:redact(nil, { streams = { SECRET }, tags = { SECRET } }))
    check_gone(store, path)
  end)

  it("finds by a position which states have seen what was taken", function()
    local store, path = scavenged "mails"
    local positions = {}
    for i = 1, MANY do positions[i] = 3 + i end
    assert(store:redact(positions, { tags = { SECRET } }))
    check_gone(store, path)
  end)
end)
