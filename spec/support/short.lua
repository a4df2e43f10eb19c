-- short.lua: programs that run short of Lua's memory: spec/c/failing_alloc.c, which is compiled
-- here, for this process.
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local short = {}

local LUA = os.getenv "RILLE_LUA" or "lua5.4"

---Builds the module failing_alloc; nil and why where that can't be.
local function build()
  local path = scratch.folder .. "/failing_alloc.so"
  local flags = "$(pkg-config --cflags lua5.4 2>/dev/null || pkg-config --cflags lua-5.4 2>/dev/null)"
  local shared = "-shared"
  if process.run "uname -s":find "Darwin" then shared = "-bundle -undefined dynamic_lookup" end
  local output, status = process.run(("${CC:-cc} -std=c11 -O1 -Wall -Wextra -fPIC %s %s -o '%s' %s")
    :format(flags, shared, path, "spec/c/failing_alloc.c"))
  if status ~= 0 then return nil, output end
  local open = package.loadlib(path, "luaopen_failing_alloc")
  return open and open(), open and "" or LUA .. " does not give its symbols to modules"
end

---run(n, setup, task, after) of failing_alloc.c; nil where it can't be built, and `why`.
short.run, short.why = build()

return short
