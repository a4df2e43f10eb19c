/* lupkeep.c: looking after a store: its numbers, whether it is sound, a copy of it. */
#include "lrille.h"

/* ---- store:stats ---- */

static void set_numbers(lua_State *L, const rille_stats *stats) {
  const struct {
    const char *name;
    uint64_t value;
  } rows[] = {{"head", stats->head},
              {"written", stats->written},
              {"durable", stats->durable},
              {"streams", stats->streams},
              {"types", stats->types},
              {"tags", stats->tags},
              {"ids", stats->ids},
              {"marks", stats->marks},
              {"kept", stats->kept},
              {"segments", stats->segments},
              {"log_bytes", stats->log_bytes},
              {"unfolded_bytes", stats->unfolded_bytes},
              {"index_bytes", stats->index_bytes},
              {"index_readers", stats->index_readers},
              {"appends", stats->appends},
              {"flushes", stats->flushes},
              {"folds", stats->folds},
              {"indoubt", stats->indoubt},
              {"pending", stats->pending},
              {"prepares", stats->prepares.count},
              {"decisions", stats->decisions.count},
              {"commits", stats->commits.count},
              {"forces", stats->forces.count}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    set_integer(L, rows[i].name, rows[i].value);
}

/* In seconds; no field where there is no such time. */
static void set_time(lua_State *L, const char *name, int64_t time_us) {
  if (!time_us) return;
  lua_pushnumber(L, (lua_Number)time_us / MICROSECONDS);
  lua_setfield(L, -2, name);
}

/* Of transactions; in seconds. */
static void set_durations(lua_State *L, const rille_stats *stats) {
  const struct {
    const char *name;
    int64_t time_us;
  } rows[] = {{"oldest", stats->oldest_us},
              {"prepare_time", stats->prepares.time_us},
              {"decision_time", stats->decisions.time_us},
              {"commit_time", stats->commits.time_us},
              {"force_time", stats->forces.time_us}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    lua_pushnumber(L, (lua_Number)rows[i].time_us / MICROSECONDS);
    lua_setfield(L, -2, rows[i].name);
  }
}

int store_stats(lua_State *L) {
  rille_stats stats;
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  if (rille_store_stats(store, &stats, &e) < 0) return error_push(L, &e);
  lua_newtable(L);
  set_numbers(L, &stats);
  set_durations(L, &stats);
  set_time(L, "created", stats.created_us);
  set_time(L, "last_time", stats.last_us);
  lua_pushboolean(L, stats.failed);
  lua_setfield(L, -2, "failed");
  lua_pushstring(L, stats.uuid);
  lua_setfield(L, -2, "uuid");
  return 1;
}

/* ---- Progress ---- */

int progress_tell(void *context, uint64_t done, uint64_t all) {
  struct progress *p = context;
  if (p->failed || !p->function) return p->failed;
  lua_pushvalue(p->L, p->function);
  lua_pushinteger(p->L, (lua_Integer)done);
  lua_pushinteger(p->L, (lua_Integer)all);
  p->failed = lua_pcall(p->L, 2, 0, 0) != LUA_OK;
  return p->failed;
}

struct progress progress_of(lua_State *L, int options) {
  struct progress p = {.L = L};
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (!lua_istable(L, options)) return p;
  lua_getfield(L, options, "progress");
  if (!lua_isnil(L, -1)) {
    luaL_checktype(L, -1, LUA_TFUNCTION);
    p.function = lua_gettop(L);
  }
  return p;
}

/* ---- store:verify ---- */

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

int store_verify(lua_State *L) {
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
  store_enter(s);
  int failed = rille_store_verify(s->store, &options, &result, &e);
  store_leave(s);
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

/* ---- store:backup ---- */

/* backup(folder [, { progress = function(done, all) }]) -> true */
int store_backup(lua_State *L) {
  static const char *const names[] = {"progress", NULL};
  size_t length;
  rille_error e;
  store_check(L, 1);
  luaL_checktype(L, 2, LUA_TSTRING);
  const char *folder = lua_tolstring(L, 2, &length);
  options_check(L, 3, names, 0, "option");
  struct progress p = progress_of(L, 3);
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  if (length && strlen(folder) == length) {
    struct store_handle *s = store_check(L, 1);
    store_enter(s);
    int result = rille_store_backup_told(store, folder, progress_tell, &p, &e);
    store_leave(s);
    return p.failed ? lua_error(L) : store_push_done(L, result, &e);
  }
  lua_pushstring(L, length ? "the folder's name holds a NUL" : "the folder's name is empty");
  return error_push_message(L, "invalid");
}
