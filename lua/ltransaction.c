/* ltransaction.c: transactions over several stores, for the Lua half.
**
** Functions on a store, thin over rille_transaction.h: parse, call, push. What drives
** them is rille/transaction.lua and rille/recovery.lua; the machine that says what
** comes next is in lsteps.c. Times are seconds here, microseconds in the core. */
#include "lrille.h"
#include "lsteps.h"

#include <math.h>

#define DOUBTS_HANDLE "rille.doubts"
#define DETAIL_ROOM_BYTES ((size_t)64 << 10) /* of the buffer, from one call to the next */
#define TIME_MOST_S 9e12

static void set_text(lua_State *L, const char *name, rille_text text) {
  if (!text.length) return;
  lua_pushlstring(L, text.bytes, text.length);
  lua_setfield(L, -2, name);
}

static void set_seconds(lua_State *L, const char *name, int64_t us) {
  lua_pushnumber(L, (lua_Number)us / MICROSECONDS);
  lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, int flag) {
  lua_pushboolean(L, flag);
  lua_setfield(L, -2, name);
}

/* ---- Outcomes ---- */

static const char *const outcome_words[] = {
    [RILLE_OUTCOME_NONE] = "none",           [RILLE_OUTCOME_UNDECIDED] = "undecided",
    [RILLE_OUTCOME_COMMITTED] = "committed", [RILLE_OUTCOME_ABORTED] = "aborted",
    [RILLE_OUTCOME_UNKNOWN] = "unknown",     NULL};

const char *outcome_name(int outcome) {
  return outcome_words[outcome < 0 || outcome > RILLE_OUTCOME_UNKNOWN ? RILLE_OUTCOME_UNKNOWN
                                                                      : outcome];
}

int outcome_check(lua_State *L, int index) {
  const char *word = luaL_checkstring(L, index);
  for (int i = 0; outcome_words[i]; i++)
    if (strcmp(outcome_words[i], word) == 0) return i;
  return luaL_argerror(L, index, "no outcome");
}

/* ---- Participants ---- */

/* { id=, name=, home_kind=, home_path=, home_end=, coordinator=, client=, deadline=, detail= } */
static void read_prepare(lua_State *L, int index, rille_prepare *p) {
  lua_Integer home_end = 0;
  lua_Number deadline = 0;
  luaL_checktype(L, index, LUA_TTABLE);
  options_text(L, index, "id", &p->id);
  options_text(L, index, "name", &p->name);
  options_text(L, index, "home_kind", &p->home_kind);
  options_text(L, index, "home_path", &p->home_path);
  options_text(L, index, "coordinator", &p->coordinator);
  options_text(L, index, "client", &p->client);
  options_text(L, index, "detail", &p->detail);
  options_integer(L, index, "home_end", &home_end);
  options_number(L, index, "deadline", &deadline);
  p->home_end = (uint64_t)home_end;
  if (deadline > 0 && deadline < TIME_MOST_S) p->deadline_us = (int64_t)(deadline * MICROSECONDS);
}

/* prepare(store, work, fields) --> { flush=, checks_only=, versions= } */
static int prepare(lua_State *L) {
  struct store_handle *s = store_check(L, 1);
  rille_prepare p = {.size = sizeof p};
  rille_prepared prepared;
  rille_error e;
  lua_settop(L, 3);
  read_prepare(L, 3, &p);
  p.work = work_at(L, 2, s);
  if (!s->store) return error_push_closed(L, "store");
  if (rille_store_prepare(s->store, &p, &prepared, &e) < 0) return work_push_failure(L, p.work, &e);
  lua_createtable(L, 0, 3);
  set_integer(L, "flush", prepared.flush);
  set_flag(L, "checks_only", prepared.checks_only);
  work_push_versions(L, p.work);
  lua_setfield(L, -2, "versions");
  return 1;
}

/* flush(store, end) --> true */
static int flush(lua_State *L) {
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  lua_Integer end = luaL_checkinteger(L, 2);
  if (!store) return RESULTS_CLOSED;
  return store_push_done(L, rille_store_flush(store, (uint64_t)end, &e), &e);
}

/* is_flushed(store, end) --> boolean */
static int is_flushed(lua_State *L) {
  rille_store *store = store_open_at(L, 1);
  lua_Integer end = luaL_checkinteger(L, 2);
  if (!store) return RESULTS_CLOSED;
  lua_pushboolean(L, rille_store_is_flushed(store, (uint64_t)end));
  return 1;
}

static int push_finished(lua_State *L, int result, const rille_finished *f, const rille_error *e) {
  if (result < 0) return error_push(L, e);
  lua_createtable(L, 0, 4);
  if (f->first) {
    set_integer(L, "first", f->first);
    set_integer(L, "last", f->last);
  }
  set_integer(L, "end", f->end);
  set_flag(L, "before", result == RILLE_REMARK);
  return 1;
}

/* commit(store, id), abort(store, id) --> { first=, last=, end=, before= } */
static int commit(lua_State *L) {
  struct store_handle *s = store_check(L, 1);
  rille_finished finished = {0};
  rille_error e;
  rille_text id = argument_text(L, 2);
  if (!s->store) return error_push_closed(L, "store");
  int result = rille_store_commit(s->store, id, &finished, &e);
  if (result >= 0 && finished.last > s->last) s->last = finished.last;
  return push_finished(L, result, &finished, &e);
}

static int abort_(lua_State *L) {
  rille_finished finished = {0};
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  rille_text id = argument_text(L, 2);
  if (!store) return RESULTS_CLOSED;
  return push_finished(L, rille_store_abort(store, id, &finished, &e), &finished, &e);
}

/* ---- Home ---- */

/* Pushes a userdata that holds the texts of the list at index. */
static const rille_text *read_members(lua_State *L, int index, size_t *count) {
  *count = lua_istable(L, index) ? lua_rawlen(L, index) : 0;
  rille_text *members = lua_newuserdatauv(L, (*count + 1) * sizeof *members, 0);
  for (size_t i = 0; i < *count; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    members[i] = argument_text(L, -1);
    lua_pop(L, 1);
  }
  return members;
}

/* decide(home, work, { id=, client=, home_end=, outcome=, detail=, members=, deadline= })
**   --> { outcome=, first=, last=, end=, before=, versions= } */
static int decide(lua_State *L) {
  struct store_handle *s = store_check(L, 1);
  rille_decide d = {.size = sizeof d};
  rille_decided decided = {0};
  lua_Integer home_end;
  lua_Number deadline = 0;
  rille_error e;
  lua_settop(L, 3);
  options_text(L, 3, "id", &d.id);
  options_text(L, 3, "client", &d.client);
  options_text(L, 3, "detail", &d.detail);
  options_number(L, 3, "deadline", &deadline);
  if (deadline > 0 && deadline < TIME_MOST_S) d.deadline_us = (int64_t)(deadline * MICROSECONDS);
  if (options_integer(L, 3, "home_end", &home_end)) d.home_end = (uint64_t)home_end;
  lua_getfield(L, 3, "outcome");
  d.outcome = outcome_check(L, 4);
  lua_getfield(L, 3, "members");
  d.members = read_members(L, 5, &d.member_count);
  const rille_append *append = work_at(L, 2, s);
  if (!s->store) return error_push_closed(L, "store");
  d.work = append->part_count || append->unless || append->mark.name.length ? append : NULL;
  int result = rille_store_decide(s->store, &d, &decided, &e);
  if (result < 0) return work_push_failure(L, append, &e);
  lua_createtable(L, 0, 6);
  lua_pushstring(L, outcome_name(decided.outcome));
  lua_setfield(L, -2, "outcome");
  if (decided.first) {
    set_integer(L, "first", decided.first);
    set_integer(L, "last", decided.last);
    if (decided.last > s->last) s->last = decided.last;
  }
  set_integer(L, "end", decided.end);
  set_flag(L, "before", result == RILLE_REMARK);
  work_push_versions(L, append);
  lua_setfield(L, -2, "versions");
  return 1;
}

/* check(home, work) --> true */
static int check(lua_State *L) {
  struct store_handle *s = store_check(L, 1);
  rille_error e;
  lua_settop(L, 2);
  const rille_append *append = work_at(L, 2, s);
  if (!s->store) return error_push_closed(L, "store");
  if (rille_store_check(s->store, append, &e) < 0) return work_push_failure(L, append, &e);
  lua_pushboolean(L, 1);
  return 1;
}

/* append(store, work) --> as store:append in its second form: where one store is all */
static int append(lua_State *L) {
  struct store_handle *s = store_check(L, 1);
  rille_appended done;
  rille_error e;
  lua_settop(L, 2);
  const rille_append *append = work_at(L, 2, s);
  if (!s->store) return error_push_closed(L, "store");
  if (rille_store_append(s->store, append, &done, &e) < 0) return work_push_failure(L, append, &e);
  if (done.last > s->last) s->last = done.last;
  return append_push_result(L, append, &done, 1);
}

static int ask(lua_State *L, rille_store *store, rille_told *told, rille_error *e) {
  rille_text id = argument_text(L, 2);
  if (lua_isnoneornil(L, 3)) return rille_store_outcome(store, id, told, e);
  return rille_store_outcome_settle(store, id, lua_toboolean(L, 3), told, e);
}

/* outcome(home, id [, force]) --> { outcome=, ended=, id=, first=, last=, end=, time=, detail= }
** With force, even false, it settles. */
static int outcome(lua_State *L) {
  struct buffer *room = lua_touserdata(L, lua_upvalueindex(1));
  rille_told told = {0};
  rille_error e;
  int result;
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  buffer_clear(room, DETAIL_ROOM_BYTES);
  for (;;) {
    told.room = room->bytes;
    told.room_bytes = room->capacity;
    result = ask(L, store, &told, &e);
    if (result != RILLE_REMARK || told.length <= told.room_bytes) break;
    if (!buffer_reserve(room, told.length)) return luaL_error(L, "not enough memory");
  }
  if (result < 0) return error_push(L, &e);
  rille_text detail = {(const char *)room->bytes, told.length};
  lua_createtable(L, 0, 8);
  set_text(L, "detail", detail);
  lua_pushstring(L, outcome_name(told.outcome));
  lua_setfield(L, -2, "outcome");
  lua_pushstring(L, told.id);
  lua_setfield(L, -2, "id");
  set_flag(L, "ended", told.ended);
  if (told.first) {
    set_integer(L, "first", told.first);
    set_integer(L, "last", told.last);
  }
  set_integer(L, "end", told.end);
  set_integer(L, "aborted_at", told.aborted_at);
  set_seconds(L, "time", told.time_us);
  return 1;
}

/* ended(home, id) --> true */
static int ended(lua_State *L) {
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  rille_text id = argument_text(L, 2);
  if (!store) return RESULTS_CLOSED;
  return store_push_done(L, rille_store_end(store, id, &e), &e);
}

/* forget(home, before) --> true; before 1970 there is nothing to forget */
static int forget(lua_State *L) {
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  lua_Number before = luaL_checknumber(L, 2);
  if (!store) return RESULTS_CLOSED;
  int64_t before_us = before > 0 && before < TIME_MOST_S ? (int64_t)(before * MICROSECONDS) : 0;
  return store_push_done(L, rille_store_forget(store, before_us, &e), &e);
}

/* ---- What is not over ---- */

static int doubts_gc(lua_State *L) {
  rille_doubts *doubts = luaL_checkudata(L, 1, DOUBTS_HANDLE);
  rille_doubts_free(doubts);
  *doubts = (rille_doubts){0};
  return 0;
}

/* Made before it is filled, so that nothing can leak. */
static rille_doubts *push_doubts(lua_State *L) {
  rille_doubts *doubts = lua_newuserdatauv(L, sizeof *doubts, 0);
  *doubts = (rille_doubts){0};
  if (luaL_newmetatable(L, DOUBTS_HANDLE)) {
    lua_pushcfunction(L, doubts_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return doubts;
}

static void push_doubt(lua_State *L, const rille_doubt *d) {
  lua_createtable(L, 0, 12);
  set_text(L, "id", d->id);
  set_text(L, "name", d->name);
  set_text(L, "coordinator", d->coordinator);
  set_text(L, "client", d->client);
  set_text(L, "kind", d->home_kind);
  set_text(L, "place", d->home_path);
  set_text(L, "detail", d->detail);
  set_seconds(L, "age", d->age_us);
  if (d->deadline_us) set_seconds(L, "deadline", d->deadline_us);
  set_flag(L, "contradicted", d->contradicted);
  set_flag(L, "restored", d->restored);
  set_flag(L, "by_hand", d->by_hand);
  set_integer(L, "end", d->end);
}

static int push_list(lua_State *L, int (*list)(rille_store *, rille_doubts *, rille_error *)) {
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  rille_doubts *doubts = push_doubts(L);
  if (list(store, doubts, &e) < 0) return error_push(L, &e);
  lua_createtable(L, (int)doubts->count, 0);
  for (size_t i = 0; i < doubts->count; i++) {
    push_doubt(L, &doubts->list[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  rille_doubts_free(doubts);
  *doubts = (rille_doubts){0};
  return 1;
}

/* indoubt(store), pending(home) --> list of { id=, name=, coordinator=, client=, kind=, place=,
** detail=, age=, deadline=, contradicted=, restored=, end= } */
static int indoubt(lua_State *L) { return push_list(L, rille_store_indoubt); }
static int pending(lua_State *L) { return push_list(L, rille_store_pending); }

/* settle(store, id or nil, home or nil) --> { committed=, aborted=, undecided=, unreachable=,
** message= }: the last is why home was not reached */
static int settle(lua_State *L) {
  rille_settle options = {.size = sizeof options};
  rille_settled settled = {0};
  rille_error e = {0};
  rille_store *store = store_open_at(L, 1);
  options.id = argument_text_or_none(L, 2);
  options.home = argument_text_or_none(L, 3);
  if (!store) return RESULTS_CLOSED;
  if (rille_store_settle(store, &options, &settled, &e) < 0) return error_push(L, &e);
  lua_createtable(L, 0, 5);
  set_integer(L, "committed", settled.committed);
  set_integer(L, "aborted", settled.aborted);
  set_integer(L, "undecided", settled.undecided);
  set_integer(L, "unreachable", settled.unreachable);
  if (settled.unreachable) set_text(L, "message", rille_text_of(e.message));
  return 1;
}

/* resolve(store, id, outcome, reason) --> true */
static int resolve(lua_State *L) {
  rille_error e;
  rille_store *store = store_open_at(L, 1);
  rille_text id = argument_text(L, 2);
  int word = outcome_check(L, 3);
  rille_text reason = argument_text(L, 4);
  if (!store) return RESULTS_CLOSED;
  return store_push_done(L, rille_store_resolve(store, id, word, reason, &e), &e);
}

/* strong(store, query or nil) --> true */
static int strong(lua_State *L) {
  rille_query q = {.size = sizeof q};
  rille_error e;
  struct store_handle *s = store_check(L, 1);
  lua_settop(L, 2);
  query_check(L, 2, 0, &q);
  if (!s->store) return error_push_closed(L, "store");
  return store_push_done(L, store_strong(s, &q, &e), &e);
}

void transaction_push(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"prepare", prepare}, {"flush", flush},     {"is_flushed", is_flushed}, {"commit", commit},
      {"abort", abort_},    {"decide", decide},   {"check", check},           {"append", append},
      {"ended", ended},     {"forget", forget},   {"indoubt", indoubt},       {"pending", pending},
      {"settle", settle},   {"resolve", resolve}, {"strong", strong},         {NULL, NULL}};
  luaL_newlib(L, functions);
  buffer_push(L);
  lua_pushcclosure(L, outcome, 1);
  lua_setfield(L, -2, "outcome");
  steps_open(L);
  work_push_library(L);
  transact_push(L);
}
