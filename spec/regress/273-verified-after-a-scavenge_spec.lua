-- A state that is kept stays as it is when a scavenge takes events that it had. `verify` with `deep` computed it
-- once more without them, and told of a problem where there was none.
local core = require "spec.support.core"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local SCRIPTS = {
  streams = [[return { initial = { n = 0 }, key = "stream", on = { Counted = function(s) s.n = s.n + 1 end } }]],
  parity = [[return { initial = { n = 0 }, key = function(e) return e.data.n % 2 end,
    on = { Counted = function(s) s.n = s.n + 1 end } }]],
  all = "return { initial = 0, on = { Counted = function(s) return s + 1 end } }",
  others = "return { initial = 0, key = 'stream', on = { Other = function(s) return s + 1 end } }",
}

---Writes another value over that of a kept state.
local function spoil(store, key)
  local at = "S"
  repeat at = assert(core.kept_next(store, at, "S")) until at:sub(11) == key
  assert(core.kept_write(store, { { at, core.encode_state { n = 77 } } }))
end

describe("verify with deep, after a scavenge,", function()
  local store

  before_each(function()
    store = stores.new()
    stores.fill(store, "a", 10)
    stores.fill(store, "b", 10)
    assert(store:append("c", { type = "Other" }))
    for name, text in pairs(SCRIPTS) do
      assert(assert(store:projection(name, scratch.file(name .. ".lua", text))):update())
    end
    assert(store:truncate("a", { before = 8 }))
    assert.equal(7, assert(store:scavenge()).events)
  end)

  it("finds nothing where there is nothing", function()
    assert.same({}, store:verify { deep = true }.problems)
    assert(store:close())
  end)

  for _, key in ipairs { "b", "c" } do
    it("finds a wrong state of a stream of which nothing was taken: " .. key, function()
      spoil(store, key)
      local result = store:verify { deep = true }
      assert.is_false(result.ok)
      stores.contains(result.problems[1].message, ("key %q"):format(key))
      assert(store:close())
    end)
  end
end)
