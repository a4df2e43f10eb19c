-- A parked event whose content was redacted meanwhile failed at each retry, since handlers do not see such an
-- event: so those that wait behind it waited for ever. The same where its bytes were scavenged.
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local SCRIPT = [[return { key = "stream", on_error = "park", %s on = {
  Asked = function(e, ctx)
    if e.position <= %d then error "not yet" end
    ctx:emit("effects", { type = "Effect", data = { e.position, e.redacted or false } })
  end } }]]

describe("a parked event", function()
  for _, wants in ipairs { false, true } do
    local of_script = wants and "redacted = true," or ""

    it("that was redacted is passed over" .. (wants and ", unless the script wants it" or ""), function()
      local text = SCRIPT:format(of_script, 1)
      local store, path = stores.new { load = function() return text end }
      stores.fill(store, "s", 3, 1, function(i) return { type = "Asked", data = { n = i } } end)
      local w = assert(store:processor("w", "w.lua"))
      assert(w:run())
      assert.equal(3, #w:parked())
      assert(store:redact(1))
      text = SCRIPT:format(of_script, 0)
      assert.same({ 3, 0 }, { w:retry(1) })
      assert.same({}, w:parked())
      local effects = {}
      for event in store:read "effects" do effects[#effects + 1] = event.data end
      assert.same(wants and { { 1, true }, { 2, false }, { 3, false } } or { { 2, false }, { 3, false } }, effects)
      store:close()
      scratch.remove(path)
    end)
  end

  it("that was scavenged is passed over", function()
    local text = SCRIPT:format("", 1)
    local store, path = stores.new { load = function() return text end, segment_bytes = 65536 }
    stores.fill(store, "s", 3, 1, function(i) return { type = "Asked", data = { n = i } } end)
    local w = assert(store:processor("w", "w.lua"))
    assert(w:run())
    assert(store:truncate("s", { before = 3 }))
    assert(store:scavenge())
    text = SCRIPT:format("", 0)
    assert.same({ 3, 0 }, { w:retry(1) })
    local effects = {}
    for event in store:read "effects" do effects[#effects + 1] = event.data[1] end
    assert.same({ 3 }, effects)
    store:close()
    scratch.remove(path)
  end)
end)
