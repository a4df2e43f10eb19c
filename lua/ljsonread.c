/* ljsonread.c: JSON text as Lua values.
**
** Reading descends once. After each value the parser knows its shape (`last`), so
** that an object of one key is understood when it closes, and never read twice.
** Numbers meet the C library without a decimal point, which locales change. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ljson.h"
#include "ljsonform.h"
#include "lvalue.h"

#define JSON_NESTING (3 * VALUE_DEPTH) /* $pairs takes three brackets a table */
#define JSON_MESSAGE_BYTES 256
#define SHOWN_KEY_BYTES 40
#define EXPONENT_LIMIT INT64_C(1000000000000) /* larger ones change nothing */

/* ---- Base64 --------------------------------------------------------------- */

/* The value of four digits, of which the last `pads` are '='; -1 when they are no
** base64, or when bits are set that no byte takes. */
static int32_t base64_get(const char *s, int pads) {
  int32_t bits = 0;
  for (int i = 0; i < 4 - pads; i++) {
    const char *digit = s[i] ? strchr(base64_digits, s[i]) : NULL;
    if (!digit) return -1;
    bits |= (int32_t)(digit - base64_digits) << (18 - 6 * i);
  }
  return bits & ((1 << 8 * pads) - 1) ? -1 : bits;
}

/* Pushes the bytes of a base64 text; false, and nothing pushed, when it is none. */
static int base64_decode(lua_State *L, const char *s, size_t n) {
  luaL_Buffer b;
  int top = lua_gettop(L), pads = 0;
  if (n % 4 != 0) return 0;
  if (n > 0) pads = (s[n - 1] == '=') + (s[n - 1] == '=' && s[n - 2] == '=');
  char *to = luaL_buffinitsize(L, &b, n / 4 * 3);
  for (size_t i = 0; i < n; i += 4, to += 3) {
    int32_t bits = base64_get(s + i, i + 4 == n ? pads : 0);
    if (bits < 0) {
      lua_settop(L, top);
      return 0;
    }
    for (int j = 0; j < 3; j++) to[j] = (char)(bits >> (16 - 8 * j));
  }
  luaL_pushresultsize(&b, n / 4 * 3 - (size_t)pads);
  return 1;
}

/* ---- Reading -------------------------------------------------------------- */

/* What a value was in the text. */
struct json_shape {
  int kind;       /* '"' string, '0' number, '[' array, '{' object, 'n' anything else,
                        ** also what {"$bytes"} and {"$float"} stand for */
  int height;     /* tables in it on the deepest way, itself included */
  uint64_t count; /* of an array's values; 0 for all else */
  int all_pairs;  /* each value of this array is an array of two */
};

struct json_parser {
  lua_State *L;
  const uint8_t *start, *at, *end;
  int nesting;
  struct json_shape last;
  char message[JSON_MESSAGE_BYTES];
};

/* The message waits in the parser until the stack has been cleared: a scratch
** buffer that lies there must not be moved. */
static int json_fail(struct json_parser *p, const uint8_t *where, const char *reason, ...) {
  va_list arguments;
  size_t column = (size_t)(where - p->start) + 1;
  int n = snprintf(p->message, sizeof p->message, "column %zu: ", column);
  va_start(arguments, reason);
  vsnprintf(p->message + n, sizeof p->message - (size_t)n, reason, arguments);
  va_end(arguments);
  return 0;
}

/* Something else was expected: tells so, or that there is nothing more. */
static int fail_expected(struct json_parser *p, const char *what) {
  if (p->at == p->end) return json_fail(p, p->at, "the text ends early, expected %s", what);
  return json_fail(p, p->at, "expected %s", what);
}

static void skip_space(struct json_parser *p) {
  while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
    p->at++;
}

static int json_take(struct json_parser *p, char c) {
  if (p->at == p->end || *p->at != (uint8_t)c) return 0;
  p->at++;
  return 1;
}

static int json_scalar(struct json_parser *p, int kind) {
  p->last = (struct json_shape){.kind = kind};
  return 1;
}

static int at_digit(const struct json_parser *p) {
  return p->at < p->end && *p->at >= '0' && *p->at <= '9';
}

static int take_digits(struct json_parser *p) {
  if (!at_digit(p)) return fail_expected(p, "a digit");
  while (at_digit(p)) p->at++;
  return 1;
}

static int push_integer(struct json_parser *p, const uint8_t *s) {
  int negative = *s == '-';
  uint64_t n = 0, limit = (uint64_t)INT64_MAX + (uint64_t)negative;
  for (const uint8_t *d = s + negative; d < p->at; d++) {
    uint64_t digit = (uint64_t)(*d - '0');
    if (n > (limit - digit) / 10)
      return json_fail(p, s,
                       "an integer of more than 64 bits (a float has a point or an exponent)");
    n = 10 * n + digit;
  }
  lua_pushinteger(p->L, (lua_Integer)(negative ? 0 - n : n));
  return json_scalar(p, '0');
}

/* The exponent that begins at s, behind its "e". */
static int64_t parse_exponent(const uint8_t *s, const uint8_t *end) {
  int64_t n = 0;
  int negative = *s == '-';
  for (s += *s == '-' || *s == '+'; s < end; s++)
    if (n < EXPONENT_LIMIT) n = 10 * n + (*s - '0');
  return negative ? -n : n;
}

/* 12.5e3 goes to strtod as 125e2. */
static int push_float(struct json_parser *p, const uint8_t *s) {
  luaL_Buffer b;
  int top = lua_gettop(p->L);
  int64_t exponent = 0, fraction = 0;
  int in_fraction = 0;
  size_t size = (size_t)(p->at - s) + 32, n = 0;
  char *digits = luaL_buffinitsize(p->L, &b, size);
  for (const uint8_t *d = s; d < p->at; d++) {
    if (*d == 'e' || *d == 'E') {
      exponent = parse_exponent(d + 1, p->at);
      break;
    }
    if (*d == '.') {
      in_fraction = 1;
      continue;
    }
    digits[n++] = (char)*d;
    fraction += in_fraction;
  }
  snprintf(digits + n, size - n, "e%lld", (long long)(exponent - fraction));
  double number = strtod(digits, NULL);
  lua_settop(p->L, top);
  if (isinf(number)) return json_fail(p, s, "a number too large for a float");
  lua_pushnumber(p->L, number);
  return json_scalar(p, '0');
}

static int parse_number(struct json_parser *p) {
  const uint8_t *s = p->at;
  int is_float = 0;
  json_take(p, '-');
  if (json_take(p, '0')) {
    if (at_digit(p)) return json_fail(p, s, "a number with a leading zero");
  } else if (!take_digits(p)) {
    return 0;
  }
  if (json_take(p, '.')) {
    is_float = 1;
    if (!take_digits(p)) return 0;
  }
  if (json_take(p, 'e') || json_take(p, 'E')) {
    is_float = 1;
    if (!json_take(p, '+')) json_take(p, '-');
    if (!take_digits(p)) return 0;
  }
  return is_float ? push_float(p, s) : push_integer(p, s);
}

/* Four hexadecimal digits of a string that ends at `end`; -1 when they aren't. */
static int32_t parse_hex(const uint8_t *s, const uint8_t *end) {
  int32_t n = 0;
  if (end - s < 4) return -1;
  for (int i = 0; i < 4; i++) {
    int c = s[i] | 0x20;
    int digit = s[i] >= '0' && s[i] <= '9' ? s[i] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return -1;
    n = n << 4 | digit;
  }
  return n;
}

/* The character of an escape \u at s. Returns its length, 6 or 12 bytes; 0 when it
** is none, and the message says why. */
static int parse_unicode(struct json_parser *p, const uint8_t *s, const uint8_t *end, uint32_t *c) {
  int32_t high = parse_hex(s + 2, end), low;
  if (high < 0) return json_fail(p, s, "\\u without four hexadecimal digits");
  *c = (uint32_t)high;
  if (high < 0xd800 || high > 0xdfff) return 6;
  low = high < 0xdc00 && end - s >= 12 && s[6] == '\\' && s[7] == 'u' ? parse_hex(s + 8, end) : -1;
  if (low < 0xdc00 || low > 0xdfff) return json_fail(p, s, "half of a surrogate pair");
  *c = 0x10000 + ((uint32_t)high - 0xd800) * 0x400 + ((uint32_t)low - 0xdc00);
  return 12;
}

static size_t utf8_put(char *to, uint32_t c) {
  if (c < 0x80) return to[0] = (char)c, 1;
  size_t length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  static const uint8_t marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = length - 1; i > 0; i--, c >>= 6) to[i] = (char)(0x80 | (c & 0x3f));
  to[0] = (char)(marks[length] | c);
  return length;
}

/* Pushes the string of the text s .. end, which has escapes and no quote that is
** not escaped. It never becomes longer than its text. */
static int push_unescaped(struct json_parser *p, const uint8_t *s, const uint8_t *end) {
  static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  luaL_Buffer b;
  char *first = luaL_buffinitsize(p->L, &b, (size_t)(end - s)), *to = first;
  while (s < end) {
    if (*s != '\\') {
      *to++ = (char)*s++;
    } else if (s[1] == 'u') {
      uint32_t c = 0;
      int used = parse_unicode(p, s, end, &c);
      if (used == 0) return 0;
      to += utf8_put(to, c);
      s += used;
    } else {
      const char *name = s[1] ? strchr(names, s[1]) : NULL;
      if (!name) return json_fail(p, s, "an unknown escape");
      *to++ = meanings[name - names];
      s += 2;
    }
  }
  luaL_pushresultsize(&b, (size_t)(to - first));
  return 1;
}

static int parse_string(struct json_parser *p) {
  const uint8_t *quote = p->at++, *s = p->at;
  int escaped = 0;
  for (; p->at < p->end && *p->at != '"'; p->at++) {
    if (*p->at < 0x20) return json_fail(p, p->at, "a control character in a string");
    if (*p->at != '\\') continue;
    escaped = 1;
    if (++p->at == p->end) break;
  }
  if (p->at == p->end) return json_fail(p, quote, "a string that does not end");
  size_t length = (size_t)(p->at - s), valid = utf8_prefix(s, length);
  if (valid < length) return json_fail(p, s + valid, "not UTF-8");
  p->at++;
  json_scalar(p, '"');
  if (escaped) return push_unescaped(p, s, s + length);
  lua_pushlstring(p->L, (const char *)s, length);
  return 1;
}

static int parse_literal(struct json_parser *p) {
  static const char *const names[] = {"null", "false", "true"};
  for (int i = 0; i < 3; i++) {
    size_t n = strlen(names[i]);
    if ((size_t)(p->end - p->at) < n || memcmp(p->at, names[i], n) != 0) continue;
    if (i == 0) value_push_null(p->L);
    if (i > 0) lua_pushboolean(p->L, i == 2);
    p->at += n;
    return json_scalar(p, 'n');
  }
  return fail_expected(p, "a value");
}

static int parse_value(struct json_parser *p);

static int fail_deep(struct json_parser *p, const uint8_t *where) {
  return json_fail(p, where, "more than %d tables deep", VALUE_DEPTH);
}

/* Steps over the opening bracket and pushes a new table. */
static int json_enter(struct json_parser *p) {
  if (p->nesting == JSON_NESTING) return fail_deep(p, p->at);
  p->nesting++;
  p->at++;
  luaL_checkstack(p->L, 8, NULL);
  lua_newtable(p->L);
  skip_space(p);
  return 1;
}

/* The table has been read, and has this shape. Its height is judged at the end of
** the text, because the arrays of $pairs are no tables then. */
static int json_leave(struct json_parser *p, struct json_shape shape) {
  p->nesting--;
  p->last = shape;
  return 1;
}

static void json_grow(struct json_shape *shape, const struct json_shape *part) {
  if (shape->height <= part->height) shape->height = part->height + 1;
}

static int parse_array(struct json_parser *p) {
  struct json_shape shape = {.kind = '[', .height = 1, .all_pairs = 1};
  if (!json_enter(p)) return 0;
  if (json_take(p, ']')) {
    value_mark_array(p->L);
    return json_leave(p, shape);
  }
  for (;;) {
    if (!parse_value(p)) return 0;
    lua_rawseti(p->L, -2, (lua_Integer)++shape.count);
    json_grow(&shape, &p->last);
    if (p->last.count != 2) shape.all_pairs = 0;
    skip_space(p);
    if (json_take(p, ']')) return json_leave(p, shape);
    if (!json_take(p, ',')) return fail_expected(p, "',' or ']'");
  }
}

/* The key on top of the stack is there already; names it, without what would
** break the line. */
static int fail_twice(struct json_parser *p, const uint8_t *where) {
  size_t n;
  char shown[SHOWN_KEY_BYTES];
  const char *key = lua_tolstring(p->L, -1, &n);
  size_t length = n < SHOWN_KEY_BYTES ? n : SHOWN_KEY_BYTES;
  while (length < n && ((uint8_t)key[length] & 0xc0) == 0x80) length--;
  for (size_t i = 0; i < length; i++) shown[i] = (uint8_t)key[i] < 0x20 ? '?' : key[i];
  return json_fail(p, where, "the key \"%.*s%s\" comes twice", (int)length, shown,
                   length < n ? "..." : "");
}

/* Whether the table at `table` has the key on top of the stack. */
static int json_has_key(lua_State *L, int table) {
  lua_pushvalue(L, -1);
  int there = lua_rawget(L, table) != LUA_TNIL;
  lua_pop(L, 1);
  return there;
}

/* Reads "key": value into the table on top; `special` tells which key it was. */
static int parse_member(struct json_parser *p, enum json_special *special) {
  lua_State *L = p->L;
  const uint8_t *where = p->at;
  size_t n;
  if (p->at == p->end || *p->at != '"') return fail_expected(p, "a key in quotes");
  if (!parse_string(p)) return 0;
  const char *key = lua_tolstring(L, -1, &n);
  *special = json_special_of(key, n);
  if (json_has_key(L, lua_gettop(L) - 1)) return fail_twice(p, where);
  skip_space(p);
  if (!json_take(p, ':')) return fail_expected(p, "':'");
  if (!parse_value(p)) return 0;
  lua_rawset(L, -3);
  skip_space(p);
  return 1;
}

/* The three below find the value of the one key on top of the stack, put what it
** stands for in its place, and change `shape` accordingly. */

static int parse_bytes(struct json_parser *p, const uint8_t *where, struct json_shape *shape) {
  lua_State *L = p->L;
  size_t n;
  const char *text = p->last.kind == '"' ? lua_tolstring(L, -1, &n) : NULL;
  if (!text || !base64_decode(L, text, n)) return json_fail(p, where, "$bytes is not base64");
  lua_replace(L, -2);
  *shape = (struct json_shape){.kind = 'n'};
  return 1;
}

static int parse_float(struct json_parser *p, const uint8_t *where, struct json_shape *shape) {
  lua_State *L = p->L;
  const char *name = p->last.kind == '"' ? lua_tostring(L, -1) : "";
  int i = 0;
  while (i < JSON_FLOATS && strcmp(name, json_floats[i].name) != 0) i++;
  if (i == JSON_FLOATS || lua_rawlen(L, -1) != strlen(name))
    return json_fail(p, where, "$float is none of \"inf\", \"-inf\", \"nan\"");
  lua_pop(L, 1);
  lua_pushnumber(L, json_floats[i].number);
  *shape = (struct json_shape){.kind = 'n'};
  return 1;
}

/* The key on top of the stack must suit `map`, whose first key has `type`. */
static int check_pair_key(struct json_parser *p, const uint8_t *where, int map, int *type) {
  lua_State *L = p->L;
  int is = lua_type(L, -1) == LUA_TSTRING ? LUA_TSTRING : LUA_TNUMBER;
  if (is != LUA_TSTRING && !lua_isinteger(L, -1))
    return json_fail(p, where, "$pairs has a key that is neither string nor integer");
  if (*type != LUA_TNONE && *type != is)
    return json_fail(p, where, "$pairs has both string and integer keys");
  if (json_has_key(L, map)) return json_fail(p, where, "$pairs has a key twice");
  *type = is;
  return 1;
}

static int parse_pairs(struct json_parser *p, const uint8_t *where, struct json_shape *shape) {
  lua_State *L = p->L;
  int pairs = lua_gettop(L), type = LUA_TNONE;
  if (p->last.kind != '[' || !p->last.all_pairs)
    return json_fail(p, where, "$pairs is no array of arrays of two");
  lua_Unsigned n = lua_rawlen(L, pairs);
  lua_newtable(L);
  for (lua_Unsigned i = 1; i <= n; i++) {
    lua_rawgeti(L, pairs, (lua_Integer)i);
    lua_rawgeti(L, -1, 2);
    lua_rawgeti(L, -2, 1);
    if (!check_pair_key(p, where, pairs + 1, &type)) return 0;
    lua_insert(L, -2);
    lua_rawset(L, pairs + 1);
    lua_pop(L, 1);
  }
  lua_replace(L, pairs);
  shape->height = p->last.height > 2 ? p->last.height - 1 : 1;
  return 1;
}

/* Turns the one-key object on top of the stack into what it stands for. */
static int parse_special(struct json_parser *p, enum json_special special, const uint8_t *where,
                         struct json_shape *shape) {
  static int (*const readers[])(struct json_parser *, const uint8_t *, struct json_shape *) = {
      parse_bytes, parse_float, parse_pairs};
  lua_pushstring(p->L, json_special_keys[special]);
  lua_rawget(p->L, -2);
  lua_replace(p->L, -2);
  return readers[special](p, where, shape);
}

static int parse_object(struct json_parser *p) {
  struct json_shape shape = {.kind = '{', .height = 1};
  const uint8_t *where = p->at;
  enum json_special special = SPECIAL_NONE;
  uint64_t count = 0;
  if (!json_enter(p)) return 0;
  if (json_take(p, '}')) return json_leave(p, shape);
  for (;;) {
    if (!parse_member(p, &special)) return 0;
    count++;
    json_grow(&shape, &p->last);
    if (json_take(p, '}')) break;
    if (!json_take(p, ',')) return fail_expected(p, "',' or '}'");
    skip_space(p);
  }
  if (count == 1 && special != SPECIAL_NONE && !parse_special(p, special, where, &shape)) return 0;
  return json_leave(p, shape);
}

static int parse_value(struct json_parser *p) {
  skip_space(p);
  int c = p->at < p->end ? *p->at : 0;
  if (c == '{') return parse_object(p);
  if (c == '[') return parse_array(p);
  if (c == '"') return parse_string(p);
  if (c == '-' || at_digit(p)) return parse_number(p);
  return parse_literal(p);
}

static int parse_text(struct json_parser *p) {
  if (p->end - p->at >= 3 && memcmp(p->at, "\xef\xbb\xbf", 3) == 0)
    return json_fail(p, p->at, "a byte order mark");
  if (!parse_value(p)) return 0;
  if (p->last.height > VALUE_DEPTH) return fail_deep(p, p->start);
  skip_space(p);
  return p->at == p->end || json_fail(p, p->at, "text after the value");
}

int json_decode(lua_State *L, const char *text, size_t length) {
  const uint8_t *start = (const uint8_t *)text;
  struct json_parser p = {.L = L, .start = start, .at = start, .end = start + length};
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  if (parse_text(&p)) return 1;
  lua_settop(L, top);
  lua_pushstring(L, p.message);
  return 0;
}
