-- In a folder of its own, because "luarocks make" takes the one rockspec that is beside.
rockspec_format = "3.0"
package = "rille-postgres"
version = "0.1.0-1"
source = { url = "git+file://.", tag = "v0.1.0" }
description = {
  summary = "PostgreSQL as a participant in the transactions of rille",
  detailed = [[
With this module rille.postgres(conninfo) takes a PostgreSQL database into a
transaction over event stores: by PREPARE TRANSACTION, or as the one that decides.]],
  license = "MIT",
  labels = { "database", "postgresql", "event-sourcing" },
}
dependencies = { "lua >= 5.1, < 5.5", "rille" }
external_dependencies = {
  PQ = { header = "libpq-fe.h", library = "pq" },
}
build = {
  type = "make",
  build_target = "rock-postgres-build",
  build_variables = {
    CC = "$(CC)",
    CFLAGS = "$(CFLAGS)",
    LUA_CFLAGS = "-I$(LUA_INCDIR)",
    PQ_CFLAGS = "-I$(PQ_INCDIR)",
    PQ_LIBS = "-L$(PQ_LIBDIR) -lpq",
  },
  install_pass = false,
  install = { lib = { ["rille.postgres"] = "build/rock-postgres-build/rille/postgres.so" } },
}
