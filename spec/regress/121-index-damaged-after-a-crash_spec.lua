-- After a crash no checksum of LMDB's file is left, and its pages were believed: wrong bytes in
-- one ended the process by a signal, or hid streams, whose next events then got the version 1.
-- Now its trees are walked once before LMDB is.
local child = require "spec.crash.child"
local image = require "spec.crash.image"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local work = require "spec.crash.work"

local DATA, SUM = "index/data.mdb", "index/sum"
local PAGE, META_FREE = 4096, 40

describe("an index without a checksum, damaged,", function()
  it("ends no process and changes no answer", function()
    local store, path = stores.new()
    for i = 1, 300 do
      local stream, events = work.append(i, 5)
      assert(store:append { { stream = stream, events = events },
        { stream = "own-" .. i, events = { { type = "Own", tags = { "tag-" .. i } } } } })
    end
    local answers = "answers " .. work.digest(work.answers(store))
    store:close()
    local files = image.with(image.take(path), { [SUM] = false })
    local places, wrong = { META_FREE, PAGE + META_FREE }, {}
    for at = 2 * PAGE, #files[DATA] - PAGE, 2 * PAGE do places[#places + 1] = at + 10 end -- flags, where nodes begin
    for i, at in ipairs(places) do
      local bytes = image.patch(files[DATA], at, 6, i % 2 == 0 and "\xff\xff\xff\xff\xff\xff" or "\0\0\0\0\0\0")
      local damaged = image.put(image.with(files, { [DATA] = bytes }), scratch.path())
      local lines, status = child.run("answer", { damaged, i % 3 == 0 and "readonly" or "write" })
      local said = lines[2] or lines[1]
      if status ~= 0 then wrong[#wrong + 1] = ("byte %d: status %d"):format(at, status)
      elseif said ~= answers and not lines[1]:find "^refused corrupt .*index" then
        wrong[#wrong + 1] = ("byte %d: %s"):format(at, said)
      end
      scratch.remove(damaged)
    end
    assert(#wrong == 0, ("%d of %d: %s"):format(#wrong, #places, table.concat(wrong, "; ")))
  end)
end)
