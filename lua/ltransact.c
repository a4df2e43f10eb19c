/* ltransact.c: a whole transaction over stores in one call, for rille/drive.lua.
**
** It reads what the Lua half has collected, lets the core do it (rille_store_transact), and
** makes the result. Lua runs before and after, and once in between, while the disk takes the
** decision: then the result is made, which nobody sees before it is true. What the collector
** calls meanwhile may be anything; so it is looked at whether the stores are still open. All
** texts stay where they are, because the tables that have them are on the stack.
**
** What recovery and who asks again need goes into the decision's frame as rille/answer.lua
** describes it: one map of MessagePack, here written straight to bytes. */
#include "../core/system.h"
#include "lrille.h"
#include "lsteps.h"

#include <stddef.h>
#include <stdlib.h>

#define FEW 4           /* participants, or parts, that fit the C stack */
#define WATCHED_MOST 8  /* transactions whose end may be noted on the way */
#define WATCHED_ENDS 32 /* of their members' commits */
#define KEEP_BYTES ((size_t)64 << 10)
#define NAMES_BYTES ((size_t)60 << 10) /* of 64 KiB that a promise's detail has */

/* A participant as tx.list has it. */
struct listed {
  rille_text name, uuid, path;
  struct store_handle *handle;
  size_t member; /* which of the members; HOME: it is home */
};
#define HOME SIZE_MAX

/* A transaction that is answered, whose end is not noted. */
struct watched {
  rille_text id;
  size_t first, count; /* of `ends` */
};
struct watched_end {
  rille_store *store;
  uint64_t end;
};

struct whole {
  rille_transact t;
  lua_State *L;
  const rille_transacted *done;
  bool has_result; /* on top of the stack: made meanwhile */
  struct store_handle *home;
  struct listed *list;
  size_t count;
  rille_text home_name, policy;
  struct buffer *detail;
  bool no_memory;
  struct watched watched[WATCHED_MOST];
  struct watched_end ends[WATCHED_ENDS];
  size_t watched_count, end_count;
  rille_text ended[WATCHED_MOST];
  size_t ended_count;
};

/* ---- MessagePack ---- */

static inline void put(struct whole *w, const void *bytes, size_t n) {
  if (!buffer_add(w->detail, bytes, n)) w->no_memory = true;
}

static inline void put_byte(struct whole *w, unsigned byte) {
  uint8_t b = (uint8_t)byte;
  put(w, &b, 1);
}

/* A number of `n` bytes behind its head, the highest byte first. */
static void put_number(struct whole *w, unsigned head, uint64_t number, unsigned n) {
  uint8_t b[9] = {(uint8_t)head};
  for (unsigned i = 0; i < n; i++) b[1 + i] = (uint8_t)(number >> (8 * (n - 1 - i)));
  put(w, b, 1 + n);
}

static void put_integer(struct whole *w, uint64_t number) {
  if (number < 0x80) put_byte(w, (unsigned)number);
  else if (number < 0x100) put_number(w, 0xcc, number, 1);
  else if (number < 0x10000) put_number(w, 0xcd, number, 2);
  else if (number <= UINT32_MAX) put_number(w, 0xce, number, 4);
  else put_number(w, 0xcf, number, 8);
}

static void put_text(struct whole *w, rille_text text) {
  if (text.length < 32) put_byte(w, 0xa0 | (unsigned)text.length);
  else if (text.length < 0x100) put_number(w, 0xd9, text.length, 1);
  else put_number(w, 0xda, text.length, 2);
  put(w, text.bytes, text.length);
}

static inline void put_name(struct whole *w, const char *name) {
  put_text(w, (rille_text){name, strlen(name)});
}

static void put_map(struct whole *w, size_t n) {
  if (n < 16) put_byte(w, 0x80 | (unsigned)n);
  else put_number(w, 0xde, n, 2);
}

static void put_array(struct whole *w, size_t n) {
  if (n < 16) put_byte(w, 0x90 | (unsigned)n);
  else put_number(w, 0xdc, n, 2);
}

static inline void put_field(struct whole *w, const char *name, rille_text text) {
  put_name(w, name);
  put_text(w, text);
}

/* ---- What frames keep for who reads them again ---- */

static const rille_append *work_of(const struct whole *w, const struct listed *p) {
  return p->member == HOME ? w->t.work : w->t.members[p->member].work;
}

/* By streams; a stream's parts as they come. */
static int compare_parts(const void *one, const void *other) {
  const rille_part *a = *(const rille_part *const *)one, *b = *(const rille_part *const *)other;
  size_t n = a->stream.length < b->stream.length ? a->stream.length : b->stream.length;
  int order = n ? memcmp(a->stream.bytes, b->stream.bytes, n) : 0;
  if (order) return order;
  if (a->stream.length != b->stream.length) return a->stream.length < b->stream.length ? -1 : 1;
  return a < b ? -1 : a > b;
}

/* Each stream once, with the version after its last part; `parts` is room for as many. */
static void put_sorted(struct whole *w, const rille_append *work, const rille_part **parts) {
  size_t count = work->part_count, n = 0;
  for (size_t i = 0; i < count; i++) parts[i] = &work->parts[i];
  qsort(parts, count, sizeof *parts, compare_parts);
  for (size_t i = 0; i < count; i++)
    if (i + 1 == count || !text_equal(parts[i]->stream, parts[i + 1]->stream))
      parts[n++] = parts[i];
  if (n > UINT16_MAX) put_number(w, 0xdf, n, 4);
  else put_map(w, n);
  for (size_t i = 0; i < n; i++) {
    put_text(w, parts[i]->stream);
    put_integer(w, work->versions[parts[i] - work->parts]);
  }
}

static void put_versions(struct whole *w, const rille_append *work) {
  struct memory memory = memory_default();
  const rille_part *few[FEW], **parts = few;
  size_t bytes = work->part_count * sizeof *parts;
  if (work->part_count > FEW) parts = memory_get(&memory, bytes);
  if (parts) put_sorted(w, work, parts);
  else w->no_memory = true;
  if (parts && parts != few) memory_free(&memory, parts, bytes);
}

static void put_participant(struct whole *w, const struct listed *p) {
  bool home = p->member == HOME;
  bool reads = !home && w->t.members[p->member].vote == RILLE_VOTE_READ;
  bool checks = !home && w->t.members[p->member].checks_only;
  put_map(w, 6 + home + checks);
  if (checks) {
    put_name(w, "checks");
    put_byte(w, 0xc3);
  }
  if (home) {
    put_name(w, "home");
    put_byte(w, 0xc3);
  }
  put_field(w, "kind", rille_text_of("store"));
  put_name(w, "member");
  put_byte(w, 0xc3);
  put_field(w, "name", p->name);
  put_field(w, "path", p->path);
  put_field(w, "uuid", p->uuid);
  put_field(w, "vote", rille_text_of(reads ? "read" : "yes"));
}

/* Of promises, for operators: as many names as there is room for. */
static rille_text describe_promise(struct whole *w) {
  size_t n = 0;
  for (size_t bytes = 0; n < w->count; n++) {
    bytes += w->list[n].name.length + 5;
    if (bytes > NAMES_BYTES) break;
  }
  put_map(w, 1);
  put_name(w, "participants");
  put_array(w, n);
  for (size_t i = 0; i < n; i++) put_text(w, w->list[i].name);
  return (rille_text){(const char *)w->detail->bytes, w->detail->length};
}

static bool is_over(const struct whole *w, const struct watched *watched) {
  for (size_t i = 0; i < watched->count; i++) {
    const struct watched_end *end = &w->ends[watched->first + i];
    if (!rille_store_is_flushed(end->store, end->end)) return false;
  }
  return true;
}

/* What the flushes of these promises have made durable ends with this decision. */
static void add_ended(struct whole *w, rille_decide *decide) {
  w->ended_count = 0;
  for (size_t i = 0; i < w->watched_count; i++)
    if (is_over(w, &w->watched[i])) w->ended[w->ended_count++] = w->watched[i].id;
  decide->ended = w->ended;
  decide->ended_count = w->ended_count;
}

static int describe(void *context, rille_decide *decide) {
  struct whole *w = context;
  buffer_clear(w->detail, KEEP_BYTES);
  put_map(w, 6 + (w->t.client.length != 0) + (w->home_name.length != 0));
  if (w->t.client.length) put_field(w, "client", w->t.client);
  put_field(w, "coordinator", w->t.coordinator);
  put_name(w, "excluded");
  put_map(w, 0);
  if (w->home_name.length) put_field(w, "home", w->home_name);
  put_field(w, "identity", w->policy);
  put_name(w, "participants");
  put_array(w, w->count);
  for (size_t i = 0; i < w->count; i++) put_participant(w, &w->list[i]);
  put_field(w, "policy", w->policy);
  put_name(w, "versions");
  put_map(w, w->t.member_count);
  for (size_t i = 0; i < w->t.member_count; i++) {
    put_text(w, w->t.members[i].name);
    put_versions(w, w->t.members[i].work);
  }
  decide->detail = (rille_text){(const char *)w->detail->bytes, w->detail->length};
  add_ended(w, decide);
  return w->no_memory;
}

/* ---- Reading what is to be done ---- */

static void get(lua_State *L, int index, const char *name) {
  lua_pushstring(L, name);
  lua_rawget(L, index);
}

/* The text lives as long as the table has it. */
static rille_text text_at(lua_State *L, int index, const char *name) {
  rille_text text = {0};
  get(L, index, name);
  if (lua_type(L, -1) == LUA_TSTRING) text.bytes = lua_tolstring(L, -1, &text.length);
  lua_pop(L, 1);
  return text;
}

/* The participant on top of the stack, which it takes away. */
static void read_participant(lua_State *L, struct whole *w, struct listed *p) {
  int index = lua_gettop(L);
  luaL_checktype(L, index, LUA_TTABLE);
  *p = (struct listed){.name = text_at(L, index, "name"),
                       .uuid = text_at(L, index, "uuid"),
                       .path = text_at(L, index, "path"),
                       .member = w->t.member_count};
  get(L, index, "store");
  p->handle = store_check(L, -1);
  get(L, index, "work");
  const rille_append *work = work_at(L, lua_gettop(L), p->handle);
  get(L, index, "home");
  if (lua_toboolean(L, -1)) {
    p->member = HOME;
    w->t.work = work->part_count || work->unless || work->mark.name.length ? work : NULL;
    w->home_name = p->name;
  } else {
    rille_member *m = &w->t.members[w->t.member_count++];
    m->store = NULL; /* later: Lua still runs */
    m->name = p->name;
    m->work = work;
  }
  lua_settop(L, index - 1);
}

/* The time that there is, and what of it has gone. */
static void read_timeout(lua_State *L, struct whole *w) {
  lua_Number timeout = 0, deadline = 0;
  options_number(L, 1, "timeout", &timeout);
  options_number(L, 1, "deadline", &deadline);
  lua_Number left = deadline * MICROSECONDS - (lua_Number)system_monotonic_us();
  timeout *= MICROSECONDS;
  if (!(timeout < RILLE_TIMEOUT_US)) {
    w->t.timeout_us = RILLE_TIMEOUT_US;
    return;
  }
  w->t.timeout_us = (int64_t)timeout;
  w->t.elapsed_us = (int64_t)(timeout - left);
}

static void read_transaction(lua_State *L, struct whole *w) {
  lua_Integer home_end = 0;
  w->t.id = text_at(L, 1, "id");
  w->t.client = text_at(L, 1, "client");
  options_integer(L, 1, "home_end", &home_end);
  w->t.home_end = (uint64_t)home_end;
  read_timeout(L, w);
  get(L, 2, "store");
  w->home = store_check(L, -1);
  w->t.coordinator = text_at(L, 2, "name");
  w->t.home_path = text_at(L, 2, "path");
  get(L, 1, "policy");
  w->policy = text_at(L, lua_gettop(L), "name");
  lua_pop(L, 2);
  get(L, 1, "list");
  for (size_t i = 0; i < w->count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    read_participant(L, w, &w->list[i]);
  }
  lua_pop(L, 1);
}

/* tx.ends = { p, end, p, end ... }, of the one on top of the stack; not of what recovery ends. */
static void read_watched(lua_State *L, struct whole *w) {
  int index = lua_gettop(L);
  struct watched watched = {text_at(L, index, "id"), w->end_count, 0};
  get(L, index, "ends");
  if (!lua_istable(L, -1)) return;
  size_t n = lua_rawlen(L, -1) / 2;
  get(L, index, "unreached");
  if (lua_toboolean(L, -1) || w->end_count + n > WATCHED_ENDS) return;
  lua_pop(L, 1);
  for (lua_Integer i = 0; i < (lua_Integer)n; i++) {
    lua_rawgeti(L, index + 1, 2 * i + 1);
    if (!lua_istable(L, -1)) return;
    get(L, lua_gettop(L), "store");
    lua_rawgeti(L, index + 1, 2 * i + 2);
    struct store_handle *s = luaL_testudata(L, -2, STORE_HANDLE);
    if (!s || !s->store) return;
    w->ends[w->end_count + i] = (struct watched_end){s->store, (uint64_t)lua_tointeger(L, -1)};
    lua_pop(L, 3);
  }
  watched.count = n;
  w->end_count += n;
  w->watched[w->watched_count++] = watched;
}

static void read_all_watched(lua_State *L, struct whole *w) {
  get(L, 2, "watching");
  int list = lua_gettop(L);
  size_t n = lua_rawlen(L, list);
  for (size_t i = 1; i <= n && i <= WATCHED_MOST; i++) {
    lua_rawgeti(L, list, (lua_Integer)i);
    read_watched(L, w);
    lua_settop(L, list);
  }
  lua_pop(L, 1);
}

/* False where one of the stores is closed. */
static bool take_stores(struct whole *w) {
  w->t.home = w->home->store;
  for (size_t i = 0; i < w->count; i++) {
    struct listed *p = &w->list[i];
    if (!p->handle->store) return false;
    if (p->member != HOME) w->t.members[p->member].store = p->handle->store;
  }
  return w->t.home != NULL;
}

/* ---- The result ---- */

static void push_text(lua_State *L, rille_text text) {
  lua_pushlstring(L, text.bytes, text.length);
}

static void set_flag(lua_State *L, const char *name, int flag) {
  lua_pushboolean(L, flag);
  lua_setfield(L, -2, name);
}

static void push_names(lua_State *L, const struct whole *w, bool unreached) {
  lua_Integer n = 0;
  lua_createtable(L, unreached ? 0 : (int)w->count, 0);
  for (size_t i = 0; i < w->count; i++) {
    const struct listed *p = &w->list[i];
    if (unreached && (p->member == HOME || w->t.members[p->member].reached)) continue;
    push_text(L, p->name);
    lua_rawseti(L, -2, ++n);
  }
}

static void push_all_versions(lua_State *L, const struct whole *w) {
  lua_createtable(L, 0, (int)w->count);
  for (size_t i = 0; i < w->count; i++) {
    const rille_append *work = work_of(w, &w->list[i]);
    push_text(L, w->list[i].name);
    if (work) work_push_versions(L, work);
    else lua_newtable(L);
    lua_rawset(L, -3);
  }
}

/* { home = { first =, last = } } */
static void push_positions(lua_State *L, const struct whole *w, const rille_decided *decided) {
  lua_createtable(L, 0, decided->first != 0);
  if (!decided->first) return;
  push_text(L, w->home_name);
  lua_createtable(L, 0, 2);
  set_integer(L, "first", decided->first);
  set_integer(L, "last", decided->last);
  lua_rawset(L, -3);
}

static void push_result(lua_State *L, const struct whole *w, const rille_transacted *done) {
  lua_createtable(L, 0, 9);
  lua_pushliteral(L, "committed");
  lua_setfield(L, -2, "outcome");
  push_text(L, w->t.client.length ? w->t.client : w->t.id);
  lua_setfield(L, -2, "id");
  push_text(L, w->t.id);
  lua_setfield(L, -2, "transaction");
  set_flag(L, "duplicate", 0);
  push_names(L, w, false);
  lua_setfield(L, -2, "members");
  lua_newtable(L);
  lua_setfield(L, -2, "pending"); /* correct_pending */
  lua_newtable(L);
  lua_setfield(L, -2, "excluded");
  push_all_versions(L, w);
  lua_setfield(L, -2, "versions");
  push_positions(L, w, &done->decided);
  lua_setfield(L, -2, "positions");
}

/* result(whole) --> the result */
static int make_result(lua_State *L) {
  const struct whole *w = lua_touserdata(L, 1);
  push_result(L, w, w->done);
  return 1;
}

static bool are_open(const struct whole *w) {
  if (w->home->store != w->t.home) return false;
  for (size_t i = 0; i < w->count; i++) {
    const struct listed *p = &w->list[i];
    if (p->member == HOME ? !p->handle->store : p->handle->store != w->t.members[p->member].store)
      return false;
  }
  return true;
}

/* An error, which is one of memory or of a collector's call, must not end what is written: then
** the result is made afterwards. */
static int meanwhile(void *context, const rille_transacted *done) {
  struct whole *w = context;
  lua_State *L = w->L;
  lua_pushcfunction(L, make_result);
  lua_pushlightuserdata(L, w);
  w->done = done;
  w->has_result = lua_pcall(L, 1, 1, 0) == LUA_OK;
  if (!w->has_result) lua_pop(L, 1);
  return !are_open(w);
}

/* tx.ends, of those that owe something; tx.unreached if some were not told: recovery ends it. */
static void set_ends(lua_State *L, const struct whole *w) {
  lua_Integer n = 0;
  lua_createtable(L, 2 * (int)w->t.member_count, 0);
  get(L, 1, "list");
  for (size_t i = 0; i < w->count; i++) {
    const struct listed *p = &w->list[i];
    if (p->member == HOME) continue;
    if (!w->t.members[p->member].reached) {
      lua_pushboolean(L, 1);
      lua_setfield(L, 1, "unreached");
    }
    if (!w->t.members[p->member].finished.end) continue;
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    lua_rawseti(L, -3, ++n);
    lua_pushinteger(L, (lua_Integer)w->t.members[p->member].finished.end);
    lua_rawseti(L, -3, ++n);
  }
  lua_pop(L, 1);
  lua_setfield(L, 1, "ends");
}

/* What a participant, or home, said: fields of the table on top of the stack. */
static void set_vote(lua_State *L, enum rille_vote vote, const rille_append *work,
                     const rille_error *e) {
  lua_pushstring(L, vote_word(vote));
  lua_setfield(L, -2, "vote");
  if (!e->code) return;
  work_push_failure(L, work, e);
  lua_setfield(L, -5, "detail");
  lua_setfield(L, -4, "code");
  lua_setfield(L, -3, "reason");
  lua_pop(L, 1);
}

/* Home has written nothing, or it is not known (rille/drive.lua: UNSURE). */
static enum rille_vote vote_of_home(const rille_error *e) {
  if (e->code == 0) return RILLE_VOTE_YES;
  return e->code == RILLE_IO || e->code == RILLE_UNKNOWN ? RILLE_VOTE_NONE : RILLE_VOTE_NO;
}

/* Votes into tx.list; the cause into tx.reason, unless it is one participant's, or tx.why. */
static void set_failure(lua_State *L, const struct whole *w, const rille_transacted *done,
                        const rille_error *why) {
  bool unknown = done->outcome == RILLE_OUTCOME_UNKNOWN, said = false;
  get(L, 1, "list");
  for (size_t i = 0; i < w->count; i++) {
    const struct listed *p = &w->list[i];
    bool home = p->member == HOME;
    const rille_error *e = home ? &done->home_error : &w->t.members[p->member].error;
    enum rille_vote vote = home ? vote_of_home(e) : w->t.members[p->member].vote;
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    set_vote(L, vote, work_of(w, p), e);
    lua_pop(L, 1);
    said = said || e->code != 0;
  }
  lua_pop(L, 1);
  if (why->code == 0 || (said && !unknown)) return;
  lua_pushstring(L, why->message);
  lua_setfield(L, 1, unknown ? "why" : "reason");
}

static void note_last(const struct whole *w, const rille_transacted *done) {
  for (size_t i = 0; i < w->count; i++) {
    const struct listed *p = &w->list[i];
    uint64_t last = p->member == HOME ? done->decided.last : w->t.members[p->member].finished.last;
    if (last > p->handle->last) p->handle->last = last;
  }
}

/* coordinator.watching: those that ended on the way are over. */
static void mark_ended(lua_State *L, const struct whole *w) {
  get(L, 2, "watching");
  for (size_t i = 1; w->ended_count && i <= WATCHED_MOST; i++) {
    if (lua_rawgeti(L, -1, (lua_Integer)i) == LUA_TTABLE) {
      rille_text id = text_at(L, lua_gettop(L), "id");
      for (size_t j = 0; j < w->ended_count; j++)
        if (id.bytes == w->ended[j].bytes) set_flag(L, "over", 1);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* A result that was made meanwhile is of one whose members were all reached. */
static void correct_pending(lua_State *L, const struct whole *w) {
  for (size_t i = 0; i < w->t.member_count; i++)
    if (!w->t.members[i].reached) {
      push_names(L, w, true);
      lua_setfield(L, -2, "pending");
      return;
    }
}

static int push_outcome(lua_State *L, struct whole *w, int result, const rille_transacted *done,
                        const rille_error *e) {
  if (result == 0) {
    note_last(w, done);
    mark_ended(L, w);
    set_ends(L, w);
    if (!w->has_result) push_result(L, w, done);
    correct_pending(L, w);
    lua_pushliteral(L, "committed");
    lua_insert(L, -2);
    return 2;
  }
  if (result != RILLE_ABORTED && result != RILLE_UNKNOWN) return error_push(L, e);
  set_failure(L, w, done, e);
  bool duplicate = done->home_error.code == RILLE_DUPLICATE && w->t.client.length;
  lua_pushstring(L, duplicate ? "duplicate" : outcome_name(done->outcome));
  return 1;
}

/* transact(tx, coordinator) --> "committed", result | "aborted" | "unknown" | "duplicate" | false
** where a store is closed. All of tx.list are stores, and required. Sets tx.ends, where the end
** is to be noted later, or votes and reasons. */
static int transact(lua_State *L) {
  rille_member few_members[FEW];
  struct listed few[FEW];
  struct whole w;
  rille_transacted done = {0};
  rille_error e;
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  memset(&w, 0, offsetof(struct whole, watched));
  w.watched_count = w.end_count = w.ended_count = 0;
  get(L, 1, "list");
  luaL_checktype(L, 3, LUA_TTABLE);
  w.count = lua_rawlen(L, 3);
  bool many = w.count > FEW;
  w.t.members = many ? lua_newuserdatauv(L, w.count * sizeof *w.t.members, 0) : few_members;
  w.list = many ? lua_newuserdatauv(L, w.count * sizeof *w.list, 0) : few;
  w.t.size = sizeof w.t;
  w.t.describe = describe;
  w.t.meanwhile = meanwhile;
  w.L = L;
  w.t.context = &w;
  read_transaction(L, &w);
  read_all_watched(L, &w);
  w.detail = lua_touserdata(L, lua_upvalueindex(1));
  if (!take_stores(&w)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  buffer_clear(w.detail, KEEP_BYTES);
  w.t.detail = describe_promise(&w);
  int result = w.no_memory ? error_set(&e, RILLE_MEMORY, "no memory")
                           : rille_store_transact(&w.t, &done, &e);
  return push_outcome(L, &w, result, &done, &e);
}

void transact_push(lua_State *L) {
  buffer_push(L);
  lua_pushcclosure(L, transact, 1);
  lua_setfield(L, -2, "transact");
}
