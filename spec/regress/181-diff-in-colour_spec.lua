-- `rille diff` on a terminal with colours raised: the style of a key's name was not there.
local rille = require "rille"
local scratch = require "spec.support.scratch"
local terminal = require "spec.support.terminal"

describe("rille diff on a terminal", function()
  it("shows keys and what became of them", function()
    if not terminal.has_script then return pending "util-linux's script is not here" end
    local path = scratch.path()
    local script = scratch.file("count.lua", [[return { initial = { n = 0 }, key = "stream",
      on = { Counted = function(state) state.n = state.n + 1 end } }]])
    local store = assert(rille.open(path))
    assert(store:append("a", { type = "Counted" }))
    assert(store:projection("counts", script)):update {}
    store:close()
    local shown, status = terminal.run(("rille diff '%s' counts 0 1"):format(path))
    assert.equal(0, status, shown)
    assert.equal('\27[1ma\27[0m\n  state: nothing -> {"n":1}\n', shown)
  end)
end)
