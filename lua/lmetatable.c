/* lmetatable.c: metatables of scripts, and tables that scripts can't change.
**
** A script's metatable is never installed itself: setmetatable puts in a copy of
** its metamethods, made at first use and again when loading ends. Otherwise
** mt.__mode = "k" after setmetatable would give a weak table, and __gc a finalizer:
** both show scripts when memory is collected, which differs from run to run. And __call is a
** function: Lua follows tables there without end in one instruction, moving all arguments at
** each.
**
**   t --metatable--> copy --[ORIGINAL]--> mt     getmetatable(t) gives mt
**   view --metatable--> { __index = contents, [CONTENTS] = contents }
**   any other metatable belongs to the host:     getmetatable(x) gives false
**
** Invariant: a metatable with the key ORIGINAL has neither __gc nor __mode, nor a table as
** __call; what lies under CONTENTS is out of every script's reach. */
#include "lmetatable.h"

#include <stddef.h>
#include <string.h>

static const char ORIGINAL = 0, CONTENTS = 0; /* their addresses are keys in tables */

/* Copies the fields that may mean something to Lua: those that begin with "__". */
static void copy_metamethods(lua_State *L, int original, int copy) {
  for (lua_pushnil(L); lua_next(L, original); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    const char *name = lua_tostring(L, -2);
    if (strncmp(name, "__", 2) != 0) continue;
    if (strcmp(name, "__gc") == 0 || strcmp(name, "__mode") == 0)
      luaL_error(L, "a metatable with %s is refused: when memory is collected differs between runs",
                 name);
    if (strcmp(name, "__call") == 0 && lua_istable(L, -1))
      luaL_error(L, "a metatable whose __call is a table is refused: it must be a function");
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, copy);
  }
}

static void clear_metamethods(lua_State *L, int copy) {
  for (lua_pushnil(L); lua_next(L, copy); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    lua_pushvalue(L, -2);
    lua_pushnil(L);
    lua_rawset(L, copy);
  }
}

/* Pushes the metatable that the script gave to the value, if it was a script. */
static bool push_original(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return false;
  bool is_copy = lua_rawgetp(L, -1, &ORIGINAL) != LUA_TNIL;
  lua_remove(L, -2);
  if (!is_copy) lua_pop(L, 1);
  return is_copy;
}

static bool has_metatable(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return false;
  lua_pop(L, 1);
  return true;
}

/* Raises unless the table is the script's own to change. */
static void check_own(lua_State *L, int index, const char *message) {
  if (!has_metatable(L, index)) return;
  if (!push_original(L, index)) luaL_error(L, "%s", message);
  lua_pop(L, 1);
}

int script_getmetatable(lua_State *L) {
  luaL_checkany(L, 1);
  if (!has_metatable(L, 1)) return 0;
  if (!push_original(L, 1)) lua_pushboolean(L, 0);
  else if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) lua_remove(L, -2);
  return 1;
}

/* Pushes the copy of the metatable at 2: the one at hand, else a new one. */
static void push_copy(lua_State *L) {
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return;
  lua_pop(L, 1);
  lua_newtable(L);
  copy_metamethods(L, 2, lua_gettop(L));
  lua_pushvalue(L, 2);
  lua_rawsetp(L, -2, &ORIGINAL);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, -2);
  lua_rawset(L, lua_upvalueindex(1));
}

static int script_setmetatable(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
  lua_settop(L, 2);
  check_own(L, 1, "cannot change a protected metatable");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
    return luaL_error(L, "cannot change a protected metatable");
  if (!lua_isnil(L, 2)) push_copy(L);
  lua_setmetatable(L, 1);
  lua_settop(L, 1);
  return 1;
}

/* Takes over what the script did to its metatables after their first use. */
static int settle_metatables(lua_State *L) {
  lua_settop(L, 0);
  for (lua_pushnil(L); lua_next(L, lua_upvalueindex(1)); lua_pop(L, 1)) {
    clear_metamethods(L, 2);
    copy_metamethods(L, 1, 2);
  }
  return 0;
}

/* metatables() --> setmetatable for one script, settle_metatables to be called when it has
** loaded. They share copies by original, which live as long as it. */
int means_metatables(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, script_setmetatable, 1);
  lua_insert(L, -2);
  lua_pushcclosure(L, settle_metatables, 1);
  return 2;
}

int script_rawset(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  luaL_checkany(L, 3);
  lua_settop(L, 3);
  check_own(L, 1, "rawset: this table is read-only");
  lua_rawset(L, 1);
  return 1;
}

/* view(contents, refuse) --> a table that reads as `contents`; each write calls
** refuse(view, key, value), which is to raise. */
int means_view(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_newtable(L);
  lua_createtable(L, 0, 3);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "__newindex");
  lua_pushvalue(L, 1);
  lua_rawsetp(L, -2, &CONTENTS);
  lua_setmetatable(L, -2);
  return 1;
}

/* metatable(value) --> the real one, or nil; for the host's side only. */
int means_metatable(lua_State *L) {
  luaL_checkany(L, 1);
  return lua_getmetatable(L, 1);
}

bool metatable_push_contents(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return false;
  bool is_view = lua_rawgetp(L, -1, &CONTENTS) != LUA_TNIL;
  lua_remove(L, -2);
  if (!is_view) lua_pop(L, 1);
  return is_view;
}
