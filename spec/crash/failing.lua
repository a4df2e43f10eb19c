-- failing.lua: processes of Lua in which the n-th call of a class to the system fails: see
-- spec/c/failing.h and failing_calls.c, which is compiled here, for this process.
local child = require "spec.crash.child"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local failing = {}

local LUA = os.getenv "RILLE_LUA" or "lua5.4"

local FLAGS = "$(pkg-config --cflags lua5.4 2>/dev/null || pkg-config --cflags lua-5.4 2>/dev/null)"
local COMPILE = "[ \"$(uname -s)\" = Linux ] && ${CC:-cc} -std=c11 -O1 -shared -fPIC %s -o '%s' spec/c/failing_calls.c"

local library

---Where the library is; nil where there can be none.
function failing.library()
  if library == nil then
    local path = scratch.path "failing_calls.so"
    local _, status = process.run(COMPILE:format(FLAGS, path))
    library = status == 0 and path
  end
  return library or nil
end

failing.missing = "calls are watched on Linux, with a C compiler"

---Assignments for the environment of a process that is to load it first.
function failing.preload()
  return ("LD_PRELOAD=\"$LD_PRELOAD\":'%s'"):format(assert(failing.library()))
end

local BEFORE = [[
  local library, module = arg[1], arg[2]
  package.preload.rille = package.loadlib(module, "luaopen_rille")
  local rille, calls = require "rille", package.loadlib(library, "luaopen_failing_calls")()
  local EIO, EMFILE, ENOLCK = 5, 24, 37
  local path = arg[3]
]]

---Runs a piece of Lua, which has `rille`, `calls` (of failing_calls.c), and `path`. What it does
---not do within half a minute has failed.
---@return string output, integer status
function failing.run(code, path)
  local file = scratch.file("failing.lua", BEFORE .. code)
  return process.run_ours(("export %s; exec timeout 30 '%s' '%s' '%s' '%s' '%s'"):format(failing.preload(), LUA, file,
    failing.library(), assert(package.searchpath("rille", package.cpath)), path))
end

---Runs an act of spec/crash/disappoint.lua, to its end.
---@return table lines, integer status
function failing.play(act, settings)
  local words = { act, failing.library(), settings.folder, settings.seed, settings.all and "all" or "some" }
  return child.run_file("spec/crash/disappoint.lua", words, failing.preload())
end

return failing
