/* lsteps.c: a coordinator's life on its home, and the machine that tells the steps of a
** transaction, as userdata for the Lua half.
**
** Both are made closed and then acquire. Participants are numbered from 1 in Lua, from 0 in
** the core. The machine does nothing by itself: see rille_transaction.h. */
#include "lsteps.h"

#include "lrille.h"

#define INSTANCE_HANDLE "rille.instance"
#define STEPS_HANDLE "rille.steps"

/* ---- Instances ---- */

struct instance_handle {
  rille_instance *instance; /* NULL: closed */
};

static struct instance_handle *check_instance(lua_State *L) {
  return luaL_checkudata(L, 1, INSTANCE_HANDLE);
}

static int instance_close(lua_State *L) {
  struct instance_handle *h = check_instance(L);
  rille_instance *instance = h->instance;
  rille_error e = {0};
  h->instance = NULL;
  return store_push_done(L, instance ? rille_instance_close(instance, &e) : 0, &e);
}

/* begin() --> id, home_end */
static int instance_begin(lua_State *L) {
  struct instance_handle *h = check_instance(L);
  rille_begun begun;
  rille_error e;
  if (!h->instance) return error_push_closed(L, "coordinator");
  if (rille_instance_begin(h->instance, &begun, &e) < 0) return error_push(L, &e);
  lua_pushstring(L, begun.id);
  lua_pushinteger(L, (lua_Integer)begun.home_end);
  return 2;
}

/* instance(home, name) --> instance */
static int instance_open(lua_State *L) {
  rille_error e;
  rille_text name;
  rille_store *store = store_open_at(L, 1);
  if (!store) return RESULTS_CLOSED;
  luaL_checktype(L, 2, LUA_TSTRING);
  name.bytes = lua_tolstring(L, 2, &name.length);
  struct instance_handle *h = lua_newuserdatauv(L, sizeof *h, 0);
  h->instance = NULL;
  luaL_setmetatable(L, INSTANCE_HANDLE);
  store = store_check(L, 1)->store; /* a finalizer may have closed it */
  if (!store) return error_push_closed(L, "store");
  if (rille_instance_open(store, name, &h->instance, &e) < 0) return error_push(L, &e);
  return 1;
}

/* ---- Steps ---- */

struct steps_handle {
  rille_steps *steps; /* NULL: over */
  size_t count;
};

static const char *const step_words[] = {
    [RILLE_STEP_WAIT] = "wait",     [RILLE_STEP_PREPARE] = "prepare",
    [RILLE_STEP_FLUSH] = "flush",   [RILLE_STEP_ASK] = "ask",
    [RILLE_STEP_DECIDE] = "decide", [RILLE_STEP_FORCE] = "force",
    [RILLE_STEP_COMMIT] = "commit", [RILLE_STEP_ABORT] = "abort",
    [RILLE_STEP_ANSWER] = "answer", [RILLE_STEP_WATCH] = "watch",
    [RILLE_STEP_END] = "end",       [RILLE_STEP_OVER] = "over"};

static const char *const vote_words[] = {[RILLE_VOTE_NONE] = "none",
                                         [RILLE_VOTE_YES] = "yes",
                                         [RILLE_VOTE_READ] = "read",
                                         [RILLE_VOTE_NO] = "no",
                                         NULL};

const char *vote_word(enum rille_vote vote) { return vote_words[vote]; }

static rille_steps *check_steps(lua_State *L) {
  struct steps_handle *h = luaL_checkudata(L, 1, STEPS_HANDLE);
  if (!h->steps) luaL_error(L, "the steps are freed");
  return h->steps;
}

/* The participant's number at index, from 0. */
static size_t check_number(lua_State *L, int index) {
  struct steps_handle *h = luaL_checkudata(L, 1, STEPS_HANDLE);
  lua_Integer n = luaL_checkinteger(L, index);
  luaL_argcheck(L, n >= 1 && (size_t)n <= h->count, index, "no participant");
  return (size_t)n - 1;
}

static int steps_gc(lua_State *L) {
  struct steps_handle *h = luaL_checkudata(L, 1, STEPS_HANDLE);
  rille_steps_free(h->steps);
  h->steps = NULL;
  return 0;
}

/* next() --> word, participant */
static int steps_next(lua_State *L) {
  size_t participant = 0;
  lua_pushstring(L, step_words[rille_steps_next(check_steps(L), &participant)]);
  lua_pushinteger(L, (lua_Integer)participant + 1);
  return 2;
}

/* prepared(participant, needs_flush) */
static int steps_prepared(lua_State *L) {
  rille_steps_prepared(check_steps(L), check_number(L, 2), lua_toboolean(L, 3));
  return 0;
}

/* voted(participant, "yes" | "no" | "read" | "none") */
static int steps_voted(lua_State *L) {
  int vote = luaL_checkoption(L, 3, NULL, vote_words);
  rille_steps_voted(check_steps(L), check_number(L, 2), (enum rille_vote)vote);
  return 0;
}

/* verdict("undecided" | "aborted" | "committed" [, numbers]) --> true */
static int steps_verdict(lua_State *L) {
  rille_steps *steps = check_steps(L);
  int outcome = outcome_check(L, 2);
  rille_error e;
  size_t *members = NULL, count = 0;
  if (lua_istable(L, 3)) {
    count = lua_rawlen(L, 3);
    members = lua_newuserdatauv(L, (count + 1) * sizeof *members, 0);
    for (size_t i = 0; i < count; i++) {
      lua_rawgeti(L, 3, (lua_Integer)i + 1);
      members[i] = check_number(L, -1);
      lua_pop(L, 1);
    }
  }
  return store_push_done(L, rille_steps_verdict(steps, outcome, members, count, &e), &e);
}

static int steps_timeout(lua_State *L) {
  rille_steps_timeout(check_steps(L));
  return 0;
}

/* decided("committed" | "aborted" | "none") */
static int steps_decided(lua_State *L) {
  rille_steps_decided(check_steps(L), outcome_check(L, 2));
  return 0;
}

/* forced(flushed) */
static int steps_forced(lua_State *L) {
  rille_steps_forced(check_steps(L), lua_toboolean(L, 2));
  return 0;
}

/* finished(participant, reached) */
static int steps_finished(lua_State *L) {
  rille_steps_finished(check_steps(L), check_number(L, 2), lua_toboolean(L, 3));
  return 0;
}

static int steps_answered(lua_State *L) {
  rille_steps_answered(check_steps(L));
  return 0;
}

/* acknowledged(participant) */
static int steps_acknowledged(lua_State *L) {
  rille_steps_acknowledged(check_steps(L), check_number(L, 2));
  return 0;
}

static int steps_ended(lua_State *L) {
  rille_steps_ended(check_steps(L));
  return 0;
}

static int steps_outcome(lua_State *L) {
  lua_pushstring(L, outcome_name(rille_steps_outcome(check_steps(L))));
  return 1;
}

static int steps_vote(lua_State *L) {
  lua_pushstring(L, vote_words[rille_steps_vote(check_steps(L), check_number(L, 2))]);
  return 1;
}

static int steps_is_member(lua_State *L) {
  lua_pushboolean(L, rille_steps_is_member(check_steps(L), check_number(L, 2)));
  return 1;
}

static int steps_state(lua_State *L) {
  lua_pushstring(L, rille_steps_state(check_steps(L)));
  return 1;
}

/* Entry i of { optional=, voter=, prepares_later= } */
static rille_steps_participant read_participant(lua_State *L, size_t i) {
  rille_steps_participant p = {0};
  lua_rawgeti(L, 1, (lua_Integer)i);
  luaL_checktype(L, -1, LUA_TTABLE);
  int index = lua_gettop(L);
  options_boolean(L, index, "optional", &p.optional);
  options_boolean(L, index, "voter", &p.voter);
  options_boolean(L, index, "prepares_later", &p.prepares_later);
  lua_pop(L, 1);
  return p;
}

/* steps(participants) --> steps */
static int steps_new(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  size_t count = lua_rawlen(L, 1);
  struct steps_handle *h = lua_newuserdatauv(L, sizeof *h, 0);
  *h = (struct steps_handle){.count = count};
  luaL_setmetatable(L, STEPS_HANDLE);
  rille_steps_participant *list = lua_newuserdatauv(L, (count + 1) * sizeof *list, 0);
  for (size_t i = 0; i < count; i++) list[i] = read_participant(L, i + 1);
  h->steps = rille_steps_new(list, count);
  if (!h->steps) return luaL_error(L, "not enough memory");
  lua_pop(L, 1);
  return 1;
}

static void new_handle(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc) {
  luaL_newmetatable(L, name);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

void steps_open(lua_State *L) {
  static const luaL_Reg instance_methods[] = {
      {"begin", instance_begin}, {"close", instance_close}, {NULL, NULL}};
  static const luaL_Reg steps_methods[] = {
      {"next", steps_next},         {"prepared", steps_prepared},
      {"voted", steps_voted},       {"verdict", steps_verdict},
      {"timeout", steps_timeout},   {"decided", steps_decided},
      {"forced", steps_forced},     {"finished", steps_finished},
      {"answered", steps_answered}, {"acknowledged", steps_acknowledged},
      {"ended", steps_ended},       {"outcome", steps_outcome},
      {"vote", steps_vote},         {"is_member", steps_is_member},
      {"state", steps_state},       {NULL, NULL}};
  new_handle(L, INSTANCE_HANDLE, instance_methods, instance_close);
  new_handle(L, STEPS_HANDLE, steps_methods, steps_gc);
  lua_pushcfunction(L, instance_open);
  lua_setfield(L, -2, "instance");
  lua_pushcfunction(L, steps_new);
  lua_setfield(L, -2, "steps");
}
