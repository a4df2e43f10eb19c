/* failing_alloc.c: a Lua module for memory_spec.lua: runs a program in a Lua state of
** its own in which memory ends at the n-th allocation.
**
**   run(n, setup, task, after) -> reached, done, message, leaked
**
** setup, task and after are chunks; memory ends in task alone. reached: whether
** the n-th allocation came at all; done: whether task went through; message: its
** error, or that of the other two, which must not fail; leaked: bytes that the
** closed state has not given back. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

struct failing {
  lua_Integer left; /* allocations until memory ends */
  int armed, reached;
  size_t live;
};

/* A block that shrinks always succeeds: Lua relies on it. */
static void *failing_alloc(void *context, void *block, size_t old_size, size_t new_size) {
  struct failing *f = context;
  if (!block) old_size = 0; /* it is a type then */
  if (f->armed && new_size > old_size && --f->left < 0) {
    f->reached = 1;
    return NULL;
  }
  f->live += new_size - old_size;
  if (new_size == 0) {
    free(block);
    return NULL;
  }
  return realloc(block, new_size);
}

/* Loads all first, so that only what the task does is short of memory. The error, if
** any, is on top of the stack. */
static int run_all(lua_State *L, struct failing *f, const char *const *chunks, int *done) {
  for (int i = 0; i < 3; i++)
    if (luaL_loadbufferx(L, chunks[i], strlen(chunks[i]), chunks[i], "t") != LUA_OK) return 0;
  lua_pushvalue(L, 1);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) return 0;
  lua_pushvalue(L, 2);
  f->armed = 1;
  *done = lua_pcall(L, 0, 0, 0) == LUA_OK;
  f->armed = 0;
  if (*done) lua_pushnil(L);
  lua_pushvalue(L, 3);
  return lua_pcall(L, 0, 0, 0) == LUA_OK;
}

static int run(lua_State *L) {
  struct failing f = {.left = luaL_checkinteger(L, 1) - 1};
  const char *chunks[] = {luaL_checkstring(L, 2), luaL_checkstring(L, 3), luaL_checkstring(L, 4)};
  int done = 0;
  lua_State *own = lua_newstate(failing_alloc, &f);
  if (!own) return luaL_error(L, "no memory");
  luaL_openlibs(own);
  lua_settop(own, 0);
  int sound = run_all(own, &f, chunks, &done);
  lua_pushboolean(L, f.reached);
  lua_pushboolean(L, done);
  const char *message = lua_tostring(own, -1);
  if (message) lua_pushstring(L, message);
  else lua_pushnil(L);
  lua_close(own);
  if (!sound) return luaL_error(L, "setup or after failed: %s", lua_tostring(L, -1));
  lua_pushinteger(L, (lua_Integer)f.live);
  return 4;
}

int luaopen_failing_alloc(lua_State *L);

int luaopen_failing_alloc(lua_State *L) {
  lua_pushcfunction(L, run);
  return 1;
}
