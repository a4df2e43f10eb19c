/* lstore.c: rille.open and the methods of a store. */
#include "../core/system.h"
#include "lrille.h"
#include "rille_lua.h"

static const char *const open_options[] = {
    "readonly",      "create", "sync",  "sync_interval_ms", "background",  "rebuild",  "load",
    "segment_bytes", "clock",  "peers", "on_indoubt",       "indoubt_age", "progress", NULL};

/* ---- The handle ---- */

struct store_handle *store_check(lua_State *L, int index) {
  return luaL_checkudata(L, index, STORE_HANDLE);
}

/* One function for close, __close and __gc; may be called in any order. */
static int close_handle(lua_State *L, struct store_handle *s) {
  rille_store *store = s->borrowed ? NULL : s->store;
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

void store_enter(struct store_handle *s) { s->users++; }

void store_leave(struct store_handle *s) {
  if (--s->users || !s->leaving) return;
  rille_store_close(s->leaving);
  s->leaving = NULL;
}

static int store_close(lua_State *L) {
  if (store_check(L, 1)->borrowed) {
    lua_pushliteral(L, "this store is borrowed: whoever opened it closes it");
    return error_push_message(L, "refused");
  }
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
  struct store_handle *s = lua_newuserdatauv(L, sizeof *s, STORE_VALUES);
  *s = (struct store_handle){.clock = LUA_NOREF, .load = LUA_NOREF};
  luaL_setmetatable(L, STORE_HANDLE);
  return s;
}

struct store_handle *store_push_borrowed(lua_State *L) {
  struct store_handle *s = push_handle(L);
  s->borrowed = 1;
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
  options_check_function(L, name);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* A number that is at least `least`: false with a message pushed where it is not. */
static int read_number(lua_State *L, const char *name, lua_Integer least, lua_Integer *value) {
  if (!options_integer(L, 2, name, value) || *value >= least) return 1;
  lua_pushfstring(L, "%s must be at least %I", name, (LUAI_UACINT)least);
  return 0;
}

/* False with a message pushed where it is none of the three words. */
static int read_sync(lua_State *L, int *sync) {
  static const struct {
    const char *word;
    int sync;
  } rows[] = {{"always", RILLE_SYNC_ALWAYS},
              {"interval", RILLE_SYNC_INTERVAL},
              {"never", RILLE_SYNC_NEVER}};
  rille_text text;
  if (!options_text(L, 2, "sync", &text)) return 1;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    *sync = rows[i].sync;
    if (strcmp(text.bytes, rows[i].word) == 0) return 1;
  }
  lua_pushfstring(L, "sync is \"%s\": it must be \"always\", \"interval\" or \"never\"",
                  text.bytes);
  return 0;
}

/* False with a message pushed where a value can't be. */
static int read_options(lua_State *L, rille_options *o) {
  lua_Integer segment_bytes = 0, interval_ms = 0;
  int create = 1, background = 1;
  options_check(L, 2, open_options, 0, "option");
  options_boolean(L, 2, "readonly", &o->readonly);
  options_boolean(L, 2, "create", &create);
  options_boolean(L, 2, "background", &background);
  options_boolean(L, 2, "rebuild", &o->rebuild);
  if (!read_number(L, "segment_bytes", (lua_Integer)RILLE_SEGMENT_BYTES_LEAST, &segment_bytes) ||
      !read_number(L, "sync_interval_ms", 1, &interval_ms) || !read_sync(L, &o->sync))
    return 0;
  o->no_create = !create;
  o->no_background = !background;
  o->segment_bytes = (uint64_t)segment_bytes;
  o->sync_interval_ms = interval_ms;
  return 1;
}

/* The list of paths; a userdata left on the stack holds it. */
static void read_peers(lua_State *L, rille_options *o) {
  lua_getfield(L, 2, "peers");
  if (lua_isnil(L, -1)) return;
  if (!lua_istable(L, -1))
    luaL_error(L, "peers must be a list of paths, not %s", luaL_typename(L, -1));
  int list = lua_gettop(L);
  options_check_list(L, list, "peers", "paths");
  size_t count = lua_rawlen(L, list);
  const char **peers = lua_newuserdatauv(L, (count + 1) * sizeof *peers, 0);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "peers must be a list of paths, not of %ss", luaL_typename(L, -1));
    peers[i] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  o->peers = peers;
  o->peer_count = count;
}

/* Where the store is, and who is told of what is in doubt for long. */
static void keep_values(lua_State *L, const char *path) {
  char absolute[SYSTEM_PATH_BYTES];
  lua_pushstring(L, system_absolute(path, absolute) ? path : absolute);
  lua_setiuservalue(L, -2, STORE_PATH);
  if (!lua_istable(L, 2)) return;
  lua_getfield(L, 2, "on_indoubt");
  lua_setiuservalue(L, -2, STORE_ON_INDOUBT);
  lua_getfield(L, 2, "indoubt_age");
  lua_setiuservalue(L, -2, STORE_INDOUBT_AGE);
}

/* Raises unless on_indoubt is a function and indoubt_age a number, where they are given; false
** with a message pushed where that is no age. */
static int check_hook(lua_State *L) {
  lua_Number age = 0;
  if (!lua_istable(L, 2)) return 1;
  options_number(L, 2, "indoubt_age", &age);
  lua_getfield(L, 2, "on_indoubt");
  if (!lua_isnil(L, -1) && !lua_isfunction(L, -1))
    luaL_error(L, "on_indoubt must be a function, not %s", luaL_typename(L, -1));
  lua_pop(L, 1);
  if (age >= 0) return 1;
  lua_pushliteral(L, "indoubt_age must not be negative");
  return 0;
}

/* Behind the store. What can be read is not all there was: a detail says so and how far. */
static int push_remark(lua_State *L, const rille_error *e) {
  lua_pushstring(L, e->message);
  lua_pushstring(L, rille_code_name(e->code));
  if (e->code != RILLE_REMARK_CORRUPT) return 3;
  lua_createtable(L, 0, 3);
  lua_pushstring(L, rille_code_name(RILLE_CORRUPT));
  lua_setfield(L, -2, "code");
  set_integer(L, "address", e->address);
  set_integer(L, "position", e->position);
  return 4;
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
  if (!read_options(L, &o) || !check_hook(L)) return error_push_message(L, "invalid");
  if (lua_istable(L, 2)) read_peers(L, &o);
  struct progress p = progress_of(L, 2);
  if (p.function) o.progress = progress_tell, o.progress_context = &p;
  struct store_handle *s = push_handle(L);
  s->clock = refer(L, 2, "clock");
  s->load = refer(L, 2, "load");
  s->readonly = o.readonly;
  rille_error e;
  int result = rille_store_open(path, &o, &s->store, &e);
  if (p.failed) return lua_error(L);
  if (result < 0) return error_push(L, &e);
  keep_values(L, path);
  if (result == 0) return 1;
  return push_remark(L, &e);
}

/* ---- The host's store ---- */

static void read_push_options(lua_State *L, int index, struct store_handle *s) {
  static const char *const names[] = {"load", "clock", NULL};
  options_check(L, index, names, 0, "option");
  s->load = refer(L, index, "load");
  s->clock = refer(L, index, "clock");
}

/* The handle has one of its own underneath, so whoever closes first harms nobody. */
int rille_push_with(lua_State *L, rille_store *store, int index) {
  rille_error e;
  luaL_checkstack(L, LUA_MINSTACK, "rille_push");
  index = index ? lua_absindex(L, index) : lua_gettop(L) + 1; /* none, if it is not there */
  int top = lua_gettop(L);
  if (module_is_another(L)) return RILLE_BUSY;
  if (luaL_getmetatable(L, STORE_HANDLE) == LUA_TNIL) luaL_requiref(L, "rille", luaopen_rille, 0);
  lua_settop(L, top);
  struct store_handle *s = push_handle(L);
  if (index <= top) read_push_options(L, index, s);
  int failed = rille_store_share(store, &s->store, &e);
  if (failed == RILLE_MEMORY) luaL_error(L, "%s", e.message);
  if (failed) {
    lua_settop(L, top);
    return failed;
  }
  s->readonly = rille_store_is_readonly(store);
  lua_pushstring(L, rille_store_path(store));
  lua_setiuservalue(L, -2, STORE_PATH);
  return 0;
}

int rille_push(lua_State *L, rille_store *store) { return rille_push_with(L, store, 0); }

/* ---- What a store is asked, and told ---- */

rille_store *store_open_at(lua_State *L, int index) {
  struct store_handle *s = store_check(L, index);
  if (!s->store) error_push_closed(L, "store");
  return s->store;
}

int store_push_done(lua_State *L, int result, const rille_error *e) {
  if (result < 0) return error_push(L, e);
  lua_pushboolean(L, 1);
  return 1;
}

/* Who only reads settles nothing, and shows what is there. */
int store_strong(const struct store_handle *s, const rille_query *q, rille_error *e) {
  return s->readonly ? 0 : rille_store_strong(s->store, q, e);
}

/* A number says what is there: it is no answer that home is out of reach. */
static void strengthen(lua_State *L) {
  rille_error e;
  store_strong(store_check(L, 1), NULL, &e);
}

/* 0 is also the core's answer where it can't look; why, to wait for it tells. */
static int push_position(lua_State *L, uint64_t (*ask)(rille_store *), bool strong) {
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  if (strong) strengthen(L);
  uint64_t position = ask(store);
  if (position == 0 && rille_store_wait(store, 0, 0, &e) < 0) return error_push(L, &e);
  lua_pushinteger(L, (lua_Integer)position);
  return 1;
}

static int store_head(lua_State *L) { return push_position(L, rille_store_head, true); }
static int store_durable(lua_State *L) { return push_position(L, rille_store_durable, true); }
int store_push_seen_head(lua_State *L) { return push_position(L, rille_store_head, false); }

/* What the store knows of the name that is the second argument. */
static int push_number_of(lua_State *L, int (*ask)(rille_store *store, rille_text name,
                                                   uint64_t *number, rille_error *error)) {
  uint64_t number;
  rille_error e;
  store_check(L, 1);
  rille_text name = argument_text(L, 2);
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  strengthen(L);
  if (ask(store, name, &number, &e) < 0) return error_push(L, &e);
  lua_pushinteger(L, (lua_Integer)number);
  return 1;
}

static int store_version(lua_State *L) { return push_number_of(L, rille_store_version); }
static int store_mark(lua_State *L) { return push_number_of(L, rille_store_mark); }

static int store_sync(lua_State *L) {
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  return store ? store_push_done(L, rille_store_sync(store, &e), &e) : RESULTS_CLOSED;
}

/* poll(ms) -> how many events are left for those who take them: none. What the
** core has to do now is bounded by itself, whatever ms says. */
static int store_poll(lua_State *L) {
  rille_error e;
  store_check(L, 1);
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TNUMBER);
  lua_Number ms = luaL_optnumber(L, 2, 0);
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  if (!(ms >= 0)) {
    lua_pushliteral(L, "ms must not be negative");
    return error_push_message(L, "invalid");
  }
  if (rille_store_poll(store, &e) < 0) return error_push(L, &e);
  lua_pushinteger(L, 0);
  return 1;
}

typedef int cut_function(rille_store *, rille_text, uint64_t, rille_error *);

static int cut(lua_State *L, cut_function *function) {
  static const char *const names[] = {"before", NULL};
  lua_Integer before;
  rille_error e;
  store_check(L, 1);
  rille_text stream = argument_text(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  options_check(L, 3, names, 0, "option");
  if (!options_integer(L, 3, "before", &before))
    luaL_error(L, "truncate needs { before = version }");
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  if (before < 0) {
    lua_pushliteral(L, "before must not be negative");
    return error_push_message(L, "invalid");
  }
  return store_push_done(L, function(store, stream, (uint64_t)before, &e), &e);
}

/* truncate(stream, { before = version }) */
static int store_truncate(lua_State *L) { return cut(L, rille_store_truncate); }

int store_prune(lua_State *L) { return cut(L, rille_store_prune); }

static int store_delete(lua_State *L) {
  rille_error e;
  store_check(L, 1);
  rille_text stream = argument_text(L, 2);
  rille_store *store = store_open_at(L, 1);
  return store ? store_push_done(L, rille_store_delete(store, stream, &e), &e) : RESULTS_CLOSED;
}

/* The function of the option `load`, for rille/reducer.lua. */
static int store_loader(lua_State *L) {
  struct store_handle *s = store_check(L, 1);
  if (s->load == LUA_NOREF) return 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->load);
  return 1;
}

void store_open_library(lua_State *L) {
  static const luaL_Reg methods[] = {{"append", append_events},
                                     {"read", store_read},
                                     {"all", store_all},
                                     {"version", store_version},
                                     {"head", store_head},
                                     {"durable", store_durable},
                                     {"wait", store_wait},
                                     {"sync", store_sync},
                                     {"poll", store_poll},
                                     {"truncate", store_truncate},
                                     {"delete", store_delete},
                                     {"mark", store_mark},
                                     {"stats", store_stats},
                                     {"verify", store_verify},
                                     {"backup", store_backup},
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
