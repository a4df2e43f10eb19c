-- Who had opened a store for reading only, when nobody wrote to it, and was in the middle of an
-- iterator when another came and redacted, was given the content that was gone.
local process = require "spec.support.process"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

it("an iterator of who only reads gives nothing that another process has redacted since", function()
  local store, path = stores.new()
  for i = 1, 6 do assert(store:append("x", { type = "A", data = { secret = "secret-" .. i }, tags = { "t" } })) end
  assert(store:close())
  local reader = assert(rille.open(path, { readonly = true }))
  local iterators = { reader:all(), reader:read "x", reader:all { tags = { "t" } }, (reader:all { types = { "A" } }) }
  for _, next_event in ipairs(iterators) do assert.equal("secret-1", next_event().data.secret) end
  local output, status = process.lua([[local store = assert(require "rille".open(arg[1]))
    assert(store:redact { 2, 3 })
    assert(store:close())]], path)
  assert(status == 0, output)
  for i, next_event in ipairs(iterators) do
    local event = next_event()
    assert.same({ i, 2, true }, { i, event.position, event.redacted })
    assert.is_nil(event.data)
    next_event()
    assert.equal("secret-4", next_event().data.secret)
  end
  assert(reader:close())
  scratch.remove(path)
end)
