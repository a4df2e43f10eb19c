/* lwork.c: what a transaction is to do in one store: several appends made one.
**
** A work is a userdata that owns a rille_append. Each tx:append is read as store:append reads
** its arguments and copied into the work's own memory at once, so that a table changed later,
** or used again, changes nothing of it; checking, preparing and deciding only use it.
**
** Its memory grows by blocks, each a userdata that holds the one before; nothing moves but the
** lists of parts and items, which are copied when they grow. All is Lua's, so there is nothing
** to release. What is left half added after an error counts for nothing: counts move last. */
#include "lrille.h"

#include <stddef.h>

#define WORK_HANDLE "rille.work"
#define FIRST_BYTES ((size_t)640) /* in the userdata itself: in all it stays below 1 KiB */
#define BLOCK_BYTES ((size_t)8 << 10)

struct collected {
  rille_append append;
  rille_query unless;
  rille_part *parts;
  rille_item *items;
  size_t part_room, item_room;
  char *at;
  size_t left;
  uint64_t first[FIRST_BYTES / sizeof(uint64_t)]; /* Lua aligns userdata to no more */
};

/* ---- Its memory ---- */

/* n bytes that live as long as the work at index. */
static void *take(lua_State *L, int index, size_t n) {
  struct collected *w = lua_touserdata(L, index);
  n = (n + 7) & ~(size_t)7;
  if (n > w->left) {
    size_t bytes = n > BLOCK_BYTES ? n : BLOCK_BYTES;
    char *block = lua_newuserdatauv(L, bytes, 1);
    lua_getiuservalue(L, index, 1);
    lua_setiuservalue(L, -2, 1);
    lua_setiuservalue(L, index, 1);
    w->at = block;
    w->left = bytes;
  }
  char *room = w->at;
  w->at += n;
  w->left -= n;
  return room;
}

static rille_text copy_text(lua_State *L, int index, rille_text text) {
  if (!text.length) return text.bytes ? (rille_text){"", 0} : text;
  char *room = take(L, index, text.length);
  memcpy(room, text.bytes, text.length);
  return (rille_text){room, text.length};
}

static const rille_text *copy_texts(lua_State *L, int index, const rille_text *texts, size_t n) {
  rille_text *room = n ? take(L, index, n * sizeof *room) : NULL;
  for (size_t i = 0; i < n; i++) room[i] = copy_text(L, index, texts[i]);
  return room;
}

/* Room for `more` parts behind those that are there, and for their versions. */
static void make_part_room(lua_State *L, int index, size_t more) {
  struct collected *w = lua_touserdata(L, index);
  size_t count = w->append.part_count;
  if (count + more <= w->part_room) return;
  size_t room = 2 * w->part_room > count + more ? 2 * w->part_room : count + more;
  rille_part *parts = take(L, index, room * sizeof *parts);
  if (count) memcpy(parts, w->parts, count * sizeof *parts);
  w->append.versions = take(L, index, room * sizeof *w->append.versions);
  w->append.parts = w->parts = parts;
  w->part_room = room;
}

static void make_item_room(lua_State *L, int index, size_t more) {
  struct collected *w = lua_touserdata(L, index);
  size_t count = w->unless.item_count;
  if (count + more <= w->item_room) return;
  size_t room = 2 * w->item_room > count + more ? 2 * w->item_room : count + more;
  rille_item *items = take(L, index, room * sizeof *items);
  if (count) memcpy(items, w->items, count * sizeof *items);
  w->unless.items = w->items = items;
  w->item_room = room;
}

/* ---- Adding ---- */

static rille_part copy_part(lua_State *L, int index, const rille_part *part) {
  rille_part copy = *part;
  rille_event_input *events =
      part->event_count ? take(L, index, part->event_count * sizeof *events) : NULL;
  copy.stream = copy_text(L, index, part->stream);
  copy.events = events;
  for (size_t i = 0; i < part->event_count; i++) {
    const rille_event_input *e = &part->events[i];
    events[i] = (rille_event_input){.type = copy_text(L, index, e->type),
                                    .data = copy_text(L, index, e->data),
                                    .meta = copy_text(L, index, e->meta),
                                    .id = copy_text(L, index, e->id),
                                    .tags = copy_texts(L, index, e->tags, e->tag_count),
                                    .tag_count = e->tag_count,
                                    .time_us = e->time_us};
  }
  return copy;
}

/* An item of a query, with the query's `after`. */
static rille_item copy_item(lua_State *L, int index, const rille_item *item, uint64_t after) {
  rille_item copy = *item;
  copy.types = copy_texts(L, index, item->types, item->type_count);
  copy.tags = copy_texts(L, index, item->tags, item->tag_count);
  copy.stream = copy_text(L, index, item->stream);
  copy.category = copy_text(L, index, item->category);
  copy.prefix = copy_text(L, index, item->prefix);
  if (copy.after < after) copy.after = after;
  return copy;
}

/* A query without items is one item that matches everything. */
static void add_unless(lua_State *L, int index, const rille_query *q) {
  static const rille_item any;
  struct collected *w = lua_touserdata(L, index);
  const rille_item *items = q->item_count ? q->items : &any;
  size_t n = q->item_count ? q->item_count : 1, count = w->unless.item_count;
  make_item_room(L, index, n);
  for (size_t i = 0; i < n; i++) w->items[count + i] = copy_item(L, index, &items[i], q->after);
  w->unless.item_count = count + n;
  w->append.unless = &w->unless;
}

/* False with a message pushed where it can't be: names and sizes, as store:append would say, and
** what holds for the whole append. */
static int check(lua_State *L, const struct collected *w, const rille_append *a) {
  rille_error e;
  if (rille_append_check(a, &e) < 0) {
    lua_pushstring(L, e.message);
    return 0;
  }
  if (a->wait_ms) {
    lua_pushliteral(L, "a transaction never waits for a lock, so there is no wait: use attempts");
    return 0;
  }
  if (!a->mark.name.length || !w->append.mark.name.length) return 1;
  lua_pushlstring(L, w->append.mark.name.bytes, w->append.mark.name.length);
  lua_pushfstring(L, "a transaction moves one mark of a store, and that is \"%s\" already",
                  lua_tostring(L, -1));
  return 0;
}

static void add(lua_State *L, int index, const rille_append *a) {
  struct collected *w = lua_touserdata(L, index);
  size_t count = w->append.part_count;
  make_part_room(L, index, a->part_count);
  for (size_t i = 0; i < a->part_count; i++)
    w->parts[count + i] = copy_part(L, index, &a->parts[i]);
  rille_mark_move mark = a->mark;
  mark.name = copy_text(L, index, mark.name);
  if (a->unless) add_unless(L, index, a->unless);
  if (mark.name.length) w->append.mark = mark;
  if (a->internal) w->append.internal = 1;
  w->append.part_count = count + a->part_count;
}

/* ---- For Lua ---- */

/* work() --> work, empty */
static int work_new(lua_State *L) {
  struct collected *w = lua_newuserdatauv(L, sizeof *w, 1);
  memset(w, 0, offsetof(struct collected, first));
  w->append.size = sizeof w->append;
  w->unless.size = sizeof w->unless;
  w->at = (char *)w->first;
  w->left = sizeof w->first;
  luaL_setmetatable(L, WORK_HANDLE);
  return 1;
}

/* Pushes the work of tx[store]; false, with nothing pushed, where there is none yet, or the
** store or the transaction is closed. */
static int push_work(lua_State *L, const struct store_handle *s) {
  lua_pushliteral(L, "state");
  lua_rawget(L, 1);
  const char *state = lua_tostring(L, -1);
  int open = s->store && state && strcmp(state, "open") == 0;
  lua_pop(L, 1);
  if (!open) return 0;
  lua_pushvalue(L, 2);
  lua_rawget(L, 1);
  if (luaL_testudata(L, -1, WORK_HANDLE)) return 1;
  lua_pop(L, 1);
  return 0;
}

/* Of arguments of store:append, 1 to 4, and the work at 5. */
static int read_and_add(lua_State *L, int internal) {
  struct work read;
  int room = 0;
  int done = append_read(L, internal, &read, &room);
  done = done && check(L, lua_touserdata(L, 5), &read.append);
  if (done) add(L, 5, &read.append);
  append_give_back(L, room);
  if (!done) return error_push_message(L, "invalid");
  lua_pushboolean(L, 1);
  return 1;
}

/* append(tx, store, ...), with arguments of store:append --> true | nil, message, code. What has
** no work yet gets it by the function that is an upvalue: enter(tx, store, is_open) --> work
** | nil, message, code */
static int work_append(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 5);
  const struct store_handle *store = luaL_testudata(L, 2, STORE_HANDLE);
  if (!store) return luaL_error(L, "append needs a store, not %s", luaL_typename(L, 2));
  if (!lua_istable(L, 3)) {
    luaL_checktype(L, 3, LUA_TSTRING);
    luaL_checktype(L, 4, LUA_TTABLE);
  }
  if (!push_work(L, store)) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_pushboolean(L, store->store != NULL);
    lua_call(L, 3, 3);
    if (lua_isnil(L, -3)) return 3;
    lua_pop(L, 2);
  }
  lua_replace(L, 1);
  lua_rotate(L, 1, -1); /* store, stream, events, options, work */
  return read_and_add(L, 0);
}

/* add_internal(store, parts, work): the same for rille's own scripts, whose names may begin
** with "$"; parts as of the second form. */
static int work_add_internal(lua_State *L) {
  store_check(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checkudata(L, 3, WORK_HANDLE);
  lua_settop(L, 3);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_rotate(L, 3, 2);
  return read_and_add(L, 1);
}

/* appender(enter) --> the method append of transactions */
static int work_appender(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_pushcclosure(L, work_append, 1);
  return 1;
}

const rille_append *work_at(lua_State *L, int index, const struct store_handle *handle) {
  static const rille_append nothing = {.size = sizeof nothing};
  if (lua_isnoneornil(L, index)) return &nothing;
  struct collected *w = luaL_checkudata(L, index, WORK_HANDLE);
  w->append.now_us = clock_ask(L, handle);
  return &w->append;
}

void work_push_library(lua_State *L) {
  luaL_newmetatable(L, WORK_HANDLE);
  lua_pop(L, 1);
  lua_pushcfunction(L, work_new);
  lua_setfield(L, -2, "work");
  lua_pushcfunction(L, work_appender);
  lua_setfield(L, -2, "appender");
  lua_pushcfunction(L, work_add_internal);
  lua_setfield(L, -2, "add_internal");
}
