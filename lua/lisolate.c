/* lisolate.c: the isolated tier: a lua_State of its own, S, in which the same scripts
** of rille run as in the host's, on borrowed stores and copied values.
**
**     host's state L                       S
**     iso:run(module, f, ...) --copies--> require(module)[f](...)
**                             <--copies-- what it returned
**     a function in "..."     <---------- is called, with copies
**
** Three things stop a script: its memory (the allocator below), its budget of steps (a
** count hook for Lua's instructions, isolate_charge for what C does on its behalf, and
** the allocator for what makes C's work large), and the watchdog's flag. Each sets
** `exceeded`; from then on every instruction, pcall and guarded call in S raises, so
** that it ends at the lua_pcall of isolate_run whatever the script has put in between.
** Then S is closed.
**
** Invariants: nothing is called in S but under that lua_pcall, so that S's panic
** function can't be reached, and no error leaves one state for the other. Between two
** runs S holds no store. `used` is the sum of the sizes that Lua believes it has. */
#include "lisolate.h"

#include <stdio.h>
#include <stdlib.h>

#include "llibrary.h"
#include "lsandbox.h"

#define MEMORY_BYTES ((lua_Integer)(64 * MIB))
#define MEMORY_BYTES_LEAST ((lua_Integer)(1 * MIB))
#define INSTRUCTIONS 10000000
#define WATCHDOG_MS 500
#define OWN_INSTRUCTIONS 100000000     /* for rille's code in S, between calls into scripts */
#define HOOK_INSTRUCTIONS 100          /* between two calls of the hook */
#define TEXT_LONG ((size_t)256 * 1024) /* fewer, where a text is longer than so many bytes */
#define BYTES_A_STEP 16                /* memory that is asked for costs the script this much */
#define NODE_BYTES 24                  /* of a key in a table, in Lua 5.4 of 64 bits */
#define NODES_MANY ((size_t)1 << 14)   /* keys in a table, from which on all may collide */
#define NODES_A_STEP 1024              /* ... and the square of their number takes so many steps */
#define COLLECTED_A_STEP 64            /* so does the collection that Lua tries when refused */
#define GROWTH_SHARE 16                /* of its memory: by so much more it has grown */
#define SPENT_BYTES 4096               /* a spent script may still ask for this little */
#define STACK_BYTES (512 * 1024) /* of C's stack, for a script that calls back again and again */
#define LOOK_LEVELS 16           /* calls looked through for one that has a line */

int luaopen_rille(lua_State *L);

static const char STOPPED = 0; /* its address is the error value of a stopped script */

/* Notes where the script is; allocates nothing. */
static void note_place(lua_State *L, struct isolate *iso) {
  lua_Debug call;
  for (int level = 0; level < LOOK_LEVELS && lua_getstack(L, level, &call); level++) {
    lua_getinfo(L, "Sl", &call);
    if (call.source[0] != '@' || call.currentline <= 0) continue;
    snprintf(iso->where, sizeof iso->where, "%s:%d: ", call.short_src, call.currentline);
    return;
  }
}

/* ---- Memory ---- */

/* Notes it where memory is refused: Lua unwinds at once then. Only for a new block: the stack,
** which is looked at, may be what is being moved. Lua before 5.4 may be at work on it, too. */
static void note_refusal(struct isolate *iso, bool is_new) {
  if (LUA_VERSION_NUM < 504 || !is_new || !iso->running) return;
  iso->where[0] = '\0';
  note_place(iso->state, iso);
}

/* Lua collects and asks again at once when it is refused, and this may be granted. A
** refusal was final when anything else happens first: then the limit is exceeded. */
static void settle_refusal(struct isolate *iso) {
  if (iso->refused && !iso->exceeded) iso->exceeded = LIMIT_MEMORY;
}

static bool refuse(struct isolate *iso, size_t more) {
  settle_refusal(iso);
  iso->refused = more;
  iso->left -= (int64_t)(iso->used / COLLECTED_A_STEP);
  return true;
}

/* What a new block costs. A table that grows puts its keys into a new block in one go. Where a
** script chose integers that all collide there, that takes the square of their number. */
static int64_t cost_of(size_t size, bool is_vector) {
  size_t nodes = size / NODE_BYTES;
  bool is_table =
      is_vector && nodes >= NODES_MANY && nodes * NODE_BYTES == size && (nodes & (nodes - 1)) == 0;
  return (int64_t)(size / BYTES_A_STEP + (is_table ? nodes / NODES_A_STEP * nodes : 0));
}

static bool is_refused(struct isolate *iso, size_t more, bool is_vector) {
  if (iso->refused != more) settle_refusal(iso);
  if (iso->allocations_left == 0) return refuse(iso, more);
  if (iso->allocations_left > 0) iso->allocations_left--;
  if (more > iso->most - iso->used) return refuse(iso, more);
  iso->left -= cost_of(more, is_vector);
  if (!iso->running || iso->left >= 0 || more <= SPENT_BYTES) return false;
  if (!iso->exceeded) iso->exceeded = LIMIT_INSTRUCTIONS;
  return true;
}

static void count_hook(lua_State *L, lua_Debug *call);

/* One instruction may compare long texts, or read a number from one: the longer the longest
** is, the fewer instructions pass between two looks. */
static void set_interval(struct isolate *iso) {
  size_t interval = HOOK_INSTRUCTIONS;
  if (iso->longest > TEXT_LONG) interval = HOOK_INSTRUCTIONS * TEXT_LONG / iso->longest;
  iso->interval = interval > 1 ? (int)interval : 1;
  lua_sethook(iso->state, count_hook, LUA_MASKCOUNT, iso->interval);
}

/* Lua tells what a new block is for. */
static void note_text(struct isolate *iso, size_t size) {
  if (size <= iso->longest || !iso->running || iso->exceeded) return;
  iso->longest = size;
  if (size > TEXT_LONG) set_interval(iso);
}

/* What was longer than all that is left is gone. */
static void forget_text(struct isolate *iso) {
  if (iso->longest <= iso->used) return;
  iso->longest = iso->used;
  set_interval(iso);
}

static void *isolate_alloc(void *context, void *block, size_t old, size_t size) {
  struct isolate *iso = context;
  if (!block && old == LUA_TSTRING) note_text(iso, size);
  bool is_vector = !block && old == 0; /* of no object of its own: part of one */
  if (!block) old = 0;
  if (size == 0) {
    free(block);
    iso->used -= old;
    return NULL;
  }
  bool is_over = iso->exceeded;
  if (size > old && is_refused(iso, size - old, is_vector)) {
    if (!is_over) note_refusal(iso, !block);
    return NULL;
  }
  void *moved = realloc(block, size);
  if (!moved && size > old) {
    iso->host_full = true;
    refuse(iso, size - old);
    return NULL;
  }
  iso->used = iso->used - old + size;
  if (size > old && iso->refused && !iso->exceeded) iso->where[0] = '\0';
  if (size > old) iso->refused = 0;
  /* cppcheck-suppress memleak ; it takes both for a block that is let go */
  return moved ? moved : block; /* Lua takes it that nothing fails to shrink */
}

struct isolate *isolate_of(lua_State *L) {
  void *context;
  return lua_getallocf(L, &context) == isolate_alloc ? context : NULL;
}

/* ---- The budget ---- */

static void note_limit(struct isolate *iso) {
  if (!iso->exceeded) iso->exceeded = iso->left < 0 ? LIMIT_INSTRUCTIONS : LIMIT_TIME;
}

static void stop(lua_State *L, struct isolate *iso) {
  note_limit(iso);
  if (!iso->where[0]) note_place(L, iso);
  lua_sethook(L, count_hook, LUA_MASKCOUNT, 1);
  lua_pushlightuserdata(L, (void *)(uintptr_t)&STOPPED);
  lua_error(L);
}

static bool is_due(struct isolate *iso) {
  if (!iso->running) return false;
  settle_refusal(iso);
  bool late = !iso->suspended && watched_expired(&iso->watched);
  return iso->exceeded || iso->left < 0 || late;
}

static void stop_if_due(lua_State *L, struct isolate *iso) {
  if (is_due(iso)) stop(L, iso);
}

static void count_hook(lua_State *L, lua_Debug *call) {
  (void)call;
  struct isolate *iso = isolate_of(L);
  iso->left -= iso->interval;
  stop_if_due(L, iso);
}

void isolate_charge(lua_State *L, uint64_t steps) {
  struct isolate *iso = isolate_of(L);
  if (!iso) return;
  iso->left -= steps > (uint64_t)INT32_MAX * 1024 ? INT64_C(1) << 41 : (int64_t)steps;
  stop_if_due(L, iso);
}

void isolate_charge_crossing(lua_State *L, size_t all, size_t last) {
  struct isolate *iso = isolate_of(L);
  if (!iso) return;
  if (all > iso->most && !iso->exceeded) iso->exceeded = LIMIT_MEMORY;
  isolate_charge(L, last / BYTES_A_STEP);
}

void isolate_check(lua_State *L, int status) {
  struct isolate *iso = isolate_of(L);
  if (!iso) return;
  if (status == LUA_ERRMEM && !iso->exceeded) iso->exceeded = LIMIT_MEMORY;
  stop_if_due(L, iso);
}

void isolate_check_stack(lua_State *L) {
  char here;
  struct isolate *iso = isolate_of(L);
  if (!iso) return;
  uintptr_t a = (uintptr_t)&here, b = iso->stack;
  if ((a < b ? b - a : a - b) > STACK_BYTES) luaL_error(L, "C stack overflow");
}

bool isolate_is_stopped(lua_State *L) {
  struct isolate *iso = isolate_of(L);
  return iso && iso->exceeded;
}

int64_t *isolate_steps(lua_State *L, int64_t *room) {
  struct isolate *iso = isolate_of(L);
  return iso ? &iso->left : room;
}

static void begin_budget(struct isolate *iso, int64_t steps) {
  if (iso->exceeded) return;
  iso->left = iso->granted = steps;
  iso->suspended = false;
  watched_turn(&iso->watched);
}

void isolate_enter(lua_State *L) {
  struct isolate *iso = isolate_of(L);
  if (iso && !iso->held) begin_budget(iso, iso->instructions);
}

void isolate_enter_look(lua_State *L) {
  struct isolate *iso = isolate_of(L);
  if (iso) begin_budget(iso, INSTRUCTIONS);
}

void isolate_note(lua_State *L) {
  struct isolate *iso = isolate_of(L);
  if (iso && is_due(iso)) note_limit(iso);
}

void isolate_leave(lua_State *L) {
  struct isolate *iso = isolate_of(L);
  if (iso) settle_refusal(iso); /* while it is known which event it was about */
  if (!iso || iso->exceeded || iso->held) return;
  iso->position = 0;
  begin_budget(iso, OWN_INSTRUCTIONS);
}

void isolate_hold(lua_State *L, bool held) {
  struct isolate *iso = isolate_of(L);
  if (!iso) return;
  iso->held = false;
  if (held) isolate_enter(L);
  else isolate_leave(L);
  iso->held = held;
}

void isolate_begin_event(lua_State *L, uint64_t position) {
  struct isolate *iso = isolate_of(L);
  if (!iso) return;
  settle_refusal(iso);
  if (iso->exceeded) stop_if_due(L, iso);
  iso->position = position;
  begin_budget(iso, iso->instructions);
}

void isolate_at(lua_State *L, uint64_t position) {
  struct isolate *iso = isolate_of(L);
  if (iso && !iso->exceeded) iso->position = position;
}

void isolate_budget_reset(lua_State *L) { isolate_begin_event(L, 0); }

int isolate_reset_budget(lua_State *L) {
  isolate_check(L, LUA_OK);
  isolate_leave(L);
  return 0;
}

int isolate_suspend_budget(lua_State *L) {
  struct isolate *iso = isolate_of(L);
  isolate_check(L, LUA_OK);
  isolate_leave(L);
  if (iso) {
    iso->left = INT64_MAX / 2;
    iso->suspended = true;
  }
  return 0;
}

/* What is garbage counts until it is collected: then what is used becomes less again. */
bool isolate_has_grown(lua_State *L) {
  struct isolate *iso = isolate_of(L);
  if (!iso) return false;
  if (iso->used < iso->least) iso->least = iso->used;
  if (iso->used - iso->least < iso->most / GROWTH_SHARE) return false;
  iso->least = iso->used;
  return true;
}

int isolate_tell_growth(lua_State *L) {
  lua_pushboolean(L, isolate_has_grown(L));
  return 1;
}

/* ---- The life of S ---- */

/* What rille's own scripts need: files for what is loaded without the option load, and
** of package no more than what is there already. */
static void open_libraries(lua_State *S) {
  static const luaL_Reg libraries[] = {
      {LUA_GNAME, luaopen_base},        {LUA_LOADLIBNAME, luaopen_package},
      {LUA_STRLIBNAME, luaopen_string}, {LUA_TABLIBNAME, luaopen_table},
      {LUA_MATHLIBNAME, luaopen_math},  {LUA_UTF8LIBNAME, luaopen_utf8},
      {LUA_IOLIBNAME, luaopen_io},      {NULL, NULL}};
  static const char *const unwanted[] = {"popen", "output", "tmpfile", "write", "lines",
                                         "input", "read",   "stdin",   NULL};
  for (const luaL_Reg *library = libraries; library->name; library++) {
    luaL_requiref(S, library->name, library->func, 1);
    lua_pop(S, 1);
  }
  lua_getglobal(S, "io");
  for (int i = 0; unwanted[i]; i++) {
    lua_pushnil(S);
    lua_setfield(S, -2, unwanted[i]);
  }
  lua_getglobal(S, "package");
  lua_pushnil(S);
  lua_setfield(S, -2, "loadlib");
  lua_getfield(S, -1, COMPAT_SEARCHERS);
  for (lua_Integer i = (lua_Integer)lua_rawlen(S, -1); i > 1; i--) {
    lua_pushnil(S);
    lua_rawseti(S, -2, i);
  }
  lua_settop(S, 0);
}

static int prepare_state(lua_State *S) {
  open_libraries(S);
  compat_prepare_isolate(S);
  luaL_requiref(S, "rille", luaopen_rille, 0);
  return 0;
}

static bool make_state(struct isolate *iso) {
  iso->state = lua_newstate(isolate_alloc, iso);
  if (!iso->state) return false;
  if (compat_call(iso->state, prepare_state, NULL) != LUA_OK) return false;
  set_interval(iso);
  return true;
}

/* Idempotent, and harmless on an isolate that was never opened. A running one goes when
** its call is left. */
static void close_isolate(struct isolate *iso) {
  if (iso->running) {
    iso->closing = true;
    return;
  }
  if (iso->state) lua_close(iso->state);
  if (iso->watching) watchdog_release();
  buffer_release(&iso->crossing);
  iso->state = NULL;
  iso->watching = false;
  iso->store_count = 0;
}

static struct isolate *check_isolate(lua_State *L) { return luaL_checkudata(L, 1, ISOLATE_HANDLE); }

static int isolate_close(lua_State *L) {
  close_isolate(check_isolate(L));
  lua_pushboolean(L, 1);
  return 1;
}

static int isolate_is_dead(lua_State *L) {
  lua_pushboolean(L, check_isolate(L)->state == NULL);
  return 1;
}

/* nil, message, "budget", { limit=, position= } */
static int push_exceeded(lua_State *L, const struct isolate *iso) {
  static const char *const names[] = {"", "instructions", "memory", "time"};
  lua_pushnil(L);
  switch (iso->exceeded) {
    case LIMIT_NONE: lua_pushliteral(L, "the isolate is closed"); break;
    case LIMIT_INSTRUCTIONS:
      lua_pushfstring(L, "%sthe script was stopped: it took more than %I instructions", iso->where,
                      (LUAI_UACINT)iso->granted);
      break;
    case LIMIT_MEMORY:
      lua_pushfstring(L, "%sthe script was stopped: it needs more than %I bytes of memory",
                      iso->where, (LUAI_UACINT)iso->most);
      break;
    case LIMIT_TIME:
      lua_pushfstring(L, "%sthe script was stopped: it ran for longer than %I ms", iso->where,
                      (LUAI_UACINT)iso->watched.ms);
      break;
  }
  if (iso->position) {
    lua_pushfstring(L, " (at position %I)", (LUAI_UACINT)iso->position);
    lua_concat(L, 2);
  }
  lua_pushstring(L, iso->exceeded ? "budget" : "closed");
  lua_createtable(L, 0, 2);
  lua_pushstring(L, names[iso->exceeded]);
  lua_setfield(L, -2, "limit");
  if (iso->position) set_integer(L, "position", iso->position);
  return 4;
}

/* ---- Running ---- */

/* In S: require(module)[f](...); what it returns is written into iso->crossing. */
static int run_function(lua_State *S) {
  struct isolate *iso = isolate_of(S);
  lua_settop(S, 0);
  int n = crossing_read(S, iso);
  if (n < 2) return luaL_error(S, "no memory for what was passed");
  lua_getglobal(S, "require");
  lua_pushvalue(S, 1);
  lua_call(S, 1, 1);
  lua_pushvalue(S, 2);
  lua_gettable(S, -2);
  lua_replace(S, 2);
  lua_settop(S, n);
  lua_remove(S, 1);
  lua_call(S, n - 2, LUA_MULTRET);
  if (!crossing_write_plain(S, &iso->crossing, 1)) lua_error(S);
  return 0;
}

/* Lends the stores, or takes them back with all that reads them. */
static void lend(struct isolate *iso) {
  for (size_t i = 0; i < iso->store_count; i++) crossing_lend(&iso->stores[i]);
}

static void take_back(struct isolate *iso) {
  for (size_t i = 0; i < iso->store_count; i++) {
    struct borrowed *b = &iso->stores[i];
    iterator_end_all(b->mine);
    b->mine->store = NULL;
    if (b->mine->last > b->host->last) b->host->last = b->mine->last;
    store_leave(b->host);
  }
}

static int run_state(struct isolate *iso) {
  lua_State *S = iso->state;
  /* cppcheck-suppress autoVariables ; only how deep the stack is from here is asked of it */
  iso->stack = (uintptr_t)&S;
  lua_settop(S, 0);
  forget_text(iso);
  iso->running = true;
  iso->held = false;
  iso->position = 0;
  begin_budget(iso, OWN_INSTRUCTIONS);
  lend(iso);
  watchdog_begin(&iso->watched);
  int status = compat_call(S, run_function, NULL);
  watchdog_end(&iso->watched);
  take_back(iso);
  iso->running = false;
  settle_refusal(iso);
  if (status == LUA_ERRMEM && !iso->exceeded) iso->exceeded = LIMIT_MEMORY;
  return status;
}

/* nil, message, "script": what S raised. */
static int push_raised(lua_State *L, struct isolate *iso) {
  size_t n;
  lua_State *S = iso->state;
  const char *text = "the script raised something that is no text";
  if (lua_type(S, -1) == LUA_TSTRING) text = lua_tolstring(S, -1, &n);
  else n = strlen(text);
  lua_pushnil(L);
  lua_pushlstring(L, text, n);
  lua_pushliteral(L, "script");
  return 3;
}

/* iso:run(module, function, ...) -> true, results | nil, message, code, detail */
static int isolate_run(lua_State *L) {
  struct isolate *iso = check_isolate(L);
  luaL_checktype(L, 2, LUA_TSTRING);
  luaL_checktype(L, 3, LUA_TSTRING);
  if (!iso->state) return push_exceeded(L, iso);
  if (iso->running) return luaL_error(L, "this isolate is running: it can't be called from within");
  lua_getiuservalue(L, 1, 1);
  lua_insert(L, 2); /* the anchors */
  if (!crossing_write(L, iso, 3, 2)) return error_push_message(L, "invalid");
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_pushvalue(L, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, iso);
  lua_pushnil(L); /* what clears it must not need memory */
  iso->host = L;
  int status = run_state(iso);
  lua_rawsetp(L, LUA_REGISTRYINDEX, iso);
  if (iso->exceeded && iso->host_full) {
    close_isolate(iso);
    return luaL_error(L, "not enough memory");
  }
  if (iso->exceeded || iso->closing) {
    int results = push_exceeded(L, iso);
    close_isolate(iso);
    return results;
  }
  if (status != LUA_OK) return push_raised(L, iso);
  lua_settop(L, 1);
  lua_pushboolean(L, 1);
  return 1 + crossing_read_plain(L, &iso->crossing);
}

/* ---- Opening ---- */

static void push_isolate_metatable(lua_State *L) {
  static const luaL_Reg methods[] = {{"run", isolate_run},       {"is_dead", isolate_is_dead},
                                     {"close", isolate_close},   {"__gc", isolate_close},
                                     {"__close", isolate_close}, {NULL, NULL}};
  if (!luaL_newmetatable(L, ISOLATE_HANDLE)) return;
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
}

/* False with a message pushed where the limit is too small. */
static bool read_limit(lua_State *L, const char *name, lua_Integer least, lua_Integer *value) {
  if (!options_integer(L, 2, name, value) || *value >= least) return true;
  lua_pushfstring(L, "%s must be at least %I", name, (LUAI_UACINT)least);
  return false;
}

static bool read_limits(lua_State *L, struct isolate *iso) {
  static const char *const names[] = {"memory_bytes", "instructions", "ms", "fail_after", NULL};
  if (!lua_isnoneornil(L, 2)) {
    luaL_checktype(L, 2, LUA_TTABLE);
    options_check(L, 2, names, 0, "option");
  }
  lua_Integer most = MEMORY_BYTES, instructions = INSTRUCTIONS, fail_after = -1, ms = WATCHDOG_MS;
  if (!read_limit(L, "memory_bytes", MEMORY_BYTES_LEAST, &most) ||
      !read_limit(L, "instructions", 1, &instructions) ||
      !read_limit(L, "fail_after", 0, &fail_after) || !read_limit(L, "ms", 1, &ms))
    return false;
  iso->most = (size_t)most;
  iso->instructions = instructions;
  iso->allocations_left = fail_after;
  iso->watched.ms = ms;
  return true;
}

int isolate_open(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) store_check(L, 1);
  lua_settop(L, 2);
  struct memory memory = memory_default();
  struct isolate *iso = lua_newuserdatauv(L, sizeof *iso, 1);
  memset(iso, 0, sizeof *iso);
  buffer_init(&iso->crossing, &memory);
  push_isolate_metatable(L);
  lua_setmetatable(L, 3);
  lua_newtable(L);
  if (!lua_isnil(L, 1)) { /* kept as long as the isolate */
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
  }
  lua_setiuservalue(L, 3, 1);
  struct isolate limits = *iso;
  if (!read_limits(L, &limits)) return error_push_message(L, "invalid");
  int failed = watchdog_need();
  if (failed) {
    lua_pushfstring(L, "the thread that watches scripts can't be started: %s", strerror(failed));
    return error_push_message(L, "io");
  }
  limits.watching = true;
  *iso = limits;
  if (make_state(iso)) return 1;
  bool host_full = iso->host_full;
  close_isolate(iso);
  if (host_full) return luaL_error(L, "not enough memory");
  lua_pushfstring(L, "%I bytes are too little memory for a script's state", (LUAI_UACINT)iso->most);
  return error_push_message(L, "budget");
}
