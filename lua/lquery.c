/* lquery.c: what to read, from Lua tables: bounds, and items of a query. */
#include "lrille.h"

static const char *const item_fields[] = {"types",  "tags",  "stream", "category",
                                          "prefix", "after", NULL};
static const char *const all_fields[] = {"types",   "tags",    "stream",      "category",
                                         "prefix",  "after",   "before",      "limit",
                                         "reverse", "explain", "consistency", NULL};
static const char *const read_fields[] = {"types",   "tags",    "after",       "before", "limit",
                                          "reverse", "explain", "consistency", NULL};

/* How many texts a field holds: a list of strings, or one string. */
static size_t count_texts(lua_State *L, int index, const char *name) {
  lua_pushstring(L, name);
  lua_rawget(L, index);
  size_t n = lua_istable(L, -1) ? lua_rawlen(L, -1) : lua_isnil(L, -1) ? 0 : 1;
  lua_pop(L, 1);
  return n;
}

static rille_text check_text(lua_State *L, const char *name) {
  rille_text t;
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "%s must be a list of strings, not %s", name, luaL_typename(L, -1));
  t.bytes = lua_tolstring(L, -1, &t.length);
  return t;
}

/* The texts belong to the table that the caller keeps. */
static size_t read_texts(lua_State *L, int index, const char *name, rille_text *texts) {
  size_t n = 0;
  lua_pushstring(L, name);
  lua_rawget(L, index);
  if (lua_istable(L, -1)) {
    size_t length = lua_rawlen(L, -1);
    options_check_list(L, lua_gettop(L), name, "strings");
    for (; n < length; n++) {
      lua_rawgeti(L, -1, (lua_Integer)n + 1);
      texts[n] = check_text(L, name);
      lua_pop(L, 1);
    }
  } else if (!lua_isnil(L, -1)) {
    texts[n++] = check_text(L, name);
  }
  lua_pop(L, 1);
  return n;
}

/* In C 0 stands for "none given"; who writes it in Lua means it. */
static int is_zero(lua_State *L, int index, const char *name) {
  lua_Integer value;
  return options_integer(L, index, name, &value) && value == 0;
}

/* A query while it is read. What is of the right type and can't be is not raised here: who
** appends returns it, who reads raises it. The first such is kept. */
struct asking {
  lua_State *L;
  const char *field; /* a literal; NULL: all can be */
  const char *wrong;
};

static void refuse(struct asking *a, const char *field, const char *wrong) {
  if (a->field) return;
  a->field = field;
  a->wrong = wrong;
}

/* A name that must not be empty: in C that stands for "any". */
static void read_name(struct asking *a, int index, const char *field, rille_text *name) {
  if (options_text(a->L, index, field, name) && name->length == 0)
    refuse(a, field, "is empty: it needs 1 to 255 bytes");
}

static uint64_t read_position(struct asking *a, int index, const char *name) {
  lua_Integer value = 0;
  if (options_integer(a->L, index, name, &value) && value < 0)
    refuse(a, name, "must not be negative");
  return (uint64_t)value;
}

/* One item, from the table at index, into item; uses up names. */
static void read_item(struct asking *a, int index, rille_item *item, rille_text **names) {
  lua_State *L = a->L;
  item->types = *names;
  item->type_count = read_texts(L, index, "types", *names);
  *names += item->type_count;
  item->tags = *names;
  item->tag_count = read_texts(L, index, "tags", *names);
  *names += item->tag_count;
  read_name(a, index, "stream", &item->stream);
  read_name(a, index, "category", &item->category);
  read_name(a, index, "prefix", &item->prefix);
}

static int is_item(const rille_item *i) {
  return i->type_count || i->tag_count || i->stream.length || i->category.length ||
         i->prefix.length;
}

static size_t count_names(lua_State *L, int index) {
  return count_texts(L, index, "types") + count_texts(L, index, "tags");
}

/* Checks the list's entries and counts their names. */
static size_t check_list(lua_State *L, int index, size_t count) {
  size_t names = 0;
  for (size_t i = 1; i <= count; i++) {
    lua_rawgeti(L, index, (lua_Integer)i);
    if (!lua_istable(L, -1))
      luaL_error(L, "item %d of the query must be a table, not %s", (int)i, luaL_typename(L, -1));
    options_check(L, lua_gettop(L), item_fields, 0, "field of a query's item");
    names += count_names(L, lua_gettop(L));
    lua_pop(L, 1);
  }
  return names;
}

/* An item's own `after`, or the query's. */
static uint64_t read_after(struct asking *a, int index, uint64_t of_query) {
  lua_State *L = a->L;
  lua_pushliteral(L, "after");
  lua_rawget(L, index);
  int has_own = !lua_isnil(L, -1);
  lua_pop(L, 1);
  return has_own ? read_position(a, index, "after") : of_query;
}

/* To the core an item's comes on top of the query's, so that becomes the least of all. */
static void share_after(rille_item *items, size_t count, rille_query *q) {
  q->after = items[0].after;
  for (size_t i = 1; i < count; i++)
    if (items[i].after < q->after) q->after = items[i].after;
  for (size_t i = 0; i < count; i++)
    if (items[i].after == q->after) items[i].after = 0;
}

int query_read(lua_State *L, int index, int one_stream, rille_query *q) {
  struct asking a = {.L = L};
  int reverse = 0;
  if (lua_isnoneornil(L, index)) return 1;
  options_check(L, index, one_stream ? read_fields : all_fields, !one_stream, "option");
  size_t count = one_stream ? 0 : lua_rawlen(L, index);
  size_t names = count ? check_list(L, index, count) : count_names(L, index);
  q->after = read_position(&a, index, "after");
  q->before = read_position(&a, index, "before");
  q->limit = read_position(&a, index, "limit");
  if (is_zero(L, index, "limit") || is_zero(L, index, "before")) q->before = 1; /* nothing */
  options_boolean(L, index, "reverse", &reverse);
  q->reverse = reverse;
  rille_item *items =
      lua_newuserdatauv(L, (count + 1) * sizeof *items + (names + 1) * sizeof(rille_text), 0);
  rille_text *room = (rille_text *)(items + count + 1);
  memset(items, 0, (count + 1) * sizeof *items);
  q->items = items;
  read_item(&a, index, &items[0], &room);
  if (count && is_item(&items[0]))
    luaL_error(L, "a query is a list of items or one item, not both");
  q->item_count = is_item(&items[0]);
  for (size_t i = 0; i < count; i++, q->item_count++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    read_item(&a, lua_gettop(L), &items[i], &room);
    items[i].after = read_after(&a, lua_gettop(L), q->after);
    lua_pop(L, 1);
  }
  if (count) share_after(items, count, q);
  if (!a.field) return 1;
  lua_pushfstring(L, "%s %s", a.field, a.wrong);
  return 0;
}

void query_check(lua_State *L, int index, int one_stream, rille_query *q) {
  if (!query_read(L, index, one_stream, q)) luaL_error(L, "%s", lua_tostring(L, -1));
}
