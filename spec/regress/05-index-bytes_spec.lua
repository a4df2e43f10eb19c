-- Bytes of the index were believed as they stood in LMDB's file, which has no checksums:
-- one wrong bit gave a stream a wrong version, which the next append then wrote into the
-- log; or cut an acknowledged append off. The index is no truth: what is wrong in it
-- must be noticed.
local rille = require "rille"
local image = require "spec.crash.image"
local oracle = require "spec.crash.oracle"
local stores = require "spec.support.stores"

local DATA = "index/data.mdb"
local STATE_UUID, STATE_POSITION = 8, 32 -- see core/index.c
-- Changes every place where these bytes stand, at an offset from there.
local function change_all(bytes, known, offset)
  local from, n = 1, 0
  while true do
    local at = bytes:find(known, from, true)
    if not at then break end
    bytes = image.flip(bytes, at - 1 + offset, 1)
    from, n = at + #known, n + 1
  end
  assert(n > 0, "not found")
  return bytes
end

-- Either refused with the index named, or as if the index were whole.
local function open(path)
  local store, message, code = rille.open(path)
  if store then return store end
  assert.equal("corrupt", code)
  stores.contains(message, "index")
end

describe("a wrong bit in the index", function()
  it("in its account of itself cuts nothing that was acknowledged", function()
    local store, path = stores.new { sync = "always" }
    for i = 1, 3 do assert(store:append("s", { type = "Counted", data = i })) end
    store:close()
    store = assert(rille.open(path))
    assert(store:append("s", { type = "Counted", data = 4 }))
    local files = image.take(path)
    store:close()
    local uuid = files.store:sub(17, 32)
    files[DATA] = change_all(files[DATA], uuid, STATE_POSITION - STATE_UUID)
    store = open(image.put(files, path))
    if not store then return end
    assert.equal(4, store:head())
    assert.equal(5, assert(store:append("s", { type = "Counted" })).first)
    oracle.check_verified(store)
    store:close()
  end)

  it("in a stream's head gives no wrong version, and writes none", function()
    local store, path = stores.new { sync = "always" }
    for i = 1, 9 do assert(store:append(i < 5 and "s" or "t", { type = "Counted" })) end
    store:close()
    local files = image.take(path)
    local frame = image.frames(files)[4]
    local head = string.pack("<I8I8", 4, frame.start) -- count, touched; 6 has as many levels
    files[DATA] = change_all(files[DATA], head, 0)
    store = open(image.put(files, path))
    if not store then return end
    local version, _, why = store:version "s"
    if version then assert.equal(4, version) else assert.equal("corrupt", why) end
    local done, message, code = store:append("s", { type = "Counted" })
    if done then
      assert.equal(5, done.version)
      oracle.check_verified(store)
    else
      assert.equal("corrupt", code)
      stores.contains(message, "index")
    end
    store:close()
  end)
end)
