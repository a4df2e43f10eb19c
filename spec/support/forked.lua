-- forked.lua: forked(f) -> string, boolean: what a function says in a forked child, and whether it
-- ended well (c/forked.c); false where that can't be compiled, or loaded.
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local function build()
  local path = scratch.folder .. "/forked.so"
  local flags = "$(pkg-config --cflags lua5.4 2>/dev/null || pkg-config --cflags lua-5.4 2>/dev/null)"
  local shared = process.run "uname -s":find "Darwin" and "-bundle -undefined dynamic_lookup" or "-shared"
  local command = "${CC:-cc} -std=c11 -fPIC %s %s -o '%s' spec/c/forked.c"
  local _, status = process.run(command:format(flags, shared, path))
  local open = status == 0 and package.loadlib(path, "luaopen_forked")
  return open and open()
end

return build() or false
