/* lproject.c: the loop that carries many states on: one way through the log for any number
** of passes, each a reducer with its states by key.
**
** A pass has taken every event up to its `after`; so an event goes to each pass that is
** behind it. Events are whole: a run stops only when the last one went to all of them. Where
** a handler fails, its pass ends before that event and the others go on.
**
** states.lua prepares a run, and keeps what comes of it. */
#include "../core/system.h"
#include "lrille.h"
#include "lsandbox.h"
#include "lvalue.h"

#define PASSES_MOST 64
#define KEY_BYTES_MOST 255

/* What the loop has of a pass on its stack, from pass.base on. */
enum { OF_HANDLERS, OF_STATES, OF_DIRTY, OF_FIND, OF_FRESH, OF_KEY, OF_ONLY, OF_SLOTS };

struct pass {
  int base;  /* stack index of the first of these */
  int table; /* ... of the pass itself, outside the loop */
  int by_stream, check, every;
  size_t types;
  int *handlers; /* by item of the query: which of the handlers; 0: none */
  uint64_t after;
  lua_Integer most, put;
  int failed;
};

struct run {
  rille_reader *reader;
  struct event_view *view;
  struct pass *passes;
  size_t count;
  uint64_t before;  /* 0: none */
  int64_t until_us; /* 0: without end */
  rille_event event;
  struct pass *at;  /* whose handler is called */
  int found_failed; /* `find` raised: its error is in the registry, under this struct */
  int failed, done;
  rille_error error;
  struct buffer *room; /* for checking */
};

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
  lua_pushvalue(L, key);
  lua_call(L, 1, 1);
}

/* What the handler returned, on top of the stack, or what it was given, at `state`. */
static void choose_result(lua_State *L, int state) {
  if (lua_isnil(L, -1)) {
    if (!lua_istable(L, state))
      luaL_error(L, "the handler returned nothing, but the state is a %s: return the new one",
                 luaL_typename(L, state));
    lua_pop(L, 1);
    lua_pushvalue(L, state);
  } else if (lua_type(L, -1) == LUA_TUSERDATA && !value_is_null(L, -1)) {
    luaL_error(L, "the handler returned an event: a state is plain data");
  }
}

static void check_state(lua_State *L, struct run *r) {
  if (value_is_null(L, -1)) return;
  buffer_clear(r->room, MIB);
  if (value_encode(L, lua_gettop(L), "state", r->room)) return;
  luaL_error(L, "the state can't be kept: %s", lua_tostring(L, -1));
}

/* One event, one key. */
static void apply(lua_State *L, struct run *r, struct pass *p, int handler, int key) {
  push_state(L, r, p, key);
  int state = lua_gettop(L);
  lua_rawgeti(L, p->base + OF_HANDLERS, handler);
  lua_pushvalue(L, state);
  lua_pushvalue(L, AT_VIEW);
  lua_pushvalue(L, key);
  lua_call(L, 3, 1);
  choose_result(L, state);
  if (p->check) check_state(L, r);
  lua_pushvalue(L, key);
  lua_insert(L, -2);
  lua_rawset(L, p->base + OF_STATES);
  lua_pushvalue(L, key);
  lua_pushboolean(L, 1);
  lua_rawset(L, p->base + OF_DIRTY);
  lua_settop(L, state - 1);
}

/* ---- Keys ---- */

/* The key on top of the stack, as states have it. */
static void check_key(lua_State *L) {
  int type = lua_type(L, -1);
  if (type == LUA_TNUMBER && !lua_isinteger(L, -1))
    luaL_error(L, "key returned a float: a key is a string or an integer");
  if (type != LUA_TSTRING && type != LUA_TNUMBER)
    luaL_error(L, "key returned a %s: a key is a string or an integer", lua_typename(L, type));
  size_t n;
  lua_tolstring(L, -1, &n);
  if (n > KEY_BYTES_MOST)
    luaL_error(L, "key returned %d bytes: a key has at most %d", (int)n, KEY_BYTES_MOST);
}

/* Applies the event for the key on top of the stack, and pops it. */
static void apply_key(lua_State *L, struct run *r, struct pass *p, int handler) {
  int key = lua_gettop(L);
  if (lua_isnil(L, p->base + OF_ONLY) || lua_rawequal(L, key, p->base + OF_ONLY))
    apply(L, r, p, handler, key);
  lua_settop(L, key - 1);
}

/* A list goes to each, once. */
static void apply_list(lua_State *L, struct run *r, struct pass *p, int handler) {
  int list = lua_gettop(L);
  size_t n = lua_rawlen(L, list);
  lua_createtable(L, 0, (int)n);
  for (size_t i = 1; i <= n; i++) {
    lua_rawgeti(L, list, (lua_Integer)i);
    check_key(L);
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

static void apply_keys(lua_State *L, struct run *r, struct pass *p, int handler) {
  if (p->by_stream) {
    lua_pushlstring(L, r->event.stream.bytes, r->event.stream.length);
    apply_key(L, r, p, handler);
  } else if (lua_isnil(L, p->base + OF_KEY)) {
    lua_pushliteral(L, "");
    apply_key(L, r, p, handler);
  } else {
    lua_pushvalue(L, p->base + OF_KEY);
    lua_pushvalue(L, AT_VIEW);
    lua_call(L, 1, 1);
    if (lua_istable(L, -1)) {
      apply_list(L, r, p, handler);
    } else if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
    } else {
      check_key(L);
      apply_key(L, r, p, handler);
    }
  }
}

/* ---- The loop ---- */

static int is_enough(const struct run *r) {
  for (size_t i = 0; i < r->count; i++)
    if (r->passes[i].most && r->passes[i].put >= r->passes[i].most) return 1;
  return r->until_us && system_monotonic_us() >= r->until_us;
}

static void take_event(lua_State *L, struct run *r) {
  size_t item = rille_reader_item(r->reader);
  r->view->event = &r->event;
  for (size_t i = 0; i < r->count; i++) {
    struct pass *p = &r->passes[i];
    if (p->failed || r->event.position <= p->after) continue;
    int handler = p->handlers[item];
    r->at = p;
    if (handler) {
      r->view->decoded = 0; /* what one pass does to the data, the next does not see */
      sandbox_seed(L, r->event.position);
      apply_keys(L, r, p, handler);
    }
    p->after = r->event.position;
  }
}

static int project_loop(lua_State *L) {
  struct run *r = lua_touserdata(L, AT_RUN);
  int result;
  while ((result = rille_reader_next(r->reader, &r->event, &r->error)) == 1) {
    take_event(L, r);
    if (is_enough(r)) return 0;
  }
  r->failed = result < 0 ? result : 0;
  r->done = result == 0;
  return 0;
}

/* ---- A run ---- */

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

/* Which handler each pass has for which item: its own for the type, or that for all. */
static void choose_handlers(lua_State *L, struct run *r, rille_query *q, rille_item *items,
                            rille_text *names) {
  for (size_t i = 0; i < r->count; i++) {
    struct pass *p = &r->passes[i];
    int list = push_types(L, p);
    for (size_t t = 1; t <= p->types; t++)
      p->handlers[item_of(q, items, names, type_at(L, list, t))] = (int)t;
    lua_pop(L, 1);
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
  options_boolean(L, table, "check", &p->check);
  p->after = (uint64_t)after;
  lua_getfield(L, table, "definition");
  options_boolean(L, lua_gettop(L), "every", &p->every);
  lua_getfield(L, -1, "types");
  p->types = lua_rawlen(L, -1);
  lua_getfield(L, -2, "key");
  p->by_stream = lua_type(L, -1) == LUA_TSTRING;
  lua_pop(L, 3);
}

/* Pushes the passes and reads them; what C has of them is in a userdata on the stack. */
static void read_passes(lua_State *L, struct run *r) {
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
  for (size_t i = 0; i < r->count; i++) types += r->passes[i].types;
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
  r->view->event = NULL;
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
    make_query(L, r, &q);
    narrow(L, r, &q);
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

/* project_run(store, { passes = { pass ... }, before=, ms= }) --> whether the end was reached
** | nil, message, code, detail. A pass:
**   definition, after, states, dirty, find(key), fresh(key), most=, only=, check=
** `after` is set, and `failure` where a handler failed. What `find` raises is raised. */
int project_run(lua_State *L) {
  struct run r = {.count = 0};
  lua_Integer before = 0;
  lua_Number ms;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  if (options_integer(L, 2, "before", &before)) r.before = (uint64_t)before;
  if (options_number(L, 2, "ms", &ms)) r.until_us = system_monotonic_us() + (int64_t)(ms * 1000);
  buffer_push(L);
  r.room = lua_touserdata(L, -1);
  read_passes(L, &r);
  r.view = event_push_view(L);
  int view = lua_gettop(L);
  lua_pushcfunction(L, sandbox_message);
  int failed = run_all(L, &r, lua_gettop(L), view);
  if (failed) return error_push(L, &r.error);
  report(L, &r);
  lua_pushboolean(L, r.done);
  return 1;
}
