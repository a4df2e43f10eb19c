-- A finalizer closed the store, or took a step, after an event was read and before it was marked as
-- in use: under LuaJIT, where to push a C function takes memory and so may collect. A fold had such
-- a moment in either Lua, between its reader and its first event, and a redaction beside its names.
-- What followed used memory that was free.
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local BUILD = os.getenv "RILLE_BUILD" or "build"

-- In LuaJIT only a userdata has a finalizer. The n-th collection of a run closes the store.
local PROGRAM = [[
  package.cpath = arg[1]
  local rille = require "rille"
  local path = arg[2]
  local REDUCER = "return { initial = { n = 0 }, on = { A = function(s, e) s.n = s.n + #e.data end } }"
  local function on_collection(f)
    if not newproxy then return setmetatable({}, { __gc = f }) end
    getmetatable(newproxy(true)).__gc = f
  end
  local store, ended
  local runs = {
    function() for e in store:all { reverse = true } do assert(#e.data > 0) end end,
    function() store:fold("x.lua", { stream = "s" }) end,
    function() store:redact({ positions = { 1, 2, 3 }, streams = { "t" }, reason = "asked" }) end,
  }
  if newproxy then
    collectgarbage("setpause", 1)
    collectgarbage("setstepmul", 1000)
  else
    collectgarbage("incremental", 1, 1000, 8)
  end
  for number, run in ipairs(runs) do
    for moment = 1, number == 3 and 8 or 60 do
      if not store or not store:head() then
        store = assert(rille.open(path, { sync = "never", background = false, load = function() return REDUCER end }))
        if store:head() == 0 then
          for i = 1, 100 do store:append("s", { type = "A", data = ("x"):rep(i % 4 * 700 + 3) }) end
        end
      end
      local left, fired = moment % 13, false
      local function arm()
        on_collection(function()
          if ended then return end
          left = left - 1
          if left > 0 then return arm() end
          fired = true
          store:close()
        end)
      end
      arm()
      for _ = 1, number == 3 and 1 or 200 do
        pcall(run)
        if fired then break end
      end
    end
  end
  ended = true -- nothing makes a new finalizer when the state closes, and with it the module goes
  print "ok"]]

describe("a finalizer that closes the store", function()
  for lua, folder in pairs { [os.getenv "RILLE_LUA" or "lua5.4"] = BUILD,
    luajit = os.getenv "RILLE_LUAJIT_BUILD" or BUILD .. "/luajit" } do
    it("between two calls harms nothing, says " .. lua, function()
      local module = io.open(folder .. "/rille.so", "rb")
      local _, lacking = process.run("command -v " .. lua)
      if not module or lacking ~= 0 then return pending(lua .. " or the module for it is not here") end
      module:close()
      if lua == "luajit" and os.getenv "LD_PRELOAD" then return pending "under sanitizers 5.4 alone" end
      local file = scratch.file("finalizer.lua", PROGRAM)
      local output, status = process.run_ours(("%s '%s' '%s/?.so' '%s'"):format(lua, file, folder, scratch.path()))
      assert.equal("ok\n", output)
      assert.equal(0, status)
    end)
  end
end)
