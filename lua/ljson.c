/* ljson.c: JSON in Lua's hands, and the forms on which ljsonread.c and ljsonwrite.c
** agree: the objects of one key, and what is UTF-8. Whatever one writes the other
** reads as the same value, because neither has a notion of its own of these.
**
** Text is made in a userdata that owns its bytes, so that an error in between
** leaks nothing. */
#include "ljson.h"

#include <math.h>

#include "ljsonform.h"

/* ---- Forms ---------------------------------------------------------------- */

#define SPECIAL_KEY_BYTES 6

enum json_special json_special_of(const void *key, size_t length) {
  int i = 0;
  if (length != SPECIAL_KEY_BYTES) return SPECIAL_NONE;
  while (i < SPECIAL_NONE && memcmp(key, json_special_keys[i], length) != 0) i++;
  return (enum json_special)i;
}

/* ---- UTF-8 ---------------------------------------------------------------- */

/* The length of the character at s, of which n > 0 bytes are there; 0 when it is
** none. Surrogates, overlong forms and numbers beyond U+10FFFF are none. */
static size_t utf8_length(const uint8_t *s, size_t n) {
  if (s[0] < 0x80) return 1;
  size_t length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
  if (s[0] < 0xc2 || s[0] > 0xf4 || n < length) return 0;
  for (size_t i = 1; i < length; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  if (s[0] == 0xe0 && s[1] < 0xa0) return 0;
  if (s[0] == 0xed && s[1] > 0x9f) return 0;
  if (s[0] == 0xf0 && s[1] < 0x90) return 0;
  if (s[0] == 0xf4 && s[1] > 0x8f) return 0;
  return length;
}

/* How many bytes from the front are UTF-8: n, when all are. */
size_t utf8_prefix(const uint8_t *s, size_t n) {
  size_t i = 0, length = 1;
  while (i < n && length > 0) {
    length = utf8_length(s + i, n - i);
    i += length;
  }
  return i;
}

/* ---- For Lua -------------------------------------------------------------- */

static int json_refused(lua_State *L) {
  luaL_pushfail(L);
  lua_insert(L, -2);
  lua_pushliteral(L, "invalid");
  return 3;
}

static int decode_json(lua_State *L) {
  size_t n;
  luaL_checktype(L, 1, LUA_TSTRING);
  const char *text = lua_tolstring(L, 1, &n);
  return json_decode(L, text, n) ? 1 : json_refused(L);
}

static int json_release(lua_State *L) {
  buffer_release(lua_touserdata(L, 1));
  return 0;
}

/* Pushes a userdata that is an empty buffer and releases itself. Its metatable is
** upvalue 1. */
static struct buffer *json_push_buffer(lua_State *L) {
  struct memory memory = memory_default();
  struct buffer *b = lua_newuserdatauv(L, sizeof *b, 0);
  buffer_init(b, &memory);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  return b;
}

static int option_pretty(lua_State *L, int index) {
  if (lua_isnoneornil(L, index)) return 0;
  luaL_checktype(L, index, LUA_TTABLE);
  int pretty = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
    if (strcmp(name, "pretty") != 0)
      luaL_error(L, "unknown option '%s', did you mean 'pretty'?", name);
    if (!lua_isboolean(L, -1)) luaL_error(L, "option 'pretty' must be a boolean");
    pretty = lua_toboolean(L, -1);
  }
  return pretty;
}

static int encode_json(lua_State *L) {
  luaL_checkany(L, 1);
  int pretty = option_pretty(L, 2);
  struct buffer *out = json_push_buffer(L);
  if (!json_encode(L, 1, "value", pretty, out)) return json_refused(L);
  lua_pushlstring(L, (const char *)out->bytes, out->length);
  buffer_release(out);
  return 1;
}

void json_open(lua_State *L) {
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, decode_json);
  lua_setfield(L, -2, "decode");
  lua_newtable(L);
  lua_pushcfunction(L, json_release);
  lua_setfield(L, -2, "__gc");
  lua_pushcclosure(L, encode_json, 1);
  lua_setfield(L, -2, "encode");
}
