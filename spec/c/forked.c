/* forked.c: a Lua module for postgres_spec.lua: what a function says in a forked child.
**
**   forked(f) -> string
**
** The child calls f, writes the string that it returns into a pipe, collects its garbage,
** and ends without running what a process does at its end. */
#define _POSIX_C_SOURCE 200809L

#include <lauxlib.h>
#include <lua.h>
#include <sys/wait.h>
#include <unistd.h>

int luaopen_forked(lua_State *L);

static void be_child(lua_State *L, int out) {
  size_t n;
  int status = lua_pcall(L, 0, 1, 0) == LUA_OK ? 0 : 1;
  const char *said = luaL_tolstring(L, -1, &n);
  if (write(out, said, n) != (ssize_t)n) status = 1;
  lua_settop(L, 0);
  lua_gc(L, LUA_GCCOLLECT);
  _exit(status);
}

static int forked(lua_State *L) {
  int ends[2];
  char said[1000];
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  if (pipe(ends) != 0) return luaL_error(L, "no pipe");
  pid_t pid = fork();
  if (pid == 0) be_child(L, ends[1]);
  close(ends[1]);
  size_t length = 0;
  for (ssize_t n; (n = read(ends[0], said + length, sizeof said - length)) > 0;)
    length += (size_t)n;
  close(ends[0]);
  int status = 1;
  if (pid > 0) waitpid(pid, &status, 0);
  lua_pushlstring(L, said, length);
  lua_pushboolean(L, status == 0);
  return 2;
}

int luaopen_forked(lua_State *L) {
  lua_pushcfunction(L, forked);
  return 1;
}
