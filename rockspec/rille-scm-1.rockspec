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
dependencies = { "lua >= 5.4, < 5.5", "argparse >= 0.7" }
external_dependencies = {
  LMDB = { header = "lmdb.h", library = "lmdb" },
}
build = {
  type = "builtin",
  modules = {
    rille = {
      sources = {
        "core/append.c",
        "core/backup.c",
        "core/buffer.c",
        "core/chain.c",
        "core/checksum.c",
        "core/condition.c",
        "core/control.c",
        "core/cursor.c",
        "core/error.c",
        "core/flush.c",
        "core/fold.c",
        "core/frame.c",
        "core/hash.c",
        "core/identity.c",
        "core/index.c",
        "core/input.c",
        "core/log.c",
        "core/merge.c",
        "core/note.c",
        "core/open.c",
        "core/overlay.c",
        "core/plan.c",
        "core/query.c",
        "core/reader.c",
        "core/repair.c",
        "core/scan.c",
        "core/segment.c",
        "core/store.c",
        "core/sum.c",
        "core/system.c",
        "core/verify.c",
        "lua/lappend.c",
        "lua/lcrossing.c",
        "lua/lerror.c",
        "lua/levent.c",
        "lua/lfold.c",
        "lua/lguard.c",
        "lua/lisolate.c",
        "lua/literator.c",
        "lua/ljson.c",
        "lua/ljsonread.c",
        "lua/ljsonwrite.c",
        "lua/lmetatable.c",
        "lua/loptions.c",
        "lua/lorder.c",
        "lua/lpattern.c",
        "lua/lquery.c",
        "lua/lrille.c",
        "lua/lsandbox.c",
        "lua/lstore.c",
        "lua/lterminal.c",
        "lua/lupkeep.c",
        "lua/lvalue.c",
        "lua/lvalueread.c",
        "lua/lvaluewrite.c",
        "lua/lwait.c",
        "lua/lwatchdog.c",
      },
      incdirs = { "core", "$(LMDB_INCDIR)" },
      libdirs = { "$(LMDB_LIBDIR)" },
      libraries = { "lmdb", "pthread" },
    },
  },
  install = { bin = { rille = "lua/bin/rille" } },
  copy_directories = { "docs", "examples" },
}
test = { type = "command", command = "make test" }
