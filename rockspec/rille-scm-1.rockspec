rockspec_format = "3.0"
package = "rille"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "An embedded event store, folded by Lua reducers",
  detailed = [[
rille keeps events in an append-only log on plain files and computes state by
running them through reducers: Lua scripts, loaded at run time. Streams with
versions and optimistic conditions, state at any past position, a log that
survives power cuts at one disk flush an append.]],
  license = "MIT",
  labels = { "database", "event-sourcing", "embedded" },
}
-- 5.4, or LuaJIT, whose number is 5.1: with the headers of another Lua the compiler says so.
dependencies = { "lua >= 5.1, < 5.5", "argparse >= 0.7" }
external_dependencies = {
  LMDB = { header = "lmdb.h", library = "lmdb" },
}
-- Not of type "builtin": that one would copy all of the folder lua/, objects and sources too, to
-- where Lua looks for modules. The Makefile builds in a folder of its own, which is new each time.
build = {
  type = "make",
  build_target = "rock-build",
  build_variables = {
    CC = "$(CC)",
    CFLAGS = "$(CFLAGS)",
    LUA_CFLAGS = "-I$(LUA_INCDIR)",
    LMDB_CFLAGS = "-I$(LMDB_INCDIR)",
    LMDB_LIBS = "-L$(LMDB_LIBDIR) -llmdb",
  },
  -- LuaRocks installs, not make: a target for it would be told another place than that of the rock
  -- by --pack-binary-rock.
  install_pass = false,
  install = {
    lib = { rille = "build/rock-build/rille.so" },
    bin = { rille = "lua/bin/rille" },
    conf = { "lua/meta/rille.lua" },
  },
  copy_directories = { "docs", "examples" },
}
test = { type = "command", command = "make test" }
