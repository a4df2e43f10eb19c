/* lrille.c: the module: `require "rille"`.
**
** The Lua half of rille (rille/ *.lua) is part of this library as text, so that a
** host needs no files on disk: each is in package.preload under its name. */
#include "lrille.h"
#include "lidentity.h"
#include "ljson.h"
#include "lkept.h"
#include "llibrary.h"
#include "lisolate.h"
#include "lpick.h"
#include "lsandbox.h"
#include "lterminal.h"
#include "lvalue.h"
#include "rille_lua.h"
#include "scripts.h"

#include <unistd.h>

#define BUFFER_HANDLE "rille.buffer"

/* ---- rille.encode, rille.decode ---- */

static int buffer_gc(lua_State *L) {
  buffer_release(luaL_checkudata(L, 1, BUFFER_HANDLE));
  return 0;
}

void buffer_push(lua_State *L) {
  struct memory memory = memory_default();
  struct buffer *b = lua_newuserdatauv(L, sizeof *b, 0);
  buffer_init(b, &memory);
  if (luaL_newmetatable(L, BUFFER_HANDLE)) {
    lua_pushcfunction(L, buffer_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
}

static int encode(lua_State *L) {
  struct buffer *b = lua_touserdata(L, lua_upvalueindex(1));
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  buffer_clear(b, MIB);
  if (!value_encode(L, 1, "value", b)) return error_push_message(L, "invalid");
  lua_pushlstring(L, (const char *)b->bytes, b->length);
  return 1;
}

static int decode(lua_State *L) {
  size_t n;
  luaL_checktype(L, 1, LUA_TSTRING);
  const char *bytes = lua_tolstring(L, 1, &n);
  return value_decode(L, bytes, n) ? 1 : error_push_message(L, "invalid");
}

/* ---- The Lua half ---- */

/* What the chunk of a name is called with: what it needs of C. */
static void push_means(lua_State *L, const char *name) {
  if (strcmp(name, "rille.sandbox") == 0) {
    sandbox_open(L);
    return;
  }
  lua_newtable(L);
  lua_getfield(L, LUA_REGISTRYINDEX, "rille.store.methods");
  lua_setfield(L, -2, "methods");
  lua_getfield(L, LUA_REGISTRYINDEX, "rille.store.loader");
  lua_setfield(L, -2, "loader");
  lua_pushcfunction(L, fold_run);
  lua_setfield(L, -2, "fold_run");
  lua_pushcfunction(L, project_run);
  lua_setfield(L, -2, "project_run");
  lua_pushcfunction(L, pick_push_all);
  lua_setfield(L, -2, "picks");
  lua_pushcfunction(L, project_share_of);
  lua_setfield(L, -2, "share_of");
  lua_pushcfunction(L, append_internal);
  lua_setfield(L, -2, "append_internal");
  lua_pushcfunction(L, store_prune);
  lua_setfield(L, -2, "prune");
  iterator_push_telling(L);
  transaction_push(L);
  lua_setfield(L, -2, "transaction");
  kept_open(L);
  retention_push(L);
  identity_push(L);
  lua_pushcfunction(L, isolate_open);
  lua_setfield(L, -2, "isolate");
  lua_pushcfunction(L, isolate_reset_budget);
  lua_setfield(L, -2, "budget_reset");
  lua_pushcfunction(L, isolate_suspend_budget);
  lua_setfield(L, -2, "budget_suspend");
  lua_pushcfunction(L, isolate_tell_growth);
  lua_setfield(L, -2, "has_grown");
  terminal_push(L);
  lua_setfield(L, -2, "terminal");
  means_push(L);
}

static int load_script(lua_State *L) {
  size_t i = (size_t)lua_tointeger(L, lua_upvalueindex(1));
  char chunk[64];
  snprintf(chunk, sizeof chunk, "=%s", scripts[i].name);
  if (luaL_loadbufferx(L, scripts[i].text, scripts[i].length, chunk, "t") != LUA_OK)
    return lua_error(L);
#ifdef RILLE_LUAJIT
  library_push_environment(L);
  lua_setfenv(L, -2);
#endif
  push_means(L, scripts[i].name);
  lua_call(L, 1, 1);
  return 1;
}

static void add_preloads(lua_State *L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    lua_pushinteger(L, (lua_Integer)i);
    lua_pushcclosure(L, load_script, 1);
    lua_setfield(L, -2, scripts[i].name);
  }
  lua_pop(L, 2);
}

/* A program that forgets the module (package.loaded.rille = nil) and requires it again gets a
** whole one: the Lua half fills the methods that were made anew. */
static void forget_scripts(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    lua_pushnil(L);
    lua_setfield(L, -2, scripts[i].name);
  }
  lua_pop(L, 1);
}

/* rille/reducer.lua adds store:fold, rille/decider.lua store:decide. */
static void require(lua_State *L, const char *name) {
  lua_getglobal(L, "require");
  lua_pushstring(L, name);
  lua_call(L, 1, 0);
}

/* ---- Another copy of the library ---- */

static const char COPY = 0; /* its address is this copy's name */
static const char *const COPY_FIELD = "rille.copy";

int module_is_another(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, COPY_FIELD);
  int another = !lua_isnil(L, -1) && lua_touserdata(L, -1) != &COPY;
  lua_pop(L, 1);
  return another;
}

static void note_copy(lua_State *L) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)&COPY);
  lua_setfield(L, LUA_REGISTRYINDEX, COPY_FIELD);
}

static int refuse_open(lua_State *L) {
  rille_error e;
  luaL_checkstring(L, 1);
  error_set(&e, RILLE_BUSY, "this lua_State uses another copy of the library: use one copy");
  e.pid = getpid();
  return error_push(L, &e);
}

/* The registry has room for one copy's metatables: with a second one in it each would take the
** other's handles for its own. So the second only says that it is one. */
static int push_refusal(lua_State *L) {
  static const luaL_Reg functions[] = {{"open", refuse_open}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

int luaopen_rille(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"open", store_open_handle}, {"decode", decode}, {NULL, NULL}};
  if (module_is_another(L)) return push_refusal(L);
  note_copy(L);
  compat_open(L);
  store_open_library(L);
  iterator_open_library(L);
  event_open_library(L);
  luaL_newlib(L, functions);
  value_open(L);
  buffer_push(L);
  lua_pushcclosure(L, encode, 1);
  lua_setfield(L, -2, "encode");
  json_open(L);
  lua_setfield(L, -2, "json");
  lua_pushliteral(L, "rille " RILLE_VERSION);
  lua_setfield(L, -2, "_VERSION");
  /* The scripts require "rille" while this has not returned. */
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "rille");
  lua_pop(L, 1);
  forget_scripts(L);
  add_preloads(L);
  require(L, "rille.reducer");
  require(L, "rille.decider");
  require(L, "rille.projection");
  require(L, "rille.processor");
  require(L, "rille.coordinator");
  require(L, "rille.deep");
  require(L, "rille.retention");
  require(L, "rille.modules");
  return 1;
}

/* require "rille.testkit" in a program that has not required "rille" yet. */
int luaopen_rille_testkit(lua_State *L) {
  require(L, "rille");
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_getfield(L, -1, "rille.testkit");
  lua_pushliteral(L, "rille.testkit");
  lua_call(L, 1, 1);
  return 1;
}
