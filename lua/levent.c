/* levent.c: an event as Lua sees it.
**
** Iterators give plain tables, which belong to who reads them. Handlers get a
** view: one userdata for all events of a pass, whose `data` is decoded when it is
** touched, so that a replay makes little garbage. A view is valid only during the call it
** was passed to. A handler that only looks at some fields of the data gets a stand-in
** (lpick.h): a table that has nothing but those, and asks the view for the rest. */
#include "lrille.h"
#include "lpick.h"
#include "ltexts.h"
#include "lvalue.h"

static void push_text(lua_State *L, rille_text t) { lua_pushlstring(L, t.bytes, t.length); }

static void push_id(lua_State *L, const rille_event *event) {
  char room[RILLE_ID_BYTES];
  push_text(L, rille_event_id(event, room));
}

static void push_tags(lua_State *L, const rille_event *event) {
  lua_createtable(L, (int)event->tag_count, 0);
  for (size_t i = 0; i < event->tag_count; i++) {
    push_text(L, rille_event_tag(event, i));
    lua_rawseti(L, -2, (int)i + 1);
  }
}

/* The value, or nil where the event has none; `texts` as for value_decode_with, or 0. */
static void push_value(lua_State *L, rille_text bytes, const rille_event *event, const char *field,
                       int texts) {
  if (bytes.length == 0) {
    lua_pushnil(L);
    return;
  }
  if (texts ? value_decode_with(L, bytes.bytes, bytes.length, texts)
            : value_decode(L, bytes.bytes, bytes.length))
    return;
  luaL_error(L, "the %s of the event at position %I can't be read: %s", field,
             (LUAI_UACINT)event->position, lua_tostring(L, -1));
}

static void push_time(lua_State *L, const rille_event *event) {
  lua_pushnumber(L, (lua_Number)event->time_us / MICROSECONDS);
}

void event_push(lua_State *L, const rille_event *event) {
  lua_createtable(L, 0, 9);
  lua_pushinteger(L, (lua_Integer)event->position);
  lua_setfield(L, -2, "position");
  lua_pushinteger(L, (lua_Integer)event->version);
  lua_setfield(L, -2, "version");
  push_text(L, event->stream);
  lua_setfield(L, -2, "stream");
  push_text(L, event->type);
  lua_setfield(L, -2, "type");
  push_id(L, event);
  lua_setfield(L, -2, "id");
  push_time(L, event);
  lua_setfield(L, -2, "time");
  push_tags(L, event);
  lua_setfield(L, -2, "tags");
  if (event->redacted) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "redacted");
  }
  push_value(L, event->data, event, "data", 0);
  lua_setfield(L, -2, "data");
  if (event->meta.length == 0) return;
  push_value(L, event->meta, event, "meta", 0);
  lua_setfield(L, -2, "meta");
}

/* ---- The view ---- */

/* Fields of an event, data first. A name is known by where its bytes are: short strings are
** one object in a lua_State, and the names of the fields are upvalues of view_index. */
enum event_field {
  F_DATA,
  F_STREAM,
  F_POSITION,
  F_TYPE,
  F_VERSION,
  F_TIME,
  F_TAGS,
  F_META,
  F_ID,
  F_REDACTED,
  FIELDS
};

static const char *const field_names[FIELDS] = {
    [F_DATA] = "data",       [F_STREAM] = "stream",    [F_POSITION] = "position", [F_TYPE] = "type",
    [F_VERSION] = "version", [F_TIME] = "time",        [F_TAGS] = "tags",         [F_META] = "meta",
    [F_ID] = "id",           [F_REDACTED] = "redacted"};

struct event_names {
  const char *bytes[FIELDS];
};

enum { NAMES = 1, TEXTS, PICKS }; /* upvalues of who looks for a field */
#define UPVALUE_NAMES lua_upvalueindex(NAMES)
#define UPVALUE_TEXTS lua_upvalueindex(TEXTS)
#define UPVALUE_PICKS lua_upvalueindex(PICKS)

static int refuse_over(lua_State *L) {
  return luaL_error(L, "the event is valid only during the call it was passed to");
}

/* The view at 1, whatever else a script may call this with: nothing but a view has as many
** bytes and begins with its own address. */
static struct event_view *check_view(lua_State *L) {
  struct event_view *v = lua_touserdata(L, 1);
  if (!v || lua_rawlen(L, 1) != sizeof *v || v->self != v) luaL_typeerror(L, 1, EVENT_HANDLE);
  if (!v->event) refuse_over(L);
  return v;
}

/* User values of a view: its data, and the strings of the texts. */
enum { VIEW_DATA = 1, VIEW_STRINGS, VIEW_VALUES = VIEW_STRINGS };

/* Decoded once an event; what the script changes in it stays in this call. */
static void view_data(lua_State *L, struct event_view *v) {
  if (v->decoded) {
    lua_getiuservalue(L, 1, VIEW_DATA);
    return;
  }
  push_value(L, v->event->data, v->event, "data", UPVALUE_TEXTS);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, VIEW_DATA);
  v->decoded = 1;
}

static enum event_field find_field(lua_State *L) {
  const struct event_names *names = lua_touserdata(L, UPVALUE_NAMES);
  const char *key = lua_tostring(L, 2); /* a number's is none of the names, either */
  int field = 0;
  while (field < FIELDS && names->bytes[field] != key) field++;
  return (enum event_field)field;
}

/* Any but the data. */
static int push_field(lua_State *L, const rille_event *e, enum event_field field) {
  switch (field) {
    case F_TYPE: push_text(L, e->type); return 1;
    case F_STREAM: push_text(L, e->stream); return 1;
    case F_POSITION: lua_pushinteger(L, (lua_Integer)e->position); return 1;
    case F_VERSION: lua_pushinteger(L, (lua_Integer)e->version); return 1;
    case F_TIME: push_time(L, e); return 1;
    case F_TAGS: push_tags(L, e); return 1;
    case F_META: push_value(L, e->meta, e, "meta", UPVALUE_TEXTS); return 1;
    case F_ID: push_id(L, e); return 1;
    case F_REDACTED: lua_pushboolean(L, e->redacted); return 1;
    default: return luaL_error(L, "an event has no field '%s'", luaL_tolstring(L, 2, NULL));
  }
}

static int view_index(lua_State *L) {
  struct event_view *v = check_view(L);
  enum event_field field = find_field(L);
  if (field != F_DATA) return push_field(L, v->event, field);
  view_data(L, v);
  return 1;
}

static void push_view_index(lua_State *L) {
  struct event_names *names = lua_newuserdatauv(L, sizeof *names, FIELDS);
  for (int i = 0; i < FIELDS; i++) {
    names->bytes[i] = lua_pushstring(L, field_names[i]);
    lua_setiuservalue(L, -2, i + 1); /* so that it stays where it is */
  }
  texts_push(L);
  lua_pushcclosure(L, view_index, 2);
}

static int view_newindex(lua_State *L) {
  return luaL_error(L, "an event can't be changed: what has happened has happened");
}

static int view_tostring(lua_State *L) {
  struct event_view *v = luaL_checkudata(L, 1, EVENT_HANDLE);
  if (!v->event) lua_pushliteral(L, "event (over)");
  else
    lua_pushfstring(L, "event %I %s", (LUAI_UACINT)v->event->position,
                    lua_pushlstring(L, v->event->type.bytes, v->event->type.length));
  return 1;
}

/* Pushes what view_index has as its upvalue. */
static void push_upvalue(lua_State *L, int upvalue) {
  luaL_getmetatable(L, EVENT_HANDLE);
  lua_getfield(L, -1, "__index");
  lua_getupvalue(L, -1, upvalue);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

struct event_view *event_push_view(lua_State *L) {
  struct event_view *v = lua_newuserdatauv(L, sizeof *v, VIEW_VALUES);
  *v = (struct event_view){.self = v};
  luaL_setmetatable(L, EVENT_HANDLE);
  push_upvalue(L, TEXTS);
  v->texts = lua_touserdata(L, -1);
  lua_getiuservalue(L, -1, 1);
  lua_setiuservalue(L, -3, VIEW_STRINGS);
  lua_pop(L, 1);
  return v;
}

void event_push_string(lua_State *L, int view, const char *bytes, size_t length) {
  const struct event_view *v = lua_touserdata(L, view);
  lua_getiuservalue(L, view, VIEW_STRINGS);
  texts_push_string(L, v->texts, lua_gettop(L), bytes, length);
  lua_remove(L, -2);
}

int event_push_touched(lua_State *L, int view) {
  const struct event_view *v = lua_touserdata(L, view);
  if (v->decoded) lua_getiuservalue(L, view, VIEW_DATA);
  else lua_pushnil(L);
  return v->decoded;
}

/* A view that was kept, against the rules, shows the event of any later call, with all of its
** data. So only who can't keep one gets a stand-in. What has been done to the data already the
** handler sees. */
void event_push_for(lua_State *L, int view, int picks, int handler) {
  const struct event_view *v = lua_touserdata(L, view);
  if (v->decoded || !pick_push(L, picks, handler, view)) lua_pushvalue(L, view);
}

void event_over(struct event_view *v) {
  v->event = NULL;
  picks_leave(v);
}

/* ---- The stand-in ---- */

static int stand_in_index(lua_State *L) {
  const struct event_view *v = picks_view(lua_touserdata(L, UPVALUE_PICKS));
  return v && v->event ? push_field(L, v->event, find_field(L)) : refuse_over(L);
}

void event_push_stand_in(lua_State *L, int picks) {
  static const luaL_Reg methods[] = {{"__newindex", view_newindex}, {NULL, NULL}};
  lua_createtable(L, 0, 3);
  luaL_setfuncs(L, methods, 0);
  push_upvalue(L, NAMES);
  push_upvalue(L, TEXTS);
  lua_pushvalue(L, picks);
  lua_pushcclosure(L, stand_in_index, 3);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
}

void event_open_library(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"__newindex", view_newindex}, {"__tostring", view_tostring}, {NULL, NULL}};
  luaL_newmetatable(L, EVENT_HANDLE);
  luaL_setfuncs(L, methods, 0);
  push_view_index(L);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}
