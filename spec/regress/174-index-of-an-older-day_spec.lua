-- An index that was put back from a day before names were redacted was believed: the names stood in
-- it, and their chains went on, because the log has forgotten which names had to end.
local rille = require "rille"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local function has(path, text)
  return process.run(("grep -rl '%s' '%s'"):format(text, path)) ~= ""
end

---The tags' events, the stream's version, and the third result of opening.
local function look(path, options)
  local store, _, remark = assert(rille.open(path, options))
  local tagged = 0
  for _ in store:all { tags = { "ann-at-home" } } do tagged = tagged + 1 end
  local version = store:version "reader-ann"
  assert(store:verify().ok)
  assert(store:close())
  return { tagged, version, remark }
end

it("an index of a day before a redaction of names is made anew", function()
  local store, path = stores.new()
  for _ = 1, 3 do assert(store:append("reader-ann", { type = "Lent", tags = { "ann-at-home" } })) end
  assert(store:close())
  scratch.shell("cp -r '%s/index' '%s.old'", path, path)
  store = assert(rille.open(path))
  assert(store:redact({}, { tags = { "ann-at-home" }, streams = { "reader-ann" } }))
  assert(store:append("reader-ann", { type = "Lent", tags = { "ann-at-home" } }))
  assert(store:close())
  assert.same({ 1, 1 }, look(path))
  scratch.shell("rm -r '%s/index' && cp -r '%s.old' '%s/index'", path, path, path)
  assert.same({ 1, 1, "remark" }, look(path, { readonly = true }))
  assert.same({ 1, 1, "remark" }, look(path))
  assert.same({ 1, 1 }, look(path))
  store = assert(rille.open(path))
  assert(store:redact({}, { tags = { "ann-at-home" }, streams = { "reader-ann" } }))
  assert(store:close())
  assert.is_false(has(path, "ann-at-home") or has(path, "reader-ann"))
  scratch.remove(path)
end)
