/* lkept.c: kept bytes: rille_store_kept_... for the embedded scripts, which alone can reach
** them: a key that a user chose would meet theirs.
**
** A value is read into a buffer that the functions share, a userdata, and becomes a string at
** once: nothing that may run a finalizer, which may read as well, comes in between. */
#include "lkept.h"

#include "lrille.h"

#define KEEPING_HANDLE "rille.keeping"
#define KEPT_ROOM_BYTES ((size_t)1 << 20) /* of the buffer, from one call to the next */

/* ---- Reading ---- */

struct asking {
  rille_store *store;
  int next;               /* else get */
  rille_text key, prefix; /* the key, or behind which one */
  rille_kept kept;
};

static int ask(struct asking *a, struct buffer *room, rille_error *e) {
  a->kept.room = room->bytes;
  a->kept.room_bytes = room->capacity;
  return a->next ? rille_store_kept_next(a->store, a->key, a->prefix, &a->kept, e)
                 : rille_store_kept_get(a->store, a->key, &a->kept, e);
}

/* Pushes the value, or what the function returns where there is none. */
static int push_value(lua_State *L, struct asking *a) {
  struct buffer *room = lua_touserdata(L, lua_upvalueindex(1));
  rille_error e;
  int result;
  buffer_clear(room, KEPT_ROOM_BYTES);
  while ((result = ask(a, room, &e)) == RILLE_REMARK)
    if (!buffer_reserve(room, a->kept.length)) return luaL_error(L, "not enough memory");
  if (result == 0) lua_pushlstring(L, (const char *)room->bytes, a->kept.length);
  else if (result == RILLE_NOTFOUND) lua_pushnil(L);
  else return error_push(L, &e);
  return 1;
}

static int kept_get(lua_State *L) {
  struct asking a = {.store = store_open_at(L, 1)};
  if (!a.store) return RESULTS_CLOSED;
  a.key = argument_text(L, 2);
  return push_value(L, &a);
}

static int kept_next(lua_State *L) {
  struct asking a = {.store = store_open_at(L, 1), .next = 1};
  if (!a.store) return RESULTS_CLOSED;
  a.key = argument_text_or_none(L, 2);
  a.prefix = argument_text_or_none(L, 3);
  int results = push_value(L, &a);
  if (results != 1 || lua_isnil(L, -1)) return results;
  lua_pushlstring(L, a.kept.key, a.kept.key_length);
  lua_insert(L, -2);
  return 2;
}

/* ---- Writing ---- */

/* Entry i of { key, bytes|false }, whose strings the caller's tables hold. */
static rille_kept_put read_put(lua_State *L, int index, size_t i) {
  rille_kept_put put = {.remove = 0};
  lua_rawgeti(L, index, (lua_Integer)i);
  if (!lua_istable(L, -1)) luaL_error(L, "entry %d must be { key, bytes or false }", (int)i);
  lua_rawgeti(L, -1, 1);
  put.key = argument_text(L, -1);
  lua_rawgeti(L, -2, 2);
  put.remove = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
  if (!put.remove) put.value = argument_text(L, -1);
  lua_pop(L, 3);
  return put;
}

/* Pushes a userdata that holds the puts: first, because to make it may run a finalizer. */
static void read_puts(lua_State *L, int index, rille_kept_write *w) {
  luaL_checktype(L, index, LUA_TTABLE);
  size_t n = lua_rawlen(L, index);
  rille_kept_put *puts = lua_newuserdatauv(L, (n + 1) * sizeof *puts, 0);
  for (size_t i = 0; i < n; i++) puts[i] = read_put(L, index, i + 1);
  w->puts = puts;
  w->put_count = n;
}

static void read_expectation(lua_State *L, rille_kept_write *w) {
  w->expect_key = argument_text_or_none(L, 3);
  if (!w->expect_key.length) return;
  w->expect_absent = lua_isboolean(L, 4) && !lua_toboolean(L, 4);
  if (!w->expect_absent) w->expect_value = argument_text(L, 4);
}

/* The arguments of kept_write: lkept.h. */
static void read_write(lua_State *L, rille_kept_write *w) {
  *w = (rille_kept_write){.size = sizeof *w};
  store_check(L, 1);
  lua_settop(L, 6);
  w->expect_generation = !lua_isnil(L, 6);
  if (w->expect_generation) w->generation = (uint64_t)luaL_checkinteger(L, 6);
  lua_Integer position = luaL_optinteger(L, 5, 0);
  luaL_argcheck(L, position >= 0, 5, "a position");
  w->position = (uint64_t)position;
  read_expectation(L, w);
  read_puts(L, 2, w);
}

/* Whether it was written, or nil, message, code, detail. */
static int push_written(lua_State *L, int result, const rille_error *e) {
  if (result < 0 && result != RILLE_CONFLICT) return error_push(L, e);
  lua_pushboolean(L, result == 0);
  return 1;
}

static int kept_write(lua_State *L) {
  rille_kept_write w;
  rille_error e;
  read_write(L, &w);
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  int result = rille_store_kept_write(store, &w, &e);
  return push_written(L, result, &e);
}

/* ---- Writing in the background ---- */

static int keeping_gc(lua_State *L) {
  rille_keeping **k = luaL_checkudata(L, 1, KEEPING_HANDLE);
  rille_keeping_free(*k);
  *k = NULL;
  return 0;
}

static void push_keeping_metatable(lua_State *L) {
  if (!luaL_newmetatable(L, KEEPING_HANDLE)) return;
  lua_pushcfunction(L, keeping_gc);
  lua_setfield(L, -2, "__gc");
}

/* kept_begin as kept_write --> what kept_result wants; false: nobody does it in the background */
static int kept_begin(lua_State *L) {
  rille_kept_write w;
  rille_error e;
  read_write(L, &w);
  rille_keeping **k = lua_newuserdatauv(L, sizeof *k, 0);
  *k = NULL;
  push_keeping_metatable(L);
  lua_setmetatable(L, -2);
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  int result = rille_store_kept_begin(store, &w, k, &e);
  if (result < 0) return error_push(L, &e);
  if (result == RILLE_REMARK) lua_pushboolean(L, 0);
  return 1;
}

/* kept_result(store, begun, wait) --> as kept_write; "under way": it is not over, and wait is
** false */
static int kept_result(lua_State *L) {
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  rille_keeping **k = luaL_checkudata(L, 2, KEEPING_HANDLE);
  int result = rille_store_kept_result(store, *k, lua_toboolean(L, 3), &e);
  if (result != RILLE_REMARK) return push_written(L, result, &e);
  lua_pushliteral(L, "under way");
  return 1;
}

static int kept_erase(lua_State *L) {
  uint64_t erased;
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  rille_text prefix = argument_text(L, 2);
  lua_Integer most = luaL_checkinteger(L, 3);
  luaL_argcheck(L, most >= 0, 3, "a count");
  if (rille_store_kept_erase(store, prefix, (uint64_t)most, &erased, &e) < 0)
    return error_push(L, &e);
  lua_pushinteger(L, (lua_Integer)erased);
  return 1;
}

void kept_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"kept_get", kept_get},
                                       {"kept_next", kept_next},
                                       {"kept_write", kept_write},
                                       {"kept_begin", kept_begin},
                                       {"kept_result", kept_result},
                                       {"kept_erase", kept_erase},
                                       {NULL, NULL}};
  buffer_push(L);
  luaL_setfuncs(L, functions, 1);
}
