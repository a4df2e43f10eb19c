/* push.c: a host that lends its store to scripts: rille_push, rille_push_with, and the two
** handles in every order of their ends. Prints one line where all is as it should be. */
#define _GNU_SOURCE
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rille.h"
#include "rille_lua.h"

static void need(int holds, const char *what) {
  if (holds) return;
  printf("not so: %s\n", what);
  exit(1);
}

static rille_store *open_store(const char *path, int readonly) {
  rille_store *store;
  rille_error e;
  rille_options options = {.size = sizeof options, .readonly = readonly};
  if (rille_store_open(path, &options, &store, &e) < 0) need(0, e.message);
  return store;
}

static lua_State *new_lua(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  return L;
}

/* Runs a script that has the store's handle on the stack as its argument, and leaves it there. */
static void run(lua_State *L, const char *script) {
  if (luaL_loadstring(L, script) != LUA_OK) need(0, lua_tostring(L, -1));
  lua_pushvalue(L, -2);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) need(0, lua_tostring(L, -1));
}

static uint64_t append(rille_store *store) {
  rille_event_input event = {.type = rille_text_of("Host")};
  rille_part part = {.stream = rille_text_of("a"), .events = &event, .event_count = 1};
  rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1};
  rille_appended done;
  rille_error e;
  if (rille_store_append(store, &work, &done, &e) < 0) need(0, e.message);
  return done.last;
}

static void scripts_first(const char *path) {
  rille_store *store = open_store(path, 0);
  lua_State *L = new_lua();
  need(append(store) == 1, "the first position is 1");
  need(rille_push(L, store) == 0 && lua_gettop(L) == 1,
       "one value is pushed"); /* loads the module */
  run(L,
      "local store = ...  assert(require 'rille'._VERSION)\n"
      "assert(tostring(store) == 'rille store (head 1)', tostring(store))\n"
      "assert(store:append('a', { type = 'Script' }).last == 2)\n"
      "assert(rille == nil, 'a global was made')\n"
      "assert(store:close()) assert(select(3, store:append('a', {})) == 'closed')");
  need(append(store) == 3, "the host's goes on when a script has closed its own");
  lua_close(L);
  need(append(store) == 4, "... and when the state is closed");
  need(rille_store_close(store) == 0, "it closes");
}

static void host_first(const char *path) {
  rille_store *store = open_store(path, 0);
  lua_State *L = new_lua(), *other = new_lua();
  need(rille_push(L, store) == 0 && rille_push(other, store) == 0, "two states have it");
  need(rille_store_close(store) == 0, "the host closes first");
  run(L, "local store = ...  assert(store:append('a', { type = 'Script' }).version == 5)");
  lua_close(L);
  run(other,
      "local store = ...  assert(store:head() == 5)\n"
      "local c = assert(require 'rille'.coordinator(store, { name = 'c' }))  c:close()");
  lua_close(other);
}

static int tell(lua_State *L) {
  lua_pushliteral(L, "return { initial = 0, on = { ['*'] = function(n) return n + 1 end } }");
  return lua_gettop(L) > 1;
}

static int seven(lua_State *L) {
  lua_pushinteger(L, 7);
  return 1;
}

static void with_options(const char *path) {
  rille_store *store = open_store(path, 0);
  lua_State *L = new_lua();
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, tell);
  lua_setfield(L, -2, "load");
  lua_pushcfunction(L, seven);
  lua_setfield(L, -2, "clock");
  need(rille_push_with(L, store, -1) == 0 && lua_gettop(L) == 2, "with options");
  run(L,
      "local store = ...  assert(store:fold('none/such.lua') == 5)\n"
      "assert(store:append('b', { type = 'Script' }))\n"
      "for e in store:read 'b' do assert(e.time >= 7) end");
  lua_close(L);
  need(rille_store_close(store) == 0, "it closes");
}

static int push_wrongly(lua_State *L) {
  (void)luaL_dostring(L, "return { lod = print }");
  return rille_push_with(L, lua_touserdata(L, 1), -1);
}

static void with_wrong_options(const char *path) {
  rille_store *store = open_store(path, 1), *again;
  lua_State *L = new_lua();
  lua_pushcfunction(L, push_wrongly);
  lua_pushlightuserdata(L, store);
  need(lua_pcall(L, 1, 0, 0) != LUA_OK && strstr(lua_tostring(L, -1), "load"),
       "it says what was meant");
  lua_settop(L, 0);
  need(rille_push(L, store) == 0, "of one that is only read");
  run(L, "local store = ...  assert(select(3, store:append('a', { type = 'A' })) == 'readonly')");
  need(rille_store_is_readonly(store) == 1 && rille_store_path(store)[0] == '/',
       "what is told of it");
  need(rille_store_share(store, &again, NULL) == 0, "it can be shared");
  lua_close(L);
  need(rille_store_close(store) == 0, "it closes");
  need(rille_store_head(again) == 6, "the other one reads on");
  need(rille_store_close(again) == 0, "it closes, too");
}

/* In the child nothing can be given. */
static void after_fork(const char *path) {
  rille_store *store = open_store(path, 0), *again = store;
  lua_State *L = new_lua();
  int status;
  pid_t child = fork();
  need(child >= 0, "it forks");
  if (child == 0) {
    int closed = rille_push(L, store) == RILLE_CLOSED && lua_gettop(L) == 0 &&
                 rille_store_share(store, &again, NULL) == RILLE_CLOSED && !again;
    _exit(closed ? 0 : 1);
  }
  need(waitpid(child, &status, 0) == child && status == 0, "the child is told");
  lua_close(L);
  need(rille_store_close(store) == 0, "it closes");
}

int main(int argc, char **argv) {
  need(argc == 2, "a path is given");
  scripts_first(argv[1]);
  host_first(argv[1]);
  with_options(argv[1]);
  with_wrong_options(argv[1]);
  after_fork(argv[1]);
  puts("all is as it should be");
  return 0;
}
