-- A frame with something that is not over (a promise, a decision, an epoch) is read again on
-- opening. Where it was damaged the store could not even be opened to read, so that nothing
-- could be exported, not the events before it. Who only reads needs none of it; who asks what
-- is in doubt is told of the damage.
local rille = require "rille"
local image = require "spec.crash.image"
local stores = require "spec.support.stores"
local transaction = require("spec.support.core").transaction

local PREPARE = 2

-- A closed store with a promise between two events, and where its frame is.
local function make()
  local store, path = stores.new { sync = "always" }
  assert(store:append("s", { type = "Counted", data = { n = 1 } }))
  local work = stores.work(store, { { stream = "t", events = { { type = "Promised" } } } })
  assert(transaction.prepare(store, work, { id = "home.1.nonce.1", name = "there", home_kind = "store",
    home_path = path .. "-home", home_end = 0, coordinator = "tester", deadline = 0 }))
  assert(store:append("s", { type = "Counted", data = { n = 2 } }))
  store:close()
  local files = image.take(path)
  for _, frame in ipairs(image.frames(files)) do
    if frame.kind == PREPARE then return path, files, frame end
  end
  error "there is no prepare frame"
end

describe("damage in a promise", function()
  it("keeps nobody from reading, and who asks for it is told", function()
    local path, files, frame = make()
    image.put(image.with(files, { [image.first_segment] =
      image.flip(files[image.first_segment], frame.offset + 80, 3) }), path)
    local _, code, detail = stores.failure(rille.open(path))
    assert.equal("corrupt", code)
    assert.equal(frame.start, detail.address)
    local store = assert(rille.open(path, { readonly = true }))
    assert.same({ 1, 2 }, stores.positions(store:read "s"))
    _, code = stores.failure(store:indoubt())
    assert.equal("corrupt", code)
    _, code = stores.failure(store:stats())
    assert.equal("corrupt", code)
    local verified = assert(store:verify())
    assert.is_false(verified.ok)
    assert.equal(frame.start, verified.problems[1].address)
    store:close()
  end)
end)
