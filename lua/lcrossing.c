/* lcrossing.c: values on their way between the host's state and an isolate.
**
** They cross as bytes in a buffer of C's, because an error in one state must not jump
** over frames of the other: each side writes or reads under its own protected call.
**
**   value    = 'n' | 'v' length bytes          nil; MessagePack (lvalue.h)
**            | 's' address | 'f' number        a store; a function of the host's
**            | 't' value count (value value)*  a table, and fields that are stores or
**                                              functions
**   crossing = value*
**
** A function keeps its number as long as the isolate lives; what S gets for it is a
** closure that calls back. A store becomes a handle that is S's own and only borrows. */
#include "lisolate.h"

#include "lsandbox.h"
#include "lvalue.h"

#define ROOM_KEPT MIB    /* of the buffer, between two crossings */
#define STEPS_A_CALL 200 /* of a function of the host's */

/* ---- Writing ---- */

static void add(lua_State *L, struct buffer *out, const void *bytes, size_t n) {
  if (!buffer_add(out, bytes, n)) luaL_error(L, "not enough memory");
}

static void add_tag(lua_State *L, struct buffer *out, char tag, uint64_t number) {
  add(L, out, &tag, 1);
  add(L, out, &number, sizeof number);
}

static bool write_plain(lua_State *L, struct buffer *out, int index) {
  if (lua_isnil(L, index)) {
    add(L, out, "n", 1);
    return true;
  }
  add_tag(L, out, 'v', 0);
  size_t start = out->length;
  if (!value_encode(L, index, "value", out)) return false;
  uint64_t n = out->length - start;
  memcpy(out->bytes + start - sizeof n, &n, sizeof n);
  return true;
}

bool crossing_write_plain(lua_State *L, struct buffer *out, int first) {
  buffer_clear(out, ROOM_KEPT);
  int top = lua_gettop(L);
  for (int i = first; i <= top; i++) {
    size_t before = out->length;
    if (!write_plain(L, out, i)) return false;
    isolate_charge_crossing(L, out->length, out->length - before);
  }
  return true;
}

/* The number under which the anchors have the function at index. */
static uint64_t function_number(lua_State *L, int index, int anchors) {
  lua_pushvalue(L, index);
  if (lua_rawget(L, anchors) == LUA_TNIL) {
    lua_Integer number = (lua_Integer)lua_rawlen(L, anchors) + 1;
    lua_pushvalue(L, index);
    lua_rawseti(L, anchors, number);
    lua_pushvalue(L, index);
    lua_pushinteger(L, number);
    lua_rawset(L, anchors);
    lua_pop(L, 1);
    return (uint64_t)number;
  }
  uint64_t number = (uint64_t)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return number;
}

/* A store's number is its handle's address, followed by those of its functions. */
static bool write_special(lua_State *L, struct buffer *out, int index, int anchors) {
  if (lua_isfunction(L, index)) {
    add_tag(L, out, 'f', function_number(L, index, anchors));
    return true;
  }
  struct store_handle *store = luaL_testudata(L, index, STORE_HANDLE);
  if (!store) return false;
  function_number(L, index, anchors);
  const int references[] = {store->load, store->clock};
  add_tag(L, out, 's', (uint64_t)(uintptr_t)store);
  for (int i = 0; i < 2; i++) {
    uint64_t number = 0;
    if (references[i] != LUA_NOREF) {
      lua_rawgeti(L, LUA_REGISTRYINDEX, references[i]);
      number = function_number(L, lua_gettop(L), anchors);
      lua_pop(L, 1);
    }
    add(L, out, &number, sizeof number);
  }
  return true;
}

static bool is_special(lua_State *L, int index) {
  return lua_isfunction(L, index) || luaL_testudata(L, index, STORE_HANDLE);
}

/* Pushes a table of the special fields of the table at index, and one of the others;
** false, and nothing pushed, where it has none. */
static bool split_table(lua_State *L, int index) {
  bool found = false;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
    if (is_special(L, lua_gettop(L))) found = true;
  if (!found) return false;
  lua_newtable(L);
  lua_newtable(L);
  int specials = lua_gettop(L) - 1;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, is_special(L, lua_gettop(L)) ? specials : specials + 1);
  }
  return true;
}

static bool write_fields(lua_State *L, struct buffer *out, int specials, int anchors) {
  uint64_t count = 0;
  for (lua_pushnil(L); lua_next(L, specials); lua_pop(L, 1)) count++;
  add(L, out, &count, sizeof count);
  for (lua_pushnil(L); lua_next(L, specials); lua_pop(L, 1)) {
    if (!write_plain(L, out, lua_gettop(L) - 1)) return false;
    write_special(L, out, lua_gettop(L), anchors);
  }
  return true;
}

static bool write_any(lua_State *L, struct buffer *out, int index, int anchors) {
  if (write_special(L, out, index, anchors)) return true;
  if (!lua_istable(L, index) || !split_table(L, index)) return write_plain(L, out, index);
  int rest = lua_gettop(L);
  add(L, out, "t", 1);
  if (!write_plain(L, out, rest) || !write_fields(L, out, rest - 1, anchors)) return false;
  lua_settop(L, rest - 2);
  return true;
}

bool crossing_write(lua_State *L, struct isolate *iso, int first, int anchors) {
  int top = lua_gettop(L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  buffer_clear(&iso->crossing, ROOM_KEPT);
  for (int i = first; i <= top; i++)
    if (!write_any(L, &iso->crossing, i, anchors)) return false;
  return true;
}

/* ---- Reading ---- */

static uint64_t take_number(const uint8_t **at) {
  uint64_t number;
  memcpy(&number, *at, sizeof number);
  *at += sizeof number;
  return number;
}

static void read_plain(lua_State *L, const uint8_t **at) {
  if (*(*at)++ == 'n') {
    lua_pushnil(L);
    return;
  }
  uint64_t n = take_number(at);
  if (!value_decode(L, (const char *)*at, (size_t)n)) lua_error(L);
  *at += n;
}

int crossing_read_plain(lua_State *L, const struct buffer *in) {
  const uint8_t *at = in->bytes, *end = in->bytes + in->length;
  int n = 0;
  for (; at < end; n++) {
    luaL_checkstack(L, LUA_MINSTACK, "too many values");
    read_plain(L, &at);
  }
  return n;
}

/* ---- Calling back ---- */

struct call {
  struct isolate *iso;
  lua_Integer number;
};

/* In the host's state. */
static int call_host(lua_State *L) {
  const struct call *call = lua_touserdata(L, 1);
  struct isolate *iso = call->iso;
  lua_rawgetp(L, LUA_REGISTRYINDEX, iso);
  lua_rawgeti(L, -1, call->number);
  int n = crossing_read_plain(L, &iso->crossing);
  lua_call(L, n, LUA_MULTRET);
  if (!crossing_write_plain(L, &iso->crossing, 3)) lua_error(L);
  return 0;
}

/* Puts the text of the error on top of L's stack into the buffer, as far as there is
** memory. */
static void keep_error(lua_State *L, struct buffer *out) {
  buffer_clear(out, ROOM_KEPT);
  if (lua_type(L, -1) != LUA_TSTRING) return;
  size_t n;
  const char *text = lua_tolstring(L, -1, &n);
  buffer_add(out, text, n);
}

/* Calls the host's function with what the buffer holds, where its results then are.
** False: it has raised, and the buffer holds the text. Raises nothing in either state. */
static bool call_back(struct isolate *iso, lua_Integer number) {
  lua_State *L = iso->host;
  if (!lua_checkstack(L, LUA_MINSTACK)) {
    buffer_clear(&iso->crossing, ROOM_KEPT);
    return false;
  }
  struct call call = {iso, number};
  if (compat_call(L, call_host, &call) == LUA_OK) return true;
  keep_error(L, &iso->crossing);
  lua_pop(L, 1);
  return false;
}

/* A function of the host's as S has it; upvalue 1: its number. The host's time is not
** the script's. */
static int crossed_function(lua_State *S) {
  struct isolate *iso = isolate_of(S);
  isolate_charge(S, STEPS_A_CALL);
  if (!crossing_write_plain(S, &iso->crossing, 1)) return lua_error(S);
  luaL_checkstack(S, SANDBOX_SWITCH_SLOTS, NULL);
  watchdog_end(&iso->watched);
  int was = sandbox_switch(S, 0);
  bool done = call_back(iso, lua_tointeger(S, lua_upvalueindex(1)));
  sandbox_switch(S, was);
  watchdog_resume(&iso->watched);
  lua_settop(S, 0);
  if (done) return crossing_read_plain(S, &iso->crossing);
  if (iso->crossing.length == 0) return luaL_error(S, "the host's function failed");
  lua_pushlstring(S, (const char *)iso->crossing.bytes, iso->crossing.length);
  return lua_error(S);
}

static void push_crossed(lua_State *S, uint64_t number) {
  lua_pushinteger(S, (lua_Integer)number);
  lua_pushcclosure(S, crossed_function, 1);
}

/* ---- Reading in S ---- */

static int refer_crossed(lua_State *S, uint64_t number) {
  if (number == 0) return LUA_NOREF;
  push_crossed(S, number);
  return luaL_ref(S, LUA_REGISTRYINDEX);
}

void crossing_lend(struct borrowed *b) {
  struct store_handle mine = *b->mine;
  *b->mine = *b->host;
  b->mine->iterators = mine.iterators;
  b->mine->load = mine.load;
  b->mine->clock = mine.clock;
  b->mine->users = mine.users;
  b->mine->leaving = NULL;
  b->mine->borrowed = 1;
  store_enter(b->host);
}

/* Pushes the handle that borrows from the host's. */
static void read_store(lua_State *S, struct isolate *iso, const uint8_t **at) {
  struct store_handle *host = (struct store_handle *)(uintptr_t)take_number(at);
  uint64_t load = take_number(at), clock = take_number(at);
  if (lua_rawgetp(S, LUA_REGISTRYINDEX, host) != LUA_TNIL) return;
  lua_pop(S, 1);
  if (iso->store_count == ISOLATE_STORES)
    luaL_error(S, "an isolate borrows at most %d stores", ISOLATE_STORES);
  struct store_handle *mine = store_push_borrowed(S);
  mine->load = refer_crossed(S, load);
  mine->clock = refer_crossed(S, clock);
  lua_pushvalue(S, -1);
  lua_rawsetp(S, LUA_REGISTRYINDEX, host);
  struct borrowed *b = &iso->stores[iso->store_count++];
  *b = (struct borrowed){.host = host, .mine = mine};
  crossing_lend(b);
}

static void read_any(lua_State *S, struct isolate *iso, const uint8_t **at) {
  switch (**at) {
    case 's':
      ++*at;
      read_store(S, iso, at);
      return;
    case 'f':
      ++*at;
      push_crossed(S, take_number(at));
      return;
    case 't': {
      ++*at;
      read_plain(S, at);
      for (uint64_t n = take_number(at); n > 0; n--) {
        read_plain(S, at);
        read_any(S, iso, at);
        lua_rawset(S, -3);
      }
      return;
    }
    default: read_plain(S, at);
  }
}

int crossing_read(lua_State *S, struct isolate *iso) {
  const uint8_t *at = iso->crossing.bytes, *end = at + iso->crossing.length;
  int n = 0;
  for (; at < end; n++) {
    luaL_checkstack(S, LUA_MINSTACK, "too many values");
    read_any(S, iso, &at);
  }
  return n;
}
