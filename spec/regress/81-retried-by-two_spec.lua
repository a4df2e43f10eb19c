-- Of two that retried the events of one key at the same time, the one that met an event which
-- the other had just done said that nothing was parked, though it had done some itself.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("retry", function()
  it("goes on behind what another has done meanwhile", function()
    local text = [[return { key = "stream", on_error = "park", on = { Asked = function(event, ctx)
      ctx.host.look(event.data)
      ctx:emit("answers", { type = "Answered", data = event.data }) end } }]]
    local function load() return text end
    local store, path = stores.new { load = load }
    local other = assert(rille.open(path, { sync = "never", load = load }))
    local v, on_second
    local function refuse() error "not yet" end
    local function let(n) if n == 2 and on_second then on_second() end end
    local look = refuse
    local provide = { look = function(n) return look(n) end }
    local w = assert(store:processor("p", "p.lua", { provide = provide }))
    v = assert(other:processor("p", "p.lua", { provide = provide }))
    stores.fill(store, "asked", 4, 1, function(i) return { type = "Asked", data = i } end)
    assert(w:run())
    look = let
    on_second = function()
      on_second = nil
      v:retry(2)
    end
    assert.same({ 1, 0 }, { w:retry(1) })
    assert.same({ 1, 2, 3, 4 }, stores.fields("data", store:read "answers"))
    assert.same({}, w:parked())
    other:close()
    store:close()
    scratch.remove(path)
  end)

  it("of one that another has done says that it is not parked", function()
    local text = [[return { on_error = "park", on = { Asked = function(event, ctx) ctx.host.look() end } }]]
    local function load() return text end
    local store, path = stores.new { load = load }
    local other = assert(rille.open(path, { sync = "never", load = load }))
    local look = error
    local provide = { look = function() return look() end }
    local w = assert(store:processor("p", "p.lua", { provide = provide }))
    local v = assert(other:processor("p", "p.lua", { provide = provide }))
    stores.fill(store, "asked", 1, 1, function() return { type = "Asked" } end)
    assert(w:run())
    look = function()
      look = function() end
      assert(v:retry(1))
    end
    local _, code = stores.failure(w:retry(1))
    assert.equal("notfound", code)
    other:close()
    store:close()
    scratch.remove(path)
  end)
end)
