/* lguard.c: library functions that charge a script for the work C does for it.
**
** Lua's count hook sees no work of C functions. Those whose work grows with more than
** the memory they ask for (which the allocator charges) are guarded here in one of two
** ways: Lua's own function runs in the guard's frame after its arguments have been
** charged for, or the function is written anew because what it costs shows only while
** it works. The pattern functions are in lpattern.c. Where a loop of C's meets metamethods,
** one access may go through two thousand tables, or call a C function, and no hook is called:
** such loops are written anew, too, and look at the budget and the clock in each round.
**
** Invariant: no function that a script of an isolate can reach works longer than a
** constant times what it was charged, plus a constant, plus the memory it was given. */
#include "lguard.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "lisolate.h"
#include "lpattern.h"

#define BYTES_A_STEP 8  /* scanned, of a string */
#define PIECE_BYTES 256 /* of a script's text, between two looks at the budget */
#define STEPS_A_BYTE 20 /* of a script's text */
#define STEPS_AN_ERROR 200
#define NUMBER_STEPS 32 /* to make the digits of a number */

/* ---- Lua's own functions, charged before ---- */

/* Strings are scanned: formats, digits, UTF-8, packed bytes. Each argument is looked at: where
** any number of them may be numbers, each may be a long text that has one. */
static void charge_texts_from(lua_State *L, int first) {
  uint64_t bytes = 0;
  for (int i = lua_gettop(L); i >= first; i--)
    if (lua_type(L, i) == LUA_TSTRING) bytes += lua_rawlen(L, i);
  isolate_charge(L, bytes / BYTES_A_STEP);
}

void guard_charge_texts(lua_State *L) { charge_texts_from(L, 1); }

static int charge_texts(lua_State *L) {
  guard_charge_texts(L);
  return compat_call_upvalue(L);
}

/* Where in a text of n bytes a position is, which counts from its end if it is negative. */
static lua_Integer place_in(size_t n, lua_Integer position) {
  lua_Integer length = (lua_Integer)n;
  if (position >= 0) return position > length ? length + 1 : position;
  return position < -length ? 0 : length + position + 1;
}

/* The text at 1 is looked at from the place at 2 to that at 3, and no further. */
static void charge_part(lua_State *L, bool to_end) {
  size_t n;
  luaL_checklstring(L, 1, &n);
  charge_texts_from(L, 2);
  lua_Integer from = place_in(n, luaL_optinteger(L, 2, 1));
  lua_Integer to = place_in(n, luaL_optinteger(L, 3, to_end ? -1 : from));
  if (from <= to) isolate_charge(L, (uint64_t)(to - from) / BYTES_A_STEP + 1);
}

/* string.byte, utf8.codepoint: one, if no end is given. */
static int charge_few(lua_State *L) {
  charge_part(L, false);
  return compat_call_upvalue(L);
}

static int charge_rest(lua_State *L) {
  charge_part(L, true);
  return compat_call_upvalue(L);
}

/* string.unpack: each letter of a format reads a few bytes, or makes a text, which is memory that
** is asked for; but 'z' looks for where its text ends. */
static int charge_unpack(lua_State *L) {
  size_t n, length;
  const char *format = luaL_checklstring(L, 1, &n);
  luaL_checklstring(L, 2, &length);
  lua_Integer from = place_in(length, luaL_optinteger(L, 3, 1));
  charge_texts_from(L, 3);
  if (memchr(format, 'z', n)) isolate_charge(L, (length + 1 - (size_t)from) / BYTES_A_STEP);
  isolate_charge(L, n);
  return compat_call_upvalue(L);
}

/* string.rep: of nothing, too. */
static int charge_rep(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 2);
  if (n > 0) isolate_charge(L, (uint64_t)n / 4 + 1);
  return compat_call_upvalue(L);
}

/* ---- Ranges of a table ---- */

struct range {
  lua_Integer from, to;
};

/* There may be as many as there are integers. */
static void charge_range(lua_State *L, struct range r) {
  uint64_t rest = (uint64_t)r.to - (uint64_t)r.from;
  if (r.from <= r.to) isolate_charge(L, rest < UINT64_MAX ? rest + 1 : rest);
}

/* first .. last, of table.concat and unpack; the last is asked for once, here. */
static struct range take_range(lua_State *L, int first, int last) {
  lua_settop(L, last);
  if (lua_isnil(L, last)) {
    lua_pushinteger(L, luaL_len(L, 1));
    lua_replace(L, last);
  }
  struct range r = {luaL_optinteger(L, first, 1), luaL_checkinteger(L, last)};
  charge_range(L, r);
  return r;
}

/* Whether Lua's own loop over it calls nothing. */
static bool is_plain(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return true;
  lua_pop(L, 1);
  return false;
}

/* Pushes t[i], of a table that has metamethods. */
static void push_looking(lua_State *L, int table, lua_Integer i) {
  isolate_charge(L, 0);
  lua_geti(L, table, i);
}

/* A number costs more than a text: its digits are made. Up to what can't be concatenated. */
static void charge_numbers(lua_State *L, struct range r) {
  for (lua_Integer i = r.from; i <= r.to; i++) {
    int type = lua_rawgeti(L, 1, i);
    lua_pop(L, 1);
    if (type == LUA_TNUMBER) isolate_charge(L, NUMBER_STEPS);
    else if (type != LUA_TSTRING) return;
    if (i == r.to) return;
  }
}

static void add_field(lua_State *L, luaL_Buffer *b, lua_Integer i) {
  push_looking(L, 1, i);
  if (!lua_isstring(L, -1))
    luaL_error(L, "invalid value (at index %I) in table for 'concat'", (LUAI_UACINT)i);
  luaL_addvalue(b);
}

static int guard_concat(lua_State *L) {
  size_t n;
  luaL_Buffer b;
  luaL_checktype(L, 1, LUA_TTABLE);
  struct range r = take_range(L, 3, 4);
  if (is_plain(L, 1)) {
    charge_numbers(L, r);
    return compat_call_upvalue(L);
  }
  const char *separator = luaL_optlstring(L, 2, "", &n);
  luaL_buffinit(L, &b);
  for (lua_Integer i = r.from; i < r.to; i++) {
    add_field(L, &b, i);
    luaL_addlstring(&b, separator, n);
  }
  if (r.from <= r.to) add_field(L, &b, r.to);
  luaL_pushresult(&b);
  return 1;
}

static int guard_unpack(lua_State *L) {
  if (lua_isnoneornil(L, 1)) return compat_call_upvalue(L);
  struct range r = take_range(L, 2, 3);
  if (is_plain(L, 1)) return compat_call_upvalue(L);
  if (r.from > r.to) return 0;
  uint64_t rest = (uint64_t)r.to - (uint64_t)r.from;
  if (rest >= INT_MAX || !lua_checkstack(L, (int)rest + 1))
    return luaL_error(L, "too many results to unpack");
  for (lua_Integer i = r.from; i < r.to; i++) push_looking(L, 1, i);
  push_looking(L, 1, r.to);
  return (int)rest + 1;
}

static void move_one(lua_State *L, lua_Integer from, int target, lua_Integer to) {
  push_looking(L, 1, from);
  lua_seti(L, target, to);
}

static int guard_move(lua_State *L) {
  struct range r = {luaL_checkinteger(L, 2), luaL_checkinteger(L, 3)};
  lua_Integer at = luaL_checkinteger(L, 4);
  int target = lua_isnoneornil(L, 5) ? 1 : 5;
  charge_range(L, r);
  bool are_tables = lua_istable(L, 1) && lua_istable(L, target);
  if (!are_tables || (is_plain(L, 1) && is_plain(L, target))) return compat_call_upvalue(L);
  lua_pushvalue(L, target);
  if (r.from > r.to) return 1;
  luaL_argcheck(L, r.from > 0 || r.to < INT64_MAX + r.from, 3, "too many elements to move");
  lua_Integer n = r.to - r.from + 1;
  luaL_argcheck(L, at <= INT64_MAX - n + 1, 4, "destination wrap around");
  bool overlaps = at > r.from && at <= r.to && (target == 1 || lua_compare(L, 1, 5, LUA_OPEQ));
  for (lua_Integer i = 0; i < n; i++) {
    lua_Integer next = overlaps ? n - 1 - i : i;
    move_one(L, r.from + next, target, at + next);
  }
  return 1;
}

/* ---- table.insert and remove ---- */

static lua_Integer length_of(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  return luaL_len(L, 1);
}

static int guard_insert(lua_State *L) {
  lua_Integer end = (lua_Integer)((lua_Unsigned)length_of(L) + 1), at = end;
  if (lua_gettop(L) == 3) {
    at = luaL_checkinteger(L, 2);
    luaL_argcheck(L, (lua_Unsigned)at - 1u < (lua_Unsigned)end, 2, "position out of bounds");
    isolate_charge(L, (uint64_t)end - (uint64_t)at);
    for (lua_Integer i = end; i > at; i--) move_one(L, i - 1, 1, i);
  } else if (lua_gettop(L) != 2) {
    return luaL_error(L, "wrong number of arguments to 'insert'");
  }
  lua_seti(L, 1, at);
  return 0;
}

static int guard_remove(lua_State *L) {
  lua_Integer n = length_of(L), at = luaL_optinteger(L, 2, n);
  if (at != n)
    luaL_argcheck(L, (lua_Unsigned)at - 1u <= (lua_Unsigned)n, 2, "position out of bounds");
  lua_geti(L, 1, at);
  if (at < n) isolate_charge(L, (uint64_t)n - (uint64_t)at);
  for (; at < n; at++) move_one(L, at + 1, 1, at);
  lua_pushnil(L);
  lua_seti(L, 1, at);
  return 1;
}

/* ---- Errors that must not be caught ---- */

/* A script that was stopped goes on unwinding through its own pcall. One that wasn't
** pays for what was unwound, and for the results that are passed on. */
static void check_caught(lua_State *L, int status) {
  isolate_check(L, status);
  isolate_charge(L, (status == LUA_OK ? 0 : STEPS_AN_ERROR) + (uint64_t)lua_gettop(L));
}

static int guard_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  isolate_check_stack(L);
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  check_caught(L, status);
  luaL_checkstack(L, 1, "too many results");
  lua_pushboolean(L, status == LUA_OK);
  lua_insert(L, 1);
  return lua_gettop(L);
}

/* The message handler in upvalue 1. The error that stops a script is raised within the
** count hook, and Lua calls handlers there, with hooks off: the script's must not run. */
static int call_handler(lua_State *L) {
  if (isolate_is_stopped(L)) return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

static int guard_xpcall(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  isolate_check_stack(L);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, call_handler, 1);
  lua_replace(L, 1); /* handler, handler, ..., function */
  lua_rotate(L, 3, 1);
  lua_remove(L, 2);
  int status = lua_pcall(L, n - 2, LUA_MULTRET, 1);
  check_caught(L, status);
  lua_pushboolean(L, status == LUA_OK);
  lua_replace(L, 1);
  return lua_gettop(L);
}

/* ---- Compiling ---- */

struct pieces {
  const char *at, *end;
};

/* The parser takes long over some texts, and has no hook; but it asks for more. */
static const char *next_piece(lua_State *L, void *context, size_t *n) {
  struct pieces *p = context;
  const char *piece = p->at;
  *n = (size_t)(p->end - p->at) < PIECE_BYTES ? (size_t)(p->end - p->at) : PIECE_BYTES;
  p->at += *n;
  isolate_charge(L, *n * STEPS_A_BYTE);
  return *n ? piece : NULL;
}

/* load(text, name, "t" [, environment]): sandbox.lua's; scripts have none. */
static int guard_load(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  struct pieces pieces = {text, text + n};
  bool has_environment = !lua_isnone(L, 4);
  int status = lua_load(L, next_piece, &pieces, luaL_checkstring(L, 2), "t");
  isolate_check(L, status);
  if (status != LUA_OK) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  if (has_environment) compat_set_environment(L, 4);
  return 1;
}

/* ---- Putting them in place ---- */

struct guard {
  const char *library, *name;
  lua_CFunction function;
};

static const struct guard GUARDS[] = {
    {"base", "pcall", guard_pcall},       {"base", "xpcall", guard_xpcall},
    {"base", "load", guard_load},         {"base", "tonumber", charge_texts},
    {"string", "rep", charge_rep},        {"string", "pack", charge_texts},
    {"string", "packsize", charge_texts}, {"string", "unpack", charge_unpack},
    {"string", "byte", charge_few},       {"string", "char", charge_texts},
    {"string", "find", pattern_find},     {"string", "match", pattern_match},
    {"string", "gmatch", pattern_gmatch}, {"string", "gsub", pattern_gsub},
    {"string", "lower", charge_texts},    {"string", "upper", charge_texts},
    {"string", "reverse", charge_texts},  {"table", "concat", guard_concat},
    {"table", "insert", guard_insert},    {"table", "move", guard_move},
    {"table", "remove", guard_remove},    {"table", "unpack", guard_unpack},
    {"math", "max", charge_texts},        {"math", "min", charge_texts},
    {"utf8", "char", charge_texts},       {"utf8", "codepoint", charge_few},
    {"utf8", "codes", charge_texts},      {"utf8", "len", charge_rest},
    {"utf8", "offset", charge_texts},     {NULL, NULL, NULL}};

void guard_libraries(lua_State *L, int libraries) {
  for (const struct guard *g = GUARDS; g->name; g++) {
    lua_getfield(L, libraries, g->library);
    lua_getfield(L, -1, g->name);
    lua_pushcclosure(L, g->function, 1);
    lua_setfield(L, -2, g->name);
    lua_pop(L, 1);
  }
}

/* Whatever a metamethod of a script is called by, it meets these. */
void guard_methods(lua_State *L, int libraries) {
  lua_getfield(L, libraries, "string");
  lua_pushliteral(L, "");
  if (!lua_getmetatable(L, -1)) lua_newtable(L);
  lua_getfield(L, -1, "__index");
  for (const struct guard *g = GUARDS; g->name && lua_istable(L, -1); g++) {
    if (strcmp(g->library, "string") != 0) continue;
    lua_getfield(L, -4, g->name);
    lua_setfield(L, -2, g->name);
  }
  lua_pop(L, 4);
}
