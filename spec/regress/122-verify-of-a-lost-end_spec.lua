-- A last log file that is empty, all zeros or missing: opening to read said that the log had lost
-- its end, as the index tells, but `verify` of that handle, and so `rille verify`, found nothing.
local rille = require "rille"
local image = require "spec.crash.image"
local stores = require "spec.support.stores"
local work = require "spec.crash.work"

describe("verify", function()
  it("finds that the log has lost its end", function()
    local store, path = stores.new { sync = "always", segment_bytes = 65536 }
    for i = 1, 30 do assert(store:append(work.append(i, 3000))) end
    store:close()
    local files = image.take(path)
    local names, firsts = image.segments(files)
    local last = names[#names]
    for _, bytes in ipairs { false, "", ("\0"):rep(#files[last]) } do
      image.put(image.with(files, { [last] = bytes }), path)
      local reader, remark, code = assert(rille.open(path, { readonly = true }))
      assert.equal("remark", code)
      stores.contains(remark, "Readable up to position " .. reader:head())
      local verified = assert(reader:verify())
      assert.is_false(verified.ok)
      assert.equal(firsts[#firsts], verified.problems[1].address)
      assert.equal(reader:head(), verified.readable)
      reader:close()
    end
  end)
end)
