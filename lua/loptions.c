/* loptions.c: tables of options: every key known, every value of its type; and arguments that are
** strings. */
#include "lrille.h"

static int is_known(const char *key, const char *const *names) {
  for (; *names; names++)
    if (strcmp(key, *names) == 0) return 1;
  return 0;
}

static void unknown(lua_State *L, const char *key, const char *const *names, const char *what) {
  const char *nearest = error_nearest(key, names);
  if (nearest) luaL_error(L, "unknown %s '%s' (did you mean '%s'?)", what, key, nearest);
  luaL_error(L, "unknown %s '%s'", what, key);
}

/* Raises where the number on the top is none of 1 ... n: what stands there would be passed over. */
static void check_entry(lua_State *L, size_t n) {
  int exact;
  lua_Integer entry = lua_tointegerx(L, -1, &exact);
  if (exact && entry >= 1 && (lua_Unsigned)entry <= n) return;
  lua_pushvalue(L, -1);
  luaL_error(L,
             "a list is numbered 1, 2, 3 ... without a hole: this one ends with [%d] and has [%s]",
             (int)n, lua_tostring(L, -1));
}

void options_check_list(lua_State *L, int index, const char *name, const char *what) {
  size_t n = lua_rawlen(L, index);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TNUMBER)
      luaL_error(L, "%s must be a list of %s, not a table with a %s as key", name, what,
                 luaL_typename(L, -1));
    check_entry(L, n);
  }
}

void options_check(lua_State *L, int index, const char *const *names, int array, const char *what) {
  if (lua_isnoneornil(L, index)) return;
  luaL_checktype(L, index, LUA_TTABLE);
  size_t entries = array ? lua_rawlen(L, index) : 0;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    if (lua_type(L, -1) == LUA_TSTRING) {
      const char *key = lua_tostring(L, -1);
      if (!is_known(key, names)) unknown(L, key, names, what);
    } else if (!array || lua_type(L, -1) != LUA_TNUMBER) {
      luaL_error(L, "%s must have a name, not a %s", what, luaL_typename(L, -1));
    } else {
      check_entry(L, entries);
    }
  }
}

/* Pushes the field if the table has it. */
static int get(lua_State *L, int index, const char *name) {
  if (!lua_istable(L, index)) return 0;
  lua_pushstring(L, name);
  lua_rawget(L, index);
  if (!lua_isnil(L, -1)) return 1;
  lua_pop(L, 1);
  return 0;
}

static void wrong_type(lua_State *L, const char *name, const char *expected) {
  luaL_error(L, "%s must be %s, not %s", name, expected, luaL_typename(L, -1));
}

void options_check_function(lua_State *L, const char *name) {
  if (lua_type(L, -1) != LUA_TFUNCTION) wrong_type(L, name, "a function");
}

int options_integer(lua_State *L, int index, const char *name, lua_Integer *value) {
  int exact;
  if (!get(L, index, name)) return 0;
  *value = lua_tointegerx(L, -1, &exact);
  if (!exact || lua_type(L, -1) != LUA_TNUMBER) wrong_type(L, name, "an integer");
  lua_pop(L, 1);
  return 1;
}

int options_number(lua_State *L, int index, const char *name, lua_Number *value) {
  if (!get(L, index, name)) return 0;
  if (lua_type(L, -1) != LUA_TNUMBER) wrong_type(L, name, "a number");
  *value = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return 1;
}

int options_boolean(lua_State *L, int index, const char *name, int *value) {
  if (!get(L, index, name)) return 0;
  if (!lua_isboolean(L, -1)) wrong_type(L, name, "a boolean");
  *value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return 1;
}

int options_text(lua_State *L, int index, const char *name, rille_text *value) {
  if (!get(L, index, name)) return 0;
  if (lua_type(L, -1) != LUA_TSTRING) wrong_type(L, name, "a string");
  value->bytes = lua_tolstring(L, -1, &value->length);
  lua_pop(L, 1); /* the table keeps it */
  return 1;
}

/* ---- Arguments ---- */

rille_text argument_text(lua_State *L, int index) {
  rille_text text;
  luaL_checktype(L, index, LUA_TSTRING);
  text.bytes = lua_tolstring(L, index, &text.length);
  return text;
}

rille_text argument_text_or_none(lua_State *L, int index) {
  rille_text none = {0};
  return lua_isnoneornil(L, index) ? none : argument_text(L, index);
}
