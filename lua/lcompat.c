/* lcompat.c: what lcompat.h declares: for both Luas first, then what LuaJIT lacks. */
#include "lcompat.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef RILLE_LUAJIT

void compat_open(lua_State *L) { (void)L; }

void compat_prepare_isolate(lua_State *S) { (void)S; }

int compat_call(lua_State *L, lua_CFunction f, void *context) {
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, context);
  return lua_pcall(L, 1, 0, 0);
}

int compat_call_upvalue(lua_State *L) { return lua_tocfunction(L, lua_upvalueindex(1))(L); }

void compat_push_globals(lua_State *L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_pushnil(L);
}

void compat_replace_globals(lua_State *L) { lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS); }

void compat_restore_globals(lua_State *L, int saved) {
  lua_pushvalue(L, saved);
  lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
}

/* A chunk's first upvalue is _ENV, where it uses a global at all. */
void compat_set_environment(lua_State *L, int index) {
  lua_pushvalue(L, index);
  if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
}

bool compat_lost_caller(const lua_Debug *call) { return call->istailcall; }

bool compat_is_boxed(lua_State *L, int index) {
  (void)L;
  (void)index;
  return false;
}

void compat_push_boxed(lua_State *L, int64_t n) { lua_pushinteger(L, (lua_Integer)n); }

void compat_integer_to_text(lua_State *L, int index) { lua_tolstring(L, index, NULL); }

#else

#define NUMBER_MOST 0x1p53       /* up to here a double holds every integer */
#define PIECE_BYTES 64           /* of a formatted number */

/* Addresses of these are keys in the registry. */
static const char functions[3] = {'m', 'k', 'f'};
#define MAKE_KEY (&functions[0]) /* f(pointer) --> int64_t */
#define KIND_KEY (&functions[1]) /* f(cdata) --> an enum boxed */
#define FFI_KEY (&functions[2])  /* LuaJIT reads tables of the library when its state closes */

enum boxed { BOXED_OTHER, BOXED_INT64, BOXED_UINT64 };

static const char BOXES[] =
    "local ffi = require 'ffi'\n"
    "local pointer, signed, unsigned = ffi.typeof 'const int64_t *', ffi.typeof 'int64_t',\n"
    "  ffi.typeof 'uint64_t'\n"
    "local cast, istype = ffi.cast, ffi.istype\n"
    "return function(at) return cast(pointer, at)[0] end, function(value)\n"
    "  return istype(signed, value) and 1 or istype(unsigned, value) and 2 or 0\n"
    "end, ffi\n";

/* Where there is no ffi there are no large integers either: reading one is an error then. */
void compat_open(lua_State *L) {
  int top = lua_gettop(L);
  if (compat_rawgetp(L, LUA_REGISTRYINDEX, MAKE_KEY) == LUA_TNIL &&
      luaL_loadbuffer(L, BOXES, sizeof BOXES - 1, "=rille") == LUA_OK &&
      lua_pcall(L, 0, 3, 0) == LUA_OK) {
    compat_rawsetp(L, LUA_REGISTRYINDEX, FFI_KEY);
    compat_rawsetp(L, LUA_REGISTRYINDEX, KIND_KEY);
    compat_rawsetp(L, LUA_REGISTRYINDEX, MAKE_KEY);
  }
  lua_settop(L, top);
}

void compat_prepare_isolate(lua_State *S) {
  luaJIT_setmode(S, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
  lua_getfield(S, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(S, luaopen_ffi);
  lua_setfield(S, -2, "ffi");
  compat_open(S);
  lua_pushnil(S);
  lua_setfield(S, -2, "ffi");
  lua_getfield(S, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushnil(S);
  lua_setfield(S, -2, "ffi");
  lua_pop(S, 2);
}

/* lua_pushcfunction takes memory here. */
int compat_call(lua_State *L, lua_CFunction f, void *context) { return lua_cpcall(L, f, context); }

/* Functions of LuaJIT's know by the frame who they are, and many are no C functions. */
int compat_call_upvalue(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* luaopen_... fill the tables that are loaded, so these have to go as well. */
void compat_push_globals(lua_State *L) {
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
}

void compat_replace_globals(lua_State *L) {
  lua_replace(L, LUA_GLOBALSINDEX);
  lua_newtable(L);
  lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
}

void compat_restore_globals(lua_State *L, int saved) {
  lua_pushvalue(L, saved);
  lua_replace(L, LUA_GLOBALSINDEX);
  lua_pushvalue(L, saved + 1);
  lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
}

void compat_set_environment(lua_State *L, int index) {
  lua_pushvalue(L, index);
  lua_setfenv(L, -2);
}

/* Calls that ended in another's leave no trace: the next one that is seen is taken. */
bool compat_lost_caller(const lua_Debug *call) {
  (void)call;
  return false;
}

/* ---- Numbers ---- */

/* The int64_t or uint64_t at index, as its bits; of another value BOXED_OTHER. */
static enum boxed unbox(lua_State *L, int index, int64_t *bits) {
  if (lua_type(L, index) != LUA_TCDATA) return BOXED_OTHER;
  index = compat_absindex(L, index);
  luaL_checkstack(L, 3, NULL);
  if (compat_rawgetp(L, LUA_REGISTRYINDEX, KIND_KEY) == LUA_TNIL) {
    lua_pop(L, 1);
    return BOXED_OTHER;
  }
  lua_pushvalue(L, index);
  lua_call(L, 1, 1);
  enum boxed kind = (enum boxed)(int)lua_tonumber(L, -1);
  lua_pop(L, 1);
  if (kind != BOXED_OTHER) memcpy(bits, lua_topointer(L, index), sizeof *bits);
  return kind;
}

bool compat_is_boxed(lua_State *L, int index) {
  int64_t bits;
  enum boxed kind = unbox(L, index, &bits);
  return kind == BOXED_INT64 || (kind == BOXED_UINT64 && bits >= 0);
}

/* Whether an int64_t has the very value of n. */
static bool is_integral(lua_Number n) { return n >= -0x1p63 && n < 0x1p63 && n == floor(n); }

int compat_isinteger(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TNUMBER) return compat_is_boxed(L, index);
  lua_Number n = lua_tonumber(L, index);
  return is_integral(n) && !(n == 0 && signbit(n));
}

lua_Integer compat_tointegerx(lua_State *L, int index, int *exact) {
  int64_t bits = 0;
  lua_Number n = lua_tonumber(L, index);
  int found = compat_is_boxed(L, index);
  if (found) {
    unbox(L, index, &bits);
  } else if (lua_isnumber(L, index) && is_integral(n)) {
    found = 1;
    bits = (int64_t)n;
  }
  if (exact) *exact = found;
  return (lua_Integer)bits;
}

lua_Integer compat_checkinteger(lua_State *L, int index) {
  int exact;
  lua_Integer n = compat_tointegerx(L, index, &exact);
  if (exact) return n;
  if (lua_isnumber(L, index)) luaL_argerror(L, index, "number has no integer representation");
  luaL_typerror(L, index, "number");
  return 0;
}

lua_Integer compat_optinteger(lua_State *L, int index, lua_Integer value) {
  return lua_isnoneornil(L, index) ? value : compat_checkinteger(L, index);
}

void compat_push_boxed(lua_State *L, int64_t n) {
  luaL_checkstack(L, 2, NULL);
  if (compat_rawgetp(L, LUA_REGISTRYINDEX, MAKE_KEY) == LUA_TNIL)
    compat_error(L, "an integer beyond 2^53 needs LuaJIT's ffi, which is not there");
  lua_pushlightuserdata(L, &n);
  lua_call(L, 1, 1);
}

void compat_pushinteger(lua_State *L, lua_Integer n) {
  if (n >= -(lua_Integer)NUMBER_MOST && n <= (lua_Integer)NUMBER_MOST)
    lua_pushnumber(L, (lua_Number)n);
  else compat_push_boxed(L, n);
}

/* Left to itself, LuaJIT writes 1e+15. */
void compat_integer_to_text(lua_State *L, int index) {
  lua_pushfstring(L, "%I", (LUAI_UACINT)lua_tointeger(L, index));
  lua_replace(L, index);
}

/* Digits alone are an integer; the size with the NUL, or 0. */
size_t compat_stringtonumber(lua_State *L, const char *text) {
  char *end;
  if (text[strspn(text, "+-0123456789")] == '\0' && *text) {
    long long n = strtoll(text, &end, 10);
    if (*end == '\0' && n != LLONG_MAX && n != LLONG_MIN) {
      compat_pushinteger(L, (lua_Integer)n);
      return strlen(text) + 1;
    }
  }
  lua_pushstring(L, text);
  int is_number = lua_isnumber(L, -1);
  lua_Number n = lua_tonumber(L, -1);
  lua_pop(L, 1);
  if (!is_number) return 0;
  lua_pushnumber(L, n);
  return strlen(text) + 1;
}

/* ---- Text ---- */

/* Pushes the next argument as the letter of its format says. */
static void push_piece(lua_State *L, char letter, va_list *arguments) {
  char piece[PIECE_BYTES];
  switch (letter) {
    case 's': {
      const char *s = va_arg(*arguments, const char *);
      lua_pushstring(L, s ? s : "(null)");
      return;
    }
    case 'd': snprintf(piece, sizeof piece, "%d", va_arg(*arguments, int)); break;
    case 'I': snprintf(piece, sizeof piece, "%lld", va_arg(*arguments, long long)); break;
    case 'c': snprintf(piece, sizeof piece, "%c", va_arg(*arguments, int)); break;
    case 'f': snprintf(piece, sizeof piece, "%.14g", va_arg(*arguments, double)); break;
    case 'p': snprintf(piece, sizeof piece, "%p", va_arg(*arguments, void *)); break;
    default: snprintf(piece, sizeof piece, "%c", letter); break;
  }
  lua_pushstring(L, piece);
}

const char *compat_pushvfstring(lua_State *L, const char *format, va_list arguments) {
  va_list rest;
  va_copy(rest, arguments);
  int base = lua_gettop(L);
  for (;;) {
    const char *percent = strchr(format, '%');
    luaL_checkstack(L, 3, NULL);
    lua_pushlstring(L, format, percent ? (size_t)(percent - format) : strlen(format));
    if (!percent) break;
    push_piece(L, percent[1], &rest);
    format = percent + 2;
  }
  va_end(rest);
  lua_concat(L, lua_gettop(L) - base);
  return lua_tostring(L, -1);
}

const char *compat_pushfstring(lua_State *L, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const char *text = compat_pushvfstring(L, format, arguments);
  va_end(arguments);
  return text;
}

int compat_error(lua_State *L, const char *format, ...) {
  va_list arguments;
  luaL_where(L, 1);
  va_start(arguments, format);
  compat_pushvfstring(L, format, arguments);
  va_end(arguments);
  lua_concat(L, 2);
  return lua_error(L);
}

const char *compat_tolstring(lua_State *L, int index, size_t *n) {
  index = compat_absindex(L, index);
  if (luaL_callmeta(L, index, "__tostring")) {
    if (!lua_isstring(L, -1)) compat_error(L, "'__tostring' must return a string");
    return lua_tolstring(L, -1, n);
  }
  switch (lua_type(L, index)) {
    case LUA_TNUMBER:
    case LUA_TSTRING: lua_pushvalue(L, index); break;
    case LUA_TBOOLEAN: lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false"); break;
    case LUA_TNIL: lua_pushliteral(L, "nil"); break;
    default: {
      int type = compat_getmetafield(L, index, "__name");
      const char *name = type == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, index);
      compat_pushfstring(L, "%s: %p", name, lua_topointer(L, index));
      if (type != LUA_TNIL) lua_remove(L, -2);
    }
  }
  return lua_tolstring(L, -1, n);
}

char *compat_buffinitsize(lua_State *L, luaL_Buffer *b, size_t n) {
  b->L = L;
  b->p = n <= sizeof b->buffer ? b->buffer : lua_newuserdata(L, n);
  return b->p;
}

void compat_pushresultsize(luaL_Buffer *b, size_t n) {
  lua_pushlstring(b->L, b->p, n);
  if (b->p != b->buffer) lua_remove(b->L, -2);
}

/* ---- Tables ---- */

static void push_key(lua_State *L, const void *key) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)key);
}

int compat_rawgetp(lua_State *L, int index, const void *key) {
  index = compat_absindex(L, index);
  push_key(L, key);
  return compat_rawget(L, index);
}

void compat_rawsetp(lua_State *L, int index, const void *key) {
  index = compat_absindex(L, index);
  push_key(L, key);
  lua_insert(L, -2);
  lua_rawset(L, index);
}

int compat_geti(lua_State *L, int index, lua_Integer n) {
  index = compat_absindex(L, index);
  compat_pushinteger(L, n);
  return compat_gettable(L, index);
}

void compat_seti(lua_State *L, int index, lua_Integer n) {
  index = compat_absindex(L, index);
  compat_pushinteger(L, n);
  lua_insert(L, -2);
  lua_settable(L, index);
}

/* No metamethod: LuaJIT's own # looks for none in tables. */
lua_Integer compat_len(lua_State *L, int index) { return (lua_Integer)lua_objlen(L, index); }

int compat_getsubtable(lua_State *L, int index, const char *name) {
  index = compat_absindex(L, index);
  if (compat_getfield(L, index, name) == LUA_TTABLE) return 1;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, index, name);
  return 0;
}

int compat_newmetatable(lua_State *L, const char *name) {
  int made = (luaL_newmetatable)(L, name);
  if (!made) return 0;
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  return 1;
}

/* ---- The rest ---- */

void *compat_newuserdata(lua_State *L, size_t n, int values) {
  void *block = lua_newuserdata(L, n);
  if (values > 0) {
    lua_createtable(L, values, 0);
    lua_setfenv(L, -2);
  }
  return block;
}

int compat_getiuservalue(lua_State *L, int index, int n) {
  lua_getfenv(L, index);
  lua_rawgeti(L, -1, n);
  lua_remove(L, -2);
  return lua_type(L, -1);
}

int compat_setiuservalue(lua_State *L, int index, int n) {
  lua_getfenv(L, index);
  lua_insert(L, -2);
  lua_rawseti(L, -2, n);
  lua_pop(L, 1);
  return 1;
}

int compat_absindex(lua_State *L, int index) {
  return index > 0 || index <= LUA_REGISTRYINDEX ? index : lua_gettop(L) + index + 1;
}

void compat_rotate(lua_State *L, int index, int n) {
  index = compat_absindex(L, index);
  for (; n > 0; n--) lua_insert(L, index);
  for (; n < 0; n++) {
    lua_pushvalue(L, index);
    lua_remove(L, index);
  }
}

void compat_requiref(lua_State *L, const char *name, lua_CFunction open, int global) {
  compat_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushcfunction(L, open);
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
  if (!lua_isnil(L, -1)) {
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
  } else {
    lua_pop(L, 1);
    compat_getfield(L, -1, name);
  }
  lua_remove(L, -2);
  if (!global) return;
  lua_pushvalue(L, -1);
  lua_setglobal(L, name);
}

#endif
