-- A store open for reading only looked for writers when it was asked something. Those who
-- had come, written and gone between two questions were never noticed: it went on answering
-- what had been true when it was opened.
local child = require "spec.crash.child"
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

describe("a reader", function()
  it("sees what was written by who is gone again", function()
    local store, path = stores.new()
    stores.fill(store, "a", 3)
    store:close()
    local reader = assert(rille.open(path, { readonly = true }))
    assert.equal(3, reader:head())
    for n = 4, 6 do
      assert.equal(0, select(2, child.run("create", { path })))
      assert.equal(n, reader:head())
      assert.equal(n - 3, reader:version "s")
      assert.equal(n, #stores.list(reader:all()))
      assert.is_true(reader:wait(n, 0))
    end
    reader:close()
    scratch.remove(path)
  end)
end)
