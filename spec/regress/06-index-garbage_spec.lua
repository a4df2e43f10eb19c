-- Garbage in LMDB's file ended the process (its pages have no checksums, and offsets in
-- them are believed), or hid streams. The file's checksum, left beside it when it was
-- closed, tells; then the index is made anew.
local child = require "spec.crash.child"
local image = require "spec.crash.image"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"
local work = require "spec.crash.work"

local DATA = "index/data.mdb"

describe("garbage in the index of a closed store", function()
  it("ends no process and changes no answer", function()
    math.randomseed(1)
    local store, path = stores.new()
    for i = 1, 300 do
      local stream, events = work.append(i, 5)
      assert(store:append { { stream = stream, events = events },
        { stream = "own-" .. i, events = { { type = "Own", tags = { "tag-" .. i } } } } })
    end
    local answers = "answers " .. work.digest(work.answers(store))
    store:close()
    local files = image.take(path)
    local wrong = {}
    for try = 1, 24 do
      local t = {}
      for i = 1, 512 do t[i] = string.char(math.random(0, 255)) end
      local at = math.random(0, #files[DATA] // 512 - 1) * 512
      local bytes = image.patch(files[DATA], at, 512, table.concat(t))
      local damaged = image.put(image.with(files, { [DATA] = bytes }), scratch.path())
      local lines, status = child.run("answer", { damaged, try % 2 == 0 and "readonly" or "write" })
      local said = lines[2] or lines[1]
      if status ~= 0 then
        wrong[#wrong + 1] = ("byte %d: status %d"):format(at, status)
      elseif said ~= answers and not lines[1]:find "^refused corrupt .*index" then
        wrong[#wrong + 1] = ("byte %d: %s"):format(at, said)
      end
      scratch.remove(damaged)
    end
    assert(#wrong == 0, ("%d of 24: %s"):format(#wrong, table.concat(wrong, "; ")))
  end)
end)
