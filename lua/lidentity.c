/* lidentity.c: what rille/script.lua needs of C: who a script is, and whether a file
** has changed.
**
** A script's identity is a SHA-256 of everything that decides what it computes:
**
**   "rille script 1"     its rules; another number where scripts come to mean more
**   kind of Lua          "Lua 5.4", bytes of an integer, bytes of a number
**   parameters           0 | 1, length (8), bytes as rille.encode makes them
**   each file            length (8), name, then 't' and its tokens, or where these
**                        can't be told 'b', length (8) and the text
**   end of a file        0, which is no kind of token
*/
#include "../core/sha256.h"
#include "../core/system.h"
#include "lidentity.h"
#include "lrille.h"
#include "ltoken.h"

#define RULES "rille script 1"
#define SECOND_US 1e6

static void feed_byte(struct sha256 *sum, uint8_t byte) { sha256_feed(sum, &byte, 1); }

static void feed_text(struct sha256 *sum, const char *bytes, size_t n) {
  uint8_t length[8];
  put64(length, n);
  sha256_feed(sum, length, sizeof length);
  sha256_feed(sum, bytes, n);
}

static void feed_kind(struct sha256 *sum) {
  static const char kind[] = RULES "\n" LUA_VERSION;
  feed_text(sum, kind, sizeof kind - 1);
  feed_byte(sum, sizeof(lua_Integer));
  feed_byte(sum, sizeof(lua_Number));
}

static void feed_params(lua_State *L, int index, struct sha256 *sum) {
  size_t n;
  const char *bytes = luaL_optlstring(L, index, NULL, &n);
  feed_byte(sum, bytes != NULL);
  if (bytes) feed_text(sum, bytes, n);
}

/* The field of the table on top of the stack, which keeps the string alive. */
static const char *field(lua_State *L, const char *name, size_t *n) {
  if (lua_getfield(L, -1, name) != LUA_TSTRING) luaL_error(L, "a file needs a %s", name);
  const char *text = lua_tolstring(L, -1, n);
  lua_pop(L, 1);
  return text;
}

static void feed_file(lua_State *L, struct sha256 *sum) {
  size_t n;
  const char *name = field(L, "name", &n);
  feed_text(sum, name, n);
  const char *text = field(L, "text", &n);
  struct sha256 before = *sum;
  feed_byte(sum, 't');
  if (!token_feed(sum, text, n)) {
    *sum = before;
    feed_byte(sum, 'b');
    feed_text(sum, text, n);
  }
  feed_byte(sum, 0);
}

/* script_identity({ { name =, text = } ... } [, params]) --> 32 bytes */
static int script_identity(lua_State *L) {
  struct sha256 sum;
  uint8_t bytes[SHA256_BYTES];
  luaL_checktype(L, 1, LUA_TTABLE);
  sha256_begin(&sum);
  feed_kind(&sum);
  feed_params(L, 2, &sum);
  for (lua_Integer i = 1; lua_geti(L, 1, i) == LUA_TTABLE; i++) {
    feed_file(L, &sum);
    lua_pop(L, 1);
  }
  sha256_end(&sum, bytes);
  lua_pushlstring(L, (const char *)bytes, sizeof bytes);
  return 1;
}

/* file_stamp(path) --> bytes that differ once the file was changed, seconds since then;
** nil where there is none. What is no plain file (a pipe, a folder) has an empty stamp
** and is as old as can be: it can be read once at most, so it is never read again. */
static int file_stamp(lua_State *L) {
  struct system_stamp stamp;
  if (system_stamp(luaL_checkstring(L, 1), &stamp)) return 0;
  lua_pushlstring(L, (const char *)&stamp, stamp.plain ? sizeof stamp : 0);
  int64_t age_us = system_clock_us() - stamp.changed_ns / 1000;
  lua_pushnumber(L, stamp.plain ? (lua_Number)age_us / SECOND_US : (lua_Number)INT64_MAX);
  return 2;
}

/* pause(seconds) */
static int pause_for(lua_State *L) {
  lua_Number seconds = luaL_checknumber(L, 1);
  if (seconds > 0) system_pause((int64_t)(seconds * SECOND_US) + 1);
  return 0;
}

void identity_push(lua_State *L) {
  static const luaL_Reg functions[] = {{"script_identity", script_identity},
                                       {"file_stamp", file_stamp},
                                       {"pause", pause_for},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
