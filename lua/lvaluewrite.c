/* lvaluewrite.c: Lua values as MessagePack bytes.
**
** Writing is one walk down the tree. It keeps the way it came in an array of
** steps: these name the place in a refusal, and find a table that is its own
** ancestor. A finalizer may run whenever Lua allocates, and may change the very
** tables that are being walked; therefore every key and value in use is held by
** the Lua stack, and no key's bytes are used unless something holds that key. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lisolate.h"
#include "lrille.h"
#include "lvalue.h"

#define VALUE_SMALL_MAP 16 /* keys of a map that is sorted on the C and Lua stacks */
#define VALUE_STACK_SLOTS (2 * VALUE_SMALL_MAP + 8)
#define VALUE_PLACE_BYTES 400 /* of a message, for the name of the place */
#define VALUE_MESSAGE_BYTES 512
#define VALUE_KEY_BYTES 40  /* of a key, in the name of a place */
#define VALUE_PLACE_ENDS 8  /* steps shown at either end of a deep place */
#define VALUE_FEW_TABLES 16 /* of a tree, that are looked for one by one */
#define VALUE_NAN_BITS UINT64_C(0x7ff8000000000000)
#define VALUE_NUMBER_MOST ((lua_Integer)1 << 53)
#define STEPS_A_TABLE 8 /* that a script pays, besides one for each of its fields */

/* ---- The place and the refusal -------------------------------------------- */

/* A key: a string (name) or an integer (name is NULL). */
struct value_key {
  const char *name;
  size_t length;
  lua_Integer number;
  int slot; /* where the key is held */
};

/* A table on the way down, and the key under which the way goes on. */
struct value_step {
  const void *table;
  struct value_key key;
};

struct value_writer {
  lua_State *L;
  struct buffer *out;
  size_t limit; /* out's length must not exceed this */
  const char *field;
  int depth; /* steps taken: path[0 .. depth-1] */
  struct value_step path[VALUE_DEPTH];
  int tree; /* each table may stand in one place; `seen` is a slot for those met */
  int seen;
  size_t tables; /* so many were met, the first of them in `few` */
  const void *few[VALUE_FEW_TABLES];
  char message[VALUE_MESSAGE_BYTES];
};

/* Text that is cut where it would exceed VALUE_PLACE_BYTES. */
struct value_place {
  char text[VALUE_PLACE_BYTES + 1];
  size_t length;
};

static void place_add(struct value_place *p, const char *bytes, size_t n) {
  n = n < VALUE_PLACE_BYTES - p->length ? n : VALUE_PLACE_BYTES - p->length;
  memcpy(p->text + p->length, bytes, n);
  p->length += n;
  p->text[p->length] = '\0';
}

static void place_add_text(struct value_place *p, const char *text) {
  place_add(p, text, strlen(text));
}

static int is_digit(char c) { return c >= '0' && c <= '9'; }
static int is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int is_identifier(const char *s, size_t n) {
  if (n == 0 || n > VALUE_KEY_BYTES || !is_letter(s[0])) return 0;
  for (size_t i = 1; i < n; i++)
    if (!is_letter(s[i]) && !is_digit(s[i])) return 0;
  return 1;
}

/* A string in quotes, cut after VALUE_KEY_BYTES, but not within a UTF-8 character. */
static void place_add_quoted(struct value_place *p, const char *s, size_t n) {
  size_t shown = n;
  if (n > VALUE_KEY_BYTES)
    for (shown = VALUE_KEY_BYTES;
         shown > VALUE_KEY_BYTES - 3 && ((uint8_t)s[shown] & 0xc0) == 0x80;)
      shown--;
  place_add_text(p, "\"");
  for (size_t i = 0; i < shown; i++) {
    uint8_t c = (uint8_t)s[i];
    char escaped[8];
    int special = c < 0x20 || c == 0x7f || c == '"' || c == '\\';
    snprintf(escaped, sizeof escaped, special ? "\\%03d" : "%c", c);
    place_add_text(p, escaped);
  }
  place_add_text(p, shown < n ? "...\"" : "\"");
}

static void place_add_key(struct value_place *p, const struct value_key *key) {
  if (!key->name) {
    char number[32];
    snprintf(number, sizeof number, "[%lld]", (long long)key->number);
    place_add_text(p, number);
  } else if (is_identifier(key->name, key->length)) {
    place_add_text(p, ".");
    place_add(p, key->name, key->length);
  } else {
    place_add_text(p, "[");
    place_add_quoted(p, key->name, key->length);
    place_add_text(p, "]");
  }
}

/* Puts "place reason" into the message; false, so that it can be returned. The
** message waits in the writer because pushing it could run a finalizer. */
static int refuse_value(struct value_writer *w, const char *reason, ...) {
  struct value_place place = {.length = 0};
  place_add_text(&place, w->field);
  for (int i = 0; i < w->depth; i++) {
    if (i == VALUE_PLACE_ENDS && w->depth > 2 * VALUE_PLACE_ENDS) {
      place_add_text(&place, " ... ");
      i = w->depth - VALUE_PLACE_ENDS;
    }
    place_add_key(&place, &w->path[i].key);
  }
  int n = snprintf(w->message, sizeof w->message, "%s ", place.text);
  va_list arguments;
  va_start(arguments, reason);
  vsnprintf(w->message + n, sizeof w->message - (size_t)n, reason, arguments);
  va_end(arguments);
  return 0;
}

static int refuse_size(struct value_writer *w) {
  w->depth = 0;
  return refuse_value(w, "is more than %zu bytes", (size_t)VALUE_BYTES);
}

/* ---- Bytes ---------------------------------------------------------------- */

/* The place of n more bytes; NULL when the value has become too large. */
static uint8_t *value_room(struct value_writer *w, size_t n) {
  struct buffer *out = w->out;
  if (n > w->limit - out->length) {
    refuse_size(w);
    return NULL;
  }
  if (out->capacity - out->length < n && !buffer_reserve(out, n)) {
    lua_pushliteral(w->L, "not enough memory");
    lua_error(w->L);
  }
  return out->bytes + out->length;
}

/* A first byte, and n behind it in `width` bytes. */
static int write_head(struct value_writer *w, unsigned code, int width, uint64_t n) {
  uint8_t *p = value_room(w, 1 + (size_t)width);
  if (!p) return 0;
  *p++ = (uint8_t)code;
  for (int shift = 8 * width - 8; shift >= 0; shift -= 8) *p++ = (uint8_t)(n >> shift);
  w->out->length += 1 + (size_t)width;
  return 1;
}

static int write_integer(struct value_writer *w, lua_Integer v) {
  uint64_t n = (uint64_t)v;
  if (v >= -32 && v < 128) return write_head(w, (uint8_t)v, 0, 0);
  if (v > 0) {
    if (n <= UINT8_MAX) return write_head(w, 0xcc, 1, n);
    if (n <= UINT16_MAX) return write_head(w, 0xcd, 2, n);
    if (n <= UINT32_MAX) return write_head(w, 0xce, 4, n);
    return write_head(w, 0xcf, 8, n);
  }
  if (v >= INT8_MIN) return write_head(w, 0xd0, 1, n);
  if (v >= INT16_MIN) return write_head(w, 0xd1, 2, n);
  if (v >= INT32_MIN) return write_head(w, 0xd2, 4, n);
  return write_head(w, 0xd3, 8, n);
}

/* LuaJIT's int64_t. What is too large for a number needs no sign of being one. */
static int write_boxed(struct value_writer *w, lua_Integer v) {
  if (v < -VALUE_NUMBER_MOST || v > VALUE_NUMBER_MOST) return write_integer(w, v);
  return write_head(w, 0xd3, 8, (uint64_t)v);
}

static int write_float(struct value_writer *w, double v) {
  uint64_t bits = VALUE_NAN_BITS;
  if (!isnan(v)) memcpy(&bits, &v, sizeof bits);
  return write_head(w, 0xcb, 8, bits);
}

static int write_string(struct value_writer *w, const char *s, size_t n) {
  int done = n < 32            ? write_head(w, 0xa0 | (unsigned)n, 0, 0)
             : n <= UINT8_MAX  ? write_head(w, 0xd9, 1, n)
             : n <= UINT16_MAX ? write_head(w, 0xda, 2, n)
                               : write_head(w, 0xdb, 4, n);
  uint8_t *p = done ? value_room(w, n) : NULL;
  if (!p) return 0;
  memcpy(p, s, n);
  w->out->length += n;
  return 1;
}

/* The head of an array (fixed 0x90, wide 0xdc) or map (0x80, 0xde). An item takes
** a byte, so with this check n never needs more than 32 bits. */
static int write_count(struct value_writer *w, unsigned fixed, unsigned wide, uint64_t n) {
  if (!w->tree) isolate_charge(w->L, STEPS_A_TABLE + n); /* it may be written many times */
  if (n > VALUE_BYTES) return refuse_size(w);
  if (n < 16) return write_head(w, fixed | (unsigned)n, 0, 0);
  if (n <= UINT16_MAX) return write_head(w, wide, 2, n);
  return write_head(w, wide + 1, 4, n);
}

/* ---- Tables --------------------------------------------------------------- */

static int write_value(struct value_writer *w, int index);

/* Writes the value at `index`, which the table on top of the path has at `key`. */
static int write_under(struct value_writer *w, const struct value_key *key, int index) {
  w->path[w->depth++].key = *key;
  if (!write_value(w, index)) return 0;
  w->depth--;
  return 1;
}

/* n when the table's keys are exactly 1..n, else 0. Distinct integers within
** 1..n are all of them when there are n. */
static lua_Unsigned array_length(lua_State *L, int index) {
  lua_Unsigned n = lua_rawlen(L, index), found = 0;
  if (n == 0) return 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), found++)
    if (!lua_isinteger(L, -2) || (lua_Unsigned)lua_tointeger(L, -2) - 1 >= n) {
      lua_pop(L, 2);
      return 0;
    }
  return found == n ? n : 0;
}

static int write_array(struct value_writer *w, int index, lua_Unsigned n) {
  if (!write_count(w, 0x90, 0xdc, n)) return 0;
  for (lua_Unsigned i = 1; i <= n; i++) {
    struct value_key key = {.number = (lua_Integer)i};
    lua_rawgeti(w->L, index, (lua_Integer)i);
    if (!write_under(w, &key, lua_gettop(w->L))) return 0;
    lua_pop(w->L, 1);
  }
  return 1;
}

/* Fills in the key that is at `index`; `first` is the first one of its table. */
static int read_key(struct value_writer *w, int index, struct value_key *key,
                    const struct value_key *first) {
  lua_State *L = w->L;
  key->name = NULL;
  if (lua_type(L, index) == LUA_TSTRING) {
    key->name = lua_tolstring(L, index, &key->length);
  } else if (lua_isinteger(L, index)) {
    key->number = lua_tointeger(L, index);
    if (lua_type(L, index) != LUA_TNUMBER && key->number >= -VALUE_NUMBER_MOST &&
        key->number <= VALUE_NUMBER_MOST)
      return refuse_value(w, "has an int64_t as key that a number holds: use tonumber");
  } else {
    int is_float = lua_type(L, index) == LUA_TNUMBER;
    return refuse_value(w, "has a %s as key", is_float ? "float" : luaL_typename(L, index));
  }
  if (!key->name != !first->name) return refuse_value(w, "has both string and integer keys");
  return 1;
}

static int compare_keys(const struct value_key *a, const struct value_key *b) {
  if (!a->name) return a->number < b->number ? -1 : a->number > b->number;
  int order = memcmp(a->name, b->name, a->length < b->length ? a->length : b->length);
  if (order != 0) return order;
  return a->length < b->length ? -1 : a->length > b->length;
}

static int compare_for_qsort(const void *a, const void *b) { return compare_keys(a, b); }

static void sort_few(struct value_key *keys, int n) {
  for (int i = 1; i < n; i++) {
    struct value_key moved = keys[i];
    int j = i;
    for (; j > 0 && compare_keys(&moved, &keys[j - 1]) < 0; j--) keys[j] = keys[j - 1];
    keys[j] = moved;
  }
}

/* Two int64_t of one value are two keys of a table. */
static int check_distinct(struct value_writer *w, const struct value_key *keys, size_t n) {
  for (size_t i = 1; i < n; i++)
    if (!keys[i].name && compare_keys(&keys[i - 1], &keys[i]) == 0)
      return refuse_value(w, "has the key %lld twice", (long long)keys[i].number);
  return 1;
}

static int write_key(struct value_writer *w, const struct value_key *key) {
  return key->name ? write_string(w, key->name, key->length) : write_integer(w, key->number);
}

/* A map whose keys and values lie in pairs on the Lua stack. */
static int write_few(struct value_writer *w, struct value_key *keys, int n) {
  sort_few(keys, n);
  if (!check_distinct(w, keys, (size_t)n)) return 0;
  if (!write_count(w, 0x80, 0xde, (uint64_t)n)) return 0;
  for (int i = 0; i < n; i++)
    if (!write_key(w, &keys[i]) || !write_under(w, &keys[i], keys[i].slot + 1)) return 0;
  return 1;
}

/* Stack: ..., a table that holds the keys at 1..n. */
static int write_sorted(struct value_writer *w, int index, const struct value_key *keys, size_t n) {
  lua_State *L = w->L;
  int holder = lua_gettop(L);
  if (!write_count(w, 0x80, 0xde, n)) return 0;
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, holder, keys[i].slot);
    lua_pushvalue(L, -1);
    lua_rawget(L, index);
    if (!write_key(w, &keys[i]) || !write_under(w, &keys[i], holder + 2)) return 0;
    lua_settop(L, holder);
  }
  return 1;
}

/* A map of any size: its keys are held by a table, and sorted in a userdata. */
static int write_many(struct value_writer *w, int index) {
  lua_State *L = w->L;
  size_t n = 0, i = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) n++;
  if (n > VALUE_BYTES / 2) return refuse_size(w);
  struct value_key *keys = lua_newuserdatauv(L, n * sizeof *keys, 0);
  lua_createtable(L, (int)n, 0);
  int holder = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), i++) {
    if (i == n) return refuse_value(w, "was changed by a finalizer while it was read");
    if (!read_key(w, holder + 1, &keys[i], &keys[0])) return 0;
    keys[i].slot = (int)i + 1;
    lua_pushvalue(L, holder + 1);
    lua_rawseti(L, holder, keys[i].slot);
  }
  qsort(keys, i, sizeof *keys, compare_for_qsort);
  if (!check_distinct(w, keys, i)) return 0;
  return write_sorted(w, index, keys, i);
}

/* Lays the pairs of a map on the stack; starts again as one of many when there
** are more than VALUE_SMALL_MAP. */
static int write_map(struct value_writer *w, int index) {
  lua_State *L = w->L;
  struct value_key keys[VALUE_SMALL_MAP];
  int n = 0, base = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    if (n == VALUE_SMALL_MAP) {
      lua_settop(L, base);
      return write_many(w, index);
    }
    keys[n].slot = base + 1 + 2 * n;
    if (!read_key(w, keys[n].slot, &keys[n], &keys[0])) return 0;
    lua_pushvalue(L, keys[n].slot);
    n++;
  }
  return write_few(w, keys, n);
}

static int is_ancestor(const struct value_writer *w, const void *table) {
  for (int i = 0; i < w->depth; i++)
    if (w->path[i].table == table) return 1;
  return 0;
}

/* Notes a table of a tree; false where it was met before. */
static int note_table(struct value_writer *w, const void *table) {
  lua_State *L = w->L;
  for (size_t i = 0; i < w->tables && i < VALUE_FEW_TABLES; i++)
    if (w->few[i] == table) return 0;
  if (w->tables < VALUE_FEW_TABLES) {
    w->few[w->tables++] = table;
    return 1;
  }
  if (w->tables++ == VALUE_FEW_TABLES) {
    lua_newtable(L);
    lua_replace(L, w->seen);
  }
  int known = lua_rawgetp(L, w->seen, table) != LUA_TNIL;
  lua_pop(L, 1);
  if (known) return 0;
  lua_pushboolean(L, 1);
  lua_rawsetp(L, w->seen, table);
  return 1;
}

/* One that bytes do not keep, so that the state would be another once it was read again. */
static int has_own_metatable(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return 0;
  lua_pop(L, 1);
  return !value_is_marked_array(L, index);
}

static int write_table(struct value_writer *w, int index) {
  lua_State *L = w->L;
  const void *self = lua_topointer(L, index);
  if (is_ancestor(w, self)) return refuse_value(w, "is a cycle");
  if (w->tree && !note_table(w, self))
    return refuse_value(w, "is a table that stands elsewhere, too: a state is a tree");
  if (w->tree && has_own_metatable(L, index))
    return refuse_value(w, "has a metatable, which can't be kept: a state is plain data");
  if (w->depth == VALUE_DEPTH) return refuse_value(w, "is more than %d tables deep", VALUE_DEPTH);
  w->path[w->depth].table = self;
  luaL_checkstack(L, VALUE_STACK_SLOTS, NULL);
  int base = lua_gettop(L), done;
  lua_Unsigned n = array_length(L, index);
  if (n > 0) {
    done = write_array(w, index, n);
  } else if (value_is_marked_array(L, index)) {
    lua_pushnil(L);
    done = lua_next(L, index) ? refuse_value(w, "is marked as an array, but its keys are not 1..n")
                              : write_count(w, 0x90, 0xdc, 0);
  } else {
    done = write_map(w, index);
  }
  if (done) lua_settop(L, base);
  return done;
}

static int write_value(struct value_writer *w, int index) {
  lua_State *L = w->L;
  size_t n;
  switch (lua_type(L, index)) {
    case LUA_TSTRING: {
      const char *s = lua_tolstring(L, index, &n);
      return write_string(w, s, n);
    }
    case LUA_TNUMBER:
      return lua_isinteger(L, index) ? write_integer(w, lua_tointeger(L, index))
                                     : write_float(w, lua_tonumber(L, index));
    case LUA_TBOOLEAN: return write_head(w, lua_toboolean(L, index) ? 0xc3 : 0xc2, 0, 0);
    case LUA_TTABLE: return write_table(w, index);
    case LUA_TNIL: return refuse_value(w, "is nil");
    default:
      if (lua_isinteger(L, index)) return write_boxed(w, lua_tointeger(L, index));
      if (value_is_null(L, index)) return write_head(w, 0xc0, 0, 0);
      if (luaL_testudata(L, index, EVENT_HANDLE))
        return refuse_value(w, "is an event, which is over with the call: keep its fields");
      return refuse_value(w, "is a %s", luaL_typename(L, index));
  }
}

static int encode(lua_State *L, int index, const char *field, struct buffer *out, int tree) {
  struct value_writer w;
  size_t start = out->length;
  int top = lua_gettop(L);
  w.L = L;
  w.out = out;
  w.limit = start + VALUE_BYTES;
  w.field = field;
  w.depth = 0;
  w.tree = tree;
  w.seen = top + 1;
  w.tables = 0;
  luaL_checkstack(L, VALUE_STACK_SLOTS, NULL);
  index = lua_absindex(L, index);
  lua_pushnil(L);
  int done = write_value(&w, index);
  lua_settop(L, top);
  if (done) return 1;
  out->length = start;
  lua_pushstring(L, w.message);
  return 0;
}

int value_encode(lua_State *L, int index, const char *field, struct buffer *out) {
  return encode(L, index, field, out, 0);
}

int value_encode_state(lua_State *L, int index, struct buffer *out) {
  return encode(L, index, "state", out, 1);
}
