/* lorder.c: the order in which scripts meet the keys of a table.
**
** Lua's own depends on addresses and on a table's history. Here it is total, and
** follows from the keys alone: false, true, numbers ascending, strings bytewise.
** Other keys have no order and are refused.
**
** One stable merge sort serves keys and table.sort, whose own in Lua takes its
** pivot from the clock. It sorts items, copies of what C needs for comparing; an
** item says where its value is, and whoever sorts keeps the value anchored there.
**
** A sequence, the frequent table, needs no sorting: when Lua itself meets 1, 2, 3
** ... in it, the iterator counts. A table of few keys is sorted on the stacks, any
** other in a userdata. */
#include "lorder.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "lisolate.h"
#include "lmetatable.h"

#define KEYS_FEW 64              /* keys sorted on the C stack and kept as upvalues, at most 253 */
#define SEQUENCES_KEPT 256       /* iterators for sequences up to this length are made once */
#define SORT_RUN 8               /* items sorted by insertion before they are merged */
#define TEXT_LONG 64             /* bytes compared for which a script pays a step */
#define SORT_STEPS 8             /* that a script pays for a value sorted, besides its own */
#define SORT_LOOK 16             /* items taken or put back between two looks at the clock */
#define SORT_MOST (INT_MAX / 64) /* items of one table.sort */

enum order_rank { RANK_BOOLEAN, RANK_NUMBER, RANK_STRING, RANK_NONE };

/* A Lua value as C sees it, so that comparing does not go through Lua. The bytes
** of a string are Lua's: the value stays anchored as long as its item. */
struct order_item {
  enum order_rank rank;
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

static struct order_item order_item_of(lua_State *L, int index, int at) {
  struct order_item item = {.rank = RANK_NONE, .at = at};
  switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
      item.rank = RANK_BOOLEAN;
      item.as.integer = lua_toboolean(L, index);
      break;
    case LUA_TNUMBER:
      item.rank = RANK_NUMBER;
      item.is_float = !lua_isinteger(L, index);
      if (item.is_float) item.as.number = lua_tonumber(L, index);
      else item.as.integer = lua_tointeger(L, index);
      break;
    case LUA_TSTRING:
      item.rank = RANK_STRING;
      item.as.text.bytes = lua_tolstring(L, index, &item.as.text.length);
      break;
    default:
      if (!lua_isinteger(L, index)) break; /* LuaJIT's int64_t */
      item.rank = RANK_NUMBER;
      item.as.integer = lua_tointeger(L, index);
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
static bool number_before(const struct order_item *a, const struct order_item *b) {
  if (a->is_float && b->is_float) return a->as.number < b->as.number;
  if (!a->is_float && !b->is_float) return a->as.integer < b->as.integer;
  lua_Number n = a->is_float ? a->as.number : b->as.number;
  if (n != n) return false;
  return a->is_float ? float_compare(n, b->as.integer) < 0 : float_compare(n, a->as.integer) > 0;
}

static bool text_before(lua_State *L, const struct order_item *a, const struct order_item *b) {
  size_t n = a->as.text.length < b->as.text.length ? a->as.text.length : b->as.text.length;
  if (n > TEXT_LONG) isolate_charge(L, n / TEXT_LONG);
  int order = memcmp(a->as.text.bytes, b->as.text.bytes, n);
  return order < 0 || (order == 0 && a->as.text.length < b->as.text.length);
}

/* What decides between two items; may raise, and may be nonsense. */
typedef bool (*item_order)(lua_State *L, const struct order_item *a, const struct order_item *b);

static bool key_before(lua_State *L, const struct order_item *a, const struct order_item *b) {
  if (a->rank != b->rank) return a->rank < b->rank;
  if (a->rank == RANK_STRING) return text_before(L, a, b);
  return a->rank == RANK_NUMBER ? number_before(a, b) : a->as.integer < b->as.integer;
}

static void sort_run(lua_State *L, struct order_item *items, size_t n, item_order before) {
  for (size_t i = 1; i < n; i++) {
    struct order_item item = items[i];
    size_t j = i;
    for (; j > 0 && before(L, &item, &items[j - 1]); j--) items[j] = items[j - 1];
    items[j] = item;
  }
}

/* Merges from[0 .. left) and from[left .. n) into `to`. */
static void merge_runs(lua_State *L, const struct order_item *from, size_t left, size_t n,
                       struct order_item *to, item_order before) {
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
static void sort_items(lua_State *L, struct order_item *items, struct order_item *room, size_t n,
                       item_order before) {
  for (size_t i = 0; i < n; i += SORT_RUN)
    sort_run(L, items + i, n - i < SORT_RUN ? n - i : SORT_RUN, before);
  struct order_item *from = items, *to = room;
  for (size_t width = SORT_RUN; width < n; width *= 2) {
    for (size_t i = 0; i < n; i += 2 * width) {
      size_t both = n - i < 2 * width ? n - i : 2 * width;
      merge_runs(L, from + i, both < width ? both : width, both, to + i, before);
    }
    struct order_item *swapped = from;
    from = to;
    to = swapped;
  }
  if (from != items) memcpy(items, from, n * sizeof *items);
}

/* ---- table.sort ---------------------------------------------------------- */

enum sort_slot { SORT_TABLE = 1, SORT_ORDER, SORT_ITEMS, SORT_VALUES };

static bool default_before(lua_State *L, const struct order_item *a, const struct order_item *b) {
  if (a->rank == b->rank && (a->rank == RANK_NUMBER || a->rank == RANK_STRING))
    return key_before(L, a, b);
  isolate_charge(L, 1); /* as below */
  lua_rawgeti(L, SORT_VALUES, a->at);
  lua_rawgeti(L, SORT_VALUES, b->at);
  bool before = lua_compare(L, -2, -1, LUA_OPLT);
  lua_pop(L, 2);
  return before;
}

static bool script_before(lua_State *L, const struct order_item *a, const struct order_item *b) {
  isolate_charge(L, 1); /* the order may be a C function */
  lua_pushvalue(L, SORT_ORDER);
  lua_rawgeti(L, SORT_VALUES, a->at);
  lua_rawgeti(L, SORT_VALUES, b->at);
  isolate_check_stack(L);
  lua_call(L, 2, 1);
  bool before = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return before;
}

/* table.sort(t [, order]): the values are sorted aside and then written back, so
** an order that raises leaves t as it was, and one that changes t is harmless. */
int script_sort(lua_State *L) {
  luaL_checktype(L, SORT_TABLE, LUA_TTABLE);
  lua_Integer n = luaL_len(L, SORT_TABLE);
  if (n < 2) return 0;
  luaL_argcheck(L, n <= SORT_MOST, SORT_TABLE, "array too big");
  if (!lua_isnoneornil(L, SORT_ORDER)) luaL_checktype(L, SORT_ORDER, LUA_TFUNCTION);
  isolate_charge(L, (uint64_t)n * SORT_STEPS);
  lua_settop(L, SORT_ORDER);
  struct order_item *items = lua_newuserdatauv(L, (size_t)n * 2 * sizeof *items, 0);
  lua_createtable(L, (int)n, 0);
  for (int i = 1; i <= n; i++) {
    if (i % SORT_LOOK == 0) isolate_charge(L, 0); /* metamethods are met here and below */
    lua_geti(L, SORT_TABLE, i);
    items[i - 1] = order_item_of(L, -1, i);
    lua_rawseti(L, SORT_VALUES, i);
  }
  item_order before = lua_isnil(L, SORT_ORDER) ? default_before : script_before;
  sort_items(L, items, items + n, (size_t)n, before);
  for (int i = 1; i <= n; i++) {
    if (i % SORT_LOOK == 0) isolate_charge(L, 0);
    lua_rawgeti(L, SORT_VALUES, items[i - 1].at);
    lua_seti(L, SORT_TABLE, i);
  }
  return 0;
}

/* ---- pairs and next ------------------------------------------------------ */

static struct order_item key_item(lua_State *L, int index, int at) {
  struct order_item item = order_item_of(L, index, at);
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
  isolate_charge(L, (uint64_t)n * SORT_STEPS);
  struct order_item *items = lua_newuserdatauv(L, (size_t)n * 2 * sizeof *items, 0);
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
  struct order_item items[KEYS_FEW], room[KEYS_FEW];
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
int script_pairs(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  isolate_charge(L, 1); /* it may have room for many keys, and none */
  lua_settop(L, 1);
  if (metatable_push_contents(L, 1)) {
    lua_replace(L, 1);
    return few_pairs(L);
  }
  lua_Integer n = sequence_length(L);
  if (n > KEYS_FEW) isolate_charge(L, (uint64_t)n);
  return n < 0 ? few_pairs(L) : sequence_pairs(L, n);
}

/* next(t): nil when t is empty, else its first key and value. */
int script_next(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  isolate_charge(L, 1); /* as pairs */
  if (lua_gettop(L) > 1) return luaL_error(L, "next(t, key) has no defined order: use pairs(t)");
  if (metatable_push_contents(L, 1)) lua_replace(L, 1);
  struct order_item first = {.rank = RANK_NONE};
  size_t keys = 0;
  lua_pushnil(L);
  for (lua_pushnil(L); lua_next(L, 1);) {
    lua_pop(L, 1);
    struct order_item item = key_item(L, -1, 0);
    if (++keys % KEYS_FEW == 0) isolate_charge(L, KEYS_FEW * 2);
    if (first.rank != RANK_NONE && !key_before(L, &item, &first)) continue;
    first = item;
    lua_copy(L, -1, 2);
  }
  if (first.rank == RANK_NONE) return 1;
  return push_pair(L, 1) ? 2 : 0;
}
