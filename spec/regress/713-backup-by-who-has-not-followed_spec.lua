-- Who had a store open while another process redacted a tag, and made a backup as the next thing, copied the index that
-- had been replaced: the copy had the tag, and "the index knows it, the log does not".
local process = require "spec.support.process"
local rille = require "rille"
local scratch = require "spec.support.scratch"

it("a backup is of the index that is there, not of one that a redaction has replaced", function()
  local path, copy = scratch.path "store.rille", scratch.path "copy.rille"
  local store = assert(rille.open(path))
  for i = 1, 20 do assert(store:append("s-" .. i, { type = "A", data = i, tags = { "mister-secret" } })) end
  assert(store:close())
  store = assert(rille.open(path)) -- all is in the index
  local output, status = process.lua([[
    local store = assert(require "rille".open(arg[1]))
    assert(store:redact({}, { tags = { "mister-secret" } }))
    assert(store:close())]], path)
  assert(status == 0, output)
  assert(store:backup(copy))
  for _, file in ipairs { path, copy } do
    local found = process.run(("grep -rl mister-secret '%s/index' '%s/log'"):format(file, file))
    assert.equal("", found)
  end
  local backup = assert(rille.open(copy, { readonly = true }))
  local verified = backup:verify()
  assert(verified.ok, verified.problems[1] and verified.problems[1].message)
  assert(backup:close())
  assert(store:close())
  scratch.remove(path)
  scratch.remove(copy)
end)
