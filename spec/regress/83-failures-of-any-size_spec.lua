-- A handler's failure could be one that its processor could not deal with: an error of more
-- bytes than an event has room for could not be parked, so that the processor stopped there; and
-- where a function of the host's had closed the store, run raised a line of rille's own.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("a processor", function()
  local store, path, text
  before_each(function() store, path = stores.new { load = function() return text end } end)
  after_each(function()
    store:close()
    scratch.remove(path)
  end)

  it("parks an event whatever the size of the error", function()
    text = [[return { on_error = "park", on = { Asked = function(event, ctx)
      if event.data == 1 then error("long " .. ("x"):rep(1 << 20):rep(20)) end
      ctx:emit("answers", { type = "Answered", data = event.data }) end } }]]
    stores.fill(store, "asked", 2, 1, function(i) return { type = "Asked", data = i } end)
    local w = assert(store:processor("p", "p.lua"))
    assert.equal(0, assert(w:run()))
    assert.same({ 2 }, stores.fields("data", store:read "answers"))
    local parked = assert(w:parked())
    assert.equal(1, #parked)
    stores.contains(parked[1].message, "p.lua:2: long xxx")
    assert(#parked[1].message < 1 << 17)
  end)

  it("says that the store is closed when its handler has closed it", function()
    text = [[return { on = { Asked = function(event, ctx) ctx.host.close() end } }]]
    stores.fill(store, "asked", 3, 1, function(i) return { type = "Asked", data = i } end)
    local w = assert(store:processor("p", "p.lua", { provide = { close = function() store:close() end } }))
    local _, code = stores.failure(w:run())
    assert.equal("closed", code)
  end)
end)
