/* literator.c: store:read and store:all: an iterator for a generic for.
**
** The iterator is a closure over a userdata that holds a reader. It ends itself
** with the last event, with the loop (__close, Lua 5.4), with its store, or when
** it is collected, whichever comes first. */
#include "lrille.h"

struct iterator {
  rille_reader *reader; /* NULL: ended */
  struct store_handle *store;
  struct iterator *next, **link; /* the store's list of those that read it; NULL: not in it */
  int store_closed;
  int busy;    /* an event of the reader's is being used */
  int telling; /* failures are raised as error_raise does, for who returns them */
};

static void unlist(struct iterator *it) {
  if (!it->link) return;
  *it->link = it->next;
  if (it->next) it->next->link = it->link;
  it->link = NULL;
}

static void end(struct iterator *it) {
  unlist(it);
  rille_reader_end(it->reader);
  it->reader = NULL;
}

/* Ends it, but where a finalizer asks for that while an event is being used: then
** the next step does, or collection. */
static void end_when_idle(struct iterator *it) {
  if (it->busy) unlist(it);
  else end(it);
}

void iterator_end_all(struct store_handle *store) {
  while (store->iterators) {
    store->iterators->store_closed = 1;
    end_when_idle(store->iterators);
  }
}

int iterator_close(lua_State *L) {
  end_when_idle(luaL_checkudata(L, 1, ITERATOR_HANDLE));
  return 0;
}

static int iterator_gc(lua_State *L) {
  end(luaL_checkudata(L, 1, ITERATOR_HANDLE));
  return 0;
}

void iterator_use(lua_State *L, int index, int busy) {
  struct iterator *it = luaL_checkudata(L, index, ITERATOR_HANDLE);
  it->busy = busy;
}

static int iterator_tostring(lua_State *L) {
  struct iterator *it = luaL_checkudata(L, 1, ITERATOR_HANDLE);
  lua_pushfstring(L, "rille iterator (%s)", it->reader ? "open" : "ended");
  return 1;
}

static int push_event(lua_State *L) {
  event_push(L, lua_touserdata(L, 1));
  return 1;
}

/* Protected, because memory may run out; and a finalizer may run meanwhile that
** closes or steps this iterator. The function is an upvalue, since to push one takes memory under
** LuaJIT. */
static int give_event(lua_State *L, struct iterator *it, rille_event *event) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushlightuserdata(L, event);
  it->busy = 1;
  int status = lua_pcall(L, 1, 1, 0);
  it->busy = 0;
  return status == LUA_OK ? 1 : lua_error(L);
}

/* Iterators raise the message. */
static int fail(lua_State *L, int telling, const rille_error *e) {
  if (telling) return error_raise(L, e);
  lua_pushstring(L, e->message);
  return lua_error(L);
}

static int iterator_step(lua_State *L) {
  struct iterator *it = lua_touserdata(L, lua_upvalueindex(1));
  rille_event event;
  rille_error e;
  if (it->busy) return luaL_error(L, "the iterator is in the midst of a step");
  if (it->store_closed) {
    end(it);
    error_set(&e, RILLE_CLOSED, "the store is closed");
    return fail(L, it->telling, &e);
  }
  int result = it->reader ? rille_reader_next(it->reader, &event, &e) : 0;
  if (result == 1) {
    return give_event(L, it, &event);
  }
  end(it);
  return result == 0 ? 0 : fail(L, it->telling, &e);
}

/* The userdata, made before the reader, so that nothing can leak. */
static struct iterator *push_iterator(lua_State *L, int store_index) {
  struct iterator *it = lua_newuserdatauv(L, sizeof *it, 1);
  *it = (struct iterator){.store = store_check(L, store_index)};
  luaL_setmetatable(L, ITERATOR_HANDLE);
  lua_pushvalue(L, store_index);
  lua_setiuservalue(L, -2, 1); /* keeps the store */
  return it;
}

rille_reader *iterator_push(lua_State *L, int store_index, const rille_query *q, rille_error *e) {
  struct iterator *it = push_iterator(L, store_index);
  struct store_handle *s = it->store;
  if (!s->store) {
    error_set(e, RILLE_CLOSED, "the store is closed");
    return NULL;
  }
  if (rille_store_read(s->store, q, &it->reader, e) < 0) return NULL;
  it->next = s->iterators;
  it->link = &s->iterators;
  if (it->next) it->next->link = &it->next;
  s->iterators = it;
  return it->reader;
}

static void push_chain(lua_State *L, const rille_chain *chain) {
  lua_createtable(L, 0, 3);
  lua_pushstring(L, chain->kind);
  lua_setfield(L, -2, "kind");
  lua_pushlstring(L, chain->name.bytes, chain->name.length);
  lua_setfield(L, -2, "name");
  set_integer(L, "count", chain->count);
}

/* A table in place of the iterator: how it would read. */
static int explain(lua_State *L, struct iterator *it) {
  const rille_reader *reader = it->reader;
  rille_explanation e;
  it->busy = 1; /* a finalizer may close the store meanwhile */
  rille_reader_explain(reader, &e);
  lua_createtable(L, 0, 4);
  lua_pushstring(L, e.scan ? "scan" : "chains");
  lua_setfield(L, -2, "way");
  set_integer(L, "events", e.events);
  set_integer(L, "members", e.members);
  lua_createtable(L, (int)e.chain_count, 0);
  for (size_t i = 0; i < e.chain_count; i++) {
    rille_chain chain = rille_reader_chain(reader, i);
    push_chain(L, &chain);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "chains");
  end(it);
  return 1;
}

/* Whether the read is to see whatever is decided: unless it says "eventual". */
static int wants_strong(lua_State *L, int options) {
  rille_text word;
  if (!options_text(L, options, "consistency", &word)) return 1;
  if (strcmp(word.bytes, "eventual") == 0) return 0;
  if (strcmp(word.bytes, "strong") != 0 && strcmp(word.bytes, "session") != 0)
    luaL_error(L, "consistency must be \"strong\", \"session\" or \"eventual\", not \"%s\"",
               word.bytes);
  return 1;
}

/* `options` is where the table is that q was read from. The upvalue: whether it is a telling one
** (iterator_push_telling). */
static int start(lua_State *L, int options, const rille_query *q) {
  rille_error e;
  struct store_handle *s = store_check(L, 1);
  int telling = lua_toboolean(L, lua_upvalueindex(1));
  if (wants_strong(L, options) && s->store && store_strong(s, q, &e) < 0)
    return fail(L, telling, &e);
  int only_explain = 0;
  options_boolean(L, options, "explain", &only_explain);
  if (!iterator_push(L, 1, q, &e)) return fail(L, telling, &e);
  struct iterator *it = lua_touserdata(L, -1);
  it->telling = telling;
  if (only_explain) return explain(L, it);
  lua_pushvalue(L, -1);
  lua_pushcfunction(L, push_event);
  lua_pushcclosure(L, iterator_step, 2);
  lua_insert(L, -2);
  lua_pushnil(L);
  lua_insert(L, -2);
  lua_pushnil(L);
  lua_insert(L, -2);
  return 4; /* function, nil, nil, what the loop closes */
}

int store_read(lua_State *L) {
  rille_query q = {.size = sizeof q};
  store_check(L, 1);
  luaL_checktype(L, 2, LUA_TSTRING);
  q.stream.bytes = lua_tolstring(L, 2, &q.stream.length);
  if (q.stream.length == 0 || q.stream.length > RILLE_NAME_BYTES)
    return luaL_error(L, "stream has %d bytes: it needs 1 to 255", (int)q.stream.length);
  query_check(L, 3, 1, &q);
  return start(L, 3, &q);
}

int store_all(lua_State *L) {
  rille_query q = {.size = sizeof q};
  store_check(L, 1);
  query_check(L, 2, 0, &q);
  return start(L, 2, &q);
}

/* The same, and what a scavenge has taken, without data. */
static int store_all_ever(lua_State *L) {
  rille_query q = {.size = sizeof q, .taken_too = 1};
  store_check(L, 1);
  query_check(L, 2, 0, &q);
  return start(L, 2, &q);
}

static void set_telling(lua_State *L, const char *name, lua_CFunction f) {
  lua_pushboolean(L, 1);
  lua_pushcclosure(L, f, 1);
  lua_setfield(L, -2, name);
}

void iterator_push_telling(lua_State *L) {
  set_telling(L, "read", store_read);
  set_telling(L, "all", store_all);
  set_telling(L, "all_ever", store_all_ever);
}

void iterator_open_library(lua_State *L) {
  static const luaL_Reg methods[] = {{"__gc", iterator_gc},
                                     {"__close", iterator_close},
                                     {"__tostring", iterator_tostring},
                                     {NULL, NULL}};
  static const luaL_Reg named[] = {{"close", iterator_close}, {NULL, NULL}};
  luaL_newmetatable(L, ITERATOR_HANDLE);
  luaL_setfuncs(L, methods, 0);
  luaL_newlib(L, named);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
