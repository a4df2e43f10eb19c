/* lpack.c: string.pack, packsize and unpack of Lua 5.4, for LuaJIT, by its manual.
**
** One loop serves all three: it reads a format option by option (struct option says what an
** option means and how many bytes go before it), and each function does its part with it.
** Under 5.4 this file is empty. */
#include "llibrary.h"

#ifdef RILLE_LUAJIT

#include <limits.h>
#include <stddef.h>
#include <string.h>

#define INTEGER_BYTES 16 /* the most that i, I and s take */
#define ALIGN_MOST 8     /* of Lua's own types */

enum kind { SIGNED, UNSIGNED, FLOAT, DOUBLE, FIXED, PREFIXED, ZEROED, PADDING, ALIGNING, NOTHING };

struct option {
  enum kind kind;
  size_t size;    /* of the value, or of the length before it */
  size_t padding; /* bytes before it, that align it */
};

struct format {
  lua_State *L;
  const char *at;
  bool is_little;
  size_t most;  /* alignment */
  size_t total; /* bytes so far */
};

static void begin(struct format *f, lua_State *L) {
  *f = (struct format){.L = L, .at = luaL_checkstring(L, 1), .is_little = true, .most = 1};
}

/* ---- Reading a format ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static size_t read_number(struct format *f, size_t otherwise) {
  if (!is_digit(*f->at)) return otherwise;
  size_t n = 0;
  while (is_digit(*f->at) && n <= ((size_t)INT_MAX - 9) / 10) n = n * 10 + (size_t)(*f->at++ - '0');
  return n;
}

static size_t read_size(struct format *f, size_t otherwise) {
  size_t n = read_number(f, otherwise);
  if (n < 1 || n > INTEGER_BYTES)
    luaL_error(f->L, "integral size (%d) out of limits [1,%d]", (int)n, INTEGER_BYTES);
  return n;
}

/* Options that only set how what follows is read. */
static bool take_mode(struct format *f, char c) {
  switch (c) {
    case ' ': return true;
    case '<':
    case '=': f->is_little = true; return true;
    case '>': f->is_little = false; return true;
    case '!': f->most = read_size(f, ALIGN_MOST); return true;
    default: return false;
  }
}

static struct option take_letter(struct format *f, char c) {
  switch (c) {
    case 'b': return (struct option){SIGNED, sizeof(char), 0};
    case 'B': return (struct option){UNSIGNED, sizeof(char), 0};
    case 'h': return (struct option){SIGNED, sizeof(short), 0};
    case 'H': return (struct option){UNSIGNED, sizeof(short), 0};
    case 'l': return (struct option){SIGNED, sizeof(long), 0};
    case 'L': return (struct option){UNSIGNED, sizeof(long), 0};
    case 'j': return (struct option){SIGNED, sizeof(lua_Integer), 0};
    case 'J': return (struct option){UNSIGNED, sizeof(lua_Integer), 0};
    case 'T': return (struct option){UNSIGNED, sizeof(size_t), 0};
    case 'i': return (struct option){SIGNED, read_size(f, sizeof(int)), 0};
    case 'I': return (struct option){UNSIGNED, read_size(f, sizeof(int)), 0};
    case 'f': return (struct option){FLOAT, sizeof(float), 0};
    case 'd':
    case 'n': return (struct option){DOUBLE, sizeof(double), 0};
    case 's': return (struct option){PREFIXED, read_size(f, sizeof(size_t)), 0};
    case 'z': return (struct option){ZEROED, 0, 0};
    case 'x': return (struct option){PADDING, 1, 0};
    case 'X': return (struct option){ALIGNING, 0, 0};
    case 'c': {
      size_t n = read_number(f, SIZE_MAX);
      if (n == SIZE_MAX) luaL_error(f->L, "missing size for format option 'c'");
      return (struct option){FIXED, n, 0};
    }
    default: break;
  }
  if (take_mode(f, c)) return (struct option){NOTHING, 0, 0};
  luaL_error(f->L, "invalid format option '%c'", c);
  return (struct option){NOTHING, 0, 0};
}

/* The size to which an option is aligned; X looks at the one that follows. */
static size_t alignment_of(struct format *f, const struct option *o) {
  if (o->kind == ALIGNING) {
    if (!*f->at) luaL_argerror(f->L, 1, "invalid next option for option 'X'");
    char c = *f->at++;
    struct option next = take_letter(f, c);
    if (next.kind == FIXED || next.size == 0)
      luaL_argerror(f->L, 1, "invalid next option for option 'X'");
    return next.size;
  }
  return o->kind <= DOUBLE || o->kind == PREFIXED ? o->size : 1;
}

static struct option take(struct format *f) {
  char c = *f->at++;
  struct option o = take_letter(f, c);
  size_t align = alignment_of(f, &o);
  if (align <= 1) return o;
  if (align > f->most) align = f->most;
  if (align & (align - 1)) luaL_argerror(f->L, 1, "format asks for alignment not power of 2");
  o.padding = (align - (f->total & (align - 1))) & (align - 1);
  return o;
}

/* ---- Packing ---- */

static void reverse(char *bytes, size_t n) {
  for (size_t i = 0; i < n / 2; i++) {
    char c = bytes[i];
    bytes[i] = bytes[n - 1 - i];
    bytes[n - 1 - i] = c;
  }
}

static void add_integer(struct format *f, luaL_Buffer *b, lua_Unsigned n, size_t size, bool minus) {
  char bytes[INTEGER_BYTES];
  for (size_t i = 0; i < size; i++, n = i < sizeof n ? n >> 8 : 0)
    bytes[i] = i < sizeof n ? (char)(n & 0xff) : minus ? (char)0xff : 0;
  if (!f->is_little) reverse(bytes, size);
  luaL_addlstring(b, bytes, size);
}

static void add_float(struct format *f, luaL_Buffer *b, const struct option *o, lua_Number n) {
  char bytes[sizeof(double)];
  float narrow = (float)n;
  if (o->kind == FLOAT) memcpy(bytes, &narrow, sizeof narrow);
  else memcpy(bytes, &n, sizeof n);
  if (!f->is_little) reverse(bytes, o->size);
  luaL_addlstring(b, bytes, o->size);
}

static void pack_integer(struct format *f, luaL_Buffer *b, const struct option *o, int index) {
  lua_Integer n = luaL_checkinteger(f->L, index);
  if (o->size < sizeof n) {
    lua_Integer limit = (lua_Integer)1 << (o->size * 8 - (o->kind == SIGNED));
    if (o->kind == SIGNED) luaL_argcheck(f->L, -limit <= n && n < limit, index, "integer overflow");
    else luaL_argcheck(f->L, (lua_Unsigned)n < (lua_Unsigned)limit, index, "unsigned overflow");
  }
  add_integer(f, b, (lua_Unsigned)n, o->size, o->kind == SIGNED && n < 0);
}

/* Returns the bytes of the text that were added behind o->size. */
static size_t pack_text(struct format *f, luaL_Buffer *b, const struct option *o, int index) {
  size_t n;
  const char *s = luaL_checklstring(f->L, index, &n);
  if (o->kind == FIXED) {
    luaL_argcheck(f->L, n <= o->size, index, "string longer than given size");
    luaL_addlstring(b, s, n);
    for (size_t i = n; i < o->size; i++) luaL_addchar(b, '\0');
    return 0;
  }
  if (o->kind == ZEROED) {
    luaL_argcheck(f->L, strlen(s) == n, index, "string contains zeros");
    luaL_addlstring(b, s, n + 1);
    return n + 1;
  }
  luaL_argcheck(f->L, o->size >= sizeof n || n < (size_t)1 << (o->size * 8), index,
                "string length does not fit in given size");
  add_integer(f, b, n, o->size, false);
  luaL_addlstring(b, s, n);
  return n;
}

int string_pack(lua_State *L) {
  struct format f;
  luaL_Buffer b;
  int index = 1;
  begin(&f, L);
  lua_pushnil(L); /* so that arguments and what the buffer keeps on the stack differ */
  luaL_buffinit(L, &b);
  while (*f.at) {
    struct option o = take(&f);
    f.total += o.padding + o.size;
    for (size_t i = 0; i < o.padding; i++) luaL_addchar(&b, '\0');
    switch (o.kind) {
      case SIGNED:
      case UNSIGNED: pack_integer(&f, &b, &o, ++index); break;
      case FLOAT:
      case DOUBLE: add_float(&f, &b, &o, luaL_checknumber(L, ++index)); break;
      case FIXED:
      case PREFIXED:
      case ZEROED: f.total += pack_text(&f, &b, &o, ++index); break;
      case PADDING: luaL_addchar(&b, '\0'); break;
      default: break;
    }
  }
  luaL_pushresult(&b);
  return 1;
}

int string_packsize(lua_State *L) {
  struct format f;
  begin(&f, L);
  while (*f.at) {
    struct option o = take(&f);
    luaL_argcheck(L, o.kind != PREFIXED && o.kind != ZEROED, 1, "variable-length format");
    luaL_argcheck(L, f.total <= (size_t)INT_MAX - o.size - o.padding, 1, "format result too large");
    f.total += o.padding + o.size;
  }
  lua_pushinteger(L, (lua_Integer)f.total);
  return 1;
}

/* ---- Unpacking ---- */

static lua_Integer read_integer(struct format *f, const char *s, const struct option *o) {
  lua_Unsigned n = 0;
  bool is_signed = o->kind == SIGNED;
  size_t held = o->size < sizeof n ? o->size : sizeof n;
  for (size_t i = held; i > 0; i--)
    n = n << 8 | (unsigned char)s[f->is_little ? i - 1 : o->size - i];
  if (o->size < sizeof n) {
    lua_Unsigned sign = (lua_Unsigned)1 << (o->size * 8 - 1);
    return (lua_Integer)(is_signed ? (n ^ sign) - sign : n);
  }
  for (size_t i = held; i < o->size; i++) {
    unsigned char rest = (unsigned char)s[f->is_little ? i : o->size - 1 - i];
    if (rest != (is_signed && (lua_Integer)n < 0 ? 0xff : 0))
      luaL_error(f->L, "%d-byte integer does not fit into Lua Integer", (int)o->size);
  }
  return (lua_Integer)n;
}

static lua_Number read_float(const struct format *f, const char *s, const struct option *o) {
  char bytes[sizeof(double)];
  float narrow;
  double wide;
  memcpy(bytes, s, o->size);
  if (!f->is_little) reverse(bytes, o->size);
  if (o->kind == DOUBLE) {
    memcpy(&wide, bytes, sizeof wide);
    return wide;
  }
  memcpy(&narrow, bytes, sizeof narrow);
  return narrow;
}

/* Pushes the text of the option at s, with `left` bytes from there; returns the bytes that it
** takes behind o->size. */
static size_t push_text(struct format *f, const char *s, size_t left, const struct option *o) {
  lua_State *L = f->L;
  if (o->kind == FIXED) {
    lua_pushlstring(L, s, o->size);
    return 0;
  }
  if (o->kind == ZEROED) {
    const char *end = memchr(s, '\0', left);
    luaL_argcheck(L, end != NULL, 2, "unfinished string for format 'z'");
    lua_pushlstring(L, s, (size_t)(end - s));
    return (size_t)(end - s) + 1;
  }
  const struct option length = {UNSIGNED, o->size, 0};
  size_t n = (size_t)read_integer(f, s, &length);
  luaL_argcheck(L, n <= left - o->size, 2, "data string too short");
  lua_pushlstring(L, s + o->size, n);
  return n;
}

/* Pushes what the option at s means, if it means a value. */
static size_t push_value(struct format *f, const char *s, size_t left, const struct option *o) {
  switch (o->kind) {
    case SIGNED:
    case UNSIGNED: lua_pushinteger(f->L, read_integer(f, s, o)); return 0;
    case FLOAT:
    case DOUBLE: lua_pushnumber(f->L, read_float(f, s, o)); return 0;
    case FIXED:
    case PREFIXED:
    case ZEROED: return push_text(f, s, left, o);
    default: return 0;
  }
}

int string_unpack(lua_State *L) {
  struct format f;
  size_t n;
  begin(&f, L);
  const char *s = luaL_checklstring(L, 2, &n);
  lua_Integer first = luaL_optinteger(L, 3, 1);
  if (first < 0) first = 0 - (lua_Unsigned)first > n ? 0 : (lua_Integer)n + first + 1;
  size_t at = first > 0 ? (size_t)first - 1 : 0;
  luaL_argcheck(L, at <= n, 3, "initial position out of string");
  int base = lua_gettop(L);
  while (*f.at) {
    f.total = at;
    struct option o = take(&f);
    luaL_argcheck(L, o.padding + o.size <= n - at, 2, "data string too short");
    at += o.padding;
    luaL_checkstack(L, 2, "too many results");
    at += o.size + push_value(&f, s + at, n - at, &o);
  }
  lua_pushinteger(L, (lua_Integer)at + 1);
  return lua_gettop(L) - base;
}

#endif
