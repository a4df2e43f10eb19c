-- make LUA=lua5.1 built with the headers of Lua 5.4, and said nothing: what it made could not be loaded there. A name
-- tells little: where several Luas are installed, lua is any of them. So make asks it.
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

---A program of that name that says it is such a Lua.
local function interpreter(name, version)
  local folder = scratch.path()
  process.run(("mkdir -p '%s'"):format(folder))
  local path = folder .. "/" .. name
  local file = assert(io.open(path, "w"))
  assert(file:write(("#!/bin/sh\nprintf '%s'\n"):format(version)))
  file:close()
  process.run(("chmod +x '%s'"):format(path))
  return path
end

---What make says that is to make nothing but what is there already.
local function make(lua)
  return process.run(("env -u MAKEFLAGS make --no-print-directory LUA='%s' Makefile 2>&1"):format(lua))
end

describe("make", function()
  local REFUSED = { ["lua5.1"] = "Lua 5.1", lua = "Lua 5.1", ["lua5.4"] = "LuaJIT", ["lua-5.5"] = "Lua 5.5",
    luajit = "Lua 5.4" }
  for name, version in pairs(REFUSED) do
    it(("stops with %s that is %s"):format(name, version), function()
      local path = interpreter(name, version)
      local output, status = make(path)
      assert.equal(2, status)
      local said = ("rille needs Lua 5.4, or LuaJIT 2.1: %s is %s. Type make LUA=lua5.4"):format(path, version)
      assert.truthy(output:find(said, 1, true), output)
    end)
  end

  local TAKEN = { ["lua5.4"] = "Lua 5.4", lua = "Lua 5.4", luajit = "LuaJIT", ["luajit-2.1"] = "LuaJIT" }
  for name, version in pairs(TAKEN) do
    it(("takes %s that is %s"):format(name, version), function()
      local output, status = make(interpreter(name, version))
      assert.equal(0, status, output)
    end)
  end

  it("goes by the name of one that is not installed", function()
    assert.equal(2, (select(2, make "/nowhere/lua5.1")))
    assert.equal(0, (select(2, make "/nowhere/lua5.4")))
    assert.equal(0, (select(2, make "/nowhere/luajit")))
  end)
end)
