-- A torn tail was thrown away unless whole frames stood behind it. What looks like one
-- may be an acknowledged append with one bad byte, or, where the file `store` was
-- exchanged, the whole log: what is cut is kept beside the log, always.
local rille = require "rille"
local image = require "spec.crash.image"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local function a_store()
  local store, path = stores.new { sync = "always" }
  for i = 1, 3 do assert(store:append("s", { type = "Counted", data = { n = i } })) end
  local unfolded = image.take(path)
  store:close()
  return unfolded, image.take(path)
end

local function kept(path, address)
  local name = image.segment_name(address):gsub("seg$", "torn")
  return image.take(path)[name]
end

describe("what repair cuts", function()
  it("is kept where it is one frame", function()
    local files = a_store()
    local frames = image.frames(files)
    local log = image.flip(files[image.first_segment], frames[3].start + 60, 0)
    local path = image.put(image.with(files, { [image.first_segment] = log }), scratch.path())
    local store, remark = assert(rille.open(path))
    stores.contains(remark, "cut at byte " .. frames[3].start)
    store:close()
    local bytes = assert(kept(path, frames[3].start), "the bytes are gone")
    assert.equal(log:sub(frames[3].start + 1, frames[3].stop), bytes:sub(1, frames[3].length))
  end)

  it("is kept where the file `store` is another store's, or that is refused", function()
    local _, files = a_store()
    local _, other = a_store()
    local path = image.put(image.with(files, { store = other.store }), scratch.path())
    local store = rille.open(path)
    if not store then return end
    store:close()
    local bytes = assert(kept(path, 0), "the whole log is gone")
    local stop = image.frames(files)[3].stop
    assert.equal(files[image.first_segment]:sub(1, stop), bytes:sub(1, stop))
  end)
end)
