/* lretention.c: giving bytes back, and taking content out, for rille/retention.lua. */
#include "lrille.h"

#define RECORD_BYTES_MOST 64u /* a slot's has fewer */

/* A list of names: a userdata on the stack holds the texts, and the list the bytes. */
static const rille_text *read_names(lua_State *L, int index, const char *field, size_t *count) {
  lua_getfield(L, index, field);
  int list = lua_gettop(L);
  *count = lua_istable(L, list) ? lua_rawlen(L, list) : 0;
  rille_text *names = lua_newuserdatauv(L, (*count + 1) * sizeof *names, 0);
  for (size_t i = 0; i < *count; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    names[i].bytes = luaL_checklstring(L, -1, &names[i].length);
    lua_pop(L, 1);
  }
  return names;
}

static const uint64_t *read_positions(lua_State *L, int index, size_t *count) {
  lua_getfield(L, index, "positions");
  int list = lua_gettop(L);
  *count = lua_rawlen(L, list);
  uint64_t *positions = lua_newuserdatauv(L, (*count + 1) * sizeof *positions, 0);
  for (size_t i = 0; i < *count; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    positions[i] = (uint64_t)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
  }
  return positions;
}

/* The function `noted` at its place on the stack, and what it has returned: `keeps`, or nil. */
struct keeping {
  lua_State *L;
  int noted, keeps;
};

struct kept {
  rille_text key, value;
};

static int ask(lua_State *L) {
  const struct kept *kept = lua_touserdata(L, 2);
  lua_pushvalue(L, 1);
  lua_pushlstring(L, kept->key.bytes, kept->key.length);
  if (kept->value.length > RECORD_BYTES_MOST) lua_pushnil(L);
  else lua_pushlstring(L, kept->value.bytes, kept->value.length);
  lua_call(L, 2, 1);
  return 1;
}

/* The core must not be left by a jump. What can't be told does not stay. */
static int keeps(void *context, rille_text key, rille_text value) {
  const struct keeping *k = context;
  struct kept kept = {key, value};
  lua_State *L = k->L;
  lua_pushcfunction(L, ask);
  lua_pushvalue(L, k->keeps);
  lua_pushlightuserdata(L, &kept);
  int stays = lua_pcall(L, 2, 1, 0) == LUA_OK && lua_toboolean(L, -1);
  lua_pop(L, 1);
  return stays;
}

static void noted(void *context) {
  const struct keeping *k = context;
  lua_State *L = k->L;
  lua_pushvalue(L, k->noted);
  if (lua_pcall(L, 0, 1, 0) != LUA_OK) { /* then nothing stays */
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  lua_replace(L, k->keeps);
}

/* No finalizer runs meanwhile: it might use the store, which is locked while `keeps` is asked. */
static int redact_undisturbed(lua_State *L, rille_store *store, const rille_redact *r,
                              rille_redacted *done, rille_error *e) {
  bool collects = lua_gc(L, LUA_GCISRUNNING, 0) > 0;
  lua_gc(L, LUA_GCSTOP, 0);
  int failed = rille_store_redact(store, r, done, e);
  if (collects) lua_gc(L, LUA_GCRESTART, 0);
  return failed;
}

/* redact(store, { positions = {}, tags = {}, streams = {}, reason=, keep_data=, ids= }, noted)
** --> { events=, segments= } | nil, message, code, detail. noted() is called when the redaction is
** noted, and returns keeps(key, record), which must not use the store; `record` is the value where
** it is short enough to be the record of a slot. */
static int redact(lua_State *L) {
  rille_redact r = {.size = sizeof r};
  rille_redacted done;
  rille_error e;
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  struct store_handle *s = store_check(L, 1);
  lua_settop(L, 4);
  struct keeping k = {L, 3, 4};
  luaL_checkstack(L, 32, NULL);
  r.positions = read_positions(L, 2, &r.position_count);
  r.tags = read_names(L, 2, "tags", &r.tag_count);
  r.streams = read_names(L, 2, "streams", &r.stream_count);
  options_text(L, 2, "reason", &r.reason);
  options_boolean(L, 2, "keep_data", &r.keep_data);
  options_boolean(L, 2, "ids", &r.ids);
  r.noted = noted;
  r.keeps = keeps;
  r.context = &k;
  rille_store *store = store_open_at(L, 1); /* a collection may have closed it meanwhile */
  if (!store) return RESULTS_CLOSED;
  store_enter(s); /* and may yet, where `keeps` runs */
  int failed = redact_undisturbed(L, store, &r, &done, &e);
  store_leave(s);
  if (failed < 0) return error_push(L, &e);
  lua_createtable(L, 0, 2);
  set_integer(L, "events", done.events);
  set_integer(L, "segments", done.segments);
  return 1;
}

/* scavenge(store, dry) --> { events=, segments=, bytes= } | nil, message, code, detail */
static int scavenge(lua_State *L) {
  rille_scavenge o = {.size = sizeof o, .dry_run = lua_toboolean(L, 2)};
  rille_scavenged done;
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  if (rille_store_scavenge(store, &o, &done, &e) < 0) return error_push(L, &e);
  lua_createtable(L, 0, 3);
  set_integer(L, "events", done.events);
  set_integer(L, "segments", done.segments);
  set_integer(L, "bytes", done.bytes);
  return 1;
}

/* log_generation(store) --> another number once log files were replaced or content redacted; nil
** where the store is closed */
static int log_generation(lua_State *L) {
  const struct store_handle *s = store_check(L, 1);
  if (!s->store) return 0;
  lua_pushinteger(L, (lua_Integer)rille_store_log_generation(s->store));
  return 1;
}

/* log_form(store) --> another text each time content was taken out of the log; empty: never
** | nil, message, code, detail */
static int log_form(lua_State *L) {
  uint64_t form;
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  if (rille_store_log_form(store, &form, &e) < 0) return error_push(L, &e);
  lua_pushlstring(L, (const char *)&form, form ? sizeof form : 0);
  return 1;
}

/* is_redacting(store) --> whether a redaction is noted and not over | nil, message, code, detail */
static int is_redacting(lua_State *L) {
  int redacting;
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  if (rille_store_redacting(store, &redacting, &e) < 0) return error_push(L, &e);
  lua_pushboolean(L, redacting);
  return 1;
}

void retention_push(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"redact", redact},     {"scavenge", scavenge},         {"log_generation", log_generation},
      {"log_form", log_form}, {"is_redacting", is_redacting}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
