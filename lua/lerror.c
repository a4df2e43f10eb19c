/* lerror.c: what went wrong, as Lua sees it. */
#include "lrille.h"

#define NEAR_DISTANCE 2
#define WORD_MOST 32

void set_integer(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

static void set_stream(lua_State *L, const rille_error *e) {
  lua_pushlstring(L, e->stream, e->stream_length);
  lua_setfield(L, -2, "stream");
}

/* Which transaction holds it, whose it is, and for how many seconds. */
static void set_holder(lua_State *L, const rille_error *e) {
  if (!e->transaction[0]) return;
  lua_pushstring(L, e->transaction);
  lua_setfield(L, -2, "transaction");
  lua_pushstring(L, e->coordinator);
  lua_setfield(L, -2, "coordinator");
  lua_pushnumber(L, (lua_Number)e->age_us / MICROSECONDS);
  lua_setfield(L, -2, "age");
}

static void push_detail(lua_State *L, const rille_error *e) {
  lua_newtable(L);
  if (e->system) set_integer(L, "errno", (uint64_t)e->system);
  switch (e->code) {
    case RILLE_CONFLICT:
      if (e->condition != RILLE_CONDITION_VERSION) {
        set_integer(L, "position", e->position);
        break;
      }
      set_stream(L, e);
      set_integer(L, "version", e->version);
      break;
    case RILLE_DUPLICATE: set_stream(L, e); break;
    case RILLE_LOCKED: set_holder(L, e); break;
    case RILLE_BUSY:
      if (e->pid) set_integer(L, "pid", (uint64_t)e->pid);
      break;
    case RILLE_CORRUPT:
      set_integer(L, "address", e->address);
      set_integer(L, "position", e->position);
      break;
    default: break;
  }
}

int error_push(lua_State *L, const rille_error *e) {
  if (e->code == RILLE_MEMORY) return luaL_error(L, "not enough memory");
  lua_pushnil(L);
  lua_pushstring(L, e->message);
  lua_pushstring(L, rille_code_name(e->code));
  push_detail(L, e);
  return 4;
}

int error_raise(lua_State *L, const rille_error *e) {
  int base = lua_gettop(L);
  error_push(L, e);
  lua_createtable(L, 0, 3);
  lua_pushvalue(L, base + 2);
  lua_setfield(L, -2, "message");
  lua_pushvalue(L, base + 3);
  lua_setfield(L, -2, "code");
  lua_pushvalue(L, base + 4);
  lua_setfield(L, -2, "detail");
  return lua_error(L);
}

int error_push_message(lua_State *L, const char *code) {
  lua_pushnil(L);
  lua_insert(L, -2);
  lua_pushstring(L, code);
  return 3;
}

int error_push_closed(lua_State *L, const char *what) {
  lua_pushfstring(L, "the %s is closed", what);
  return error_push_message(L, "closed");
}

/* Levenshtein's distance of two short words, by one row. */
static int distance(const char *a, const char *b) {
  int row[WORD_MOST + 1], na = (int)strlen(a), nb = (int)strlen(b);
  if (na > WORD_MOST || nb > WORD_MOST) return WORD_MOST;
  for (int j = 0; j <= nb; j++) row[j] = j;
  for (int i = 1; i <= na; i++) {
    int corner = row[0];
    row[0] = i;
    for (int j = 1; j <= nb; j++) {
      int change = corner + (a[i - 1] != b[j - 1]),
          least = row[j] < row[j - 1] ? row[j] : row[j - 1];
      corner = row[j];
      row[j] = change < least + 1 ? change : least + 1;
    }
  }
  return row[nb];
}

const char *error_nearest(const char *word, const char *const *names) {
  const char *nearest = NULL;
  int least = NEAR_DISTANCE + 1;
  for (; *names; names++) {
    int d = distance(word, *names);
    if (d < least) least = d, nearest = *names;
  }
  return nearest;
}
