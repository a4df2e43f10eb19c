/* lvalueread.c: MessagePack bytes as Lua values.
**
** Reading keeps count of the items it is owed by the arrays and maps it is in.
** Each takes at least a byte, so a head that claims more than there are bytes
** left is refused before anything is allocated for it. */
#include <stdio.h>

#include "ltexts.h"
#include "lvalue.h"

#define VALUE_READ_MESSAGE_BYTES 128
#define TEXT_OF(constant) #constant
#define TEXT_OF_VALUE(constant) TEXT_OF(constant)
#define VALUE_DEPTH_TEXT TEXT_OF_VALUE(VALUE_DEPTH)

/* ---- Items ---------------------------------------------------------------- */

/* What the first bytes 0xc0 .. 0xdf stand for, and how many bytes of number
** follow. FLOAT of width 4 is a single; FORM_UINT needs a look at its top bit. */
enum { FORM_UINT = VALUE_SHORT + 1 };

static const struct value_form {
  uint8_t kind, width;
} item_forms[32] = {
    {VALUE_NIL, 0},       {VALUE_UNUSED, 0},    {VALUE_FALSE, 0},     {VALUE_TRUE, 0},
    {VALUE_STRING, 1},    {VALUE_STRING, 2},    {VALUE_STRING, 4},    {VALUE_EXTENSION, 0},
    {VALUE_EXTENSION, 0}, {VALUE_EXTENSION, 0}, {VALUE_FLOAT, 4},     {VALUE_FLOAT, 8},
    {FORM_UINT, 1},       {FORM_UINT, 2},       {FORM_UINT, 4},       {FORM_UINT, 8},
    {VALUE_INTEGER, 1},   {VALUE_INTEGER, 2},   {VALUE_INTEGER, 4},   {VALUE_INTEGER, 8},
    {VALUE_EXTENSION, 0}, {VALUE_EXTENSION, 0}, {VALUE_EXTENSION, 0}, {VALUE_EXTENSION, 0},
    {VALUE_EXTENSION, 0}, {VALUE_STRING, 1},    {VALUE_STRING, 2},    {VALUE_STRING, 4},
    {VALUE_ARRAY, 2},     {VALUE_ARRAY, 4},     {VALUE_MAP, 2},       {VALUE_MAP, 4},
};

static double float_of_bits(uint64_t bits, int width) {
  double number;
  float single;
  uint32_t half = (uint32_t)bits;
  memcpy(&number, &bits, sizeof number);
  memcpy(&single, &half, sizeof single);
  return width == 4 ? (double)single : number;
}

/* A signed number of `width` bytes, of which `bits` are the lowest. */
static int64_t extend_sign(uint64_t bits, int width) {
  uint64_t sign = UINT64_C(1) << (8 * width - 1);
  return (int64_t)((bits ^ sign) - sign);
}

static void fill_item(struct value_item *item, struct value_form form, uint64_t n) {
  item->kind = (enum value_kind)form.kind;
  item->count = n;
  if (form.kind == VALUE_FLOAT) item->number = float_of_bits(n, form.width);
  if (form.kind == VALUE_INTEGER) {
    item->integer = extend_sign(n, form.width);
    item->boxed = form.width == 8 && item->integer >= INT32_MIN;
  }
  if (form.kind == FORM_UINT) {
    item->kind = n <= INT64_MAX ? VALUE_INTEGER : VALUE_FLOAT;
    item->integer = (int64_t)n;
    item->number = (double)n;
  }
}

/* The head of an item: its form and the number behind it; NULL when short. */
static const uint8_t *item_head(const uint8_t *at, const uint8_t *end, struct value_item *item) {
  item->boxed = false;
  if (at == end) return NULL;
  unsigned code = *at++;
  if (code >= 0xc0 && code <= 0xdf) {
    struct value_form form = item_forms[code & 31];
    uint64_t n = 0;
    if (form.width > end - at) return NULL;
    for (int i = 0; i < form.width; i++) n = n << 8 | *at++;
    fill_item(item, form, n);
    return at;
  }
  item->integer = code < 0x80 ? (int)code : (int)code - 256;
  item->count = code & (code < 0xa0 ? 15 : 31);
  item->kind = code < 0x80 || code >= 0xe0 ? VALUE_INTEGER
               : code < 0x90               ? VALUE_MAP
               : code < 0xa0               ? VALUE_ARRAY
                                           : VALUE_STRING;
  return at;
}

const uint8_t *value_item(const uint8_t *at, const uint8_t *end, struct value_item *item) {
  const uint8_t *next = item_head(at, end, item);
  if (next && item->kind == VALUE_STRING) {
    item->bytes = next;
    next = item->count > (uint64_t)(end - next) ? NULL : next + item->count;
  }
  if (!next) item->kind = VALUE_SHORT;
  return item->kind >= VALUE_EXTENSION ? at : next;
}

/* ---- Reading -------------------------------------------------------------- */

struct value_reader {
  lua_State *L;
  const uint8_t *start, *at, *end;
  uint64_t owed; /* items that must still come */
  int depth;
  struct texts *texts; /* or NULL */
  int held;            /* index of their table */
  char message[VALUE_READ_MESSAGE_BYTES];
};

static int refuse_bytes(struct value_reader *r, const uint8_t *where, const char *reason) {
  snprintf(r->message, sizeof r->message, "byte %zu: %s", (size_t)(where - r->start) + 1, reason);
  return 0;
}

static const char *const refused_kinds[] = {
    [VALUE_EXTENSION] = "an extension type",
    [VALUE_UNUSED] = "0xc1 is no MessagePack",
    [VALUE_SHORT] = "the value is cut short",
};

static int next_item(struct value_reader *r, struct value_item *item) {
  const uint8_t *where = r->at;
  r->at = value_item(where, r->end, item);
  r->owed--;
  if (item->kind < VALUE_EXTENSION) return 1;
  return refuse_bytes(r, item->kind == VALUE_SHORT ? r->end : where, refused_kinds[item->kind]);
}

/* Enters a table of `items` items: checks depth, promises and stack, of which there is
** enough for the outermost. */
static int enter_table(struct value_reader *r, uint64_t items) {
  static const char deep[] = "more than " VALUE_DEPTH_TEXT " tables deep";
  if (r->depth == VALUE_DEPTH) return refuse_bytes(r, r->at, deep);
  r->owed += items;
  if (r->owed > (uint64_t)(r->end - r->at))
    return refuse_bytes(r, r->end, refused_kinds[VALUE_SHORT]);
  if (r->depth++ > 0) luaL_checkstack(r->L, 4, NULL);
  return 1;
}

/* Sizes that are told to Lua are hints; a table grows where an int is too small. */
static int size_hint(uint64_t n) { return n > INT32_MAX ? INT32_MAX : (int)n; }

static void push_string(struct value_reader *r, const uint8_t *bytes, uint64_t length) {
  texts_push_string(r->L, r->texts, r->held, (const char *)bytes, (size_t)length);
}

/* Pushes the item where it is a short string or a small integer, as most are, without the
** detours of the others, and returns its kind; VALUE_SHORT where it is neither. */
static inline enum value_kind push_short(struct value_reader *r) {
  const uint8_t *at = r->at;
  if (at == r->end) return VALUE_SHORT;
  unsigned code = *at++;
  size_t n = code & 31;
  if (code < 0x80) {
    r->at = at;
    r->owed--;
    lua_pushinteger(r->L, (lua_Integer)code);
    return VALUE_INTEGER;
  }
  if ((code & 0xe0) != 0xa0 || n > (size_t)(r->end - at)) return VALUE_SHORT;
  r->at = at + n;
  r->owed--;
  push_string(r, at, n);
  return VALUE_STRING;
}

static int read_value(struct value_reader *r);

static int read_array(struct value_reader *r, uint64_t n) {
  lua_State *L = r->L;
  if (!enter_table(r, n)) return 0;
  lua_createtable(L, size_hint(n), 0);
  if (n == 0) value_mark_array(L);
  for (uint64_t i = 1; i <= n; i++) {
    if (!read_value(r)) return 0;
    lua_rawseti(L, -2, (lua_Integer)i);
  }
  r->depth--;
  return 1;
}

/* Pushes a map's key; its kind, or VALUE_SHORT where it can't be one. */
static enum value_kind push_key(struct value_reader *r) {
  const uint8_t *where = r->at;
  enum value_kind kind = push_short(r);
  struct value_item item;
  if (kind != VALUE_SHORT) return kind;
  if (!next_item(r, &item)) return VALUE_SHORT;
  if (item.kind == VALUE_STRING) push_string(r, item.bytes, item.count);
  else if (item.kind == VALUE_INTEGER) value_push_integer(r->L, &item);
  else {
    refuse_bytes(r, where, "a map key that is neither string nor 64-bit integer");
    return VALUE_SHORT;
  }
  return item.kind;
}

/* `kind` is that of the map's keys. */
static int read_map_key(struct value_reader *r, enum value_kind *kind) {
  const uint8_t *where = r->at;
  enum value_kind this = push_key(r);
  if (this == VALUE_SHORT) return 0;
  if (*kind != this && *kind != VALUE_NIL)
    return refuse_bytes(r, where, "a map with both string and integer keys");
  *kind = this;
  return 1;
}

static int read_map(struct value_reader *r, uint64_t n) {
  lua_State *L = r->L;
  enum value_kind kind = VALUE_NIL;
  if (!enter_table(r, 2 * n)) return 0;
  lua_createtable(L, 0, size_hint(n));
  for (uint64_t i = 0; i < n; i++) {
    if (!read_map_key(r, &kind) || !read_value(r)) return 0;
    lua_rawset(L, -3);
  }
  r->depth--;
  return 1;
}

static int read_value(struct value_reader *r) {
  lua_State *L = r->L;
  struct value_item item;
  if (push_short(r) != VALUE_SHORT) return 1;
  if (!next_item(r, &item)) return 0;
  switch (item.kind) {
    case VALUE_NIL: value_push_null(L); return 1;
    case VALUE_FALSE: lua_pushboolean(L, 0); return 1;
    case VALUE_TRUE: lua_pushboolean(L, 1); return 1;
    case VALUE_INTEGER: value_push_integer(L, &item); return 1;
    case VALUE_FLOAT: lua_pushnumber(L, item.number); return 1;
    case VALUE_STRING: push_string(r, item.bytes, item.count); return 1;
    case VALUE_ARRAY: return read_array(r, item.count);
    default: return read_map(r, item.count);
  }
}

static int decode(lua_State *L, rille_text bytes, struct texts *texts, int held) {
  struct value_reader r;
  int top = lua_gettop(L);
  r.L = L;
  r.start = r.at = (const uint8_t *)bytes.bytes;
  r.end = r.start + bytes.length;
  r.owed = 1;
  r.depth = 0;
  r.texts = texts;
  r.held = held;
  luaL_checkstack(L, 8, NULL);
  if (read_value(&r)) {
    if (r.at == r.end) return 1;
    refuse_bytes(&r, r.at, "bytes after the end of the value");
  }
  lua_settop(L, top);
  lua_pushstring(L, r.message);
  return 0;
}

int value_decode(lua_State *L, const char *bytes, size_t length) {
  return decode(L, (rille_text){bytes, length}, NULL, 0);
}

int value_decode_with(lua_State *L, const char *bytes, size_t length, int texts) {
  struct texts *t = lua_touserdata(L, texts);
  lua_getiuservalue(L, texts, 1);
  int held = lua_gettop(L), done = decode(L, (rille_text){bytes, length}, t, held);
  lua_replace(L, held);
  return done;
}
