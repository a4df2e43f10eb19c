/* levent.c: an event as Lua sees it.
**
** Iterators give plain tables, which belong to who reads them. Handlers get a
** view: one userdata for all events of a pass, whose `data` is decoded when it is
** touched, so that a replay makes little garbage. A view is valid only during the
** call it was passed to. */
#include "lrille.h"
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

/* The value, or nil where the event has none. */
static void push_value(lua_State *L, rille_text bytes, const rille_event *event,
                       const char *field) {
  if (bytes.length == 0) {
    lua_pushnil(L);
    return;
  }
  if (value_decode(L, bytes.bytes, bytes.length)) return;
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
  push_value(L, event->data, event, "data");
  lua_setfield(L, -2, "data");
  if (event->meta.length == 0) return;
  push_value(L, event->meta, event, "meta");
  lua_setfield(L, -2, "meta");
}

/* ---- The view ---- */

static struct event_view *check_view(lua_State *L) {
  struct event_view *v = luaL_checkudata(L, 1, EVENT_HANDLE);
  if (!v->event) luaL_error(L, "the event is valid only during the call it was passed to");
  return v;
}

/* Decoded once an event; what the script changes in it stays in this call. */
static void view_data(lua_State *L, struct event_view *v) {
  if (v->decoded) {
    lua_getiuservalue(L, 1, 1);
    return;
  }
  push_value(L, v->event->data, v->event, "data");
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, 1);
  v->decoded = 1;
}

static int view_index(lua_State *L) {
  struct event_view *v = check_view(L);
  const rille_event *e = v->event;
  size_t n;
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &n) : "";
  if (strcmp(key, "data") == 0) view_data(L, v);
  else if (strcmp(key, "type") == 0) push_text(L, e->type);
  else if (strcmp(key, "stream") == 0) push_text(L, e->stream);
  else if (strcmp(key, "position") == 0) lua_pushinteger(L, (lua_Integer)e->position);
  else if (strcmp(key, "version") == 0) lua_pushinteger(L, (lua_Integer)e->version);
  else if (strcmp(key, "time") == 0) push_time(L, e);
  else if (strcmp(key, "tags") == 0) push_tags(L, e);
  else if (strcmp(key, "meta") == 0) push_value(L, e->meta, e, "meta");
  else if (strcmp(key, "id") == 0) push_id(L, e);
  else return luaL_error(L, "an event has no field '%s'", luaL_tolstring(L, 2, NULL));
  return 1;
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

struct event_view *event_push_view(lua_State *L) {
  struct event_view *v = lua_newuserdatauv(L, sizeof *v, 1);
  *v = (struct event_view){0};
  luaL_setmetatable(L, EVENT_HANDLE);
  return v;
}

void event_open_library(lua_State *L) {
  static const luaL_Reg methods[] = {{"__index", view_index},
                                     {"__newindex", view_newindex},
                                     {"__tostring", view_tostring},
                                     {NULL, NULL}};
  luaL_newmetatable(L, EVENT_HANDLE);
  luaL_setfuncs(L, methods, 0);
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}
