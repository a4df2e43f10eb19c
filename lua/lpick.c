/* lpick.c: fields picked out of an event's data.
**
** A table for all of an event's data is most of what a fold costs: memory, strings, and
** collecting it again. Where a function only looks at fields by name (lglance.c), it is given
** a table of those, which is filled anew for each event; and that in a table that stands for
** the event, so that Lua itself finds event.data.amount and need not call anybody.
**
**    user value, a table:   place: what stands for the event     one place after another for
**                           place + 1: its data, to be filled    each pick, from 1
**                           place + 2 + i: the name of field i
**
** Invariant: what the function finds is what it would find in the table of all: a field that
** the data lacks is nil, what was written into the table is gone with the next event, and
** data that is damaged, or no map, or has tables in it, is left to who makes all of it; and so
** is an event inside of a call that has another one of the same reducer. */
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
  size_t count;            /* of handlers */
  struct event_view *view; /* whose events are shown; NULL: outside of a pass */
  struct picks *next;      /* of that view */
  struct pick picks[];     /* the key's first */
};

/* ---- What each function looks at ---- */

struct reading {
  int files, held, stand_in;
  lua_Integer file; /* the one whose tokens there are; 0: none */
  bool read;
  struct buffer *tokens;
};

enum { OF_DATA = 1, OF_FIELDS }; /* behind a pick's place */

/* Adds a pick's tables and strings to the table at `held`. */
static void hold(lua_State *L, const struct reading *r, struct pick *p) {
  p->place = (int)lua_rawlen(L, r->held) + 1;
  lua_createtable(L, 0, 1);
  lua_createtable(L, 0, (int)p->count);
  lua_pushvalue(L, -1);
  lua_rawseti(L, r->held, p->place + OF_DATA);
  lua_setfield(L, -2, "data");
  lua_pushvalue(L, r->stand_in);
  lua_setmetatable(L, -2);
  lua_rawseti(L, r->held, p->place);
  for (size_t i = 0; i < p->count; i++) {
    p->fields[i].bytes = lua_pushlstring(L, p->fields[i].bytes, p->fields[i].length);
    lua_rawseti(L, r->held, p->place + OF_FIELDS + (int)i);
  }
}

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
  hold(L, r, p);
}

int pick_push_all(lua_State *L) {
  enum { HANDLERS = 1, KEY, FILES, PICKS, TOKENS, STAND_IN, HELD };
  luaL_checktype(L, HANDLERS, LUA_TTABLE);
  luaL_checktype(L, FILES, LUA_TTABLE);
  lua_settop(L, FILES);
  size_t n = lua_rawlen(L, HANDLERS), found = 0;
  size_t bytes = sizeof(struct picks) + (n + 1) * sizeof(struct pick);
  struct picks *all = lua_newuserdatauv(L, bytes, 1);
  memset(all, 0, bytes);
  all->count = n;
  buffer_push(L);
  event_push_stand_in(L, PICKS);
  lua_createtable(L, (int)n * 3, 0);
  struct reading r = {
      .files = FILES, .held = HELD, .stand_in = STAND_IN, .tokens = lua_touserdata(L, TOKENS)};
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

static const struct pick *pick_at(const struct picks *all, int handler) {
  if ((size_t)handler > all->count || !all->picks[handler].count) return NULL;
  return &all->picks[handler];
}

/* ---- Whose events they show ---- */

/* False: those of an outer pass, whose function is in the midst of one. */
static bool show(struct picks *all, struct event_view *view) {
  if (all->view) return all->view == view;
  all->view = view;
  all->next = view->picks;
  view->picks = all;
  return true;
}

const struct event_view *picks_view(const struct picks *all) { return all->view; }

void picks_leave(struct event_view *view) {
  while (view->picks) {
    view->picks->view = NULL;
    view->picks = view->picks->next;
  }
}

/* ---- Picking ---- */

struct picking {
  lua_State *L;
  const struct pick *pick;
  const uint8_t *end;
  int held, table, view;
  unsigned found; /* a bit a field */
};

static void push_scalar(struct picking *p, const struct value_item *item) {
  lua_State *L = p->L;
  switch (item->kind) {
    case VALUE_NIL: value_push_null(L); return;
    case VALUE_FALSE: lua_pushboolean(L, 0); return;
    case VALUE_TRUE: lua_pushboolean(L, 1); return;
    case VALUE_INTEGER: value_push_integer(L, item); return;
    case VALUE_FLOAT: lua_pushnumber(L, item->number); return;
    default: break;
  }
  event_push_string(L, p->view, (const char *)item->bytes, item->count);
}

/* The value at `at`, where it is a plain one, becomes that of the field; returns what is behind
** it, or NULL. */
static const uint8_t *take_value(struct picking *p, const uint8_t *at, int field) {
  struct value_item item = {.kind = VALUE_INTEGER, .integer = *at};
  const uint8_t *next = at + 1;
  if (*at >= PICK_MAP) { /* more than a small integer, as many are */
    next = value_item(at, p->end, &item);
    if (next == at || item.kind == VALUE_ARRAY || item.kind == VALUE_MAP) return NULL;
  }
  lua_rawgeti(p->L, p->held, p->pick->place + OF_FIELDS + field);
  push_scalar(p, &item);
  lua_rawset(p->L, p->table);
  p->found |= 1u << field;
  return next;
}

/* Passes a value by that nobody wants. */
static const uint8_t *pass_value(const struct picking *p, const uint8_t *at) {
  struct value_item item;
  size_t left = (size_t)(p->end - at), length = *at & PICK_TEXT_BYTES;
  if ((*at & ~PICK_TEXT_BYTES) == PICK_TEXT) return length < left ? at + 1 + length : NULL;
  if (*at < PICK_MAP) return at + 1;
  const uint8_t *next = value_item(at, p->end, &item);
  return next == at || item.kind == VALUE_ARRAY || item.kind == VALUE_MAP ? NULL : next;
}

static int field_of(const struct pick *pick, const uint8_t *bytes, size_t length) {
  for (size_t i = 0; i < pick->count; i++)
    if (pick->fields[i].length == length && memcmp(pick->fields[i].bytes, bytes, length) == 0)
      return (int)i;
  return -1;
}

/* What is behind the pair, or NULL where its value is no plain one. */
static const uint8_t *take_pair(struct picking *p, const uint8_t *at) {
  if (at == p->end || (*at & ~PICK_TEXT_BYTES) != PICK_TEXT) return NULL;
  size_t length = *at & PICK_TEXT_BYTES;
  const uint8_t *value = at + 1 + length;
  if (length + 1 >= (size_t)(p->end - at)) return NULL;
  int field = field_of(p->pick, at + 1, length);
  return field < 0 ? pass_value(p, value) : take_value(p, value, field);
}

static void clear_missing(struct picking *p) {
  for (size_t i = 0; i < p->pick->count; i++) {
    if (p->found >> i & 1) continue;
    lua_rawgeti(p->L, p->held, p->pick->place + OF_FIELDS + (int)i);
    lua_pushnil(p->L);
    lua_rawset(p->L, p->table);
  }
}

static bool take_map(struct picking *p, rille_text data) {
  const uint8_t *at = (const uint8_t *)data.bytes;
  if (data.length == 0 || (*at & ~PICK_MAP_PAIRS) != PICK_MAP) return false;
  p->end = at + data.length;
  int pairs = *at++ & PICK_MAP_PAIRS;
  while (pairs > 0 && (at = take_pair(p, at)) != NULL) pairs--;
  if (at != p->end) return false;
  if (p->found != (1u << p->pick->count) - 1) clear_missing(p);
  return true;
}

bool pick_push(lua_State *L, int picks, int handler, int view) {
  struct picks *all = lua_touserdata(L, picks);
  struct event_view *v = lua_touserdata(L, view);
  const struct pick *pick = all ? pick_at(all, handler) : NULL;
  if (!pick || !show(all, v)) return false;
  lua_getiuservalue(L, picks, 1);
  struct picking p = {.L = L, .pick = pick, .held = lua_gettop(L), .view = view};
  p.table = p.held + 1;
  lua_rawgeti(L, p.held, pick->place + OF_DATA);
  bool whole = take_map(&p, v->event->data);
  if (whole) {
    lua_rawgeti(L, p.held, pick->place);
    lua_replace(L, p.held);
  }
  lua_settop(L, whole ? p.held : p.held - 1);
  return whole;
}
