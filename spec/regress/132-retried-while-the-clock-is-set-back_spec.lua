-- A processor that retries remembered when, by the store's clock: where that was set back
-- meanwhile, it waited for as long, instead of for a second.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

it("an event is tried again in a second, although the clock is set back", function()
  local now, tries = 1000000000, 0
  local store, path = stores.new { clock = function() return now end }
  local script = scratch.file("retry.lua", [[
    return { on_error = "retry", attempts = 9, on = { A = function(_, ctx) ctx.host.try() end } }]])
  local w = assert(store:processor("w", script, { provide = { try = function()
    tries = tries + 1
    if tries < 3 then error "not yet" end
  end } }))
  assert(store:append("a", { type = "A" }))
  local _, due = assert(w:run())
  assert.same({ 1, 1 }, { tries, due })
  now = now - 3 * 3600
  _, due = assert(w:run())
  assert.same({ 2, 2 }, { tries, due })
  now = now + 2
  assert(w:run())
  assert.equal(3, tries)
  assert.equal(store:head(), w:mark())
  store:close()
  scratch.remove(path)
end)
