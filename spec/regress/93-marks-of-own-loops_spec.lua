-- `rille marks` listed only projections and processors that were opened by their scripts: not
-- the marks that a program moves in its own appends, nor any at all once the index was deleted.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local BUILD = os.getenv "RILLE_BUILD" or "build"

local function marks(path)
  local pipe = assert(io.popen(("'%s/bin/rille' marks '%s' --json"):format(BUILD, path)))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = assert(rille.json.decode(line)) end
  assert(pipe:close())
  return list
end

describe("rille marks", function()
  it("shows every mark, folded or not", function()
    local store, path = stores.new { background = false }
    local processor = scratch.file("marks.lua", [[return { on = { A = function() end } }]])
    assert(store:append("a", { { type = "A" }, { type = "A" }, { type = "A" } }))
    assert(store:append { mark = { "mailer", 0, 2 } })
    assert(store:append { mark = { "b\0", 0, 1 } })
    assert(assert(store:processor("p", processor)):run())
    store:close()                                              -- folds to the end
    store = assert(rille.open(path, { background = false }))
    assert(store:append { mark = { "mailer", 2, 3 } })
    assert(store:append { mark = { "zeta", 0, 1 } })           -- not folded
    assert(store:append { mark = { "a", 0, 1 } })
    local expected = { { kind = "mark", name = "a", mark = 1, lag = 2 },
      { kind = "mark", name = "b\0", mark = 1, lag = 2 },
      { kind = "mark", name = "mailer", mark = 3, lag = 0 }, { kind = "mark", name = "zeta", mark = 1, lag = 2 } }
    local list = marks(path)
    assert.same({ kind = "processor", name = "p", mark = 3, lag = 0, script = processor }, table.remove(list, 1))
    assert.same(expected, list)
    assert.equal(5, store:stats().marks)
    assert.equal(1, store:stats().kept)
    store:close()
    scratch.remove(path .. "/index")
    table.insert(expected, 4, { kind = "mark", name = "p", mark = 3, lag = 0 })
    assert.same(expected, marks(path))
    scratch.remove(path)
  end)
end)
