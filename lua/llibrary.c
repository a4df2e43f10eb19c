/* llibrary.c: what Lua 5.4 has in its library and LuaJIT has not.
**
** rille's embedded scripts are written for the library of 5.4, and so may be the scripts that
** they run. Under LuaJIT both get what is missing from here: the first by the environment that
** their chunks have (library_push_environment), the others in their sandbox. Nothing that the
** host sees is changed. Under 5.4 this file is empty.
**
**   math      type tointeger ult maxinteger mininteger      2^53 and -2^53: what a number holds
**   table     pack unpack
**   utf8      char charpattern codepoint codes len offset   (lutf8.c)
**   string    pack packsize unpack                          (lpack.c)
**   globals   rawlen; setmetatable, with which __gc serves tables, too;
**             tostring, for which 10^15 is 1000000000000000 */
#include "lcompat.h"

#ifdef RILLE_LUAJIT

#include "llibrary.h"

#define INTEGER_MOST 0x1p53

static const char FINALIZER = 0; /* its address is a key in tables that have __gc */

/* ---- math ---- */

static int math_type(lua_State *L) {
  luaL_checkany(L, 1);
  if (lua_isinteger(L, 1)) lua_pushliteral(L, "integer");
  else if (lua_type(L, 1) == LUA_TNUMBER) lua_pushliteral(L, "float");
  else luaL_pushfail(L);
  return 1;
}

static int math_tointeger(lua_State *L) {
  int exact;
  luaL_checkany(L, 1);
  lua_Integer n = lua_tointegerx(L, 1, &exact);
  if (exact) lua_pushinteger(L, n);
  else luaL_pushfail(L);
  return 1;
}

static int math_ult(lua_State *L) {
  lua_pushboolean(L, (lua_Unsigned)luaL_checkinteger(L, 1) < (lua_Unsigned)luaL_checkinteger(L, 2));
  return 1;
}

/* ---- table ---- */

static int table_pack(lua_State *L) {
  int n = lua_gettop(L);
  lua_createtable(L, n, 1);
  lua_insert(L, 1);
  for (int i = n; i >= 1; i--) lua_rawseti(L, 1, i);
  lua_pushinteger(L, n);
  lua_setfield(L, 1, "n");
  return 1;
}

/* ---- globals ---- */

static int base_rawlen(lua_State *L) {
  int type = lua_type(L, 1);
  luaL_argexpected(L, type == LUA_TTABLE || type == LUA_TSTRING, 1, "table or string");
  lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
  return 1;
}

/* tostring: an integer is digits, however many. */
static int base_tostring(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (lua_isinteger(L, 1)) compat_integer_to_text(L, 1);
  else luaL_tolstring(L, 1, NULL);
  return 1;
}

/* Lua 5.4 warns of an error in a finalizer, and there is nobody to warn here. */
static int finalizer_gc(lua_State *L) {
  lua_getiuservalue(L, 1, 1);
  if (luaL_getmetafield(L, 2, "__gc") == LUA_TNIL) return 0;
  lua_insert(L, 2);
  lua_pcall(L, 1, 0, 0);
  return 0;
}

/* Puts a userdata into the table at 1 that goes with it, and has a finalizer. */
static void attach_finalizer(lua_State *L) {
  if (lua_rawgetp(L, 1, &FINALIZER) != LUA_TNIL) return;
  lua_newuserdatauv(L, 0, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  if (luaL_newmetatable(L, "rille.finalizer")) {
    lua_pushcfunction(L, finalizer_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  lua_rawsetp(L, 1, &FINALIZER);
}

static int base_setmetatable(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
    return luaL_error(L, "cannot change a protected metatable");
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  lua_setmetatable(L, 1);
  if (luaL_getmetafield(L, 1, "__gc") != LUA_TNIL) attach_finalizer(L);
  lua_settop(L, 1);
  return 1;
}

/* ---- Putting them in place ---- */

/* The library of a name in the table at `libraries`, into which `functions` go. */
static void complete(lua_State *L, int libraries, const char *name, const luaL_Reg *functions) {
  lua_getfield(L, libraries, name);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}

void library_complete(lua_State *L) {
  static const luaL_Reg base[] = {{"rawlen", base_rawlen}, {NULL, NULL}};
  static const luaL_Reg math[] = {
      {"type", math_type}, {"tointeger", math_tointeger}, {"ult", math_ult}, {NULL, NULL}};
  static const luaL_Reg table[] = {{"pack", table_pack}, {NULL, NULL}};
  static const luaL_Reg string[] = {{"pack", string_pack},
                                    {"packsize", string_packsize},
                                    {"unpack", string_unpack},
                                    {NULL, NULL}};
  int libraries = lua_gettop(L);
  complete(L, libraries, "base", base);
  complete(L, libraries, "math", math);
  complete(L, libraries, "table", table);
  complete(L, libraries, "string", string);
  lua_getfield(L, libraries, "math");
  lua_pushnumber(L, INTEGER_MOST);
  lua_setfield(L, -2, "maxinteger");
  lua_pushnumber(L, -INTEGER_MOST);
  lua_setfield(L, -2, "mininteger");
  lua_getfield(L, libraries, "table");
  lua_getfield(L, libraries, "base");
  lua_getfield(L, -1, "unpack");
  lua_setfield(L, -3, "unpack");
  lua_pop(L, 3);
}

/* Pushes an empty table that reads like the one at index. */
static void push_heir(lua_State *L, int index) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, index);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

/* The globals as the embedded scripts have them. */
void library_push_environment(lua_State *L) {
  static const char *const names[] = {"math", "table", "string", NULL};
  if (lua_getfield(L, LUA_REGISTRYINDEX, COMPAT_LIBRARY) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  push_heir(L, LUA_GLOBALSINDEX);
  int libraries = lua_gettop(L) - 1, environment = lua_gettop(L);
  for (int i = 0; names[i]; i++) {
    lua_getglobal(L, names[i]);
    push_heir(L, lua_gettop(L));
    lua_pushvalue(L, -1);
    lua_setfield(L, environment, names[i]);
    lua_setfield(L, libraries, names[i]);
    lua_settop(L, environment);
  }
  lua_setfield(L, libraries, "base");
  library_complete(L);
  lua_getfield(L, libraries, "base");
  lua_pushcfunction(L, base_setmetatable);
  lua_setfield(L, -2, "setmetatable");
  lua_pushcfunction(L, base_tostring);
  lua_setfield(L, -2, "tostring");
  luaopen_utf8(L);
  lua_setfield(L, -2, "utf8");
  lua_replace(L, libraries);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, COMPAT_LIBRARY);
}

#endif
