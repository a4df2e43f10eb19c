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

/* By way of JSON, too. */
static inline void fuzz_by_json(lua_State *L, int index, int pretty, const struct buffer *bytes) {
  struct memory memory = memory_default();
  struct buffer text, again;
  buffer_init(&text, &memory);
  buffer_init(&again, &memory);
  MUST(json_encode(L, index, "value", pretty, &text));
  MUST(json_decode(L, (const char *)text.bytes, text.length));
  MUST(value_encode(L, -1, "value", &again));
  MUST(again.length == bytes->length && memcmp(again.bytes, bytes->bytes, again.length) == 0);
  lua_pop(L, 1);
  buffer_release(&text);
  buffer_release(&again);
}

/* All of this with what is on top of the stack; `pretty`: also as JSON in lines. */
static inline void fuzz_value(lua_State *L, bool pretty) {
  struct memory memory = memory_default();
  struct buffer first, second;
  int value = lua_gettop(L);
  buffer_init(&first, &memory);
  buffer_init(&second, &memory);
  fuzz_round(L, value, &first, &second);
  fuzz_by_json(L, value, 0, &first);
  if (pretty) fuzz_by_json(L, value, 1, &first);
  buffer_release(&first);
  buffer_release(&second);
}

#endif
