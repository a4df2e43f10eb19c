-- A backup copied the last file of the log as far as its own process knew that file: what others had
-- written beyond that was not in the copy, which could even end within a frame.
local process = require "spec.support.process"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

it("a backup has all that others have appended", function()
  local store, path = stores.new { sync = "always" }
  assert(store:append("a", { type = "A" }))
  local other = process.start([[
    local store = assert(require "rille".open(arg[1]))
    for i = 1, 100 do assert(store:append("a", { type = "A", data = ("x"):rep(20000) })) end
    print "done"
    io.stdout:flush()
    io.read "a"
  ]], path)
  assert.equal("done", other:line())
  local copy_path = scratch.path "copy"
  assert(store:backup(copy_path))
  other:finish()
  local copy = assert(rille.open(copy_path, { readonly = true }))
  assert.equal(101, copy:head())
  assert.equal(101, #stores.list(copy:read "a"))
  assert(copy:verify().ok)
  assert(copy:close() and store:close())
end)
