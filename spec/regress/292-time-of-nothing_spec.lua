-- A time that is rounded to no microsecond at all was taken for none given, and became now.
local rille = require "rille"
local scratch = require "spec.support.scratch"

describe("A time of an event", function()
  it("is at least a microsecond", function()
    local store <close> = assert(rille.open(scratch.path "time"))
    for _, time in ipairs { 0, 1e-7, 4e-7, 5e-324 } do
      local done, message, code = store:append("a", { type = "A", time = time })
      assert.is_nil(done)
      assert.equal("invalid", code)
      assert.equal("time is no time: it is in seconds since 1970", message)
    end
    assert(store:append("a", { type = "A", time = 1e-6 }))
    for event in store:read "a" do assert.equal(1e-6, event.time) end
  end)
end)
