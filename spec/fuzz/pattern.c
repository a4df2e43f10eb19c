/* pattern.c: a pattern and a subject, a NUL between them: what our matcher finds is what Lua's
** own finds, and where it raises, Lua's does. Both short, because Lua's has no budget. */
#include "lua_fuzz.h"

#include "../../lua/lpattern.h"

#define PATTERN_MOST 12
#define SUBJECT_MOST 20

/* Calls f(subject, pattern); the results, or the error, as one text: "find: 1, 3". */
static void push_results(lua_State *L, const char *how) {
  int top = lua_gettop(L); /* f, subject, pattern ... are on top of each other at 2.. */
  bool done = lua_pcall(L, top - 2, LUA_MULTRET, 0) == LUA_OK;
  luaL_Buffer b;
  int n = lua_gettop(L) - 1;
  for (int i = 2; i <= n + 1; i++) {
    luaL_tolstring(L, i, NULL);
    lua_replace(L, i);
  }
  luaL_buffinit(L, &b);
  luaL_addstring(&b, how);
  luaL_addstring(&b, done ? " gives" : " raises");
  for (int i = 2; done && i <= n + 1; i++) {
    lua_pushliteral(L, ", ");
    luaL_addvalue(&b);
    lua_pushvalue(L, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  lua_replace(L, 2);
  lua_settop(L, 2);
}

static void arguments(lua_State *L, const struct lua_input *input, size_t at, bool replace) {
  lua_pushlstring(L, (const char *)input->bytes + at + 1, input->n - at - 1);
  lua_pushlstring(L, (const char *)input->bytes, at);
  if (replace) lua_pushliteral(L, "<%0%1>");
}

static void compare(lua_State *L, const struct lua_input *input, size_t at, const char *name,
                    lua_CFunction ours) {
  bool replace = strcmp(name, "gsub") == 0;
  lua_settop(L, 1);
  lua_pushcfunction(L, ours);
  arguments(L, input, at, replace);
  push_results(L, name);
  const char *a = lua_tostring(L, 2);
  char said[512];
  snprintf(said, sizeof said, "%s", a);
  lua_settop(L, 1);
  lua_getglobal(L, "string");
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
  arguments(L, input, at, replace);
  push_results(L, name);
  if (strncmp(said, lua_tostring(L, 2), sizeof said - 1) != 0) {
    fprintf(stderr, "ours: %s\nLua's: %s\n", said, lua_tostring(L, 2));
    abort();
  }
}

static int body(lua_State *L) {
  const struct lua_input *input = lua_touserdata(L, 1);
  const uint8_t *nul = memchr(input->bytes, 0, input->n);
  size_t at = nul ? (size_t)(nul - input->bytes) : input->n;
  if (!nul || at > PATTERN_MOST || input->n - at - 1 > SUBJECT_MOST) return 0;
  compare(L, input, at, "find", pattern_find);
  compare(L, input, at, "match", pattern_match);
  compare(L, input, at, "gsub", pattern_gsub);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  MUST(fuzz_call(body, bytes, n));
  return 0;
}
