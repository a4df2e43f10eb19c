/* lcompat.h: Lua's C API as 5.4 has it, also where LuaJIT is what there is.
**
** The binding is written for Lua 5.4. This header includes Lua's; under 5.4 it adds next to
** nothing, under LuaJIT 2.1 (the API of 5.1) it gives the calls that are missing, under their
** names, and for calls that mean less there it puts its own in their place. What no call can
** hide is a function of both Luas, named compat_...; what is left is an #ifdef RILLE_LUAJIT.
**
** Numbers. LuaJIT has one type for integers and floats, a double, and int64_t as cdata, which
** the C API knows nothing of. Here
**
**   an integer is     a number with an integral value that an int64_t has, too, but not -0.0;
**                     an int64_t; a uint64_t up to 2^63 - 1
**   lua_isinteger     tells so
**   lua_tointegerx    takes any integral number, like 5.4, and these cdata
**   lua_pushinteger   pushes a number, or beyond 2^53 an int64_t
**
** So a whole number beyond 2^53 is stored as an integer and comes back as an int64_t. -0.0 is a
** float: no integer is the same, bit for bit. */
#ifndef RILLE_LCOMPAT_H
#define RILLE_LCOMPAT_H

#include "../core/base.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>

#if LUA_VERSION_NUM == 501 && defined(__has_include)
#if __has_include(<luajit.h>)
#define RILLE_LUAJIT 1
#endif
#endif
#if LUA_VERSION_NUM < 504 && !defined(RILLE_LUAJIT)
#error "rille is for Lua 5.4 and LuaJIT 2.1: the headers found are those of another Lua"
#endif

/* ---- Of both Luas ---- */

/* Once a lua_State, before anything else of the binding. */
INTERNAL void compat_open(lua_State *L);

/* Calls f with one argument, context as light userdata, protected; and takes no memory for that
** outside the protection. LUA_OK, or the status and the error value on the stack. */
INTERNAL int compat_call(lua_State *L, lua_CFunction f, void *context);

/* Calls the function of Lua's in upvalue 1 with the arguments of this one; in this frame if it
** can be, so that what it says of its arguments is said of this call. */
INTERNAL int compat_call_upvalue(lua_State *L);

/* A table that takes the place of the globals, from the top of the stack; what is opened
** (luaopen_...) goes there. compat_restore_globals puts back what that pushed. */
INTERNAL void compat_replace_globals(lua_State *L);
INTERNAL void compat_restore_globals(lua_State *L, int saved);
#define COMPAT_GLOBALS_SLOTS 2 /* that compat_push_globals pushes */
INTERNAL void compat_push_globals(lua_State *L);

/* The environment of the function on top of the stack becomes the table at `index`. */
INTERNAL void compat_set_environment(lua_State *L, int index);

/* Whether call->istailcall is set where the caller was lost. */
INTERNAL bool compat_lost_caller(const lua_Debug *call);

/* package.searchers */
#ifdef RILLE_LUAJIT
#define COMPAT_SEARCHERS "loaders"
#else
#define COMPAT_SEARCHERS "searchers"
#endif

/* Once in an isolate's state, with its libraries opened: nothing is compiled there, because only
** the interpreter calls hooks, and ffi serves rille alone. */
INTERNAL void compat_prepare_isolate(lua_State *S);

/* Whether the value at index is an integer of its own kind, that small as it is no number is:
** LuaJIT's cdata. It is stored in a form that says so. */
INTERNAL bool compat_is_boxed(lua_State *L, int index);
INTERNAL void compat_push_boxed(lua_State *L, int64_t n);

/* The integer at index (absolute) becomes its digits, any number of them. */
INTERNAL void compat_integer_to_text(lua_State *L, int index);

#ifdef RILLE_LUAJIT

#include <luajit.h>
#include <stdarg.h>
#include <stdint.h>

/* ---- Names ---- */

typedef uint64_t lua_Unsigned;
#define LUAI_UACINT long long
#define LUA_MAXINTEGER PTRDIFF_MAX /* lua_Integer is ptrdiff_t */
#define LUA_TCDATA (LUA_TTHREAD + 2)
#define LUA_GNAME "_G"
#define LUA_LOADED_TABLE "_LOADED"
#define LUA_PRELOAD_TABLE "_PRELOAD"
#define LUA_UTF8LIBNAME "utf8"
#define COMPAT_LIBRARY "rille.library" /* in the registry: the globals of embedded scripts */
#define LUA_OPLT 1

/* ---- Numbers ---- */

INTERNAL int compat_isinteger(lua_State *L, int index);
INTERNAL lua_Integer compat_tointegerx(lua_State *L, int index, int *exact);
INTERNAL lua_Integer compat_checkinteger(lua_State *L, int index);
INTERNAL lua_Integer compat_optinteger(lua_State *L, int index, lua_Integer value);
INTERNAL void compat_pushinteger(lua_State *L, lua_Integer n);
INTERNAL size_t compat_stringtonumber(lua_State *L, const char *text);
#define lua_isinteger(L, i) compat_isinteger(L, i)
#undef lua_tointeger
#define lua_tointeger(L, i) compat_tointegerx(L, i, NULL)
#define lua_tointegerx(L, i, exact) compat_tointegerx(L, i, exact)
#define luaL_checkinteger(L, i) compat_checkinteger(L, i)
#define luaL_optinteger(L, i, n) compat_optinteger(L, i, n)
#define lua_pushinteger(L, n) compat_pushinteger(L, n)
#define lua_stringtonumber(L, s) compat_stringtonumber(L, s)

/* ---- Text ---- */

/* Formats as 5.4 has them, %I among them. */
INTERNAL const char *compat_pushvfstring(lua_State *L, const char *format, va_list arguments);
INTERNAL const char *compat_pushfstring(lua_State *L, const char *format, ...);
INTERNAL int compat_error(lua_State *L, const char *format, ...);
INTERNAL const char *compat_tolstring(lua_State *L, int index, size_t *n);
#define lua_pushvfstring(L, f, a) compat_pushvfstring(L, f, a)
#define lua_pushfstring compat_pushfstring
#define luaL_error compat_error
#define luaL_tolstring(L, i, n) compat_tolstring(L, i, n)

static inline const char *compat_pushstring(lua_State *L, const char *s) {
  lua_pushstring(L, s);
  return s ? lua_tostring(L, -1) : NULL;
}
static inline const char *compat_pushlstring(lua_State *L, const char *s, size_t n) {
  lua_pushlstring(L, s, n);
  return lua_tostring(L, -1);
}
#define lua_pushstring(L, s) compat_pushstring(L, s)
#define lua_pushlstring(L, s, n) compat_pushlstring(L, s, n)

/* One piece of memory on the stack, for a text that is made at once. */
INTERNAL char *compat_buffinitsize(lua_State *L, luaL_Buffer *b, size_t n);
INTERNAL void compat_pushresultsize(luaL_Buffer *b, size_t n);
#define luaL_buffinitsize(L, b, n) compat_buffinitsize(L, b, n)
#define luaL_pushresultsize(b, n) compat_pushresultsize(b, n)

/* ---- Tables: each returns the type of what it pushed ---- */

static inline int compat_rawget(lua_State *L, int index) {
  lua_rawget(L, index);
  return lua_type(L, -1);
}
static inline int compat_rawgeti(lua_State *L, int index, lua_Integer n) {
  lua_rawgeti(L, index, (int)n);
  return lua_type(L, -1);
}
static inline int compat_gettable(lua_State *L, int index) {
  lua_gettable(L, index);
  return lua_type(L, -1);
}
static inline int compat_getfield(lua_State *L, int index, const char *name) {
  lua_getfield(L, index, name);
  return lua_type(L, -1);
}
static inline int compat_getmetafield(lua_State *L, int index, const char *name) {
  return luaL_getmetafield(L, index, name) ? lua_type(L, -1) : LUA_TNIL;
}
static inline void compat_rawseti(lua_State *L, int index, lua_Integer n) {
  lua_rawseti(L, index, (int)n);
}
#define lua_rawget(L, i) compat_rawget(L, i)
#define lua_rawgeti(L, i, n) compat_rawgeti(L, i, n)
#define lua_rawseti(L, i, n) compat_rawseti(L, i, n)
#define lua_gettable(L, i) compat_gettable(L, i)
#define lua_getfield(L, i, s) compat_getfield(L, i, s)
#define luaL_getmetafield(L, i, s) compat_getmetafield(L, i, s)
#define lua_rawlen(L, i) lua_objlen(L, i)

INTERNAL int compat_rawgetp(lua_State *L, int index, const void *key);
INTERNAL void compat_rawsetp(lua_State *L, int index, const void *key);
INTERNAL int compat_geti(lua_State *L, int index, lua_Integer n);
INTERNAL void compat_seti(lua_State *L, int index, lua_Integer n);
INTERNAL lua_Integer compat_len(lua_State *L, int index);
INTERNAL int compat_getsubtable(lua_State *L, int index, const char *name);
INTERNAL int compat_newmetatable(lua_State *L, const char *name);
#define lua_rawgetp(L, i, p) compat_rawgetp(L, i, p)
#define lua_rawsetp(L, i, p) compat_rawsetp(L, i, p)
#define lua_geti(L, i, n) compat_geti(L, i, n)
#define lua_seti(L, i, n) compat_seti(L, i, n)
#define luaL_len(L, i) compat_len(L, i)
#define luaL_getsubtable(L, i, s) compat_getsubtable(L, i, s)
#define luaL_newmetatable(L, s) compat_newmetatable(L, s)

/* ---- The rest ---- */

/* User values lie in a table, which is the userdata's environment. */
INTERNAL void *compat_newuserdata(lua_State *L, size_t n, int values);
INTERNAL int compat_getiuservalue(lua_State *L, int index, int n);
INTERNAL int compat_setiuservalue(lua_State *L, int index, int n);
INTERNAL int compat_absindex(lua_State *L, int index);
INTERNAL void compat_rotate(lua_State *L, int index, int n);
INTERNAL void compat_requiref(lua_State *L, const char *name, lua_CFunction open, int global);
#define lua_newuserdatauv(L, n, values) compat_newuserdata(L, n, values)
#define lua_getiuservalue(L, i, n) compat_getiuservalue(L, i, n)
#define lua_setiuservalue(L, i, n) compat_setiuservalue(L, i, n)
#define lua_absindex(L, i) compat_absindex(L, i)
#define lua_rotate(L, i, n) compat_rotate(L, i, n)
#define luaL_requiref(L, s, f, g) compat_requiref(L, s, f, g)
#define lua_compare(L, a, b, op) lua_lessthan(L, a, b)
#define lua_load(L, reader, data, name, mode) lua_loadx(L, reader, data, name, mode)
#define luaL_typeerror(L, i, s) luaL_typerror(L, i, s)
#define luaL_argexpected(L, ok, i, s) ((void)((ok) || luaL_typerror(L, i, s)))
#define luaL_pushfail(L) lua_pushnil(L)

#endif

#endif
