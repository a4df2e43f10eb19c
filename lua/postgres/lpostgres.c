/* lpostgres.c: the module `require "rille.postgres"`: libpq as its Lua half needs it.
**
** Mechanism only: a connection, one command at a time, its rows as Lua values. What a
** command means for a transaction is decided in participant.lua and its neighbours, which
** are part of this library as text.
**
** Nothing here waits beyond the deadline it is given: the socket is non-blocking, and
** between two slices of waiting Lua may run its hooks. A command that has not been
** answered in time leaves its connection useless, for nobody can know what the server
** still does with it: the connection is closed, and the answer is "late".
**
**   closed --connect--> ready --query--> ready
**                         |--late, lost, a hook's error--> closed
**
** After a fork the child lets go of the socket without a word to the server: the session is
** the parent's. */
#include "lpostgres.h"
#include "scripts.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#if defined(__GNUC__)
#define EXPORTED __attribute__((visibility("default")))
#else
#define EXPORTED
#endif

#define SLICE_MS 200

EXPORTED int luaopen_rille_postgres(lua_State *L);

/* ---- Time ---- */

static lua_Number seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9;
}

/* now() -> seconds of the clock that deadlines are of */
static int now(lua_State *L) {
  lua_pushnumber(L, seconds_now());
  return 1;
}

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

/* Every call is where a hook may run; it may raise, and may close the connection. */
static void let_hooks_run(lua_State *L) {
  lua_pushcfunction(L, nothing);
  lua_call(L, 0, 0);
}

/* ---- Connections ---- */

static void let_go(struct connection *c) {
  if (!c->conn) return;
  if (c->owner == getpid()) {
    PQfinish(c->conn);
  } else if (PQsocket(c->conn) >= 0) {
    close(PQsocket(c->conn)); /* the rest of it leaks: PQfinish would speak to the server */
  }
  c->conn = NULL;
}

static struct connection *check_connection(lua_State *L) {
  return luaL_checkudata(L, 1, CONNECTION_HANDLE);
}

static int connection_close(lua_State *L) {
  let_go(check_connection(L));
  return 0;
}

/* process() -> a number that no other process has: what is made here is used here alone */
static int process(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)getpid());
  return 1;
}

/* nil, what libpq or we say without the line's end, how */
static int push_broken(lua_State *L, const char *message, const char *how) {
  size_t n = strlen(message);
  while (n > 0 && (message[n - 1] == '\n' || message[n - 1] == ' ')) n--;
  lua_pushnil(L);
  lua_pushlstring(L, message, n);
  lua_pushstring(L, how);
  return 3;
}

static int break_off(lua_State *L, struct connection *c, enum waited how) {
  int results = how == WAITED_LATE ? push_broken(L, "no answer in time", "late")
                : c->conn && *PQerrorMessage(c->conn)
                    ? push_broken(L, PQerrorMessage(c->conn), "lost")
                    : push_broken(L, "the connection was closed", "lost");
  let_go(c);
  return results;
}

enum waited connection_wait(lua_State *L, struct connection *c, short events, lua_Number deadline) {
  for (;;) {
    lua_Number left = ceil((deadline - seconds_now()) * 1000);
    if (!(left > 0)) return WAITED_LATE;
    struct pollfd p = {.fd = PQsocket(c->conn), .events = events};
    if (p.fd < 0) return WAITED_LOST;
    int ready = poll(&p, 1, left < SLICE_MS ? (int)left : SLICE_MS);
    if (ready > 0) return WAITED_READY;
    if (ready < 0 && errno != EINTR) return WAITED_LOST;
    let_hooks_run(L);
    if (!c->conn) return WAITED_LOST;
  }
}

/* The library never prints. */
static void ignore_notice(void *context, const PGresult *notice) {
  (void)context;
  (void)notice;
}

static enum waited finish_connecting(lua_State *L, struct connection *c, lua_Number deadline) {
  PostgresPollingStatusType next = PGRES_POLLING_WRITING;
  while (next != PGRES_POLLING_OK) {
    if (next == PGRES_POLLING_FAILED) return WAITED_LOST;
    enum waited w =
        connection_wait(L, c, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline);
    if (w != WAITED_READY) return w;
    next = PQconnectPoll(c->conn);
  }
  return PQsetnonblocking(c->conn, 1) == 0 ? WAITED_READY : WAITED_LOST;
}

/* connect(conninfo, deadline) -> connection | nil, message, "late" | "lost"
** The message has the SQLSTATE in it, and lines of where in the server that is: a failed
** connection tells them in no other way. */
static int connect_to(lua_State *L) {
  const char *keywords[] = {"dbname", "client_encoding", "fallback_application_name", NULL};
  const char *values[] = {luaL_checkstring(L, 1), "UTF8", "rille", NULL};
  lua_Number deadline = luaL_checknumber(L, 2);
  struct connection *c = lua_newuserdatauv(L, sizeof *c, 0);
  c->conn = NULL;
  c->owner = getpid();
  c->busy = 0;
  luaL_setmetatable(L, CONNECTION_HANDLE);
  c->conn = PQconnectStartParams(keywords, values, 1);
  if (!c->conn) return luaL_error(L, "not enough memory");
  PQsetNoticeReceiver(c->conn, ignore_notice, NULL);
  PGVerbosity usual = PQsetErrorVerbosity(c->conn, PQERRORS_VERBOSE);
  if (PQstatus(c->conn) == CONNECTION_BAD) return break_off(L, c, WAITED_LOST);
  enum waited w = finish_connecting(L, c, deadline);
  if (w != WAITED_READY) return break_off(L, c, w);
  PQsetErrorVerbosity(c->conn, usual);
  return 1;
}

/* Whether it can take a command; an error of a hook may have left it in the middle of one. */
static int is_usable(struct connection *c) {
  if (c->conn && (c->owner != getpid() || c->busy || PQstatus(c->conn) != CONNECTION_OK)) let_go(c);
  return c->conn != NULL;
}

/* connection:state() -> "idle" | "open" (in a transaction) | "failed" (in one that can only
** be rolled back) | "closed" */
static int connection_state(lua_State *L) {
  struct connection *c = check_connection(L);
  const char *state = "closed";
  if (is_usable(c)) switch (PQtransactionStatus(c->conn)) {
      case PQTRANS_IDLE: state = "idle"; break;
      case PQTRANS_INTRANS: state = "open"; break;
      case PQTRANS_INERROR: state = "failed"; break;
      default: break;
    }
  lua_pushstring(L, state);
  return 1;
}

/* ---- Commands ---- */

static enum waited send_all(lua_State *L, struct connection *c, lua_Number deadline) {
  int left;
  while ((left = PQflush(c->conn)) > 0) {
    enum waited w = connection_wait(L, c, POLLIN | POLLOUT, deadline);
    if (w != WAITED_READY) return w;
    if (!PQconsumeInput(c->conn)) return WAITED_LOST;
  }
  return left == 0 ? WAITED_READY : WAITED_LOST;
}

static enum waited await_one(lua_State *L, struct connection *c, lua_Number deadline) {
  while (PQisBusy(c->conn)) {
    enum waited w = connection_wait(L, c, POLLIN, deadline);
    if (w != WAITED_READY) return w;
    if (!PQconsumeInput(c->conn)) return WAITED_LOST;
  }
  return WAITED_READY;
}

/* Sends what is queued and waits for its one result, which `holder` then owns. */
static enum waited await_result(lua_State *L, struct connection *c, struct result *holder,
                                lua_Number deadline) {
  enum waited w = send_all(L, c, deadline);
  while (w == WAITED_READY && (w = await_one(L, c, deadline)) == WAITED_READY) {
    PGresult *next = PQgetResult(c->conn);
    if (!next) break;
    PQclear(holder->result);
    holder->result = next;
    ExecStatusType status = PQresultStatus(next);
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
      return WAITED_COPY;
  }
  if (w == WAITED_READY && PQstatus(c->conn) != CONNECTION_OK) return WAITED_LOST;
  return w;
}

static int failed(const struct result *holder) {
  ExecStatusType status = PQresultStatus(holder->result);
  return status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY;
}

/* A string whose bytes text could not carry into a bytea goes as it is where the server says
** that this is what it wants. */
static enum waited ask_types(lua_State *L, struct connection *c, const char *sql,
                             struct parameters *p, struct result *holder, lua_Number deadline) {
  if (!PQsendPrepare(c->conn, "", sql, p->count, NULL)) return WAITED_LOST;
  enum waited w = await_result(L, c, holder, deadline);
  if (w != WAITED_READY || failed(holder)) return w;
  if (!PQsendDescribePrepared(c->conn, "")) return WAITED_LOST;
  w = await_result(L, c, holder, deadline);
  if (w != WAITED_READY || failed(holder)) return w;
  for (int i = 0; i < p->count && i < PQnparams(holder->result); i++)
    p->formats[i] |= PQparamtype(holder->result, i) == OID_BYTEA;
  return w;
}

static enum waited run(lua_State *L, struct connection *c, const char *sql, struct parameters *p,
                       struct result *holder, lua_Number deadline) {
  int sent;
  if (p->bytes) {
    enum waited w = ask_types(L, c, sql, p, holder, deadline);
    if (w != WAITED_READY || failed(holder)) return w;
    sent = PQsendQueryPrepared(c->conn, "", p->count, p->values, p->lengths, p->formats, 0);
  } else {
    sent = PQsendQueryParams(c->conn, sql, p->count, NULL, p->values, p->lengths, p->formats, 0);
  }
  return sent ? await_result(L, c, holder, deadline) : WAITED_LOST;
}

/* connection:query(sql, deadline, parameters) -> { tag=, count=, rows= } | { sqlstate=,
** severity=, message=, constraint= } | nil, message, "expired" (never sent) | "late" | "lost"
** | "copy" */
static int connection_query(lua_State *L) {
  struct connection *c = check_connection(L);
  const char *sql = luaL_checkstring(L, 2);
  lua_Number deadline = luaL_checknumber(L, 3);
  struct parameters p;
  lua_settop(L, 4);
  parameters_read(L, 4, &p);
  struct result *holder = result_push(L);
  if (!is_usable(c)) return break_off(L, c, WAITED_LOST);
  if (seconds_now() >= deadline) return push_broken(L, "the deadline has passed", "expired");
  c->busy = 1;
  enum waited w = run(L, c, sql, &p, holder, deadline);
  if (w == WAITED_COPY) {
    let_go(c);
    return push_broken(L, "COPY needs a conversation that there is none for", "copy");
  }
  if (w != WAITED_READY) return break_off(L, c, w);
  c->busy = 0;
  if (failed(holder)) return result_push_failure(L, holder->result);
  return result_push_rows(L, holder->result);
}

/* ---- What a text says of a place, without going there ---- */

static void set_option(lua_State *L, const PQconninfoOption *option) {
  if (!option->val || strcmp(option->dispchar, "*") == 0) return; /* "*": a password */
  lua_pushstring(L, option->val);
  lua_setfield(L, -2, option->keyword);
}

/* describe(conninfo) -> { host=, dbname=, ... } without passwords | nil, message, "invalid" */
static int describe(lua_State *L) {
  char *message = NULL;
  PQconninfoOption *options = PQconninfoParse(luaL_checkstring(L, 1), &message);
  if (!options) {
    int results = push_broken(L, message ? message : "not enough memory", "invalid");
    PQfreemem(message);
    return results;
  }
  lua_newtable(L);
  for (const PQconninfoOption *o = options; o->keyword; o++) set_option(L, o);
  PQconninfoFree(options);
  return 1;
}

/* ---- The module ---- */

static void register_connection(lua_State *L) {
  static const luaL_Reg methods[] = {{"query", connection_query},
                                     {"state", connection_state},
                                     {"close", connection_close},
                                     {NULL, NULL}};
  static const luaL_Reg metamethods[] = {
      {"__gc", connection_close}, {"__close", connection_close}, {NULL, NULL}};
  luaL_newmetatable(L, CONNECTION_HANDLE);
  luaL_setfuncs(L, metamethods, 0);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

/* The chunk of a script is called with what it needs of C: upvalue 2. */
static int load_script(lua_State *L) {
  size_t i = (size_t)lua_tointeger(L, lua_upvalueindex(1));
  char chunk[64];
  snprintf(chunk, sizeof chunk, "=rille.%s", scripts[i].name);
  if (luaL_loadbufferx(L, scripts[i].text, scripts[i].length, chunk, "t") != LUA_OK)
    return lua_error(L);
#ifdef RILLE_LUAJIT
  lua_getfield(L, LUA_REGISTRYINDEX, COMPAT_LIBRARY);
  lua_setfenv(L, -2);
#endif
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_call(L, 1, 1);
  return 1;
}

/* Expects the table of C functions on top of the stack. */
static void add_preloads(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    lua_pushfstring(L, "rille.%s", scripts[i].name);
    lua_pushinteger(L, (lua_Integer)i);
    lua_pushvalue(L, -4);
    lua_pushcclosure(L, load_script, 2);
    lua_rawset(L, -3);
  }
  lua_pop(L, 1);
}

static void require(lua_State *L, const char *name) {
  lua_getglobal(L, "require");
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
}

int luaopen_rille_postgres(lua_State *L) {
  static const luaL_Reg functions[] = {{"connect", connect_to},
                                       {"describe", describe},
                                       {"now", now},
                                       {"process", process},
                                       {NULL, NULL}};
  compat_open(L);
  require(L, "rille");
  values_open(L); /* rille.null */
  register_connection(L);
  luaL_newlib(L, functions);
  add_preloads(L);
  require(L, "rille.postgres.participant");
  return 1;
}
