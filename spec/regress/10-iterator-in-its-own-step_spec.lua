-- A finalizer that ran in the midst of an iterator's step, and stepped or closed the
-- same iterator, moved the reader on while the event was being copied out of it.
local stores = require "spec.support.stores"

it("a finalizer can't take an event's bytes away", function()
  local store <close> = stores.new()
  for i = 1, 400 do
    local text = ("%d,"):format(i):rep(i % 50 * 20 + 1)
    assert(store:append("s", { type = "A", data = text, meta = text, tags = { text:sub(1, 200) } }))
  end
  local step
  local function again()
    setmetatable({}, { __gc = function()
      if step then pcall(step) end
      again()
    end })
  end
  collectgarbage("incremental", 1, 1000, 8)
  again()
  for _ = 1, 5 do
    step = store:read "s"
    for event in step do
      local text = ("%d,"):format(event.version):rep(event.version % 50 * 20 + 1)
      assert(event.data == text and event.meta == text and event.tags[1] == text:sub(1, 200),
        "mixed with another event: version " .. event.version)
    end
  end
  step = nil
  collectgarbage("incremental", 200, 100, 13)
end)
