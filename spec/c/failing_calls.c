/* failing_calls.c: failing.h for a process that runs Lua: a library to be loaded before all
** others (LD_PRELOAD), and a Lua module that tells it what is to fail.
**
**   arm(class, at, errno, from_now_on)     class by its name; errno -1: half of the bytes
**   disarm() -> hits, where, by_lmdb, calls       where: the end of the first path that was hit
**   held() -> descriptors, maps            open and mapped just now
**   take(folder), put_back()               the folder as it is now, and again
**   classes                                their names
**
** A process that knows nothing of it is armed from its beginning by FAILING="class at errno
** from_now_on". */
#define _GNU_SOURCE
#include "failing.h"

#include <lauxlib.h>
#include <lua.h>

#include "fixture.h"

static struct fixture fixture;

static int class_of(const char *name) {
  for (int i = 0; i < FAILING_CLASS_COUNT; i++)
    if (strcmp(failing_names[i], name) == 0) return i;
  return -1;
}

static int arm(lua_State *L) {
  int class = class_of(luaL_checkstring(L, 1));
  if (class < 0) return luaL_error(L, "there is no such class");
  struct failing_plan plan = {.class = (enum failing_class)class,
                              .at = (long)luaL_checkinteger(L, 2),
                              .number = (int)luaL_checkinteger(L, 3),
                              .from_now_on = lua_toboolean(L, 4)};
  failing_arm(&plan);
  return 0;
}

static int disarm(lua_State *L) {
  long calls = failing_disarm();
  lua_pushinteger(L, atomic_load(&failing.hits));
  lua_pushstring(L, failing.where);
  lua_pushboolean(L, failing.by_lmdb);
  lua_pushinteger(L, calls);
  return 4;
}

static int held(lua_State *L) {
  struct failing_held h = failing_held();
  lua_pushinteger(L, h.descriptors);
  lua_pushinteger(L, h.maps);
  return 2;
}

static int take(lua_State *L) {
  fixture_end(&fixture);
  memset(&fixture, 0, sizeof fixture);
  snprintf(fixture.root, sizeof fixture.root, "%s", luaL_checkstring(L, 1));
  fixture_take(&fixture, fixture.root);
  return 0;
}

static int put_back(lua_State *L) {
  (void)L;
  fixture_put_back(&fixture);
  return 0;
}

__attribute__((constructor)) static void arm_from_the_beginning(void) {
  const char *text = getenv("FAILING");
  char name[16];
  int number, from_now_on;
  long at;
  if (!text || sscanf(text, "%15s %ld %d %d", name, &at, &number, &from_now_on) != 4) return;
  int class = class_of(name);
  if (class < 0) abort();
  failing_arm(&(struct failing_plan){(enum failing_class)class, at, number, from_now_on != 0});
}

__attribute__((visibility("default"))) int luaopen_failing_calls(lua_State *L);

int luaopen_failing_calls(lua_State *L) {
  const luaL_Reg functions[] = {{"arm", arm},   {"disarm", disarm},     {"held", held},
                                {"take", take}, {"put_back", put_back}, {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_createtable(L, FAILING_CLASS_COUNT, 0);
  for (int i = 0; i < FAILING_CLASS_COUNT; i++) {
    lua_pushstring(L, failing_names[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "classes");
  return 1;
}
