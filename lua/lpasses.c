/* lpasses.c: what passes read: one query for all of them.
**
** Its items are the types that any of them has a handler for or upcasts, each once, and
** one for all other types where a pass has a handler for those. Each pass has a number by
** item, which says what it does with such an event; so nothing is looked up by name while
** events go by. */
#include "lproject.h"

/* The item of a type: the query's, or a new one. */
static size_t item_of(rille_query *q, rille_item *items, rille_text *names, rille_text type) {
  size_t i = 0;
  while (i < q->item_count && !text_equal(names[i], type)) i++;
  if (i < q->item_count) return i;
  names[i] = type;
  items[i] = (rille_item){.types = &names[i], .type_count = 1};
  q->item_count++;
  return i;
}

static rille_text type_at(lua_State *L, int list, size_t i) {
  rille_text t;
  lua_rawgeti(L, list, (lua_Integer)i);
  t.bytes = lua_tolstring(L, -1, &t.length); /* the list holds it */
  lua_pop(L, 1);
  return t;
}

/* Pushes definition.types of a pass. */
static int push_types(lua_State *L, const struct pass *p) {
  lua_getfield(L, p->table, "definition");
  lua_getfield(L, -1, "types");
  lua_remove(L, -2);
  return lua_gettop(L);
}

/* Pushes definition.upcast of a pass: a table or nil. */
static int push_upcast(lua_State *L, const struct pass *p) {
  lua_getfield(L, p->table, "definition");
  lua_getfield(L, -1, "upcast");
  lua_remove(L, -2);
  return lua_gettop(L);
}

static size_t count_old(lua_State *L, const struct pass *p) {
  size_t n = 0;
  int map = push_upcast(L, p);
  if (lua_istable(L, map))
    for (lua_pushnil(L); lua_next(L, map); lua_pop(L, 1)) n++;
  lua_settop(L, map - 1);
  return n;
}

/* The types that a pass upcasts, whether or not it has handlers for them. */
static void choose_old(lua_State *L, const struct pass *p, rille_query *q, rille_item *items,
                       rille_text *names) {
  int map = push_upcast(L, p);
  lua_pushnil(L);
  for (size_t n = p->old; n > 0 && lua_next(L, map); n--) {
    rille_text type;
    lua_pop(L, 1);
    type.bytes = lua_tolstring(L, -1, &type.length); /* a string, which the map holds */
    p->handlers[item_of(q, items, names, type)] = IS_OLD;
  }
  lua_settop(L, map - 1);
}

/* Which handler each pass has for which item: its own for the type, or that for all. */
static void choose_handlers(lua_State *L, struct run *r, rille_query *q, rille_item *items,
                            rille_text *names) {
  for (size_t i = 0; i < r->count; i++) {
    struct pass *p = &r->passes[i];
    int list = push_types(L, p);
    for (size_t t = 1; t <= p->types; t++)
      p->handlers[item_of(q, items, names, type_at(L, list, t))] = (int)t;
    lua_pop(L, 1);
    choose_old(L, p, q, items, names);
  }
  int every = 0;
  for (size_t i = 0; i < r->count; i++) {
    struct pass *p = &r->passes[i];
    every = every || p->every;
    for (size_t item = 0; item <= q->item_count && p->every; item++)
      if (item == q->item_count || (p->handlers[item] == 0 && names[item].bytes[0] != '$'))
        p->handlers[item] = (int)p->types + 1;
  }
  if (every) items[q->item_count++] = (rille_item){.type_count = 0};
}

static void read_pass(lua_State *L, struct pass *p, int table) {
  lua_Integer after = 0;
  p->table = table;
  options_integer(L, table, "after", &after);
  options_integer(L, table, "most", &p->most);
  options_integer(L, table, "share", &p->share);
  options_integer(L, table, "shares", &p->shares);
  options_boolean(L, table, "check", &p->check);
  p->after = (uint64_t)after;
  lua_getfield(L, table, "definition");
  options_boolean(L, lua_gettop(L), "every", &p->every);
  options_boolean(L, lua_gettop(L), "redacted", &p->redacted);
  lua_getfield(L, -1, "types");
  p->types = lua_rawlen(L, -1);
  lua_getfield(L, -2, "key");
  p->by_stream = lua_type(L, -1) == LUA_TSTRING;
  lua_pop(L, 3);
  p->old = count_old(L, p);
}

void passes_read(lua_State *L, struct run *r) {
  lua_getfield(L, 2, "passes");
  int list = lua_gettop(L);
  r->count = lua_rawlen(L, list);
  luaL_argcheck(L, r->count && r->count <= PASSES_MOST, 2, "1 to 64 passes are possible");
  luaL_checkstack(L, (int)r->count * (OF_SLOTS + 1) + 32, NULL);
  r->passes = lua_newuserdatauv(L, r->count * sizeof *r->passes, 0);
  memset(r->passes, 0, r->count * sizeof *r->passes);
  for (size_t i = 0; i < r->count; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    read_pass(L, &r->passes[i], lua_gettop(L));
  }
}

/* The query of all passes, in a userdata that is left on the stack. */
static void make_query(lua_State *L, struct run *r, rille_query *q) {
  size_t types = 1, least = SIZE_MAX;
  for (size_t i = 0; i < r->count; i++) types += r->passes[i].types + r->passes[i].old;
  size_t bytes = types * (sizeof(rille_item) + sizeof(rille_text) + r->count * sizeof(int));
  rille_item *items = lua_newuserdatauv(L, bytes, 0);
  memset(items, 0, bytes);
  rille_text *names = (rille_text *)(items + types);
  int *handlers = (int *)(names + types);
  for (size_t i = 0; i < r->count; i++) {
    r->passes[i].handlers = handlers + i * types;
    if (r->passes[i].after < least) least = r->passes[i].after;
  }
  q->items = items;
  choose_handlers(L, r, q, items, names);
  q->after = least;
  q->before = r->before;
}

/* One pass that wants one stream: its events alone, whatever was truncated since. */
static void narrow(lua_State *L, const struct run *r, rille_query *q) {
  rille_text only = {0};
  if (r->count != 1 || !r->passes[0].by_stream) return;
  if (!options_text(L, r->passes[0].table, "only", &only) || only.length == 0) return;
  rille_item *items = (rille_item *)(uintptr_t)q->items;
  for (size_t i = 0; i < q->item_count; i++) items[i].stream = only;
}

/* One pass by streams that takes a share of them: the others' are not even looked at. */
static void take_share(struct run *r, rille_query *q) {
  const struct pass *p = &r->passes[0];
  r->shared = r->count == 1 && p->by_stream && p->shares > 0;
  if (!r->shared) return;
  q->share = (uint32_t)p->share;
  q->shares = (uint32_t)p->shares;
}

void passes_query(lua_State *L, struct run *r, rille_query *q) {
  make_query(L, r, q);
  narrow(L, r, q);
  take_share(r, q);
}
