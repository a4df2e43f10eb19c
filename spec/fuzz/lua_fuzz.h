/* lua_fuzz.h: one Lua state for all inputs of a target, and a call that may raise. */
#ifndef RILLE_LUA_FUZZ_H
#define RILLE_LUA_FUZZ_H

#include "fuzz.h"

#include <lauxlib.h>
#include <lualib.h>

#include "../../lua/ljson.h"
#include "../../lua/lvalue.h"

/* The bytes at hand: `body` runs protected, with nothing on the stack. */
struct lua_input {
  const uint8_t *bytes;
  size_t n;
};

static inline lua_State *fuzz_state(void) {
  static lua_State *state;
  if (state) return state;
  state = luaL_newstate();
  MUST(state != NULL);
  luaL_openlibs(state);
  lua_newtable(state);
  value_open(state);
  lua_setglobal(state, "fuzz");
  return state;
}

/* Whether it returned; where it raised, its message is a text. */
static inline bool fuzz_call(lua_CFunction body, const uint8_t *bytes, size_t n) {
  lua_State *L = fuzz_state();
  uint8_t *copy = fuzz_copy(bytes, n);
  struct lua_input input = {copy, n};
  lua_settop(L, 0);
  lua_pushcfunction(L, body);
  lua_pushlightuserdata(L, &input);
  bool done = lua_pcall(L, 1, 0, 0) == LUA_OK;
  MUST(done || lua_isstring(L, -1));
  lua_settop(L, 0);
  free(copy);
  return done;
}

/* What is encoded and decoded again is the same bytes. */
static inline void fuzz_round(lua_State *L, int index, struct buffer *first,
                              struct buffer *second) {
  if (!value_encode(L, index, "value", first)) {
    MUST(!"what was read can't be written");
    return;
  }
  MUST(value_decode(L, (const char *)first->bytes, first->length));
  MUST(value_encode(L, -1, "value", second));
  MUST(first->length == second->length && memcmp(first->bytes, second->bytes, first->length) == 0);
}

#endif
