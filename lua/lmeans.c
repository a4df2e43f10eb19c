/* lmeans.c: small things that the Lua half needs of C. */
#include "../core/system.h"
#include "lrille.h"
#include "lvalue.h"

/* monotonic() --> seconds, of a clock that only goes forward */
static int monotonic(lua_State *L) {
  lua_pushnumber(L, (lua_Number)system_monotonic_us() / MICROSECONDS);
  return 1;
}

/* now(store) --> seconds since 1970, of the store's clock */
static int now(lua_State *L) {
  int64_t us = clock_ask(L, store_check(L, 1));
  if (us == 0) us = system_clock_us();
  lua_pushnumber(L, (lua_Number)us / MICROSECONDS);
  return 1;
}

/* wall() --> seconds since 1970, of the system's clock */
static int wall(lua_State *L) {
  lua_pushnumber(L, (lua_Number)system_clock_us() / MICROSECONDS);
  return 1;
}

/* is_readonly(store) --> boolean */
static int is_readonly(lua_State *L) {
  lua_pushboolean(L, store_check(L, 1)->readonly);
  return 1;
}

/* last_append(store) --> position of the last event that this handle appended, or 0 */
static int last_append(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)store_check(L, 1)->last);
  return 1;
}

/* store_place(store) --> where it is, on_indoubt, indoubt_age (nil where not given) */
static int store_place(lua_State *L) {
  store_check(L, 1);
  lua_getiuservalue(L, 1, STORE_PATH);
  lua_getiuservalue(L, 1, STORE_ON_INDOUBT);
  lua_getiuservalue(L, 1, STORE_INDOUBT_AGE);
  return 3;
}

/* is_open(store) --> boolean */
static int is_open(lua_State *L) {
  lua_pushboolean(L, store_check(L, 1)->store != NULL);
  return 1;
}

/* is_store(value) --> boolean */
static int is_store(lua_State *L) {
  lua_pushboolean(L, luaL_testudata(L, 1, STORE_HANDLE) != NULL);
  return 1;
}

/* mark_next(store, after or nil) --> name, position of the first mark behind it | nil
** | nil, message, code, detail */
static int mark_next(lua_State *L) {
  rille_text after = {0};
  rille_mark_found found;
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  if (!lua_isnoneornil(L, 2)) after.bytes = luaL_checklstring(L, 2, &after.length);
  int result = rille_store_mark_next(store, after, &found, &e);
  if (result == RILLE_NOTFOUND) return 0;
  if (result < 0) return error_push(L, &e);
  lua_pushlstring(L, found.name, found.name_length);
  lua_pushinteger(L, (lua_Integer)found.position);
  return 2;
}

/* absolute(path) --> the same from wherever; nil where there is no such file */
static int absolute(lua_State *L) {
  char path[SYSTEM_PATH_BYTES];
  if (system_absolute(luaL_checkstring(L, 1), path)) return 0;
  lua_pushstring(L, path);
  return 1;
}

/* place(function) --> "file:line: " where it begins; nil where it is C's */
static int place(lua_State *L) {
  lua_Debug f;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_getinfo(L, ">S", &f);
  if (*f.what == 'C') return 0;
  lua_pushfstring(L, "%s:%d: ", f.short_src, f.linedefined > 0 ? f.linedefined : 1);
  return 1;
}

/* encode_state(state) --> bytes | nil, message, "script" */
static int encode_state(lua_State *L) {
  struct buffer *b = lua_touserdata(L, lua_upvalueindex(1));
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  buffer_clear(b, MIB);
  if (!value_encode_state(L, 1, b)) return error_push_message(L, "script");
  lua_pushlstring(L, (const char *)b->bytes, b->length);
  return 1;
}

/* entropy() --> 8 bytes that nobody else gets */
static int entropy(lua_State *L) {
  char bytes[8];
  if (system_entropy(bytes, sizeof bytes)) return luaL_error(L, "the system gives no random bytes");
  lua_pushlstring(L, bytes, sizeof bytes);
  return 1;
}

void means_push(lua_State *L) {
  static const luaL_Reg means[] = {{"monotonic", monotonic},
                                   {"entropy", entropy},
                                   {"now", now},
                                   {"wall", wall},
                                   {"is_readonly", is_readonly},
                                   {"last_append", last_append},
                                   {"seen_head", store_push_seen_head},
                                   {"store_place", store_place},
                                   {"is_store", is_store},
                                   {"is_open", is_open},
                                   {"mark_next", mark_next},
                                   {"absolute", absolute},
                                   {"place", place},
                                   {NULL, NULL}};
  luaL_setfuncs(L, means, 0);
  buffer_push(L);
  lua_pushcclosure(L, encode_state, 1);
  lua_setfield(L, -2, "encode_state");
}
