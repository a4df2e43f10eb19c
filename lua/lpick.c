/* lpick.c: fields picked out of an event's data.
**
** A table for all of an event's data is most of what a fold costs: memory, strings, and
** collecting it again. Where a function only looks at fields by name (lglance.c), it is given
** a table of those, which is filled anew for each event.
**
**    user value, a table:   place: the table to be filled    one place after another for
**                           place + i: the name of field i   each pick, from 1
**
** Invariant: what the function finds is what it would find in the table of all: a field that
** the data lacks is nil, what was written into the table is gone with the next event, and
** data that is damaged, or no map, or has tables in it, is left to who makes all of it. */
#include "lpick.h"

#include "lglance.h"
#include "lvalue.h"

#define PICK_MAP 0x80 /* of MessagePack: a map of up to 15 pairs */
#define PICK_MAP_PAIRS 15
#define PICK_TEXT 0xa0 /* a string of up to 31 bytes */
#define PICK_TEXT_BYTES 31

struct pick {
  int place;
  size_t count; /* 0: nothing is known, all is to be made */
  rille_text fields[GLANCE_FIELDS];
};

struct picks {
  size_t count;        /* of handlers */
  struct pick picks[]; /* the key's first */
};

/* ---- What each function looks at ---- */

/* Adds a pick's strings to the table at `held`. */
static void hold(lua_State *L, int held, struct pick *p) {
  p->place = (int)lua_rawlen(L, held) + 1;
  lua_createtable(L, 0, (int)p->count);
  lua_rawseti(L, held, p->place);
  for (size_t i = 0; i < p->count; i++) {
    p->fields[i].bytes = lua_pushlstring(L, p->fields[i].bytes, p->fields[i].length);
    lua_rawseti(L, held, p->place + (int)i + 1);
  }
}

struct reading {
  int files, held;
  lua_Integer file; /* the one whose tokens there are; 0: none */
  bool read;
  struct buffer *tokens;
};

/* A field of file i, which holds it. */
static rille_text file_field(lua_State *L, const struct reading *r, lua_Integer i,
                             const char *name) {
  rille_text text = {0};
  if (lua_rawgeti(L, r->files, i) == LUA_TTABLE && lua_getfield(L, -1, name) == LUA_TSTRING)
    text.bytes = lua_tolstring(L, -1, &text.length);
  lua_settop(L, r->held);
  return text;
}

/* Whether the tokens of the file of this name are there, now. */
static bool read_file(lua_State *L, struct reading *r, const char *name) {
  rille_text wanted = {name, strlen(name)};
  lua_Integer n = (lua_Integer)lua_rawlen(L, r->files), i = 1;
  while (i <= n && !text_equal(file_field(L, r, i, "name"), wanted)) i++;
  if (i > n) return false;
  if (r->file == i) return r->read;
  buffer_clear(r->tokens, MIB);
  r->file = i;
  r->read = glance_read(r->tokens, file_field(L, r, i, "text"));
  return r->read;
}

/* Reads what the function on top of the stack looks at, and pops it. */
static void read_function(lua_State *L, struct reading *r, int event, struct pick *p) {
  lua_Debug f;
  struct glance glance;
  lua_getinfo(L, ">S", &f);
  if (*f.what != 'L' || *f.source != '@' || !read_file(L, r, f.source + 1)) return;
  if (!glance_at(r->tokens, f.linedefined, event, event == 1, &glance)) return;
  p->count = glance.count;
  memcpy(p->fields, glance.fields, glance.count * sizeof *glance.fields);
  hold(L, r->held, p);
}

int pick_push_all(lua_State *L) {
  enum { HANDLERS = 1, KEY, FILES, PICKS, TOKENS, HELD };
  luaL_checktype(L, HANDLERS, LUA_TTABLE);
  luaL_checktype(L, FILES, LUA_TTABLE);
  lua_settop(L, FILES);
  size_t n = lua_rawlen(L, HANDLERS), found = 0;
  size_t bytes = sizeof(struct picks) + (n + 1) * sizeof(struct pick);
  struct picks *all = lua_newuserdatauv(L, bytes, 1);
  memset(all, 0, bytes);
  all->count = n;
  buffer_push(L);
  lua_createtable(L, (int)n * 2, 0);
  struct reading r = {.files = FILES, .held = HELD, .tokens = lua_touserdata(L, TOKENS)};
  for (size_t i = 0; i <= n; i++) {
    lua_pushvalue(L, KEY);
    if (i > 0) lua_rawgeti(L, HANDLERS, (lua_Integer)i);
    if (lua_isfunction(L, -1)) read_function(L, &r, i == 0 ? 1 : 2, &all->picks[i]);
    lua_settop(L, HELD);
    found += all->picks[i].count > 0;
  }
  lua_setiuservalue(L, PICKS, 1);
  lua_settop(L, PICKS);
  if (found == 0) lua_pushnil(L);
  return 1;
}

const struct pick *pick_at(const struct picks *all, int handler) {
  if ((size_t)handler > all->count || !all->picks[handler].count) return NULL;
  return &all->picks[handler];
}

/* ---- Picking ---- */

struct picking {
  lua_State *L;
  const struct pick *pick;
  const uint8_t *at, *end;
  int held, table, texts;
  unsigned found; /* a bit a field */
};

static bool push_scalar(struct picking *p, const struct value_item *item) {
  lua_State *L = p->L;
  switch (item->kind) {
    case VALUE_NIL: value_push_null(L); return true;
    case VALUE_FALSE: lua_pushboolean(L, 0); return true;
    case VALUE_TRUE: lua_pushboolean(L, 1); return true;
    case VALUE_INTEGER: value_push_integer(L, item); return true;
    case VALUE_FLOAT: lua_pushnumber(L, item->number); return true;
    default: break;
  }
  lua_getiuservalue(L, p->texts, 1);
  texts_push_string(L, lua_touserdata(L, p->texts), lua_gettop(L), (const char *)item->bytes,
                    item->count);
  lua_remove(L, -2);
  return true;
}

/* Takes a value, that of field number `field` or with -1 of none that is wanted. False
** where it is none of the plain ones. */
static bool take_value(struct picking *p, int field) {
  struct value_item item;
  if (p->at == p->end) return false;
  size_t length = *p->at & PICK_TEXT_BYTES;
  if (field < 0 && (*p->at & ~PICK_TEXT_BYTES) == PICK_TEXT) { /* as many that nobody wants */
    if (length >= (size_t)(p->end - p->at)) return false;
    p->at += 1 + length;
    return true;
  }
  if (*p->at < PICK_MAP) { /* a small integer, as many are */
    item.kind = VALUE_INTEGER;
    item.boxed = false;
    item.integer = *p->at++;
  } else {
    const uint8_t *next = value_item(p->at, p->end, &item);
    if (next == p->at || item.kind == VALUE_ARRAY || item.kind == VALUE_MAP) return false;
    p->at = next;
  }
  if (field < 0) return true;
  lua_rawgeti(p->L, p->held, p->pick->place + field + 1);
  push_scalar(p, &item);
  lua_rawset(p->L, p->table);
  p->found |= 1u << field;
  return true;
}

static int field_of(const struct pick *pick, const char *bytes, size_t length) {
  for (size_t i = 0; i < pick->count; i++)
    if (pick->fields[i].length == length && memcmp(pick->fields[i].bytes, bytes, length) == 0)
      return (int)i;
  return -1;
}

static bool take_pair(struct picking *p) {
  if (p->at == p->end) return false;
  size_t length = *p->at & PICK_TEXT_BYTES;
  if ((*p->at & ~PICK_TEXT_BYTES) != PICK_TEXT || length >= (size_t)(p->end - p->at)) return false;
  const char *key = (const char *)p->at + 1;
  p->at += 1 + length;
  return take_value(p, field_of(p->pick, key, length));
}

static void clear_missing(struct picking *p) {
  for (size_t i = 0; i < p->pick->count; i++) {
    if (p->found >> i & 1) continue;
    lua_rawgeti(p->L, p->held, p->pick->place + (int)i + 1);
    lua_pushnil(p->L);
    lua_rawset(p->L, p->table);
  }
}

bool pick_push(lua_State *L, const struct pick *pick, int held, rille_text data, int texts) {
  const uint8_t *bytes = (const uint8_t *)data.bytes;
  if (data.length == 0 || (*bytes & ~PICK_MAP_PAIRS) != PICK_MAP) return false;
  lua_rawgeti(L, held, pick->place);
  struct picking p = {.L = L,
                      .pick = pick,
                      .at = bytes + 1,
                      .end = bytes + data.length,
                      .held = held,
                      .table = lua_gettop(L),
                      .texts = texts};
  bool whole = true;
  for (int n = *bytes & PICK_MAP_PAIRS; n > 0 && whole; n--) whole = take_pair(&p);
  if (!whole || p.at != p.end) {
    lua_settop(L, p.table - 1);
    return false;
  }
  if (p.found != (1u << pick->count) - 1) clear_missing(&p);
  return true;
}
