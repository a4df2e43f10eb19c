-- A program that forgot the module and required it again got one without the methods of the
-- Lua half, and took them from the handles that were open.
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

it("the module is whole, and so are the handles that were open", function()
  local output, status = process.lua([[
    local first = require "rille"
    local before = assert(first.open(arg[1]))
    package.loaded.rille = nil
    local rille = require "rille"
    local store = assert(rille.open(arg[1]))
    for _, name in ipairs { "fold", "projection", "processor", "poll", "settle", "scavenge" } do
      print(name, type(before[name]), type(store[name]))
    end
    print(type(rille.coordinator), rille.null == first.null)
    assert(before:append("a", { type = "A" }))
    print(store:head(), before:close(), store:close())
  ]], scratch.path())
  assert.equal([[
fold function function
projection function function
processor function function
poll function function
settle function function
scavenge function function
function true
1 true true
]], (output:gsub("\t", " ")))
  assert.equal(0, status)
end)
