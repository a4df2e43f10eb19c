/* lsandbox.c: Lua without the parts that differ from run to run.
**
** Standard Lua lets the outside in through few doors. Each is closed here:
**
**   order of a hash table     pairs walks false, true, numbers ascending, strings
**                             bytewise; next only gives the first of these
**   time of collection        no __gc, no __mode (see METATABLES)
**   addresses                 tostring and %s say "table"; %p is refused
**   the clock                 table.sort is a stable merge sort (Lua's takes its
**                             pivot from the clock); math.random has the host's seed
**   the locale                the thread's is "C" while a script runs
**   the host's own changes    scripts get fresh copies of the libraries
**
** What remains: the border (#) of a table with holes, what pcall makes of a full
** stack or a lack of memory, and libm, which may differ between C libraries.
**
** Invariant: no table of the host's, and none that two scripts share, is ever
** given to a script other than through a read-only view.
**
** METATABLES. A script's metatable is never installed itself: setmetatable puts
** in a copy of its metamethods, made at first use and again when loading ends.
** Otherwise mt.__mode = "k" after setmetatable would give a weak table.
**
**   t --metatable--> copy --[ORIGINAL]--> mt     getmetatable(t) gives mt
**   view --metatable--> { __index = contents, [CONTENTS] = contents }
**   any other metatable belongs to the host:     getmetatable(x) gives false
*/
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "lsandbox.h"

#include <lauxlib.h>
#include <limits.h>
#include <locale.h>
#include <lualib.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

#define KEYS_FEW 64              /* keys sorted on the C stack and kept as upvalues, at most 253 */
#define SEQUENCES_KEPT 256       /* iterators for sequences up to this length are made once */
#define SORT_RUN 8               /* items sorted by insertion before they are merged */
#define SORT_MOST (INT_MAX / 64) /* items of one table.sort */

static const char STATE = 0, ORIGINAL = 0, CONTENTS = 0; /* their addresses are keys in tables */

/* ---- The state of a lua_State's sandbox ---------------------------------- */

struct sandbox {
  uint64_t seed;
  uint64_t random[4]; /* xoshiro256**; meaningful when seeded */
  bool seeded;
  bool inside; /* a script is running */
  locale_t plain, host;
};

enum uservalue { HOST_METATABLE = 1, SCRIPT_METATABLE, EMPTY_STRING, USERVALUES = EMPTY_STRING };

/* Pushes the userdata. */
static struct sandbox *push_sandbox(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &STATE);
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
  lua_rawsetp(L, LUA_REGISTRYINDEX, &STATE);
}

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

int sandbox_switch(lua_State *L, int inside) {
  struct sandbox *s = push_sandbox(L);
  bool was = s->inside;
  if (was != (inside != 0)) {
    switch_methods(L, lua_gettop(L), inside != 0);
    if (inside)
      s->host = uselocale(s->plain);
    else
      uselocale(s->host);
    s->inside = inside != 0;
  }
  lua_pop(L, 1);
  return was;
}

/* ---- Random numbers ------------------------------------------------------ */

void sandbox_seed(lua_State *L, uint64_t seed) {
  struct sandbox *s = push_sandbox(L);
  s->seed = seed;
  s->seeded = false;
  lua_pop(L, 1);
}

static int seed(lua_State *L) {
  sandbox_seed(L, (uint64_t)luaL_checkinteger(L, 1));
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
    case 0:
      lua_pushnumber(L, (lua_Number)(random_bits(s) >> 11) * 0x1p-53);
      return 1;
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
  uint64_t step = random_up_to(s, (uint64_t)high - (uint64_t)low);
  lua_pushinteger(L, (lua_Integer)((uint64_t)low + step));
  return 1;
}

/* ---- Order --------------------------------------------------------------- */

enum rank { RANK_BOOLEAN, RANK_NUMBER, RANK_STRING, RANK_NONE };

/* A Lua value as C sees it, so that comparing does not go through Lua. The bytes
** of a string are Lua's: the value stays anchored as long as its item. */
struct item {
  enum rank rank;
  bool is_float;
  int at; /* where the value is: an index that the owner of the items chooses */
  union {
    lua_Integer integer;
    lua_Number number;
    struct {
      const char *bytes;
      size_t length;
    } text;
  } as;
};

static struct item item_of(lua_State *L, int index, int at) {
  struct item item = {.rank = RANK_NONE, .at = at};
  switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
      item.rank = RANK_BOOLEAN;
      item.as.integer = lua_toboolean(L, index);
      break;
    case LUA_TNUMBER:
      item.rank = RANK_NUMBER;
      item.is_float = !lua_isinteger(L, index);
      if (item.is_float)
        item.as.number = lua_tonumber(L, index);
      else
        item.as.integer = lua_tointeger(L, index);
      break;
    case LUA_TSTRING:
      item.rank = RANK_STRING;
      item.as.text.bytes = lua_tolstring(L, index, &item.as.text.length);
      break;
    default: break;
  }
  return item;
}

/* Below, equal to or above zero as the float is to the integer. Exact where a
** conversion to float would round; not for NaN. */
static int float_compare(lua_Number n, lua_Integer i) {
  if (n >= 0x1p63) return 1;
  if (n < -0x1p63) return -1;
  lua_Integer whole = (lua_Integer)n;
  if (whole != i) return whole < i ? -1 : 1;
  return (n > (lua_Number)whole) - (n < (lua_Number)whole);
}

/* As Lua's <: false where one is NaN. */
static bool number_before(const struct item *a, const struct item *b) {
  if (a->is_float && b->is_float) return a->as.number < b->as.number;
  if (!a->is_float && !b->is_float) return a->as.integer < b->as.integer;
  lua_Number n = a->is_float ? a->as.number : b->as.number;
  if (n != n) return false;
  return a->is_float ? float_compare(n, b->as.integer) < 0 : float_compare(n, a->as.integer) > 0;
}

static bool text_before(const struct item *a, const struct item *b) {
  size_t n = a->as.text.length < b->as.text.length ? a->as.text.length : b->as.text.length;
  int order = memcmp(a->as.text.bytes, b->as.text.bytes, n);
  return order < 0 || (order == 0 && a->as.text.length < b->as.text.length);
}

/* What decides between two items; may raise, and may be nonsense. */
typedef bool (*item_order)(lua_State *L, const struct item *a, const struct item *b);

static bool key_before(lua_State *L, const struct item *a, const struct item *b) {
  (void)L;
  if (a->rank != b->rank) return a->rank < b->rank;
  if (a->rank == RANK_STRING) return text_before(a, b);
  return a->rank == RANK_NUMBER ? number_before(a, b) : a->as.integer < b->as.integer;
}

static void sort_run(lua_State *L, struct item *items, size_t n, item_order before) {
  for (size_t i = 1; i < n; i++) {
    struct item item = items[i];
    size_t j = i;
    for (; j > 0 && before(L, &item, &items[j - 1]); j--) items[j] = items[j - 1];
    items[j] = item;
  }
}

/* Merges from[0 .. left) and from[left .. n) into `to`. */
static void merge_runs(lua_State *L, const struct item *from, size_t left, size_t n,
                       struct item *to, item_order before) {
  size_t a = 0, b = left;
  if (left < n && !before(L, &from[left], &from[left - 1])) b = n; /* in order: copied below */
  if (b == n) {
    memcpy(to, from, n * sizeof *to);
    return;
  }
  while (a < left && b < n) *to++ = before(L, &from[b], &from[a]) ? from[b++] : from[a++];
  memcpy(to, from + a, (left - a) * sizeof *to);
  memcpy(to + (left - a), from + b, (n - b) * sizeof *to);
}

/* Stable; no access outside the n items however `before` answers. `room` is for
** n more. When `before` raises, the items are in any order. */
static void sort_items(lua_State *L, struct item *items, struct item *room, size_t n,
                       item_order before) {
  for (size_t i = 0; i < n; i += SORT_RUN)
    sort_run(L, items + i, n - i < SORT_RUN ? n - i : SORT_RUN, before);
  struct item *from = items, *to = room;
  for (size_t width = SORT_RUN; width < n; width *= 2) {
    for (size_t i = 0; i < n; i += 2 * width) {
      size_t both = n - i < 2 * width ? n - i : 2 * width;
      merge_runs(L, from + i, both < width ? both : width, both, to + i, before);
    }
    struct item *swapped = from;
    from = to;
    to = swapped;
  }
  if (from != items) memcpy(items, from, n * sizeof *items);
}

/* ---- table.sort ---------------------------------------------------------- */

enum sort_slot { SORT_TABLE = 1, SORT_ORDER, SORT_ITEMS, SORT_VALUES };

static bool default_before(lua_State *L, const struct item *a, const struct item *b) {
  if (a->rank == b->rank && (a->rank == RANK_NUMBER || a->rank == RANK_STRING))
    return key_before(L, a, b);
  lua_rawgeti(L, SORT_VALUES, a->at);
  lua_rawgeti(L, SORT_VALUES, b->at);
  bool before = lua_compare(L, -2, -1, LUA_OPLT);
  lua_pop(L, 2);
  return before;
}

static bool script_before(lua_State *L, const struct item *a, const struct item *b) {
  lua_pushvalue(L, SORT_ORDER);
  lua_rawgeti(L, SORT_VALUES, a->at);
  lua_rawgeti(L, SORT_VALUES, b->at);
  lua_call(L, 2, 1);
  bool before = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return before;
}

/* table.sort(t [, order]): the values are sorted aside and then written back, so
** an order that raises leaves t as it was, and one that changes t is harmless. */
static int script_sort(lua_State *L) {
  luaL_checktype(L, SORT_TABLE, LUA_TTABLE);
  lua_Integer n = luaL_len(L, SORT_TABLE);
  if (n < 2) return 0;
  luaL_argcheck(L, n <= SORT_MOST, SORT_TABLE, "array too big");
  if (!lua_isnoneornil(L, SORT_ORDER)) luaL_checktype(L, SORT_ORDER, LUA_TFUNCTION);
  lua_settop(L, SORT_ORDER);
  struct item *items = lua_newuserdatauv(L, (size_t)n * 2 * sizeof *items, 0);
  lua_createtable(L, (int)n, 0);
  for (int i = 1; i <= n; i++) {
    lua_geti(L, SORT_TABLE, i);
    items[i - 1] = item_of(L, -1, i);
    lua_rawseti(L, SORT_VALUES, i);
  }
  item_order before = lua_isnil(L, SORT_ORDER) ? default_before : script_before;
  sort_items(L, items, items + n, (size_t)n, before);
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, SORT_VALUES, items[i - 1].at);
    lua_seti(L, SORT_TABLE, i);
  }
  return 0;
}

/* ---- pairs and next ------------------------------------------------------ */

/* Where the value at index is a read-only view: pushes its contents. */
static bool push_contents(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return false;
  bool is_view = lua_rawgetp(L, -1, &CONTENTS) != LUA_TNIL;
  lua_remove(L, -2);
  if (!is_view) lua_pop(L, 1);
  return is_view;
}

static struct item key_item(lua_State *L, int index, int at) {
  struct item item = item_of(L, index, at);
  if (item.rank == RANK_NONE)
    luaL_error(L, "a %s is a key of this table: only booleans, numbers and strings have an order",
               luaL_typename(L, index));
  return item;
}

/* pairs walks the keys that the table had at the start; what has been cleared
** since is left out. Pushes key and value unless it has. */
static bool push_pair(lua_State *L, int table) {
  lua_pushvalue(L, -1);
  if (lua_rawget(L, table) != LUA_TNIL) return true;
  lua_pop(L, 2);
  return false;
}

enum pairs_upvalue { PAIRS_TABLE = 1, PAIRS_DONE, PAIRS_KEYS };

/* Steps through keys kept as upvalues, PAIRS_KEYS and on. */
static int few_next(lua_State *L) {
  int done = (int)lua_tointeger(L, lua_upvalueindex(PAIRS_DONE));
  while (!lua_isnone(L, lua_upvalueindex(PAIRS_KEYS + done))) {
    lua_pushvalue(L, lua_upvalueindex(PAIRS_KEYS + done));
    done++;
    if (!push_pair(L, lua_upvalueindex(PAIRS_TABLE))) continue;
    lua_pushinteger(L, done);
    lua_replace(L, lua_upvalueindex(PAIRS_DONE));
    return 2;
  }
  return 0;
}

/* Steps through keys kept in a table. */
static int many_next(lua_State *L) {
  lua_Integer done = lua_tointeger(L, lua_upvalueindex(PAIRS_DONE));
  while (lua_rawgeti(L, lua_upvalueindex(PAIRS_KEYS), done + 1) != LUA_TNIL) {
    done++;
    if (!push_pair(L, lua_upvalueindex(PAIRS_TABLE))) continue;
    lua_pushinteger(L, done);
    lua_replace(L, lua_upvalueindex(PAIRS_DONE));
    return 2;
  }
  return 0;
}

/* Steps through 1 .. the upvalue; keeps no state, so that one serves all tables. */
static int sequence_next(lua_State *L) {
  lua_Integer last = lua_tointeger(L, lua_upvalueindex(1)), i = lua_tointeger(L, 2);
  if (!lua_istable(L, 1) || i < 0) return luaL_error(L, "this function is for pairs alone");
  while (i < last) {
    i++;
    lua_pushinteger(L, i);
    if (lua_rawgeti(L, 1, i) != LUA_TNIL) return 2;
    lua_pop(L, 2);
  }
  return 0;
}

/* The length of the table at 1 when Lua itself meets exactly 1, 2, 3 ... in it;
** -1 otherwise, which sorting then puts right. */
static lua_Integer sequence_length(lua_State *L) {
  lua_Integer n = 0;
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    lua_pop(L, 1);
    if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) != n + 1) {
      lua_pop(L, 1);
      return -1;
    }
    n++;
  }
  return n;
}

static int sequence_pairs(lua_State *L, lua_Integer n) {
  if (n > SEQUENCES_KEPT || lua_rawgeti(L, lua_upvalueindex(1), n) == LUA_TNIL) {
    lua_pushinteger(L, n);
    lua_pushcclosure(L, sequence_next, 1);
    if (n <= SEQUENCES_KEPT) {
      lua_pushvalue(L, -1);
      lua_rawseti(L, lua_upvalueindex(1), n);
    }
  }
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

/* The keys lie in one table as they are met, and in another in their order. */
static int many_pairs(lua_State *L) {
  int n = 0;
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) n++;
  struct item *items = lua_newuserdatauv(L, (size_t)n * 2 * sizeof *items, 0);
  lua_createtable(L, n, 0);
  int met = lua_gettop(L), i = 0;
  for (lua_pushnil(L); i < n && lua_next(L, 1); i++) {
    items[i] = key_item(L, -2, i + 1);
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, met, i + 1);
  }
  n = i; /* a finalizer of the host's may have taken keys away */
  sort_items(L, items, items + n, (size_t)n, key_before);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  lua_createtable(L, n, 0);
  for (i = 0; i < n; i++) {
    lua_rawgeti(L, met, items[i].at);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushcclosure(L, many_next, PAIRS_KEYS);
  return 1;
}

/* The keys lie on the Lua stack from 2 on, their items on C's. */
static int few_pairs(lua_State *L) {
  struct item items[KEYS_FEW], room[KEYS_FEW];
  int n = 0;
  luaL_checkstack(L, 2 * KEYS_FEW + LUA_MINSTACK, "too many keys");
  for (lua_pushnil(L); lua_next(L, 1); n++) {
    lua_pop(L, 1);
    if (n == KEYS_FEW) {
      lua_settop(L, 1);
      return many_pairs(L);
    }
    items[n] = key_item(L, -1, 2 + n);
    lua_pushvalue(L, -1);
  }
  sort_items(L, items, room, (size_t)n, key_before);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  for (int i = 0; i < n; i++) lua_pushvalue(L, items[i].at);
  lua_pushcclosure(L, few_next, PAIRS_DONE + n);
  return 1;
}

/* pairs(t). Contents of a view stay within the iterator, out of reach. */
static int script_pairs(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (push_contents(L, 1)) {
    lua_replace(L, 1);
    return few_pairs(L);
  }
  lua_Integer n = sequence_length(L);
  return n < 0 ? few_pairs(L) : sequence_pairs(L, n);
}

/* next(t): nil when t is empty, else its first key and value. */
static int script_next(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_gettop(L) > 1)
    return luaL_error(L, "next(t, key) has no defined order: use pairs(t)");
  if (push_contents(L, 1)) lua_replace(L, 1);
  struct item first = {.rank = RANK_NONE};
  lua_pushnil(L);
  for (lua_pushnil(L); lua_next(L, 1);) {
    lua_pop(L, 1);
    struct item item = key_item(L, -1, 0);
    if (first.rank != RANK_NONE && !key_before(L, &item, &first)) continue;
    first = item;
    lua_copy(L, -1, 2);
  }
  if (first.rank == RANK_NONE) return 1;
  return push_pair(L, 1) ? 2 : 0;
}

/* ---- Text ---------------------------------------------------------------- */

/* Pushes what tostring gives: never an address. */
static void push_text(lua_State *L, int index) {
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
  push_text(L, 1);
  return 1;
}

/* string.format: refuses %p, words what %s gets, and leaves the rest to Lua's
** own function, called in this frame so that its errors name the script's line. */
static int script_format(lua_State *L) {
  size_t n;
  const char *format = luaL_checklstring(L, 1, &n);
  int top = lua_gettop(L), argument = 1;
  for (const char *p = format; p < format + n; p++) {
    if (*p != '%' || *++p == '%') continue;
    argument++;
    p += strspn(p, "-+ #0123456789.");
    if (*p == 'p') return luaL_error(L, "'%%p' is refused: addresses differ between runs");
    if (*p != 's' || argument > top) continue;
    push_text(L, argument);
    lua_replace(L, argument);
  }
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* ---- Metatables, and tables that can't be changed ------------------------ */

/* Copies the fields that may mean something to Lua: those that begin with "__". */
static void copy_metamethods(lua_State *L, int original, int copy) {
  for (lua_pushnil(L); lua_next(L, original); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    const char *name = lua_tostring(L, -2);
    if (strncmp(name, "__", 2) != 0) continue;
    if (strcmp(name, "__gc") == 0 || strcmp(name, "__mode") == 0)
      luaL_error(L, "a metatable with %s is refused: when memory is collected differs between runs",
                 name);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, copy);
  }
}

static void clear_metamethods(lua_State *L, int copy) {
  for (lua_pushnil(L); lua_next(L, copy); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    lua_pushvalue(L, -2);
    lua_pushnil(L);
    lua_rawset(L, copy);
  }
}

/* Pushes the metatable that the script gave to the value, if it was a script. */
static bool push_original(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return false;
  bool is_copy = lua_rawgetp(L, -1, &ORIGINAL) != LUA_TNIL;
  lua_remove(L, -2);
  if (!is_copy) lua_pop(L, 1);
  return is_copy;
}

static bool has_metatable(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return false;
  lua_pop(L, 1);
  return true;
}

/* Raises unless the table is the script's own to change. */
static void check_own(lua_State *L, int index, const char *message) {
  if (!has_metatable(L, index)) return;
  if (!push_original(L, index)) luaL_error(L, "%s", message);
  lua_pop(L, 1);
}

static int script_getmetatable(lua_State *L) {
  luaL_checkany(L, 1);
  if (!has_metatable(L, 1)) return 0;
  if (!push_original(L, 1))
    lua_pushboolean(L, 0);
  else if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
    lua_remove(L, -2);
  return 1;
}

/* Pushes the copy of the metatable at 2: the one at hand, else a new one. */
static void push_copy(lua_State *L) {
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return;
  lua_pop(L, 1);
  lua_newtable(L);
  copy_metamethods(L, 2, lua_gettop(L));
  lua_pushvalue(L, 2);
  lua_rawsetp(L, -2, &ORIGINAL);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, -2);
  lua_rawset(L, lua_upvalueindex(1));
}

static int script_setmetatable(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
  lua_settop(L, 2);
  check_own(L, 1, "cannot change a protected metatable");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
    return luaL_error(L, "cannot change a protected metatable");
  if (!lua_isnil(L, 2)) push_copy(L);
  lua_setmetatable(L, 1);
  lua_settop(L, 1);
  return 1;
}

/* Takes over what the script did to its metatables after their first use. */
static int settle(lua_State *L) {
  lua_settop(L, 0);
  for (lua_pushnil(L); lua_next(L, lua_upvalueindex(1)); lua_pop(L, 1)) {
    clear_metamethods(L, 2);
    copy_metamethods(L, 1, 2);
  }
  return 0;
}

/* metatables() --> setmetatable for one script, settle to be called when it has
** loaded. They share copies by original, which live as long as it. */
static int metatables(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, script_setmetatable, 1);
  lua_insert(L, -2);
  lua_pushcclosure(L, settle, 1);
  return 2;
}

static int script_rawset(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  luaL_checkany(L, 3);
  lua_settop(L, 3);
  check_own(L, 1, "rawset: this table is read-only");
  lua_rawset(L, 1);
  return 1;
}

/* view(contents, refuse) --> a table that reads as `contents`; each write calls
** refuse(view, key, value), which is to raise. */
static int view(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_newtable(L);
  lua_createtable(L, 0, 3);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "__newindex");
  lua_pushvalue(L, 1);
  lua_rawsetp(L, -2, &CONTENTS);
  lua_setmetatable(L, -2);
  return 1;
}

/* metatable(value) --> the real one, or nil; for the host's side only. */
static int metatable(lua_State *L) {
  luaL_checkany(L, 1);
  return lua_getmetatable(L, 1);
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
    if (call.istailcall) break;
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
  if (has_text(L, 1))
    push_text(L, 1);
  else
    lua_pushfstring(L, "the error is a %s value", luaL_typename(L, 1));
  lua_concat(L, 2);
  return 1;
}

/* lua_pcall of what lies above the message handler (0: none), on the side that
** `inside` tells. */
static int call_switched(lua_State *L, bool inside, int handler) {
  int was = sandbox_switch(L, inside);
  int status = lua_pcall(L, lua_gettop(L) - handler - 1, LUA_MULTRET, handler);
  if (!lua_checkstack(L, SANDBOX_SWITCH_SLOTS)) {
    lua_settop(L, handler);
    lua_pushliteral(L, "too many results");
    status = LUA_ERRRUN;
  }
  sandbox_switch(L, was);
  return status;
}

/* run(f, ...) --> true, results of a script's function | false, message */
static int run(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushcfunction(L, sandbox_message);
  lua_insert(L, 1);
  int status = call_switched(L, true, 1);
  lua_pushboolean(L, status == LUA_OK);
  lua_replace(L, 1);
  return lua_gettop(L);
}

/* host(f, ...) --> results of a function of the host's, called by a script. */
static int host(lua_State *L) {
  luaL_checkany(L, 1);
  if (call_switched(L, false, 0) != LUA_OK) return lua_error(L);
  return lua_gettop(L);
}

/* ---- Opening ------------------------------------------------------------- */

static const luaL_Reg LIBRARIES[] = {{"base", luaopen_base},   {"string", luaopen_string},
                                     {"table", luaopen_table}, {"math", luaopen_math},
                                     {"utf8", luaopen_utf8},   {NULL, NULL}};

static const luaL_Reg BASE[] = {{"next", script_next},
                                {"tostring", script_tostring},
                                {"rawset", script_rawset},
                                {"getmetatable", script_getmetatable},
                                {NULL, NULL}};

static const luaL_Reg MEANS[] = {{"metatables", metatables}, {"metatable", metatable},
                                 {"view", view},             {"run", run},
                                 {"host", host},             {"seed", seed},
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
  lua_pushliteral(L, "");
  lua_getmetatable(L, -1);
  return 1;
}

/* Fills the table on top of the stack and pushes the strings' metatable. */
static void push_libraries(lua_State *L) {
  int table = lua_gettop(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_pushliteral(L, "");
  if (!lua_getmetatable(L, -1)) lua_pushnil(L);
  lua_pushcfunction(L, open_libraries);
  lua_pushvalue(L, table);
  lua_newtable(L);
  lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  int status = lua_pcall(L, 1, 1, 0);
  lua_pushvalue(L, table + 1);
  lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_pushvalue(L, table + 3);
  lua_setmetatable(L, table + 2);
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
}
