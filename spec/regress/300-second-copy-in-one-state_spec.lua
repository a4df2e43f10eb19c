-- A second copy of the library in one lua_State filled the first one's metatables with its own
-- functions: the process died with the next use, or the collection, of the first one's handles.
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local BUILD = os.getenv "RILLE_BUILD" or "build"

it("it is told busy, and harms nobody", function()
  local path, copy = scratch.path(), scratch.path "copy.so"
  scratch.shell("cp '%s/rille.so' '%s'", BUILD, copy)
  local output, status = process.lua([[
    local rille = require "rille"
    local store = assert(rille.open(arg[1]))
    local second = assert(package.loadlib(arg[2], "luaopen_rille"))()
    assert(package.loaded.rille == rille)
    for _ = 1, 2 do
      local none, message, code = second.open(arg[1])
      print(none, code, message:match "another copy")
    end
    print(pcall(second.open))
    assert(store:append("a", { type = "A" }))
    print(store:head(), type(store.fold), store:close())
    rille.open(arg[1])
    collectgarbage()
    print(assert(rille.open(arg[1])):head())
  ]], path, copy)
  assert.equal(([[
nil busy another copy
nil busy another copy
false bad argument #1 to '?' (string expected, got no value)
1 function true
1
]]), (output:gsub("'open'", "'?'"):gsub("\t", " ")))
  assert.equal(0, status)
end)
