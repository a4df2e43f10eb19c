/* lupcast.c: old events as a script would have them.
**
**    event of a type in `upcast` --function--> nil           nobody gets it
**                                              the event     goes on, its data as it is by then
**                                              { type, data }
**                                              { { type, data }, ... }   each goes on
**
** What comes of it is upcast again where it has another type that is in `upcast`. Type and
** data are the script's, all else is the event's own.
**
** The data goes through its bytes, as if it had been stored like that: so every handler
** gets its own, and what can't be data is refused here. There is room for one data at a time:
** of a list, the next takes the place of the one before. */
#include "lupcast.h"

#include "lsandbox.h"
#include "lvalue.h"

void upcast_push_handlers(lua_State *L, int types) {
  size_t n = lua_rawlen(L, types);
  lua_createtable(L, 0, (int)n);
  for (size_t i = 1; i <= n; i++) {
    lua_rawgeti(L, types, (lua_Integer)i);
    lua_pushinteger(L, (lua_Integer)i);
    lua_rawset(L, -3);
  }
}

/* One event on its way; `type` is where the string is that its type's bytes belong to. */
struct upcast_step {
  const rille_event *event;
  int type;
  int function; /* the script's, which says what it is; the stack has it */
  int touched;  /* where the data is that the script has looked at; 0: it has not */
  int number;
};

static void expand(lua_State *L, const struct upcast *u, struct upcast_step *step);

static int has_function(lua_State *L, const struct upcast *u, int type) {
  lua_pushvalue(L, type);
  int found = lua_rawget(L, u->functions) == LUA_TFUNCTION;
  lua_pop(L, 1);
  return found;
}

/* Gives the event to the handler of its type, whose name is at `type`. */
static void hand_over(lua_State *L, const struct upcast *u, const rille_event *event, int type) {
  lua_pushvalue(L, type);
  lua_rawget(L, u->handlers);
  int handler = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  if (handler == 0 && event->type.bytes[0] != '$') handler = u->every;
  if (handler == 0) return;
  u->view->event = event;
  u->view->decoded = 0;
  u->take(L, u->context, handler);
}

static void check_fields(lua_State *L, int result, int function, const char *name) {
  for (lua_pushnil(L); lua_next(L, result); lua_pop(L, 1)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    if (strcmp(key, "type") != 0 && strcmp(key, "data") != 0)
      sandbox_refuse(L, function,
                     "upcast.%s gave an event with the field '%s': it may have type and data", name,
                     lua_type(L, -2) == LUA_TNUMBER ? "(a number)" : key);
  }
}

/* Sets the data of `event` to the value at `data`. */
static void set_data(lua_State *L, const struct upcast *u, int data, const struct upcast_step *step,
                     rille_event *event) {
  event->data = (rille_text){0};
  if (lua_isnil(L, data)) return;
  buffer_clear(u->room, MIB);
  if (!value_encode(L, data, "data", u->room))
    sandbox_refuse(L, step->function, "upcast.%s gave an event that can't be: %s",
                   lua_tostring(L, step->type), lua_tostring(L, -1));
  event->data = (rille_text){(const char *)u->room->bytes, u->room->length};
}

/* What the table on top of the stack says; pops it. */
static void deliver(lua_State *L, const struct upcast *u, const struct upcast_step *step) {
  int result = lua_gettop(L), type = result + 1;
  const char *name = lua_tostring(L, step->type);
  rille_event event = *step->event;
  if (lua_rawequal(L, result, u->view_index)) {
    if (step->touched) set_data(L, u, step->touched, step, &event);
    hand_over(L, u, &event, step->type);
    lua_settop(L, result - 1);
    return;
  }
  if (!lua_istable(L, result))
    sandbox_refuse(L, step->function,
                   "upcast.%s gave a list with a %s in it: it has events, { type =, data = }", name,
                   luaL_typename(L, result));
  lua_pushliteral(L, "type");
  if (lua_rawget(L, result) != LUA_TSTRING)
    sandbox_refuse(L, step->function,
                   "upcast.%s gave an event whose type is a %s: it must be a string", name,
                   luaL_typename(L, type));
  event.type.bytes = lua_tolstring(L, type, &event.type.length);
  if (event.type.length == 0 || event.type.length > RILLE_NAME_BYTES)
    sandbox_refuse(L, step->function,
                   "upcast.%s gave an event whose type has %d bytes: it needs 1 to 255", name,
                   (int)event.type.length);
  check_fields(L, result, step->function, name);
  lua_pushliteral(L, "data");
  lua_rawget(L, result);
  set_data(L, u, type + 1, step, &event);
  lua_settop(L, type);
  struct upcast_step next = {.event = &event, .type = type, .number = step->number + 1};
  if (!lua_rawequal(L, type, step->type) && has_function(L, u, type)) expand(L, u, &next);
  else hand_over(L, u, &event, type);
  lua_settop(L, result - 1);
}

/* A list of events, on top of the stack. What the script was asked about may be in the room that
** the first of them takes, and be one of the others. */
static void deliver_list(lua_State *L, const struct upcast *u, const struct upcast_step *step) {
  int list = lua_gettop(L);
  rille_event asked = *step->event;
  struct upcast_step own = *step;
  size_t n = lua_rawlen(L, list);
  lua_pushnil(L);
  if (n == 0 && lua_next(L, list))
    sandbox_refuse(L, step->function, "upcast.%s gave an event without type",
                   lua_tostring(L, step->type));
  lua_settop(L, list);
  if (step->number > 0 && !step->touched && n > 1) {
    asked.data.bytes = lua_pushlstring(L, asked.data.bytes, asked.data.length);
    own.event = &asked;
  }
  for (size_t i = 1; i <= n; i++) {
    lua_rawgeti(L, list, (lua_Integer)i);
    deliver(L, u, &own);
  }
}

static void expand(lua_State *L, const struct upcast *u, struct upcast_step *step) {
  int top = lua_gettop(L), data = top + 2, result = top + 3;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_pushvalue(L, step->type);
  lua_rawget(L, u->functions);
  step->function = top + 1;
  if (step->number >= UPCAST_STEPS)
    sandbox_refuse(L, step->function,
                   "upcast.%s: the event became another %d times, which is all it may",
                   lua_tostring(L, step->type), UPCAST_STEPS);
  u->view->event = step->event;
  u->view->decoded = 0;
  lua_pushvalue(L, step->function);
  lua_pushvalue(L, u->view_index);
  lua_call(L, 1, 1);
  step->touched = event_push_touched(L, u->view_index) ? data : 0;
  lua_insert(L, data);
  if (lua_istable(L, result)) {
    lua_pushliteral(L, "type");
    int one = lua_rawget(L, result) != LUA_TNIL;
    lua_settop(L, result);
    if (one) deliver(L, u, step);
    else deliver_list(L, u, step);
  } else if (lua_rawequal(L, result, u->view_index)) {
    deliver(L, u, step);
  } else if (!lua_isnil(L, result)) {
    sandbox_refuse(L, step->function,
                   "upcast.%s returned a %s: it gives an event, a list of them, or nil",
                   lua_tostring(L, step->type), luaL_typename(L, result));
  }
  lua_settop(L, top);
}

void upcast_event(lua_State *L, const struct upcast *u, const rille_event *event) {
  lua_pushlstring(L, event->type.bytes, event->type.length);
  struct upcast_step first = {.event = event, .type = lua_gettop(L)};
  expand(L, u, &first);
  lua_pop(L, 1);
  u->view->event = event;
  u->view->decoded = 0;
}
