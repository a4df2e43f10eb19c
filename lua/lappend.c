/* lappend.c: store:append: Lua tables to rille_append.
**
** An append is put together in a room of buffers, a userdata that the handle
** keeps from one call to the next. A call takes it away, so that a finalizer that
** appends in the midst of it gets a room of its own; if an error is raised on the
** way, the room is collected. Tables are read raw: no metamethod runs.
** Data are encoded one behind the other; because the buffer may move while it
** grows, texts that point into it are offsets until all is there.
** What a transaction is to do is read by the same code, and then copied (lwork.c). */
#include "lrille.h"
#include "lvalue.h"

#define KEEP_BYTES ((size_t)1 << 20)
#define WAIT_MOST_S 1e9 /* longer is for ever */

static const char *const event_fields[] = {"type",   "data",     "tags",     "meta",
                                           "id",     "time",     "position", "version",
                                           "stream", "redacted", NULL};
static const char *const append_options[] = {"expect", "unless", "mark", "wait", NULL};
static const char *const several_fields[] = {"unless", "mark", "wait", NULL};
static const char *const part_fields[] = {"stream", "events", "expect", NULL};
static const char *const no_options[] = {NULL};

#define ROOM_HANDLE "rille.room"

struct room {
  struct buffer bytes, events, parts, tags, versions;
};

struct appending {
  lua_State *L;
  struct room *s;
  size_t event; /* which one it is, for messages; 0: there is only one */
  int has_unless;
  int internal; /* names may be rille's own */
  int64_t wait_ms;
  struct work *work; /* what becomes of it */
};

/* Refuses a value: the message is pushed and the answer is nil, message, code. */
static int refuse(struct appending *a, const char *field, const char *what) {
  if (a->event) lua_pushfstring(a->L, "event %d: %s %s", (int)a->event, field, what);
  else lua_pushfstring(a->L, "%s %s", field, what);
  return 0;
}

static void *add(struct appending *a, struct buffer *b, size_t n) {
  if (!buffer_add_zeros(b, n)) luaL_error(a->L, "not enough memory");
  return b->bytes + b->length - n;
}

static void get_raw(lua_State *L, int index, const char *field) {
  lua_pushstring(L, field);
  lua_rawget(L, index);
}

/* Encodes the field, if there is one, behind the others. The text's bytes are an
** offset for now. */
static int add_value(struct appending *a, int index, const char *field, rille_text *text) {
  lua_State *L = a->L;
  size_t before = a->s->bytes.length;
  get_raw(L, index, field);
  if (!lua_isnil(L, -1) && !value_encode(L, lua_gettop(L), field, &a->s->bytes)) {
    if (a->event) lua_pushfstring(L, "event %d: %s", (int)a->event, lua_tostring(L, -1));
    return 0;
  }
  lua_pop(L, 1);
  text->bytes = (const char *)(uintptr_t)before;
  text->length = a->s->bytes.length - before;
  return 1;
}

static void field_error(struct appending *a, const char *field, const char *expected) {
  if (a->event)
    luaL_error(a->L, "event %d: %s must be %s, not %s", (int)a->event, field, expected,
               luaL_typename(a->L, -1));
  luaL_error(a->L, "%s must be %s, not %s", field, expected, luaL_typename(a->L, -1));
}

/* A string field; it belongs to the event's table. */
static void read_text(struct appending *a, int index, const char *field, int needed,
                      rille_text *text) {
  get_raw(a->L, index, field);
  if (lua_type(a->L, -1) == LUA_TSTRING) text->bytes = lua_tolstring(a->L, -1, &text->length);
  else if (needed || !lua_isnil(a->L, -1)) field_error(a, field, "a string");
  lua_pop(a->L, 1);
}

static int read_id(struct appending *a, int index, rille_text *id) {
  read_text(a, index, "id", 0, id);
  return id->bytes && id->length == 0 ? refuse(a, "id", "is empty: it needs 1 to 255 bytes") : 1;
}

static int read_time(struct appending *a, int index, int64_t *time_us) {
  lua_State *L = a->L;
  get_raw(L, index, "time");
  if (!lua_isnil(L, -1)) {
    if (lua_type(L, -1) != LUA_TNUMBER) field_error(a, "time", "a number of seconds");
    lua_Number seconds = lua_tonumber(L, -1);
    if (!(seconds * MICROSECONDS >= 0.5 && seconds < 9e12))
      return refuse(a, "time", "is no time: it is in seconds since 1970");
    *time_us = (int64_t)(seconds * MICROSECONDS + 0.5);
  }
  lua_pop(L, 1);
  return 1;
}

static int read_tags(struct appending *a, int index, rille_event_input *event) {
  lua_State *L = a->L;
  get_raw(L, index, "tags");
  event->tags = (const rille_text *)(uintptr_t)a->s->tags.length; /* an offset */
  if (!lua_isnil(L, -1)) {
    if (!lua_istable(L, -1)) field_error(a, "tags", "a list of strings");
    options_check_list(L, lua_gettop(L), "tags", "strings");
    event->tag_count = lua_rawlen(L, -1);
    for (size_t i = 1; i <= event->tag_count; i++) {
      lua_rawgeti(L, -1, (lua_Integer)i);
      if (lua_type(L, -1) != LUA_TSTRING) field_error(a, "tags", "a list of strings");
      rille_text *tag = add(a, &a->s->tags, sizeof *tag);
      tag->bytes = lua_tolstring(L, -1, &tag->length);
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
  return 1;
}

/* The event at index; false with a message pushed where a value can't be. */
static int read_event(struct appending *a, int index) {
  lua_State *L = a->L;
  if (!lua_istable(L, index))
    luaL_error(L, "an event must be a table, not %s", luaL_typename(L, index));
  options_check(L, index, event_fields, 0, "field of an event");
  rille_event_input event = {0};
  read_text(a, index, "type", 1, &event.type);
  if (!read_id(a, index, &event.id) || !read_time(a, index, &event.time_us) ||
      !read_tags(a, index, &event) || !add_value(a, index, "data", &event.data) ||
      !add_value(a, index, "meta", &event.meta))
    return 0;
  rille_event_input *room = add(a, &a->s->events, sizeof *room);
  *room = event;
  return 1;
}

/* An event has a type, or else some other name; a list has no names. */
static int is_event(lua_State *L, int index) {
  get_raw(L, index, "type");
  int typed = !lua_isnil(L, -1);
  lua_pop(L, 1);
  if (typed) return 1;
  if (lua_rawlen(L, index)) return 0;
  lua_pushnil(L);
  if (!lua_next(L, index)) return 0;
  int string = lua_type(L, -2) == LUA_TSTRING;
  lua_pop(L, 2);
  return string;
}

/* The event or the list of events at index. */
static int read_events(struct appending *a, int index, rille_part *part) {
  lua_State *L = a->L;
  part->events = (const rille_event_input *)(uintptr_t)(a->s->events.length / sizeof *part->events);
  if (lua_isnil(L, index)) return 1;
  if (!lua_istable(L, index))
    luaL_error(L, "events must be an event or a list of them, not %s", luaL_typename(L, index));
  if (is_event(L, index)) {
    part->event_count = 1;
    return read_event(a, index);
  }
  options_check(L, index, no_options, 1, "field of a list of events");
  part->event_count = lua_rawlen(L, index);
  for (size_t i = 1; i <= part->event_count; i++) {
    a->event++;
    lua_rawgeti(L, index, (lua_Integer)i);
    if (!read_event(a, lua_gettop(L))) return 0;
    lua_pop(L, 1);
  }
  return 1;
}

static int read_expect(struct appending *a, int index, int64_t *expect) {
  lua_State *L = a->L;
  int exact, ok = 1;
  if (!lua_istable(L, index)) return 1;
  get_raw(L, index, "expect");
  if (lua_type(L, -1) == LUA_TNUMBER) {
    lua_Integer version = lua_tointegerx(L, -1, &exact);
    ok = exact && version >= 0;
    *expect = version ? version : RILLE_EXPECT_NONE;
  } else if (lua_type(L, -1) == LUA_TSTRING) {
    const char *word = lua_tostring(L, -1);
    if (strcmp(word, "none") == 0) *expect = RILLE_EXPECT_NONE;
    else if (strcmp(word, "exists") == 0) *expect = RILLE_EXPECT_EXISTS;
    else ok = strcmp(word, "any") == 0;
  } else if (!lua_isnil(L, -1)) {
    field_error(a, "expect", "a version or a word");
  }
  lua_pop(L, 1);
  if (ok) return 1;
  a->event = 0;
  return refuse(a, "expect", "must be a version, \"none\", \"exists\" or \"any\"");
}

/* ---- What must hold besides ---- */

/* A query of which only items and positions count. It and what query_read left of
** it stay on the stack. */
static int read_unless(struct appending *a, int index) {
  static const char *const without[] = {"before", "limit", "reverse", "explain", "consistency"};
  lua_State *L = a->L;
  get_raw(L, index, "unless");
  if (lua_isnil(L, -1)) return 1;
  if (!lua_istable(L, -1)) field_error(a, "unless", "a query");
  int query = lua_gettop(L);
  a->work->unless.size = sizeof a->work->unless;
  if (!query_read(L, query, 0, &a->work->unless)) return refuse(a, "unless:", lua_tostring(L, -1));
  for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
    get_raw(L, query, without[i]);
    if (!lua_isnil(L, -1)) luaL_error(L, "unless has no '%s': it has items and after", without[i]);
    lua_pop(L, 1);
  }
  a->has_unless = 1;
  return 1;
}

/* Entry i of { name, from, to }. */
static int read_mark_position(struct appending *a, int i, uint64_t *position) {
  lua_State *L = a->L;
  int exact;
  lua_rawgeti(L, -1, i);
  lua_Integer value = lua_tointegerx(L, -1, &exact);
  if (lua_type(L, -1) != LUA_TNUMBER || !exact)
    luaL_error(L, "mark must be { name, from, to }: from and to are positions");
  lua_pop(L, 1);
  *position = (uint64_t)value;
  return value >= 0 ? 1 : refuse(a, "mark", "has a negative position");
}

/* mark = { name, from, to }; false with a message pushed where a value can't be. */
static int read_mark(struct appending *a, int index) {
  lua_State *L = a->L;
  get_raw(L, index, "mark");
  if (lua_isnil(L, -1)) return 1;
  if (!lua_istable(L, -1)) field_error(a, "mark", "{ name, from, to }");
  options_check(L, lua_gettop(L), no_options, 1, "field of a mark");
  lua_rawgeti(L, -1, 1);
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "mark must be { name, from, to }: name is a string, not %s",
               luaL_typename(L, -1));
  a->work->append.mark.name.bytes = lua_tolstring(L, -1, &a->work->append.mark.name.length);
  lua_pop(L, 1);
  if (!a->work->append.mark.name.length)
    return refuse(a, "mark", "has an empty name: it needs 1 to 255 bytes");
  return read_mark_position(a, 2, &a->work->append.mark.from) &&
         read_mark_position(a, 3, &a->work->append.mark.to);
}

/* How long to wait for locks of transactions. */
static int read_wait(struct appending *a, int index) {
  lua_Number seconds = 0;
  options_number(a->L, index, "wait", &seconds);
  if (!(seconds >= 0)) return refuse(a, "wait", "must not be negative");
  a->wait_ms = seconds < WAIT_MOST_S ? (int64_t)(seconds * 1000) : RILLE_FOREVER;
  return 1;
}

/* unless, mark and wait, from the table at index, if there is one. */
static int read_conditions(struct appending *a, int index) {
  if (!lua_istable(a->L, index)) return 1;
  return read_unless(a, index) && read_mark(a, index) && read_wait(a, index);
}

/* ---- The two forms ---- */

/* append(stream, events, options) */
static int read_one(struct appending *a) {
  lua_State *L = a->L;
  rille_part part = {0};
  part.stream.bytes = lua_tolstring(L, 2, &part.stream.length);
  luaL_checktype(L, 3, LUA_TTABLE);
  options_check(L, 4, append_options, 0, "option");
  if (!read_expect(a, 4, &part.expect) || !read_conditions(a, 4) || !read_events(a, 3, &part))
    return 0;
  *(rille_part *)add(a, &a->s->parts, sizeof part) = part;
  return 1;
}

/* append{ { stream=, events=, expect= }, ..., unless=, mark=, wait= }, the table at `table` */
static int read_several(struct appending *a, int table) {
  lua_State *L = a->L;
  options_check(L, table, several_fields, 1, "option");
  if (!read_conditions(a, table)) return 0;
  size_t n = lua_rawlen(L, table);
  for (size_t i = 1; i <= n; i++) {
    lua_rawgeti(L, table, (lua_Integer)i);
    int index = lua_gettop(L);
    rille_part part = {0};
    if (!lua_istable(L, index)) luaL_error(L, "part %d of the append must be a table", (int)i);
    options_check(L, index, part_fields, 0, "field of an append's part");
    if (!options_text(L, index, "stream", &part.stream))
      luaL_error(L, "stream is missing in part %d of the append", (int)i);
    get_raw(L, index, "events");
    if (!read_expect(a, index, &part.expect) || !read_events(a, lua_gettop(L), &part)) return 0;
    *(rille_part *)add(a, &a->s->parts, sizeof part) = part;
    lua_settop(L, index - 1);
  }
  return 1;
}

static const void *at(const struct buffer *b, size_t n, uintptr_t offset) {
  return n ? b->bytes + offset : NULL;
}

/* Offsets become pointers. */
static void settle(struct room *s) {
  rille_event_input *events = (rille_event_input *)(void *)s->events.bytes;
  rille_part *parts = (rille_part *)(void *)s->parts.bytes;
  for (size_t i = 0; i < s->parts.length / sizeof *parts; i++)
    parts[i].events = parts[i].event_count ? events + (uintptr_t)parts[i].events : NULL;
  for (size_t i = 0; i < s->events.length / sizeof *events; i++) {
    rille_event_input *event = &events[i];
    event->data.bytes = at(&s->bytes, event->data.length, (uintptr_t)event->data.bytes);
    event->meta.bytes = at(&s->bytes, event->meta.length, (uintptr_t)event->meta.bytes);
    event->tags = at(&s->tags, event->tag_count, (uintptr_t)event->tags);
  }
}

void work_push_versions(lua_State *L, const rille_append *append) {
  lua_createtable(L, 0, (int)append->part_count);
  for (size_t i = 0; i < append->part_count; i++) {
    lua_pushlstring(L, append->parts[i].stream.bytes, append->parts[i].stream.length);
    lua_pushinteger(L, (lua_Integer)append->versions[i]);
    lua_rawset(L, -3);
  }
}

int append_push_result(lua_State *L, const rille_append *append, const rille_appended *done,
                       int several) {
  lua_createtable(L, 0, 4);
  if (done->first) {
    set_integer(L, "first", done->first);
    set_integer(L, "last", done->last);
  }
  lua_pushboolean(L, done->duplicate);
  lua_setfield(L, -2, "duplicate");
  if (!several) {
    set_integer(L, "version", done->version);
    return 1;
  }
  work_push_versions(L, append);
  lua_setfield(L, -2, "versions");
  return 1;
}

int work_push_failure(lua_State *L, const rille_append *append, const rille_error *e) {
  int results = error_push(L, e);
  if (e->code == RILLE_CONFLICT && e->condition == RILLE_CONDITION_MARK) {
    lua_pushlstring(L, append->mark.name.bytes, append->mark.name.length);
    lua_setfield(L, -2, "mark");
  }
  return results;
}

/* The host's clock is asked here, where it may raise. */
int64_t clock_ask(lua_State *L, const struct store_handle *s) {
  if (s->clock == LUA_NOREF) return 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->clock);
  lua_call(L, 0, 1);
  if (lua_type(L, -1) != LUA_TNUMBER) luaL_error(L, "clock must return a number of seconds");
  lua_Number seconds = lua_tonumber(L, -1);
  if (!(seconds * MICROSECONDS >= 0.5 && seconds < 9e12))
    luaL_error(L, "clock must return seconds since 1970");
  lua_pop(L, 1);
  return (int64_t)(seconds * MICROSECONDS + 0.5);
}

/* ---- The room ---- */

static int room_gc(lua_State *L) {
  struct room *s = lua_touserdata(L, 1);
  struct buffer *buffers[] = {&s->bytes, &s->events, &s->parts, &s->tags, &s->versions};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) buffer_release(buffers[i]);
  return 0;
}

static struct room *push_new_room(lua_State *L) {
  struct memory memory = memory_default();
  struct room *s = lua_newuserdatauv(L, sizeof *s, 0);
  struct buffer *buffers[] = {&s->bytes, &s->events, &s->parts, &s->tags, &s->versions};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) buffer_init(buffers[i], &memory);
  if (luaL_newmetatable(L, ROOM_HANDLE)) {
    lua_pushcfunction(L, room_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return s;
}

/* Takes the handle's room, or makes one; pushes it. */
static struct room *take_room(lua_State *L) {
  if (lua_getiuservalue(L, 1, STORE_ROOM) == LUA_TUSERDATA) {
    lua_pushnil(L);
    lua_setiuservalue(L, 1, STORE_ROOM);
    return lua_touserdata(L, -1);
  }
  lua_pop(L, 1);
  return push_new_room(L);
}

static void give_room_back(lua_State *L, int index) {
  struct room *s = lua_touserdata(L, index);
  struct buffer *buffers[] = {&s->bytes, &s->events, &s->parts, &s->tags, &s->versions};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
    buffer_clear(buffers[i], KEEP_BYTES);
  lua_pushvalue(L, index);
  lua_setiuservalue(L, 1, STORE_ROOM);
}

/* What has been read becomes an append. */
static void finish(struct appending *a, int64_t now_us) {
  rille_append *append = &a->work->append;
  append->size = sizeof *append;
  append->part_count = a->s->parts.length / sizeof(rille_part);
  append->now_us = now_us;
  append->unless = a->has_unless ? &a->work->unless : NULL;
  append->internal = a->internal;
  append->wait_ms = a->wait_ms;
  if (append->part_count)
    append->versions = add(a, &a->s->versions, append->part_count * sizeof *append->versions);
  settle(a->s);
  append->parts = (const rille_part *)(void *)a->s->parts.bytes;
}

static int append_in_room(struct appending *a, struct store_handle *handle, int several,
                          int64_t now_us) {
  lua_State *L = a->L;
  if (!(several ? read_several(a, 2) : read_one(a))) return error_push_message(L, "invalid");
  finish(a, now_us);
  if (!handle->store) return error_push_closed(L, "store"); /* by a finalizer, meanwhile */
  const rille_append *append = &a->work->append;
  rille_appended done;
  rille_error e;
  if (rille_store_append(handle->store, append, &done, &e) < 0)
    return work_push_failure(L, append, &e);
  if (done.last > handle->last) handle->last = done.last;
  return append_push_result(L, append, &done, several);
}

/* Raises unless the arguments are of one of the two forms; true for the second. */
static int check_form(lua_State *L) {
  int several = lua_istable(L, 2);
  if (!several) luaL_checktype(L, 2, LUA_TSTRING);
  if (several && !lua_isnoneornil(L, 3))
    luaL_error(L, "an append to several streams is one table: expect stands in its parts");
  return several;
}

static int append(lua_State *L, int internal) {
  struct store_handle *handle = store_check(L, 1);
  int several = check_form(L);
  if (!handle->store) return error_push_closed(L, "store");
  lua_settop(L, 4);
  int64_t now_us = clock_ask(L, handle);
  struct work work = {.append.size = 0};
  struct appending a = {.L = L, .s = take_room(L), .internal = internal, .work = &work};
  int room = lua_gettop(L), results = append_in_room(&a, handle, several, now_us);
  give_room_back(L, room);
  return results;
}

int append_events(lua_State *L) { return append(L, 0); }

int append_internal(lua_State *L) { return append(L, 1); }

/* ---- For a transaction ---- */

int append_read(lua_State *L, int internal, struct work *work, int *room) {
  int several = check_form(L);
  *work = (struct work){.append.size = 0};
  struct appending a = {.L = L, .s = take_room(L), .internal = internal, .work = work};
  *room = lua_gettop(L);
  if (!(several ? read_several(&a, 2) : read_one(&a))) return 0;
  finish(&a, 0);
  return 1;
}

void append_give_back(lua_State *L, int room) { give_room_back(L, room); }
