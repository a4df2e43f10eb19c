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

/* A name that must not be empty: in C that stands for "any". */
static void read_name(lua_State *L, int index, const char *field, rille_text *name) {
  if (options_text(L, index, field, name) && name->length == 0)
    luaL_error(L, "%s is empty: it needs 1 to 255 bytes", field);
}

static uint64_t check_position(lua_State *L, int index, const char *name) {
  lua_Integer value = 0;
  if (options_integer(L, index, name, &value) && value < 0)
    luaL_error(L, "%s must not be negative", name);
  return (uint64_t)value;
}

/* One item, from the table at index, into item; uses up names. */
static void read_item(lua_State *L, int index, rille_item *item, rille_text **names) {
  item->types = *names;
  item->type_count = read_texts(L, index, "types", *names);
  *names += item->type_count;
  item->tags = *names;
  item->tag_count = read_texts(L, index, "tags", *names);
  *names += item->tag_count;
  read_name(L, index, "stream", &item->stream);
  read_name(L, index, "category", &item->category);
  read_name(L, index, "prefix", &item->prefix);
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
static uint64_t check_after(lua_State *L, int index, uint64_t of_query) {
  lua_getfield(L, index, "after");
  int has_own = !lua_isnil(L, -1);
  lua_pop(L, 1);
  return has_own ? check_position(L, index, "after") : of_query;
}

/* To the core an item's comes on top of the query's, so that becomes the least of all. */
static void share_after(rille_item *items, size_t count, rille_query *q) {
  q->after = items[0].after;
  for (size_t i = 1; i < count; i++)
    if (items[i].after < q->after) q->after = items[i].after;
  for (size_t i = 0; i < count; i++)
    if (items[i].after == q->after) items[i].after = 0;
}

void query_check(lua_State *L, int index, int one_stream, rille_query *q) {
  int reverse = 0;
  if (lua_isnoneornil(L, index)) return;
  options_check(L, index, one_stream ? read_fields : all_fields, !one_stream, "option");
  size_t count = one_stream ? 0 : lua_rawlen(L, index);
  size_t names = count ? check_list(L, index, count) : count_names(L, index);
  q->after = check_position(L, index, "after");
  q->before = check_position(L, index, "before");
  q->limit = check_position(L, index, "limit");
  if (is_zero(L, index, "limit") || is_zero(L, index, "before")) q->before = 1; /* nothing */
  options_boolean(L, index, "reverse", &reverse);
  q->reverse = reverse;
  rille_item *items =
      lua_newuserdatauv(L, (count + 1) * sizeof *items + (names + 1) * sizeof(rille_text), 0);
  rille_text *room = (rille_text *)(items + count + 1);
  memset(items, 0, (count + 1) * sizeof *items);
  q->items = items;
  read_item(L, index, &items[0], &room);
  if (count && is_item(&items[0]))
    luaL_error(L, "a query is a list of items or one item, not both");
  q->item_count = is_item(&items[0]);
  for (size_t i = 0; i < count; i++, q->item_count++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    read_item(L, lua_gettop(L), &items[i], &room);
    items[i].after = check_after(L, lua_gettop(L), q->after);
    lua_pop(L, 1);
  }
  if (count) share_after(items, count, q);
}
