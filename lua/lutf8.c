/* lutf8.c: the library utf8 of Lua 5.4, for LuaJIT, by its manual.
**
** A character is a sequence as UTF-8 was first defined, of up to six bytes; functions that
** decode take the argument `lax` and refuse, without it, surrogates and what lies beyond
** 10FFFF. Under 5.4 this file is empty. */
#include "llibrary.h"

#ifdef RILLE_LUAJIT

#include <string.h>

#define CODE_MOST 0x7fffffffu /* six bytes hold this much */
#define UNICODE_MOST 0x10ffffu
#define CHARACTER_BYTES 6

static bool is_continuation(char c) { return ((unsigned char)c & 0xc0) == 0x80; }

/* The bytes that the character at s takes, and its code; 0 where it is none. */
static size_t decode(const char *s, const char *end, bool strict, uint32_t *code) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000, 0x200000, 0x4000000};
  unsigned char first = (unsigned char)*s;
  size_t n = 1;
  if (first < 0x80) {
    *code = first;
    return 1;
  }
  if (first < 0xc0 || first >= 0xfe) return 0;
  while (first >> (7 - n) & 1) n++;
  if (n > (size_t)(end - s)) return 0;
  uint32_t c = first & (0x7fu >> n);
  for (size_t i = 1; i < n; i++) {
    if (!is_continuation(s[i])) return 0;
    c = c << 6 | ((unsigned char)s[i] & 0x3f);
  }
  if (c < least[n]) return 0;
  if (strict && (c > UNICODE_MOST || (c >= 0xd800 && c <= 0xdfff))) return 0;
  *code = c;
  return n;
}

static size_t encode(uint32_t c, char *to) {
  static const uint32_t most[] = {0, 0x7f, 0x7ff, 0xffff, 0x1fffff, 0x3ffffff, CODE_MOST};
  static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0, 0xf8, 0xfc};
  size_t n = 1;
  while (c > most[n]) n++;
  for (size_t i = n - 1; i > 0; i--, c >>= 6) to[i] = (char)(0x80 | (c & 0x3f));
  to[0] = (char)(marks[n] | c);
  return n;
}

/* A place in a string of n bytes; negative ones count from its end. */
static lua_Integer place(lua_Integer at, size_t n) {
  if (at >= 0) return at;
  return 0 - (lua_Unsigned)at > n ? 0 : (lua_Integer)n + at + 1;
}

/* utf8.len(s [, i [, j [, lax]]]) */
static int utf8_len(lua_State *L) {
  size_t n;
  lua_Integer count = 0;
  const char *s = luaL_checklstring(L, 1, &n);
  lua_Integer at = place(luaL_optinteger(L, 2, 1), n), last = place(luaL_optinteger(L, 3, -1), n);
  luaL_argcheck(L, 1 <= at && --at <= (lua_Integer)n, 2, "initial position out of bounds");
  luaL_argcheck(L, --last < (lua_Integer)n, 3, "final position out of bounds");
  for (; at <= last; count++) {
    uint32_t code;
    size_t taken = decode(s + at, s + n, !lua_toboolean(L, 4), &code);
    if (taken == 0) {
      luaL_pushfail(L);
      lua_pushinteger(L, at + 1);
      return 2;
    }
    at += (lua_Integer)taken;
  }
  lua_pushinteger(L, count);
  return 1;
}

/* utf8.codepoint(s [, i [, j [, lax]]]) */
static int utf8_codepoint(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  lua_Integer at = place(luaL_optinteger(L, 2, 1), n), last = place(luaL_optinteger(L, 3, at), n);
  luaL_argcheck(L, at >= 1, 2, "out of bounds");
  luaL_argcheck(L, last <= (lua_Integer)n, 3, "out of bounds");
  int base = lua_gettop(L);
  for (const char *p = s + at - 1, *end = s + last; p < end;) {
    uint32_t code;
    size_t taken = decode(p, s + n, !lua_toboolean(L, 4), &code);
    if (taken == 0) return luaL_error(L, "invalid UTF-8 code");
    luaL_checkstack(L, 1, "string slice too long");
    lua_pushinteger(L, code);
    p += taken;
  }
  return lua_gettop(L) - base;
}

/* utf8.char(...) */
static int utf8_char(lua_State *L) {
  luaL_Buffer b;
  int n = lua_gettop(L);
  luaL_buffinit(L, &b);
  for (int i = 1; i <= n; i++) {
    char bytes[CHARACTER_BYTES];
    lua_Unsigned code = (lua_Unsigned)luaL_checkinteger(L, i);
    luaL_argcheck(L, code <= CODE_MOST, i, "value out of range");
    luaL_addlstring(&b, bytes, encode((uint32_t)code, bytes));
  }
  luaL_pushresult(&b);
  return 1;
}

/* From the start of a character on. */
static lua_Integer step_forward(const char *s, lua_Integer at, lua_Integer length, lua_Integer n) {
  for (n--; n > 0 && at < length; n--) {
    do at++;
    while (is_continuation(s[at]));
  }
  return n == 0 ? at : -1;
}

static lua_Integer step_back(const char *s, lua_Integer at, lua_Integer n) {
  for (; n < 0 && at > 0; n++) {
    do at--;
    while (at > 0 && is_continuation(s[at]));
  }
  return n == 0 ? at : -1;
}

/* utf8.offset(s, n [, i]) */
static int utf8_offset(lua_State *L) {
  size_t length;
  const char *s = luaL_checklstring(L, 1, &length);
  lua_Integer n = luaL_checkinteger(L, 2);
  lua_Integer at = place(luaL_optinteger(L, 3, n > 0 ? 1 : (lua_Integer)length + 1), length);
  luaL_argcheck(L, 1 <= at && --at <= (lua_Integer)length, 3, "position out of bounds");
  if (n == 0) {
    while (at > 0 && is_continuation(s[at])) at--;
  } else if (is_continuation(s[at])) {
    return luaL_error(L, "initial position is a continuation byte");
  } else {
    at = n > 0 ? step_forward(s, at, (lua_Integer)length, n) : step_back(s, at, n);
  }
  if (at < 0) luaL_pushfail(L);
  else lua_pushinteger(L, at + 1);
  return 1;
}

static int next_code(lua_State *L, bool strict) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  lua_Unsigned at = (lua_Unsigned)lua_tointeger(L, 2);
  uint32_t code;
  if (at < n)
    while (is_continuation(s[at])) at++; /* from the start of a character to that of the next */
  if (at >= n) return 0;
  size_t taken = decode(s + at, s + n, strict, &code);
  if (taken == 0 || is_continuation(s[at + taken])) return luaL_error(L, "invalid UTF-8 code");
  lua_pushinteger(L, (lua_Integer)at + 1);
  lua_pushinteger(L, code);
  return 2;
}

static int next_strict(lua_State *L) { return next_code(L, true); }
static int next_lax(lua_State *L) { return next_code(L, false); }

/* for place, code in utf8.codes(s [, lax]) */
static int utf8_codes(lua_State *L) {
  const char *s = luaL_checkstring(L, 1);
  luaL_argcheck(L, !is_continuation(*s), 1, "invalid UTF-8 code");
  lua_pushcfunction(L, lua_toboolean(L, 2) ? next_lax : next_strict);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

int luaopen_utf8(lua_State *L) {
  static const luaL_Reg library[] = {{"char", utf8_char},     {"codepoint", utf8_codepoint},
                                     {"codes", utf8_codes},   {"len", utf8_len},
                                     {"offset", utf8_offset}, {NULL, NULL}};
  luaL_newlib(L, library);
  lua_pushliteral(L, "[%z\1-\x7F\xC2-\xFD][\x80-\xBF]*");
  lua_setfield(L, -2, "charpattern");
  return 1;
}

#endif
