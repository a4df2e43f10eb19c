/* lfold.c: the loop that runs events through a reducer's handlers.
**
** It is C because it is run millions of times: which handler an event goes to is
** decided by the reader on the record's head, one view serves all events, and one
** protected call serves the whole pass. rille/reducer.lua prepares the call. */
#include "lrille.h"
#include "lisolate.h"
#include "lsandbox.h"
#include "lupcast.h"
#include "lvalue.h"

/* The loop's stack. */
enum {
  AT_FOLDING = 1,
  AT_HANDLERS,
  AT_STATE,
  AT_FRESH,
  AT_KEY,
  AT_KEY_OF,
  AT_UPCAST,
  AT_PICKS,
  AT_NUMBERS,
  AT_VIEW,
  AT_TOP = AT_VIEW
};

struct folding {
  rille_reader *reader;
  struct event_view *view;
  struct sandbox *sandbox;
  size_t old;          /* items below this number are types to be upcast */
  size_t types;        /* so many after them have a handler of their own */
  int every;           /* the item after those has one, too */
  int redacted;        /* the handlers take events whose data is gone */
  int keyed;           /* there is a function that says which events count */
  int check;           /* each state is to be one that can be kept */
  struct buffer *room; /* for that */
  struct upcast upcast;
  uint64_t at;           /* the last position that counts */
  uint64_t last_version; /* the last version that counts, of a stream */
  rille_event event;     /* the one being handled; position 0: none yet */
  uint64_t version;      /* of the last event that counted */
  uint64_t position;     /* of the last event that was handled */
  lua_Integer most, handled;
  int touched; /* an event has reached the state */
  int done;    /* there is nothing left */
  int failed;
  rille_error error;
};

/* Whether the key at `index`, which a key function gave, is the wanted one. Integers become
** strings. */
static int is_wanted(lua_State *L, int index) {
  size_t n, m;
  int is_integer = lua_isinteger(L, index);
  if (lua_type(L, index) == LUA_TNUMBER && !is_integer)
    sandbox_refuse(L, AT_KEY_OF, "key returned a float: a key is a string or an integer");
  if (lua_type(L, index) != LUA_TSTRING && !is_integer)
    sandbox_refuse(L, AT_KEY_OF, "key returned a %s: a key is a string or an integer",
                   luaL_typename(L, index));
  lua_pushvalue(L, index);
  if (is_integer) compat_integer_to_text(L, lua_gettop(L));
  const char *key = lua_tolstring(L, -1, &n), *wanted = lua_tolstring(L, AT_KEY, &m);
  lua_pop(L, 1);
  if (n > KEY_BYTES_MOST)
    sandbox_refuse(L, AT_KEY_OF, "key returned %d bytes: a key has at most %d", (int)n,
                   KEY_BYTES_MOST);
  return n == m && memcmp(key, wanted, n) == 0;
}

/* Asks the reducer's key function; a list goes to each, nil to none. */
static int has_key(lua_State *L) {
  int wanted = 0;
  lua_pushvalue(L, AT_KEY_OF);
  event_push_for(L, AT_VIEW, AT_PICKS, 0);
  lua_call(L, 1, 1);
  int index = lua_gettop(L);
  if (lua_istable(L, index)) {
    size_t n = lua_rawlen(L, index);
    lua_pushnil(L);
    if (n == 0 && lua_next(L, index)) sandbox_refuse(L, AT_KEY_OF, KEY_NO_LIST);
    lua_settop(L, index);
    for (size_t i = 1; i <= n && !wanted; i++) {
      lua_rawgeti(L, index, (lua_Integer)i);
      wanted = is_wanted(L, lua_gettop(L));
      lua_pop(L, 1);
    }
  } else if (!lua_isnil(L, index)) {
    wanted = is_wanted(L, index);
  }
  lua_settop(L, index - 1);
  return wanted;
}

/* Pushes a handler, for who has to name it; its index. */
static int push_handler(lua_State *L, int handler) {
  lua_rawgeti(L, AT_HANDLERS, handler);
  return lua_gettop(L);
}

/* What a handler returned, on top of the stack, becomes the state, and is popped. */
static void take_result(lua_State *L, int handler) {
  switch (lua_type(L, -1)) {
    case LUA_TNIL:
      if (!lua_istable(L, AT_STATE))
        sandbox_refuse(L, push_handler(L, handler),
                       "the handler returned nothing, but the state is a %s: return the new one",
                       luaL_typename(L, AT_STATE));
      lua_pop(L, 1);
      return;
    case LUA_TUSERDATA:
      if (!value_is_null(L, -1))
        sandbox_refuse(L, push_handler(L, handler),
                       "the handler returned an event: a state is plain data");
      lua_pop(L, 1);
      lua_pushnil(L);
      break;
    default: break;
  }
  lua_replace(L, AT_STATE);
}

static void check_state(lua_State *L, struct folding *f, int handler) {
  if (lua_isnil(L, AT_STATE)) return;
  buffer_clear(f->room, MIB);
  if (value_encode_state(L, AT_STATE, f->room)) return;
  const char *why = lua_tostring(L, -1);
  sandbox_refuse(L, push_handler(L, handler), "the state can't be kept: %s", why);
}

/* Gives what the view shows to a handler, by its number. */
static void handle(lua_State *L, void *folding, int handler) {
  struct folding *f = folding;
  if (f->keyed && !has_key(L)) return;
  f->touched = 1;
  if (lua_isnil(L, AT_STATE)) { /* it begins, or begins anew, where the key was removed */
    lua_pushvalue(L, AT_FRESH);
    lua_pushvalue(L, AT_KEY);
    lua_call(L, 1, 1);
    lua_replace(L, AT_STATE);
  }
  lua_rawgeti(L, AT_HANDLERS, handler);
  lua_pushvalue(L, AT_STATE);
  event_push_for(L, AT_VIEW, AT_PICKS, handler);
  lua_pushvalue(L, AT_KEY);
  lua_call(L, 3, 1);
  take_result(L, handler);
  if (f->check) check_state(L, f, handler);
}

static void take_event(lua_State *L, struct folding *f, size_t item) {
  f->view->event = &f->event;
  f->view->decoded = 0;
  sandbox_seed(f->sandbox, f->event.position);
  isolate_begin_event(L, f->event.position);
  if (item < f->old) upcast_event(L, &f->upcast, &f->event);
  else handle(L, f, (int)(item - f->old) + 1);
  isolate_check(L, LUA_OK);
}

static int fold_loop(lua_State *L) {
  struct folding *f = lua_touserdata(L, AT_FOLDING);
  rille_event *event = &f->event;
  int result;
  f->keyed = !lua_isnil(L, AT_KEY_OF);
  while ((result = rille_reader_next(f->reader, event, &f->error)) == 1) {
    if (event->position > f->at || event->version > f->last_version) break;
    f->version = event->version;
    size_t item = rille_reader_item(f->reader);
    if (item >= f->old + f->types && !f->every) continue;
    if (event->redacted && (!f->redacted || item < f->old)) continue; /* no upcast knows those */
    take_event(L, f, item);
    f->position = event->position;
    if (f->most && ++f->handled == f->most) break;
  }
  f->failed = result < 0 ? result : 0;
  f->done = !f->most || f->handled < f->most;
  f->event.position = 0;
  lua_pushvalue(L, AT_STATE);
  return 1;
}

/* Turns the error on top of the stack into one that names the event. */
static int push_failure(lua_State *L, const struct folding *f) {
  char name[ERROR_NAME_BYTES], type[ERROR_NAME_BYTES];
  const rille_event *e = &f->event;
  if (e->position)
    lua_pushfstring(L, "%s (at position %I: %s in stream %s)", lua_tostring(L, -1),
                    (LUAI_UACINT)e->position, error_name(e->type, type),
                    error_name(e->stream, name));
  lua_pushnil(L);
  lua_insert(L, -2);
  lua_pushstring(L, "script");
  lua_createtable(L, 0, 1);
  if (e->position) set_integer(L, "position", e->position);
  return 4;
}

/* The text of the string on top of the stack, which something else holds; pops it. */
static rille_text pop_text(lua_State *L) {
  rille_text t;
  t.bytes = lua_tolstring(L, -1, &t.length);
  lua_pop(L, 1);
  return t;
}

static size_t count_old(lua_State *L, int upcast) {
  size_t n = 0;
  if (lua_istable(L, upcast))
    for (lua_pushnil(L); lua_next(L, upcast); lua_pop(L, 1)) n++;
  return n;
}

/* The items: one a type, those to be upcast first, and one for everything, so that
** versions are counted; of the stream `within` alone, if it is named. */
static void read_types(lua_State *L, int spec, rille_query *q, struct folding *f, int all) {
  rille_text within = {0};
  options_text(L, spec, "within", &within);
  lua_getfield(L, spec, "types");
  lua_getfield(L, spec, "upcast");
  int list = lua_gettop(L) - 1, upcast = list + 1;
  f->types = lua_rawlen(L, list);
  f->old = count_old(L, upcast);
  size_t n = f->types + f->old, i = 0;
  rille_item *items = lua_newuserdatauv(L, (n + 1) * (sizeof *items + sizeof(rille_text)), 0);
  rille_text *names = (rille_text *)(items + n + 1);
  memset(items, 0, (n + 1) * sizeof *items);
  if (f->old) {
    for (lua_pushnil(L); lua_next(L, upcast) && i < f->old;) {
      lua_pop(L, 1);
      lua_pushvalue(L, -1);
      names[i++] = pop_text(L);
    }
    lua_settop(L, upcast + 1);
  }
  for (; i < n; i++) {
    lua_rawgeti(L, list, (lua_Integer)(i - f->old) + 1);
    names[i] = pop_text(L);
  }
  for (i = 0; i < n; i++)
    items[i] = (rille_item){.types = &names[i], .type_count = 1, .stream = within};
  items[n].stream = within;
  q->items = items;
  q->item_count = n + (all || within.length ? 1 : 0);
}

/* Pushes the room that checks and upcasting need, and readies these. */
static void make_room(lua_State *L, struct folding *f) {
  buffer_push(L);
  f->room = lua_touserdata(L, -1);
  buffer_push(L);
  f->upcast = (struct upcast){.view = f->view,
                              .view_index = AT_VIEW,
                              .functions = AT_UPCAST,
                              .handlers = AT_NUMBERS,
                              .every = f->every ? (int)f->types + 1 : 0,
                              .room = lua_touserdata(L, -1),
                              .take = handle,
                              .context = f};
}

/* Pushes the parts of the loop's stack that the spec at 2 has. */
static void push_parts(lua_State *L) {
  static const char *const parts[] = {"handlers", "state",  "fresh", "key",
                                      "key_of",   "upcast", "picks"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) lua_getfield(L, 2, parts[i]);
  lua_getfield(L, 2, "types");
  upcast_push_handlers(L, lua_gettop(L));
  lua_remove(L, -2);
}

/* fold_run(store, { stream= or within=, after=, before=, most=, at=, last_version=, types={},
** handlers={}, every=boolean, state=, fresh=function, key=, key_of=function,
** upcast={ type = function }, picks= of core.picks, check=boolean })
**   With `check` the event is named that made a state which can't be kept.
**   `stream` is read as readers of it see it, `within` whatever was truncated since; after
**   `most` events that were handled it stops
**   -> state, version of the last event, position of the last that was handled, whether
**   that was all, whether any of them reached the state | nil, message, code, detail */
int fold_run(lua_State *L) {
  struct folding f = {.at = UINT64_MAX, .last_version = UINT64_MAX};
  rille_query q = {.size = sizeof q};
  lua_Integer number;
  int strong = 0;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  options_text(L, 2, "stream", &q.stream);
  if (options_integer(L, 2, "after", &number)) q.after = (uint64_t)number;
  options_integer(L, 2, "most", &f.most);
  if (options_integer(L, 2, "before", &number)) q.before = (uint64_t)number;
  if (options_integer(L, 2, "at", &number)) f.at = (uint64_t)number;
  if (options_integer(L, 2, "last_version", &number)) f.last_version = (uint64_t)number;
  options_boolean(L, 2, "every", &f.every);
  options_boolean(L, 2, "redacted", &f.redacted);
  options_boolean(L, 2, "check", &f.check);
  options_boolean(L, 2, "strong", &strong);
  read_types(L, 2, &q, &f, f.every || q.stream.length);
  if (q.item_count == 0) { /* no handlers at all: nothing to read */
    lua_getfield(L, 2, "state");
    lua_pushinteger(L, 0);
    lua_pushinteger(L, 0);
    lua_pushboolean(L, 1);
    return 4;
  }
  const struct store_handle *s = store_check(L, 1);
  if (strong && s->store && store_strong(s, &q, &f.error) < 0) return error_push(L, &f.error);
  f.reader = iterator_push(L, 1, &q, &f.error);
  if (!f.reader) return error_push(L, &f.error);
  int iterator = lua_gettop(L);
  iterator_use(L, iterator, 1); /* from here on a collection may close the store */
  f.sandbox = sandbox_of(L);
  f.view = event_push_view(L); /* kept below the call, which an error empties */
  int view = lua_gettop(L);
  make_room(L, &f);
  lua_pushcfunction(L, sandbox_message);
  int handler = lua_gettop(L);
  lua_pushcfunction(L, fold_loop);
  lua_pushlightuserdata(L, &f);
  push_parts(L);
  lua_pushvalue(L, view);
  luaL_checkstack(L, SANDBOX_SWITCH_SLOTS, NULL);
  int before = sandbox_switch(L, 1);
  int status = lua_pcall(L, AT_TOP, 1, handler);
  sandbox_switch(L, before);
  isolate_leave(L);
  event_over(f.view);
  iterator_use(L, iterator, 0);
  int results = f.failed ? error_push(L, &f.error) : status ? push_failure(L, &f) : 1;
  if (results == 1) {
    lua_pushinteger(L, (lua_Integer)f.version);
    lua_pushinteger(L, (lua_Integer)f.position);
    lua_pushboolean(L, f.done);
    lua_pushboolean(L, f.touched);
    results = 5;
  }
  lua_pushcfunction(L, iterator_close);
  lua_pushvalue(L, iterator);
  lua_call(L, 1, 0);
  return results;
}
