/* lstore.c: rille.open and the methods of a store. */
#include "lrille.h"

static const char *const open_options[] = {"readonly",      "create", "sync",  "background",
                                           "segment_bytes", "load",   "clock", NULL};

/* ---- The handle ---- */

struct store_handle *store_check(lua_State *L, int index) {
  return luaL_checkudata(L, index, STORE_HANDLE);
}

/* One function for close, __close and __gc; may be called in any order. */
static int close_handle(lua_State *L, struct store_handle *s) {
  rille_store *store = s->store;
  s->store = NULL;
  iterator_end_all(s);
  if (s->users) {
    if (store) s->leaving = store;
    return 0;
  }
  luaL_unref(L, LUA_REGISTRYINDEX, s->clock);
  luaL_unref(L, LUA_REGISTRYINDEX, s->load);
  s->clock = s->load = LUA_NOREF;
  return rille_store_close(store);
}

/* The end of a call within which Lua ran, and may have closed the store. */
static void leave(struct store_handle *s) {
  if (--s->users || !s->leaving) return;
  rille_store_close(s->leaving);
  s->leaving = NULL;
}

static int store_close(lua_State *L) {
  int failed = close_handle(L, store_check(L, 1));
  if (failed < 0) {
    lua_pushliteral(L, "the last flush or fold failed: open the store again to see what is there");
    return error_push_message(L, rille_code_name(failed));
  }
  lua_pushboolean(L, 1);
  return 1;
}

static int store_gc(lua_State *L) {
  close_handle(L, store_check(L, 1)); /* nobody is there to be told of a failure */
  return 0;
}

static int store_tostring(lua_State *L) {
  struct store_handle *s = store_check(L, 1);
  if (!s->store) lua_pushliteral(L, "rille store (closed)");
  else lua_pushfstring(L, "rille store (head %I)", (LUAI_UACINT)rille_store_head(s->store));
  return 1;
}

static struct store_handle *push_handle(lua_State *L) {
  struct store_handle *s = lua_newuserdatauv(L, sizeof *s, 1); /* 1: the room of lappend.c */
  *s = (struct store_handle){.clock = LUA_NOREF, .load = LUA_NOREF};
  luaL_setmetatable(L, STORE_HANDLE);
  return s;
}

/* ---- Opening ---- */

static int refer(lua_State *L, int index, const char *name) {
  if (!lua_istable(L, index)) return LUA_NOREF;
  lua_getfield(L, index, name);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return LUA_NOREF;
  }
  luaL_checktype(L, -1, LUA_TFUNCTION);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* False with a message pushed where a value can't be. */
static int read_options(lua_State *L, rille_options *o) {
  rille_text sync = {0};
  lua_Integer bytes = 0;
  int create = 1, background = 0;
  options_check(L, 2, open_options, 0, "option");
  options_boolean(L, 2, "readonly", &o->readonly);
  if (options_boolean(L, 2, "create", &create)) o->no_create = !create;
  options_boolean(L, 2, "background", &background);
  if (background) {
    lua_pushliteral(L, "background must be false: appends and closing do all the work here");
    return 0;
  }
  if (options_integer(L, 2, "segment_bytes", &bytes)) {
    o->segment_bytes = (uint64_t)bytes;
    if (bytes < (lua_Integer)RILLE_SEGMENT_BYTES_LEAST) {
      lua_pushfstring(L, "segment_bytes must be at least %d", (int)RILLE_SEGMENT_BYTES_LEAST);
      return 0;
    }
  }
  if (!options_text(L, 2, "sync", &sync) || strcmp(sync.bytes, "always") == 0) return 1;
  o->sync = RILLE_SYNC_NEVER;
  if (strcmp(sync.bytes, "never") == 0) return 1;
  lua_pushfstring(L, "sync is \"%s\": it must be \"always\" or \"never\"", sync.bytes);
  return 0;
}

int store_open_handle(lua_State *L) {
  size_t length;
  luaL_checktype(L, 1, LUA_TSTRING);
  const char *path = lua_tolstring(L, 1, &length);
  rille_options o = {.size = sizeof o};
  if (strlen(path) != length) {
    lua_pushliteral(L, "the path holds a NUL");
    return error_push_message(L, "invalid");
  }
  if (!read_options(L, &o)) return error_push_message(L, "invalid");
  struct store_handle *s = push_handle(L);
  s->clock = refer(L, 2, "clock");
  s->load = refer(L, 2, "load");
  rille_error e;
  int result = rille_store_open(path, &o, &s->store, &e);
  if (result < 0) return error_push(L, &e);
  if (result == 0) return 1;
  lua_pushstring(L, e.message);
  lua_pushliteral(L, "remark");
  return 3;
}

/* ---- Asking ---- */

static int push_number(lua_State *L, uint64_t (*ask)(rille_store *)) {
  struct store_handle *s = store_check(L, 1);
  if (!s->store) return error_push_closed(L, "store");
  lua_pushinteger(L, (lua_Integer)ask(s->store));
  return 1;
}

static int store_head(lua_State *L) { return push_number(L, rille_store_head); }
static int store_durable(lua_State *L) { return push_number(L, rille_store_durable); }

static int store_version(lua_State *L) {
  struct store_handle *s = store_check(L, 1);
  rille_text stream;
  uint64_t version;
  rille_error e;
  luaL_checktype(L, 2, LUA_TSTRING);
  stream.bytes = lua_tolstring(L, 2, &stream.length);
  if (!s->store) return error_push_closed(L, "store");
  if (rille_store_version(s->store, stream, &version, &e) < 0) return error_push(L, &e);
  lua_pushinteger(L, (lua_Integer)version);
  return 1;
}

static int store_sync(lua_State *L) {
  struct store_handle *s = store_check(L, 1);
  rille_error e;
  if (!s->store) return error_push_closed(L, "store");
  if (rille_store_sync(s->store, &e) < 0) return error_push(L, &e);
  lua_pushboolean(L, 1);
  return 1;
}

static int store_stats(lua_State *L) {
  struct store_handle *s = store_check(L, 1);
  rille_stats stats;
  rille_error e;
  if (!s->store) return error_push_closed(L, "store");
  if (rille_store_stats(s->store, &stats, &e) < 0) return error_push(L, &e);
  lua_newtable(L);
  const struct {
    const char *name;
    uint64_t value;
  } rows[] = {{"head", stats.head},
              {"durable", stats.durable},
              {"streams", stats.streams},
              {"types", stats.types},
              {"tags", stats.tags},
              {"log_bytes", stats.log_bytes},
              {"unfolded_bytes", stats.unfolded_bytes},
              {"index_bytes", stats.index_bytes},
              {"segments", stats.segments},
              {"appends", stats.appends},
              {"flushes", stats.flushes},
              {"folds", stats.folds}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    set_integer(L, rows[i].name, rows[i].value);
  lua_pushstring(L, stats.uuid);
  lua_setfield(L, -2, "uuid");
  return 1;
}

/* ---- Verifying ---- */

/* One problem, into the list that is the first argument. */
static int add_problem(lua_State *L) {
  const rille_problem *p = lua_touserdata(L, 2);
  lua_createtable(L, 0, 4);
  lua_pushstring(L, p->invariant);
  lua_setfield(L, -2, "invariant");
  set_integer(L, "address", p->address);
  set_integer(L, "position", p->position);
  lua_pushstring(L, p->message);
  lua_setfield(L, -2, "message");
  lua_rawseti(L, 1, (lua_Integer)lua_rawlen(L, 1) + 1);
  return 0;
}

struct verify_context {
  lua_State *L;
  int problems, progress; /* stack indices */
  int failed;             /* an error is on top of the stack */
};

/* The core must not be left by a jump, so each call into Lua is protected. */
static int verify_problem(void *context, const rille_problem *problem) {
  struct verify_context *c = context;
  lua_pushcfunction(c->L, add_problem);
  lua_pushvalue(c->L, c->problems);
  lua_pushlightuserdata(c->L, (void *)(uintptr_t)problem);
  c->failed = lua_pcall(c->L, 2, 0, 0) != LUA_OK;
  return c->failed;
}

static void verify_progress(void *context, uint64_t done, uint64_t all) {
  struct verify_context *c = context;
  if (c->failed || !c->progress) return;
  lua_pushvalue(c->L, c->progress);
  lua_pushinteger(c->L, (lua_Integer)done);
  lua_pushinteger(c->L, (lua_Integer)all);
  c->failed = lua_pcall(c->L, 2, 0, 0) != LUA_OK;
}

static int store_verify(lua_State *L) {
  static const char *const names[] = {"progress", NULL};
  struct store_handle *s = store_check(L, 1);
  struct verify_context c = {.L = L};
  options_check(L, 2, names, 0, "option");
  if (!s->store) return error_push_closed(L, "store");
  lua_settop(L, 2);
  if (lua_istable(L, 2)) {
    lua_getfield(L, 2, "progress");
    if (lua_isfunction(L, -1)) c.progress = lua_gettop(L);
  }
  lua_newtable(L);
  c.problems = lua_gettop(L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  rille_verify options = {.size = sizeof options,
                          .problem = verify_problem,
                          .progress = verify_progress,
                          .context = &c};
  rille_verified result;
  rille_error e;
  s->users++;
  int failed = rille_store_verify(s->store, &options, &result, &e);
  leave(s);
  if (c.failed) return lua_error(L);
  if (failed < 0) return error_push(L, &e);
  lua_createtable(L, 0, 5);
  set_integer(L, "events", result.events);
  set_integer(L, "bytes", result.bytes);
  set_integer(L, "readable", result.readable);
  lua_pushboolean(L, result.problems == 0);
  lua_setfield(L, -2, "ok");
  lua_pushvalue(L, c.problems);
  lua_setfield(L, -2, "problems");
  return 1;
}

/* The function of the option `load`, for rille/reducer.lua. */
static int store_loader(lua_State *L) {
  struct store_handle *s = store_check(L, 1);
  if (s->load == LUA_NOREF) return 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->load);
  return 1;
}

void store_open_library(lua_State *L) {
  static const luaL_Reg methods[] = {{"append", store_append},
                                     {"read", store_read},
                                     {"all", store_all},
                                     {"version", store_version},
                                     {"head", store_head},
                                     {"durable", store_durable},
                                     {"sync", store_sync},
                                     {"stats", store_stats},
                                     {"verify", store_verify},
                                     {"close", store_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", store_gc}, {"__close", store_gc}, {"__tostring", store_tostring}, {NULL, NULL}};
  luaL_newmetatable(L, STORE_HANDLE);
  luaL_setfuncs(L, meta, 0);
  luaL_newlib(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, "rille.store.methods"); /* the Lua half adds to them */
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, store_loader);
  lua_setfield(L, LUA_REGISTRYINDEX, "rille.store.loader");
  lua_pop(L, 1);
}
