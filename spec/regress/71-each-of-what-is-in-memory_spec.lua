-- each took what memory had that was not saved without a look: a state that can't be kept was
-- left out as if it had been removed, and what another had saved meanwhile was mixed with
-- older states of this handle's.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local TEXT = [[return { initial = { n = 0 }, key = "stream", on = {
  Counted = function(s) s.n = s.n + 1 end,
  Broken = function(s) s.f = string.rep end } }]]

local function load() return TEXT end

describe("each", function()
  local store, path
  before_each(function() store, path = stores.new { load = load } end)
  after_each(function()
    store:close()
    scratch.remove(path)
  end)

  it("names the event that made a state which can't be kept", function()
    stores.fill(store, "a", 1)
    stores.fill(store, "b", 1)
    local p = assert(store:projection("p", "p.lua"))
    assert(p:update())
    assert(store:append("a", { type = "Broken" }))
    local message = stores.raised(p.each, p)
    stores.contains(message, "state.f is a function (at position 3: Broken in stream a)")
  end)

  it("eventual shows what another has saved, of all keys", function()
    local other = assert(rille.open(path, { sync = "never", load = load }))
    local p, q = assert(store:projection("p", "p.lua")), assert(other:projection("p", "p.lua"))
    stores.fill(store, "a", 1)
    stores.fill(store, "b", 1)
    assert(p:update())
    stores.fill(store, "a", 1)
    assert(p:get "a")
    stores.fill(store, "a", 1)
    stores.fill(store, "b", 1)
    assert(q:update())
    local shown = {}
    for key, state in p:each { consistency = "eventual" } do shown[key] = state.n end
    assert.same({ a = 3, b = 2 }, shown)
    other:close()
  end)
end)
