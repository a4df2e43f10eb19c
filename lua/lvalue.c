/* lvalue.c: what Lua lacks for holding any stored value: null, and a mark that
** tells an empty array from an empty map.
**
** Null is one userdata a lua_State, the mark one metatable. Both lie in the
** registry under addresses of this file, so that nothing else can pass for them,
** and scripts can neither see nor change what they are made of. */
#include "lvalue.h"

/* Addresses of these are the keys in the registry. */
static const char value_names[2] = {'n', 'a'};
#define NULL_KEY (&value_names[0])
#define ARRAY_KEY (&value_names[1])

void value_push_null(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, NULL_KEY); }

int value_is_null(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TUSERDATA) return 0;
  index = lua_absindex(L, index);
  value_push_null(L);
  int same = lua_rawequal(L, -1, index);
  lua_pop(L, 1);
  return same;
}

int value_is_marked_array(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return 0;
  lua_rawgetp(L, LUA_REGISTRYINDEX, ARRAY_KEY);
  int same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

void value_mark_array(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, ARRAY_KEY);
  lua_setmetatable(L, -2);
}

static int null_tostring(lua_State *L) {
  lua_pushliteral(L, "null");
  return 1;
}

/* rille.array(table) gives the same table, marked. */
static int value_array(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (lua_getmetatable(L, 1)) {
    lua_pop(L, 1);
    luaL_argcheck(L, value_is_marked_array(L, 1), 1, "the table has a metatable of its own");
    return 1;
  }
  value_mark_array(L);
  return 1;
}

/* Pushes a table that getmetatable doesn't give away and setmetatable keeps. */
static void push_protected_metatable(lua_State *L, const char *name) {
  lua_newtable(L);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable");
}

static void register_null(lua_State *L) {
  lua_newuserdatauv(L, 0, 0);
  push_protected_metatable(L, "rille.null");
  lua_pushliteral(L, "rille.null");
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, null_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, NULL_KEY);
}

void value_open(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, NULL_KEY) == LUA_TNIL) register_null(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, ARRAY_KEY) == LUA_TNIL) {
    push_protected_metatable(L, "rille.array");
    lua_rawsetp(L, LUA_REGISTRYINDEX, ARRAY_KEY);
  }
  lua_pop(L, 2);
  value_push_null(L);
  lua_setfield(L, -2, "null");
  lua_pushcfunction(L, value_array);
  lua_setfield(L, -2, "array");
}
