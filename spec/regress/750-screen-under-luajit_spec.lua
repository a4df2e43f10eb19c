-- Under LuaJIT a zero byte ends a pattern, so the command's "what is no plain character" was
-- "malformed pattern" there: on a terminal `rille cat` and every failure ended in a traceback.
local process = require "spec.support.process"

local BUILD = os.getenv "RILLE_BUILD" or "build"
local PROGRAM = [[
  package.cpath = arg[1]
  require "rille"
  print(require "rille.screen".visible "a\0\27[1m\255\195\164\194\155\127\245")]]

describe("what a terminal gets to see", function()
  for lua, folder in pairs { [os.getenv "RILLE_LUA" or "lua5.4"] = BUILD,
    luajit = os.getenv "RILLE_LUAJIT_BUILD" or BUILD .. "/luajit" } do
    it("is free of controls, says " .. lua, function()
      local module = io.open(folder .. "/rille.so", "rb")
      local _, lacking = process.run("command -v " .. lua)
      if not module or lacking ~= 0 then return pending(lua .. " or the module for it is not here") end
      module:close()
      local file = require "spec.support.scratch".file("visible.lua", PROGRAM)
      local output, status = process.run_ours(("%s '%s' '%s/?.so'"):format(lua, file, folder))
      assert.equal("a\\x00\\x1b[1m\\xffä\\u{9b}\\x7f\\xf5\n", output)
      assert.equal(0, status)
    end)
  end
end)
