/* ljsonwrite.c: Lua values as JSON text.
**
** Writing is a translation of the value's MessagePack: what can be stored, the
** order of keys, cycles and depth are value_encode's business alone, and no Lua
** runs while text is made. Both forms lie in the one buffer, text behind bytes,
** until the text takes the bytes' place; positions are offsets, because the buffer
** moves as it grows. Of numbers from the C library the decimal point is mended,
** which locales change. */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ljson.h"
#include "ljsonform.h"
#include "lvalue.h"

struct json_printer {
  lua_State *L;
  struct buffer *out;
  size_t at, end; /* the MessagePack that is left, as offsets in out */
  size_t limit;   /* out's length must not exceed this */
  int pretty, level;
};

/* The place of n more bytes; NULL when the text has become too long. */
static char *print_room(struct json_printer *p, size_t n) {
  struct buffer *out = p->out;
  if (n > p->limit - out->length) return NULL;
  if (!buffer_reserve(out, n)) {
    lua_pushliteral(p->L, "not enough memory");
    lua_error(p->L);
  }
  return (char *)out->bytes + out->length;
}

static int json_print(struct json_printer *p, const char *s, size_t n) {
  char *to = print_room(p, n);
  if (!to) return 0;
  memcpy(to, s, n);
  p->out->length += n;
  return 1;
}

static int print_text(struct json_printer *p, const char *s) { return json_print(p, s, strlen(s)); }

/* Prints n bytes that out holds at `from`. */
static int print_own(struct json_printer *p, size_t from, size_t n) {
  char *to = print_room(p, n);
  if (!to) return 0;
  memcpy(to, p->out->bytes + from, n);
  p->out->length += n;
  return 1;
}

/* Where the next value of an array or object goes. */
static int print_line(struct json_printer *p) {
  if (!p->pretty) return 1;
  size_t indent = 2 * (size_t)p->level;
  char *to = print_room(p, 1 + indent);
  if (!to) return 0;
  to[0] = '\n';
  memset(to + 1, ' ', indent);
  p->out->length += 1 + indent;
  return 1;
}

static int print_colon(struct json_printer *p) { return print_text(p, p->pretty ? ": " : ":"); }

/* Reads the item at `at`; the bytes are value_encode's and therefore whole. */
static size_t item_at(const struct json_printer *p, size_t at, struct value_item *item) {
  const uint8_t *bytes = p->out->bytes;
  return (size_t)(value_item(bytes + at, bytes + p->end, item) - bytes);
}

/* Where the value that begins at `at` ends. */
static size_t skip_value(const struct json_printer *p, size_t at) {
  struct value_item item;
  for (uint64_t owed = 1; owed > 0; owed--) {
    at = item_at(p, at, &item);
    if (item.kind == VALUE_ARRAY) owed += item.count;
    if (item.kind == VALUE_MAP) owed += 2 * item.count;
  }
  return at;
}

static int print_integer(struct json_printer *p, int64_t v) {
  char text[32];
  return json_print(p, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)v));
}

/* The locale's decimal point, of whatever length, becomes a point. */
static void mend_point(char *text) {
  const char *point = localeconv()->decimal_point;
  char *there = strstr(text, point);
  size_t n = strlen(point);
  if (!there || n == 0) return;
  *there = '.';
  memmove(there + 1, there + n, strlen(there + n) + 1);
}

static int print_float(struct json_printer *p, double v) {
  char text[64];
  if (isnan(v) || isinf(v)) {
    const char *name = json_floats[isnan(v) ? 2 : v < 0].name;
    snprintf(text, sizeof text, p->pretty ? "{\"$float\": \"%s\"}" : "{\"$float\":\"%s\"}", name);
    return print_text(p, text);
  }
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, v);
    if (strtod(text, NULL) == v) break;
  }
  mend_point(text);
  if (!strpbrk(text, ".e")) strcat(text, ".0");
  return print_text(p, text);
}

/* n is 1, 2 or 3 bytes; writes four digits. */
static void base64_put(char *to, const uint8_t *s, size_t n) {
  uint32_t bits = (uint32_t)s[0] << 16 | (n > 1 ? (uint32_t)s[1] << 8 : 0) | (n > 2 ? s[2] : 0u);
  for (int i = 0; i < 4; i++) to[i] = base64_digits[bits >> (18 - 6 * i) & 63];
  if (n < 3) to[3] = '=';
  if (n < 2) to[2] = '=';
}

static int print_base64(struct json_printer *p, size_t from, size_t n) {
  if (!print_text(p, "{\"$bytes\"") || !print_colon(p) || !print_text(p, "\"")) return 0;
  for (size_t i = 0; i < n; i += 3) {
    char digits[4];
    base64_put(digits, p->out->bytes + from + i, n - i < 3 ? n - i : 3);
    if (!json_print(p, digits, sizeof digits)) return 0;
  }
  return print_text(p, "\"}");
}

static int print_escape(struct json_printer *p, uint8_t c) {
  static const char characters[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
  static const char hex[] = "0123456789abcdef";
  const char *found = c ? strchr(characters, c) : NULL;
  if (found) return json_print(p, (char[]){'\\', names[found - characters]}, 2);
  return json_print(p, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

/* A string that is UTF-8: runs that need no escape are copied whole. */
static int print_quoted(struct json_printer *p, size_t from, size_t n) {
  size_t end = from + n;
  if (!print_text(p, "\"")) return 0;
  while (from < end) {
    const uint8_t *s = p->out->bytes;
    size_t run = from;
    while (run < end && s[run] >= 0x20 && s[run] != '"' && s[run] != '\\') run++;
    if (!print_own(p, from, run - from)) return 0;
    if (run < end && !print_escape(p, p->out->bytes[run])) return 0;
    from = run + 1;
  }
  return print_text(p, "\"");
}

static int is_text(const struct value_item *item) {
  return utf8_prefix(item->bytes, (size_t)item->count) == item->count;
}

static int print_string(struct json_printer *p, const struct value_item *item) {
  size_t from = (size_t)(item->bytes - p->out->bytes), n = (size_t)item->count;
  return is_text(item) ? print_quoted(p, from, n) : print_base64(p, from, n);
}

static int print_value(struct json_printer *p);

static int print_open(struct json_printer *p, const char *bracket) {
  p->level++;
  return print_text(p, bracket) && print_line(p);
}

static int print_close(struct json_printer *p, const char *bracket) {
  p->level--;
  return print_line(p) && print_text(p, bracket);
}

static int print_comma(struct json_printer *p) { return print_text(p, ",") && print_line(p); }

static int print_array(struct json_printer *p, uint64_t n) {
  if (n == 0) return print_text(p, "[]");
  if (!print_open(p, "[")) return 0;
  for (uint64_t i = 0; i < n; i++)
    if ((i > 0 && !print_comma(p)) || !print_value(p)) return 0;
  return print_close(p, "]");
}

static int print_object(struct json_printer *p, uint64_t n) {
  if (n == 0) return print_text(p, "{}");
  if (!print_open(p, "{")) return 0;
  for (uint64_t i = 0; i < n; i++)
    if ((i > 0 && !print_comma(p)) || !print_value(p) || !print_colon(p) || !print_value(p))
      return 0;
  return print_close(p, "}");
}

/* A pair is printed as the array of two that its bytes are without a head. */
static int print_pairs(struct json_printer *p, uint64_t n) {
  if (!print_open(p, "{") || !print_text(p, "\"$pairs\"") || !print_colon(p)) return 0;
  if (!print_open(p, "[")) return 0;
  for (uint64_t i = 0; i < n; i++)
    if ((i > 0 && !print_comma(p)) || !print_array(p, 2)) return 0;
  return print_close(p, "]") && print_close(p, "}");
}

/* Whether the map of n pairs whose first key is next can be an object. */
static int is_object(const struct json_printer *p, uint64_t n) {
  struct value_item key;
  size_t at = p->at;
  for (uint64_t i = 0; i < n; i++) {
    at = item_at(p, at, &key);
    if (key.kind != VALUE_STRING || !is_text(&key)) return 0;
    if (n == 1 && json_special_of(key.bytes, (size_t)key.count) != SPECIAL_NONE) return 0;
    if (i + 1 < n) at = skip_value(p, at);
  }
  return 1;
}

static int print_value(struct json_printer *p) {
  struct value_item item;
  p->at = item_at(p, p->at, &item);
  switch (item.kind) {
    case VALUE_NIL: return print_text(p, "null");
    case VALUE_FALSE: return print_text(p, "false");
    case VALUE_TRUE: return print_text(p, "true");
    case VALUE_INTEGER: return print_integer(p, item.integer);
    case VALUE_FLOAT: return print_float(p, item.number);
    case VALUE_STRING: return print_string(p, &item);
    case VALUE_ARRAY: return print_array(p, item.count);
    default: break;
  }
  return is_object(p, item.count) ? print_object(p, item.count) : print_pairs(p, item.count);
}

int json_encode(lua_State *L, int index, const char *field, int pretty, struct buffer *out) {
  size_t start = out->length;
  if (!value_encode(L, index, field, out)) return 0;
  size_t bytes_end = out->length;
  struct json_printer p = {.L = L, .out = out, .at = start, .end = bytes_end, .pretty = pretty};
  p.limit = bytes_end + JSON_BYTES;
  if (!print_value(&p)) {
    out->length = start;
    lua_pushfstring(L, "%s is more than %I bytes of JSON", field, (LUAI_UACINT)JSON_BYTES);
    return 0;
  }
  memmove(out->bytes + start, out->bytes + bytes_end, out->length - bytes_end);
  out->length -= bytes_end - start;
  return 1;
}
