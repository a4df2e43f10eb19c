/* lproject.c: the loop that carries many states on: one way through the log for any number
** of passes, each a reducer with its states by key.
**
** A pass has taken every event up to its `after`; so an event goes to each pass that is
** behind it. Events are whole: a run stops only when the last one went to all of them. Where
** a handler fails, its pass ends before that event and the others go on.
**
** states.lua prepares a run, and keeps what comes of it. */
#include "lproject.h"

#include "../core/system.h"
#include "lisolate.h"
#include "lsandbox.h"
#include "lupcast.h"
#include "lvalue.h"

#define MS_MOST 9e12 /* more is for ever */

enum { AT_RUN = 1, AT_VIEW, AT_FIRST };

/* ---- States ---- */

/* Calls find(key), the host's: pushes what it gives. */
static void call_find(lua_State *L, struct run *r, const struct pass *p, int key) {
  int inside = sandbox_switch(L, 0);
  lua_pushvalue(L, p->base + OF_FIND);
  lua_pushvalue(L, key);
  int status = lua_pcall(L, 1, 1, 0);
  sandbox_switch(L, inside);
  if (status == LUA_OK) return;
  lua_rawsetp(L, LUA_REGISTRYINDEX, r);
  r->found_failed = 1;
  luaL_error(L, "a state can't be found");
}

/* Pushes the key as the script is told it: nil where the reducer has none. */
static void push_told_key(lua_State *L, const struct pass *p, int key) {
  if (lua_isnil(L, p->base + OF_KEY)) lua_pushnil(L);
  else lua_pushvalue(L, key);
}

/* Pushes the state of a key: a first one where there is none. */
static void push_state(lua_State *L, struct run *r, struct pass *p, int key) {
  lua_pushvalue(L, key);
  if (lua_rawget(L, p->base + OF_STATES) == LUA_TNIL) {
    lua_pop(L, 1);
    call_find(L, r, p, key);
    p->put++;
  }
  if (!lua_isnil(L, -1) && !value_is_null(L, -1)) return;
  lua_pop(L, 1);
  lua_pushvalue(L, p->base + OF_FRESH);
  push_told_key(L, p, key);
  lua_call(L, 1, 1);
}

/* What the handler returned, on top of the stack, or what it was given, at `state`. */
static void choose_result(lua_State *L, int state, int handler) {
  if (lua_isnil(L, -1)) {
    if (!lua_istable(L, state))
      sandbox_refuse(L, handler,
                     "the handler returned nothing, but the state is a %s: return the new one",
                     luaL_typename(L, state));
    lua_pop(L, 1);
    lua_pushvalue(L, state);
  } else if (lua_type(L, -1) == LUA_TUSERDATA && !value_is_null(L, -1)) {
    sandbox_refuse(L, handler, "the handler returned an event: a state is plain data");
  }
}

static void check_state(lua_State *L, struct run *r, int handler) {
  if (value_is_null(L, -1)) return;
  buffer_clear(r->room, MIB);
  if (!value_encode_state(L, lua_gettop(L), r->room))
    sandbox_refuse(L, handler, "the state can't be kept: %s", lua_tostring(L, -1));
}

/* One event, one key. */
static void apply(lua_State *L, struct run *r, struct pass *p, int handler, int key) {
  push_state(L, r, p, key);
  int state = lua_gettop(L);
  lua_rawgeti(L, p->base + OF_HANDLERS, handler);
  int function = lua_gettop(L);
  lua_pushvalue(L, function);
  lua_pushvalue(L, state);
  event_push_for(L, AT_VIEW, p->base + OF_PICKS, handler);
  push_told_key(L, p, key);
  lua_call(L, 3, 1);
  r->view->decoded = 0; /* the next state gets data of its own */
  choose_result(L, state, function);
  if (p->check) check_state(L, r, function);
  lua_pushvalue(L, key);
  lua_insert(L, -2);
  lua_rawset(L, p->base + OF_STATES);
  lua_pushvalue(L, key);
  lua_pushboolean(L, 1);
  lua_rawset(L, p->base + OF_DIRTY);
  lua_settop(L, state - 1);
}

/* ---- Keys ---- */

/* The key on top of the stack, as states have it; the pass's function gave it. */
static void check_key(lua_State *L, const struct pass *p) {
  int type = lua_type(L, -1), function = p->base + OF_KEY;
  int is_integer = lua_isinteger(L, -1);
  if (type == LUA_TNUMBER && !is_integer)
    sandbox_refuse(L, function, "key returned a float: a key is a string or an integer");
  if (type != LUA_TSTRING && !is_integer)
    sandbox_refuse(L, function, "key returned a %s: a key is a string or an integer",
                   lua_typename(L, type));
  size_t n;
  if (is_integer) compat_integer_to_text(L, lua_gettop(L));
  lua_tolstring(L, -1, &n);
  if (n > KEY_BYTES_MOST)
    sandbox_refuse(L, function, "key returned %d bytes: a key has at most %d", (int)n,
                   KEY_BYTES_MOST);
}

/* share_of(key, shares) --> which one */
int project_share_of(lua_State *L) {
  rille_text key;
  key.bytes = luaL_checklstring(L, 1, &key.length);
  lua_Integer shares = luaL_checkinteger(L, 2);
  luaL_argcheck(L, shares > 0 && shares <= UINT32_MAX, 2, "at least 1");
  lua_pushinteger(L, rille_share_of(key, (uint32_t)shares));
  return 1;
}

static bool is_mine(const struct pass *p, rille_text key) {
  return p->shares == 0 || rille_share_of(key, (uint32_t)p->shares) == p->share;
}

/* Applies the event for the key on top of the stack, and pops it. */
static void apply_key(lua_State *L, struct run *r, struct pass *p, int handler) {
  int key = lua_gettop(L);
  rille_text name;
  name.bytes = lua_tolstring(L, key, &name.length);
  if (!p->by_stream && !is_mine(p, name)) {
    lua_settop(L, key - 1);
    return;
  }
  if (lua_isnil(L, p->base + OF_ONLY) || lua_rawequal(L, key, p->base + OF_ONLY))
    apply(L, r, p, handler, key);
  lua_settop(L, key - 1);
}

/* A list goes to each, once. */
static void apply_list(lua_State *L, struct run *r, struct pass *p, int handler) {
  int list = lua_gettop(L);
  size_t n = lua_rawlen(L, list);
  lua_pushnil(L);
  if (n == 0 && lua_next(L, list)) sandbox_refuse(L, p->base + OF_KEY, KEY_NO_LIST);
  lua_settop(L, list);
  lua_createtable(L, 0, (int)n);
  for (size_t i = 1; i <= n; i++) {
    lua_rawgeti(L, list, (lua_Integer)i);
    check_key(L, p);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, list + 1) == LUA_TNIL) {
      lua_pop(L, 1);
      lua_pushvalue(L, -1);
      lua_pushboolean(L, 1);
      lua_rawset(L, list + 1);
      apply_key(L, r, p, handler);
    }
    lua_settop(L, list + 1);
  }
  lua_settop(L, list - 1);
}

/* Applies what the view shows. */
static void apply_keys(lua_State *L, void *context, int handler) {
  struct run *r = context;
  struct pass *p = r->at;
  if (p->by_stream) {
    lua_pushlstring(L, r->event.stream.bytes, r->event.stream.length);
    apply_key(L, r, p, handler);
  } else if (lua_isnil(L, p->base + OF_KEY)) {
    lua_pushliteral(L, "");
    apply_key(L, r, p, handler);
  } else {
    lua_pushvalue(L, p->base + OF_KEY);
    event_push_for(L, AT_VIEW, p->base + OF_PICKS, 0);
    lua_call(L, 1, 1);
    if (lua_istable(L, -1)) {
      apply_list(L, r, p, handler);
    } else if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
    } else {
      check_key(L, p);
      apply_key(L, r, p, handler);
    }
  }
}

/* ---- The loop ---- */

static int is_enough(lua_State *L, struct run *r) {
  int bounded = 0;
  for (size_t i = 0; i < r->count; i++) {
    if (r->passes[i].most && r->passes[i].put >= r->passes[i].most) return 1;
    bounded |= r->passes[i].most > 0;
  }
  if (bounded && isolate_has_grown(L)) return r->crowded = 1;
  return r->until_us && system_monotonic_us() >= r->until_us;
}

static void apply_old(lua_State *L, struct run *r, const struct pass *p) {
  struct upcast u = {.view = r->view,
                     .view_index = AT_VIEW,
                     .functions = p->base + OF_UPCAST,
                     .handlers = p->base + OF_NUMBERS,
                     .every = p->every ? (int)p->types + 1 : 0,
                     .room = r->old,
                     .take = apply_keys,
                     .context = r};
  upcast_event(L, &u, &r->event);
}

static void take_event(lua_State *L, struct run *r) {
  size_t item = rille_reader_item(r->reader);
  r->view->event = &r->event;
  for (size_t i = 0; i < r->count; i++) {
    struct pass *p = &r->passes[i];
    if (p->failed || r->event.position <= p->after) continue;
    int handler = p->handlers[item];
    if (handler && p->by_stream && !r->shared && !is_mine(p, r->event.stream)) handler = 0;
    if (r->event.redacted && (!p->redacted || handler == IS_OLD)) handler = 0;
    r->at = p;
    if (handler) {
      r->view->decoded = 0; /* what one pass does to the data, the next does not see */
      sandbox_seed(r->sandbox, r->event.position);
      isolate_begin_event(L, r->event.position);
      if (handler == IS_OLD) apply_old(L, r, p);
      else apply_keys(L, r, handler);
      isolate_check(L, LUA_OK);
    }
    p->after = r->event.position;
  }
}

static int project_loop(lua_State *L) {
  struct run *r = lua_touserdata(L, AT_RUN);
  int result;
  while ((result = rille_reader_next(r->reader, &r->event, &r->error)) == 1) {
    take_event(L, r);
    if (is_enough(L, r)) return 0;
  }
  r->failed = result < 0 ? result : 0;
  r->done = result == 0;
  return 0;
}

/* ---- A run ---- */

/* Pushes what the loop needs of each pass. */
static void push_parts(lua_State *L, struct run *r) {
  int base = AT_FIRST;
  for (size_t i = 0; i < r->count; i++, base += OF_SLOTS) {
    struct pass *p = &r->passes[i];
    p->base = base;
    lua_getfield(L, p->table, "definition");
    int definition = lua_gettop(L);
    lua_getfield(L, definition, "handlers");
    lua_getfield(L, p->table, "states");
    lua_getfield(L, p->table, "dirty");
    lua_getfield(L, p->table, "find");
    lua_getfield(L, p->table, "fresh");
    lua_getfield(L, definition, "key");
    lua_getfield(L, p->table, "only");
    lua_getfield(L, definition, "upcast");
    lua_getfield(L, definition, "picks");
    lua_getfield(L, definition, "types");
    upcast_push_handlers(L, lua_gettop(L));
    lua_remove(L, -2);
    lua_remove(L, definition);
  }
}

/* The error on top of the stack becomes pass.failure. */
static void set_failure(lua_State *L, const struct run *r) {
  char stream[ERROR_NAME_BYTES], type[ERROR_NAME_BYTES];
  const rille_event *e = &r->event;
  lua_createtable(L, 0, 3);
  lua_pushfstring(L, "%s (at position %I: %s in stream %s)", lua_tostring(L, -2),
                  (LUAI_UACINT)e->position, error_name(e->type, type),
                  error_name(e->stream, stream));
  lua_setfield(L, -2, "message");
  lua_pushliteral(L, "script");
  lua_setfield(L, -2, "code");
  lua_createtable(L, 0, 1);
  set_integer(L, "position", e->position);
  lua_setfield(L, -2, "detail");
  lua_setfield(L, r->at->table, "failure");
  lua_pop(L, 1);
}

/* Runs the loop once. Not 0: a handler failed, and its error is on top of the stack. */
static int run_once(lua_State *L, struct run *r, int handler, int view) {
  int top = lua_gettop(L);
  lua_pushcfunction(L, project_loop);
  lua_pushlightuserdata(L, r);
  lua_pushvalue(L, view);
  push_parts(L, r);
  luaL_checkstack(L, SANDBOX_SWITCH_SLOTS, NULL);
  int before = sandbox_switch(L, 1);
  int status = lua_pcall(L, lua_gettop(L) - top - 1, 0, handler);
  sandbox_switch(L, before);
  isolate_leave(L);
  event_over(r->view);
  return status;
}

static int active(const struct run *r) {
  int n = 0;
  for (size_t i = 0; i < r->count; i++) n += !r->passes[i].failed;
  return n;
}

/* Tells each pass how far it came. */
static void report(lua_State *L, const struct run *r) {
  for (size_t i = 0; i < r->count; i++) {
    const struct pass *p = &r->passes[i];
    uint64_t after = p->after;
    if (r->done && !p->failed && r->before && after < r->before - 1) after = r->before - 1;
    lua_pushinteger(L, (lua_Integer)after);
    lua_setfield(L, p->table, "after");
    lua_pushboolean(L, r->crowded);
    lua_setfield(L, p->table, "crowded");
  }
}

/* A pass that failed is at the event before; where it was behind, it has not taken that. */
static int go_on_without(lua_State *L, struct run *r) {
  if (r->found_failed) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, r);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, r);
    return lua_error(L);
  }
  set_failure(L, r);
  r->at->failed = 1;
  if (r->at->after < r->event.position - 1) r->at->after = r->event.position - 1;
  return active(r) > 0;
}

static int run_all(lua_State *L, struct run *r, int handler, int view) {
  for (;;) {
    rille_query q = {.size = sizeof q};
    int top = lua_gettop(L);
    passes_query(L, r, &q);
    r->done = q.item_count == 0;
    if (r->done) return 0;
    r->reader = iterator_push(L, 1, &q, &r->error);
    if (!r->reader) return r->error.code;
    int iterator = lua_gettop(L);
    iterator_use(L, iterator, 1);
    int status = run_once(L, r, handler, view);
    iterator_use(L, iterator, 0);
    int again = status && go_on_without(L, r);
    lua_pushcfunction(L, iterator_close);
    lua_pushvalue(L, iterator);
    lua_call(L, 1, 0);
    lua_settop(L, top);
    if (!status) return r->failed;
    if (!again) return 0;
  }
}

/* Whole events until the time is up; a time that no clock here reaches is none. */
static void read_time(lua_State *L, struct run *r) {
  lua_Number ms;
  if (options_number(L, 2, "ms", &ms) && ms < MS_MOST)
    r->until_us = system_monotonic_us() + (int64_t)(ms * 1000);
}

/* project_run(store, { passes = { pass ... }, before=, ms= }) --> whether the end was reached
** | nil, message, code, detail. A pass:
**   definition, after, states, dirty, find(key), fresh(key), most=, only=, check=, share=, shares=
** `after` is set, `crowded` where room is to be made, and `failure` where a handler failed. What
** `find` raises is raised. */
int project_run(lua_State *L) {
  struct run r = {.count = 0};
  lua_Integer before = 0;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  if (options_integer(L, 2, "before", &before)) r.before = (uint64_t)before;
  read_time(L, &r);
  buffer_push(L);
  r.room = lua_touserdata(L, -1);
  buffer_push(L);
  r.old = lua_touserdata(L, -1);
  passes_read(L, &r);
  r.sandbox = sandbox_of(L);
  r.view = event_push_view(L);
  int view = lua_gettop(L);
  lua_pushcfunction(L, sandbox_message);
  int failed = run_all(L, &r, lua_gettop(L), view);
  if (failed) return error_push(L, &r.error);
  report(L, &r);
  lua_pushboolean(L, r.done);
  return 1;
}
