-- `why` left out the events of rille's own that a reducer names, where it had "*" besides.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local stores = require "spec.support.stores"

local BUILD = os.getenv "RILLE_BUILD" or "build"

describe("rille why", function()
  it("shows the events of rille's own that the reducer names beside \"*\"", function()
    local store, path = stores.new()
    local reducer = scratch.file("counts.lua", [[return { initial = { own = 0, other = 0 }, on = {
      ["$delayed"] = function(s) s.own = s.own + 1 end, ["*"] = function(s) s.other = s.other + 1 end } }]])
    local processor = scratch.file("later.lua", [[return { on = { Asked = function(event, ctx)
      ctx:emit("later", { type = "Came" }, { delay = 3600 }) end } }]])
    assert(store:append("a", { type = "Asked" }))
    assert(assert(store:processor("p", processor)):run())
    assert.same({ own = 1, other = 1 }, (assert(store:projection("counts", reducer)):get()))
    store:close()
    local pipe = assert(io.popen(("'%s/bin/rille' why '%s' counts '' --json"):format(BUILD, path)))
    local types = {}
    for line in pipe:lines() do types[#types + 1] = assert(rille.json.decode(line)).type end
    assert(pipe:close())
    assert.same({ "Asked", "$delayed" }, types)
    scratch.remove(path)
  end)
end)
