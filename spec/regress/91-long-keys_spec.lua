-- A key has 1 to 255 bytes, but only projections said so: store:fold took any, and a processor
-- parked events under it.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local contains, failure = stores.contains, stores.failure

local files, store, path

before_each(function()
  files = {}
  store, path = stores.new { load = function(name) return files[name] end }
  assert(store:append("a", { type = "A", data = 255 }))
  assert(store:append("a", { type = "A", data = 256 }))
end)
after_each(function()
  store:close()
  scratch.remove(path)
end)

local KEY = [[key = function(event) return ("k"):rep(event.data) end,]]

describe("a key of more than 255 bytes", function()
  it("is refused by fold, as by a projection", function()
    files["r.lua"] = ([[return { initial = { n = 0 }, %s on = { A = function(s) s.n = s.n + 1 end } }]]):format(KEY)
    local key = ("k"):rep(255)
    assert.same({ n = 1 }, (store:fold("r.lua", { key = key, at = 1 })))
    local message, code, detail = failure(store:fold("r.lua", { key = key }))
    contains(message, "key returned 256 bytes: a key has at most 255")
    assert.same({ "script", 2 }, { code, detail.position })
    assert.equal(message, (failure(store:projection("r", "r.lua"):get(key))))
  end)

  it("is refused by a processor", function()
    files["p.lua"] = ([[return { %s on = { A = function(e, ctx) ctx:emit("b", { type = "B" }) end } }]]):format(KEY)
    local w = assert(store:processor("p", "p.lua"))
    local message, code = failure(w:run())
    contains(message, "key returned 256 bytes: a key has at most 255")
    assert.same({ "script", 1 }, { code, w:mark() })
  end)
end)
