/* lsandbox.c: Lua without the parts that differ from run to run.
**
** Standard Lua lets the outside in through few doors. Each is closed here, or in
** the file named:
**
**   order of a hash table     pairs and next have an order: lorder.c
**   time of collection        no __gc, no __mode: lmetatable.c
**   addresses                 tostring and %s say "table"; %p is refused
**   the clock                 table.sort is Lua's no more (lorder.c); math.random
**                             has the host's seed
**   the locale                the thread's is "C" while a script runs
**   the host's own changes    scripts get fresh copies of the libraries
**
** What remains: the border (#) of a table with holes, what pcall makes of a full
** stack or a lack of memory, and libm, which may differ between C libraries.
**
** Invariant: no table of the host's, and none that two scripts share, is ever
** given to a script other than through a read-only view.
**
** A function script_x is what scripts find as x; means_x is what sandbox.lua, the
** host's side, finds as c.x.
*/
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "lsandbox.h"

#include <locale.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

#include "lguard.h"
#include "lisolate.h"
#include "llibrary.h"
#include "lmetatable.h"
#include "lorder.h"

static const char SANDBOX_STATE = 0; /* its address is a key in the registry */

/* ---- The state of a lua_State's sandbox ---------------------------------- */

struct sandbox {
  uint64_t seed;
  uint64_t random[4]; /* xoshiro256**; meaningful when seeded */
  bool seeded;
  bool inside; /* a script is running */
  locale_t plain, host;
};

enum sandbox_uservalue {
  HOST_METATABLE = 1,
  SCRIPT_METATABLE,
  EMPTY_STRING,
  USERVALUES = EMPTY_STRING
};

/* Pushes the userdata. */
static struct sandbox *push_sandbox(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &SANDBOX_STATE);
  return lua_touserdata(L, -1);
}

static int sandbox_gc(lua_State *L) {
  struct sandbox *s = lua_touserdata(L, 1);
  if (s->plain) freelocale(s->plain);
  s->plain = (locale_t)0;
  return 0;
}

/* Takes the strings' metatable for scripts from the top of the stack. */
static void make_sandbox(lua_State *L) {
  struct sandbox *s = lua_newuserdatauv(L, sizeof *s, USERVALUES);
  *s = (struct sandbox){.seed = 0};
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, sandbox_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  s->plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!s->plain) luaL_error(L, "no memory for the locale of scripts");
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, SCRIPT_METATABLE);
  lua_pushliteral(L, "");
  lua_setiuservalue(L, -2, EMPTY_STRING);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &SANDBOX_STATE);
}

#ifdef RILLE_LUAJIT

/* All strings share one metatable. It stays, because setting another throws away whatever was
** compiled; of what the host may have put into it, scripts see all but __index. */
static void switch_methods(lua_State *L, int state, bool inside) {
  lua_getiuservalue(L, state, EMPTY_STRING);
  if (!lua_getmetatable(L, -1)) {
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setmetatable(L, -3);
  }
  if (inside) {
    lua_pushliteral(L, "__index");
    lua_rawget(L, -2);
    lua_setiuservalue(L, state, HOST_METATABLE);
  }
  lua_pushliteral(L, "__index");
  lua_getiuservalue(L, state, inside ? SCRIPT_METATABLE : HOST_METATABLE);
  if (inside && lua_istable(L, -1)) {
    lua_pushliteral(L, "__index");
    lua_rawget(L, -2);
    lua_replace(L, -2);
  }
  lua_rawset(L, -3);
  lua_pop(L, 2);
}

#else

/* All strings share one metatable, which is that of the empty one. */
static void switch_methods(lua_State *L, int state, bool inside) {
  lua_getiuservalue(L, state, EMPTY_STRING);
  if (inside) {
    if (!lua_getmetatable(L, -1)) lua_pushnil(L);
    lua_setiuservalue(L, state, HOST_METATABLE);
  }
  lua_getiuservalue(L, state, inside ? SCRIPT_METATABLE : HOST_METATABLE);
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}

#endif

int sandbox_switch(lua_State *L, int inside) {
  struct sandbox *s = push_sandbox(L);
  bool was = s->inside;
  if (was != (inside != 0)) {
    switch_methods(L, lua_gettop(L), inside != 0);
    if (inside) s->host = uselocale(s->plain);
    else uselocale(s->host);
    s->inside = inside != 0;
  }
  lua_pop(L, 1);
  return was;
}

/* ---- Random numbers ------------------------------------------------------ */

struct sandbox *sandbox_of(lua_State *L) {
  struct sandbox *s = push_sandbox(L);
  lua_pop(L, 1); /* the registry holds it */
  return s;
}

void sandbox_seed(struct sandbox *s, uint64_t seed) {
  s->seed = seed;
  s->seeded = false;
}

static int means_seed(lua_State *L) {
  sandbox_seed(sandbox_of(L), (uint64_t)luaL_checkinteger(L, 1));
  return 0;
}

/* at(position): of the event that the next call into a script is about */
static int means_at(lua_State *L) {
  isolate_at(L, (uint64_t)luaL_checkinteger(L, 1));
  return 0;
}

/* hold(boolean): whether the calls into scripts that follow share one budget */
static int means_hold(lua_State *L) {
  isolate_hold(L, lua_toboolean(L, 1));
  return 0;
}

/* SplitMix64 spreads the seed over the state, so that neighbours differ. */
static void spread_seed(struct sandbox *s) {
  uint64_t x = s->seed;
  for (int i = 0; i < 4; i++) {
    uint64_t z = (x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    s->random[i] = z ^ (z >> 31);
  }
  s->seeded = true;
}

static uint64_t rotate_left(uint64_t x, int n) { return (x << n) | (x >> (64 - n)); }

static uint64_t random_bits(struct sandbox *s) {
  if (!s->seeded) spread_seed(s);
  uint64_t *r = s->random;
  uint64_t result = rotate_left(r[1] * 5, 7) * 9;
  uint64_t t = r[1] << 17;
  r[2] ^= r[0];
  r[3] ^= r[1];
  r[1] ^= r[2];
  r[0] ^= r[3];
  r[2] ^= t;
  r[3] = rotate_left(r[3], 45);
  return result;
}

/* 0 .. most, each as likely: throws away what exceeds it. */
static uint64_t random_up_to(struct sandbox *s, uint64_t most) {
  uint64_t mask = most;
  for (int n = 1; n < 64; n *= 2) mask |= mask >> n;
  uint64_t bits = random_bits(s) & mask;
  while (bits > most) bits = random_bits(s) & mask;
  return bits;
}

/* math.random, with Lua's arguments. */
static int script_random(lua_State *L) {
  struct sandbox *s = push_sandbox(L);
  lua_pop(L, 1);
  lua_Integer low = 1, high = 0;
  switch (lua_gettop(L)) {
    case 0: lua_pushnumber(L, (lua_Number)(random_bits(s) >> 11) * 0x1p-53); return 1;
    case 1:
      high = luaL_checkinteger(L, 1);
      if (high == 0) {
        lua_pushinteger(L, (lua_Integer)random_bits(s));
        return 1;
      }
      break;
    case 2:
      low = luaL_checkinteger(L, 1);
      high = luaL_checkinteger(L, 2);
      break;
    default: return luaL_error(L, "wrong number of arguments");
  }
  luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
  uint64_t chosen = (uint64_t)low + random_up_to(s, (uint64_t)high - (uint64_t)low);
  lua_pushinteger(L, (lua_Integer)chosen);
  return 1;
}

/* ---- Text ---------------------------------------------------------------- */

/* Pushes what tostring gives: never an address. */
static void push_harmless_text(lua_State *L, int index) {
  if (!lua_isstring(L, index)) isolate_check_stack(L);
  if (luaL_callmeta(L, index, "__tostring")) {
    if (!lua_isstring(L, -1)) luaL_error(L, "'__tostring' must return a string");
    return;
  }
  switch (lua_type(L, index)) {
    case LUA_TNIL:
    case LUA_TBOOLEAN:
    case LUA_TNUMBER:
    case LUA_TSTRING: luaL_tolstring(L, index, NULL); return;
    default: break;
  }
  int type = luaL_getmetafield(L, index, "__name");
  if (type == LUA_TSTRING) return;
  if (type != LUA_TNIL) lua_pop(L, 1);
  lua_pushstring(L, luaL_typename(L, index));
}

static int script_tostring(lua_State *L) {
  luaL_checkany(L, 1);
  push_harmless_text(L, 1);
  return 1;
}

/* string.format: refuses %p, words what %s gets, and leaves the rest to Lua's
** own function, called in this frame so that its errors name the script's line. */
static int script_format(lua_State *L) {
  size_t n;
  const char *format = luaL_checklstring(L, 1, &n);
  isolate_charge(L, n);
  int top = lua_gettop(L), argument = 1;
  for (const char *p = format; p < format + n; p++) {
    if (*p != '%' || *++p == '%') continue;
    argument++;
    p += strspn(p, "-+ #0123456789.");
    if (*p == 'p') return luaL_error(L, "'%%p' is refused: addresses differ between runs");
    if (*p != 's' || argument > top) continue;
    push_harmless_text(L, argument);
    lua_replace(L, argument);
  }
  guard_charge_texts(L);
  return compat_call_upvalue(L);
}

/* ---- Running ------------------------------------------------------------- */

/* Whether the first line holds ":12:". */
static bool has_position(const char *text) {
  for (; *text && *text != '\n'; text++) {
    if (*text != ':') continue;
    size_t digits = strspn(text + 1, "0123456789");
    if (digits > 0 && text[1 + digits] == ':') return true;
  }
  return false;
}

/* Pushes "file:line: " of the innermost function that comes from a file; nothing
** where a tail call has lost it, and what follows may be the host's. */
static void push_position(lua_State *L) {
  lua_Debug call;
  for (int level = 1; lua_getstack(L, level, &call); level++) {
    lua_getinfo(L, "Slt", &call);
    if (call.source[0] == '@' && call.currentline > 0) {
      lua_pushfstring(L, "%s:%d: ", call.short_src, call.currentline);
      return;
    }
    if (compat_lost_caller(&call)) break;
  }
  lua_pushliteral(L, "");
}

static bool has_text(lua_State *L, int index) {
  if (lua_isstring(L, index)) return true;
  if (luaL_getmetafield(L, index, "__tostring") == LUA_TNIL) return false;
  lua_pop(L, 1);
  return true;
}

int sandbox_message(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING && has_position(lua_tostring(L, 1))) return 1;
  push_position(L);
  if (has_text(L, 1)) push_harmless_text(L, 1);
  else lua_pushfstring(L, "the error is a %s value", luaL_typename(L, 1));
  lua_concat(L, 2);
  return 1;
}

int sandbox_refuse(lua_State *L, int function, const char *format, ...) {
  lua_Debug f;
  lua_pushvalue(L, function);
  lua_getinfo(L, ">S", &f);
  lua_pushfstring(L, "%s:%d: ", f.short_src, f.linedefined > 0 ? f.linedefined : 1);
  va_list arguments;
  va_start(arguments, format);
  lua_pushvfstring(L, format, arguments);
  va_end(arguments);
  lua_concat(L, 2);
  return lua_error(L);
}

/* Whose budget a call into scripts is on: what a script may take, a look at what it made, or
** that of who calls. */
enum call_budget { BUDGET_OF_SCRIPT, BUDGET_OF_LOOK, BUDGET_AT_HAND };

/* lua_pcall of what lies above the message handler (0: none), on the side that
** `inside` tells. */
static int call_switched(lua_State *L, bool inside, int handler, enum call_budget budget) {
  int was = sandbox_switch(L, inside);
  bool enters = inside && !was && budget != BUDGET_AT_HAND;
  if (enters && budget == BUDGET_OF_LOOK) isolate_enter_look(L);
  else if (enters) isolate_enter(L);
  int status = lua_pcall(L, lua_gettop(L) - handler - 1, LUA_MULTRET, handler);
  if (enters) isolate_note(L);
  if (!lua_checkstack(L, SANDBOX_SWITCH_SLOTS)) {
    lua_settop(L, handler);
    lua_pushliteral(L, "too many results");
    status = LUA_ERRRUN;
  }
  sandbox_switch(L, was);
  if (enters) isolate_leave(L);
  return status;
}

static int run(lua_State *L, enum call_budget budget) {
  luaL_checkany(L, 1);
  lua_pushcfunction(L, sandbox_message);
  lua_insert(L, 1);
  int status = call_switched(L, true, 1, budget);
  isolate_check(L, LUA_OK);
  lua_pushboolean(L, status == LUA_OK);
  lua_replace(L, 1);
  return lua_gettop(L);
}

/* run(f, ...) --> true, results of a script's function | false, message */
static int means_run(lua_State *L) { return run(L, BUDGET_OF_SCRIPT); }

/* within(f, ...) --> the same of a function of rille's that looks at what a script made: its
** metamethods find what scripts find */
static int means_within(lua_State *L) { return run(L, BUDGET_OF_LOOK); }

/* The message handler of `traced`: { message, traceback }. */
static int traced_message(lua_State *L) {
  sandbox_message(L);
  lua_createtable(L, 2, 0);
  lua_insert(L, -2);
  lua_rawseti(L, -2, 1);
  luaL_traceback(L, L, NULL, 1);
  lua_rawseti(L, -2, 2);
  return 1;
}

/* traced(f, ...) --> true, results of a script's function | false, message, traceback */
static int means_traced(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushcfunction(L, traced_message);
  lua_insert(L, 1);
  int status = call_switched(L, true, 1, BUDGET_OF_SCRIPT);
  isolate_check(L, LUA_OK);
  lua_pushboolean(L, status == LUA_OK);
  lua_replace(L, 1);
  if (status == LUA_OK || !lua_istable(L, 2)) return lua_gettop(L);
  lua_rawgeti(L, 2, 2);
  lua_rawgeti(L, 2, 1);
  lua_replace(L, 2);
  return 3;
}

/* host(f, ...) --> results of a function of the host's, called by a script. */
static int means_host(lua_State *L) {
  luaL_checkany(L, 1);
  if (call_switched(L, false, 0, BUDGET_AT_HAND) != LUA_OK) return lua_error(L);
  return lua_gettop(L);
}

/* ---- Opening ------------------------------------------------------------- */

static const luaL_Reg LIBRARIES[] = {{"base", luaopen_base},
                                     {"string", luaopen_string},
                                     {"table", luaopen_table},
                                     {"math", luaopen_math},
                                     {"utf8", luaopen_utf8},
#ifdef RILLE_LUAJIT
                                     {"bit", luaopen_bit},
#endif
                                     {NULL, NULL}};

static const luaL_Reg BASE[] = {{"next", script_next},
                                {"tostring", script_tostring},
                                {"rawset", script_rawset},
                                {"getmetatable", script_getmetatable},
                                {NULL, NULL}};

static const luaL_Reg MEANS[] = {{"metatables", means_metatables},
                                 {"metatable", means_metatable},
                                 {"view", means_view},
                                 {"run", means_run},
                                 {"within", means_within},
                                 {"traced", means_traced},
                                 {"host", means_host},
                                 {"seed", means_seed},
                                 {"at", means_at},
                                 {"hold", means_hold},
                                 {NULL, NULL}};

/* Fills the table at 1 with libraries as Lua makes them, and returns the strings'
** metatable. luaopen_base writes into the globals and luaopen_string sets the
** metatable of strings: the caller puts both back. */
static int open_libraries(lua_State *L) {
  for (const luaL_Reg *library = LIBRARIES; library->name; library++) {
    lua_pushcfunction(L, library->func);
    lua_pushstring(L, library->name);
    lua_call(L, 1, 1);
    lua_setfield(L, 1, library->name);
  }
#ifdef RILLE_LUAJIT
  library_complete(L);
#endif
  lua_pushliteral(L, "");
  lua_getmetatable(L, -1);
  return 1;
}

/* Fills the table on top of the stack and pushes the strings' metatable. */
static void push_libraries(lua_State *L) {
  int table = lua_gettop(L);
  compat_push_globals(L);
  lua_pushliteral(L, "");
  if (!lua_getmetatable(L, -1)) lua_pushnil(L);
  lua_pushcfunction(L, open_libraries);
  lua_pushvalue(L, table);
  lua_newtable(L);
  compat_replace_globals(L);
  int status = lua_pcall(L, 1, 1, 0);
  compat_restore_globals(L, table + 1);
  lua_pushvalue(L, table + COMPAT_GLOBALS_SLOTS + 2);
  lua_setmetatable(L, table + COMPAT_GLOBALS_SLOTS + 1);
  if (status != LUA_OK) lua_error(L);
  lua_replace(L, table + 1);
  lua_settop(L, table + 1);
}

/* Puts the deterministic functions in place of Lua's; libraries at `table`. Of
** Lua's own, next remains as raw_next, for the host's side. */
static void replace_functions(lua_State *L, int table) {
  lua_getfield(L, table, "base");
  lua_getfield(L, -1, "next");
  lua_setfield(L, table, "raw_next");
  luaL_setfuncs(L, BASE, 0);
  lua_newtable(L);
  lua_pushcclosure(L, script_pairs, 1);
  lua_setfield(L, -2, "pairs");
  lua_getfield(L, table, "table");
  lua_pushcfunction(L, script_sort);
  lua_setfield(L, -2, "sort");
  lua_getfield(L, table, "math");
  lua_pushcfunction(L, script_random);
  lua_setfield(L, -2, "random");
  lua_getfield(L, table, "string");
  lua_getfield(L, -1, "format");
  lua_pushcclosure(L, script_format, 1);
  lua_setfield(L, -2, "format");
  lua_pop(L, 4);
}

void sandbox_open(lua_State *L) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  luaL_newlib(L, MEANS);
  push_libraries(L);
  make_sandbox(L);
  replace_functions(L, lua_gettop(L));
  if (!isolate_of(L)) return;
  guard_libraries(L, lua_gettop(L));
  guard_methods(L, lua_gettop(L));
}
