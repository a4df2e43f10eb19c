/* lwait.c: store:wait: sleep until an event is there.
**
** It sleeps in slices, and between two of them Lua may run its hooks, because that
** is how ^C reaches a program that runs in a Lua of its own; and what is due and no
** thread does is done, because what is waited for may be a flush. */
#include "lrille.h"

#include <math.h>
#include <time.h>

#define SLICE_MS 200

/* Only differences mean something. */
static lua_Number seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9;
}

static int64_t slice_ms(lua_Number left) {
  lua_Number ms = ceil(left * 1000);
  return ms > SLICE_MS ? SLICE_MS : ms > 0 ? (int64_t)ms : 0;
}

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

/* Every call is where a hook may run; it may raise, and may close the store. */
static void let_hooks_run(lua_State *L) {
  lua_pushcfunction(L, nothing);
  lua_call(L, 0, 0);
}

static int wait_until(lua_State *L, const struct store_handle *s, uint64_t position,
                      lua_Number end) {
  rille_error e;
  for (;;) {
    if (!s->store) return error_push_closed(L, "store");
    int result = rille_store_poll(s->store, &e);
    if (result == 0)
      result = rille_store_wait(s->store, position, slice_ms(end - seconds_now()), &e);
    if (result < 0) return error_push(L, &e);
    if (result == 0 || seconds_now() >= end) {
      lua_pushboolean(L, result == 0);
      return 1;
    }
    let_hooks_run(L);
  }
}

static lua_Integer check_position(lua_State *L, int index) {
  int exact;
  luaL_checktype(L, index, LUA_TNUMBER);
  lua_Integer position = lua_tointegerx(L, index, &exact);
  if (!exact) luaL_argerror(L, index, "a position is an integer");
  return position;
}

/* wait(position, seconds) -> true | false (not yet) | nil, message, code, detail */
int store_wait(lua_State *L) {
  struct store_handle *s = store_check(L, 1);
  lua_Integer position = lua_isnoneornil(L, 2) ? 0 : check_position(L, 2);
  if (!lua_isnoneornil(L, 3)) luaL_checktype(L, 3, LUA_TNUMBER);
  lua_Number seconds = luaL_optnumber(L, 3, HUGE_VAL);
  if (!s->store) return error_push_closed(L, "store");
  if (position < 0 || !(seconds >= 0)) {
    lua_pushfstring(L, "%s must not be negative", position < 0 ? "position" : "seconds");
    return error_push_message(L, "invalid");
  }
  if (lua_isnoneornil(L, 2)) position = (lua_Integer)rille_store_head(s->store) + 1;
  return wait_until(L, s, (uint64_t)position, seconds_now() + seconds);
}
