/* lpostgresvalue.c: Lua values as parameters of SQL, and rows as Lua values.
**
**   Lua                    as a parameter            from a column
**   nil, rille.null        NULL                      NULL: rille.null
**   boolean                true, false               bool
**   integer                its digits                int2, int4, int8, oid
**   float                  17 digits, Infinity, NaN  float4, float8
**   string                 as it is; the bytes,      bytea: the bytes
**                          where a bytea is wanted   all others: their text
**
** numeric comes as text, because no Lua number holds all of its digits. The server decides
** of which type a parameter is, by the place where it stands. */
#include "lpostgres.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESULT_HANDLE "rille.postgres.result"
#define NUMBER_BYTES 40

enum {
  OID_BOOL = 16,
  OID_INT8 = 20,
  OID_INT2 = 21,
  OID_INT4 = 23,
  OID_OID = 26,
  OID_FLOAT4 = 700,
  OID_FLOAT8 = 701
};

static const char NULL_KEY[] = "rille.null";

static void push_null(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, NULL_KEY); }

static int is_null(lua_State *L, int index) {
  push_null(L);
  int same = lua_rawequal(L, index, -1);
  lua_pop(L, 1);
  return same;
}

/* ---- Parameters ---- */

static const char *push_float(lua_State *L, lua_Number n) {
  char text[NUMBER_BYTES];
  if (isnan(n)) return lua_pushliteral(L, "NaN");
  if (isinf(n)) return n > 0 ? lua_pushliteral(L, "Infinity") : lua_pushliteral(L, "-Infinity");
  snprintf(text, sizeof text, "%.17g", n);
  for (char *c = text; *c; c++)
    if (!strchr("0123456789+-e", *c)) *c = '.'; /* whatever the locale writes */
  return lua_pushstring(L, text);
}

/* As text and as bytes the same: so is plain ASCII without the escape of bytea. */
static int is_plain(const char *bytes, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (bytes[i] == '\0' || bytes[i] == '\\' || (unsigned char)bytes[i] >= 0x80) return 0;
  return 1;
}

/* Pushes the value on top of the stack as text, or NULL as nil. */
static void push_text(lua_State *L, int number) {
  switch (lua_type(L, -1)) {
    case LUA_TNIL: lua_pushnil(L); return;
    case LUA_TBOOLEAN: lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false"); return;
    case LUA_TSTRING: lua_pushvalue(L, -1); return;
    case LUA_TNUMBER:
      if (!lua_isinteger(L, -1)) {
        push_float(L, lua_tonumber(L, -1));
        return;
      }
      lua_pushvalue(L, -1);
      compat_integer_to_text(L, lua_gettop(L));
      return;
    default: break;
  }
  if (lua_isinteger(L, -1)) {
    lua_pushvalue(L, -1);
    compat_integer_to_text(L, lua_gettop(L));
    return;
  }
  if (!is_null(L, lua_absindex(L, -1)))
    luaL_error(L, "parameter $%d is a %s: SQL takes strings, numbers, booleans and rille.null",
               number, luaL_typename(L, -1));
  lua_pushnil(L);
}

/* Parameter i + 1, whose text the table at `keep` holds. */
static void read_one(lua_State *L, int list, int keep, int i, struct parameters *p) {
  size_t length = 0;
  lua_geti(L, list, i + 1);
  push_text(L, i + 1);
  p->values[i] = lua_tolstring(L, -1, &length);
  p->lengths[i] = (int)length;
  p->formats[i] = p->values[i] && memchr(p->values[i], 0, length) != NULL; /* text ends there */
  if (p->values[i] && !is_plain(p->values[i], length)) p->bytes = 1;
  lua_rawseti(L, keep, i + 1);
  lua_pop(L, 1);
}

void parameters_read(lua_State *L, int index, struct parameters *p) {
  lua_Integer count = 0;
  memset(p, 0, sizeof *p);
  if (lua_isnil(L, index)) return;
  lua_getfield(L, index, "n");
  count = lua_tointeger(L, -1);
  lua_pop(L, 1);
  if (count > PARAMETERS_MOST)
    luaL_error(L, "%d parameters are too many: %d at most", (int)count, PARAMETERS_MOST);
  p->count = (int)count;
  size_t n = (size_t)(count > 0 ? count : 1);
  p->values = lua_newuserdatauv(L, n * sizeof *p->values, 0);
  p->lengths = lua_newuserdatauv(L, n * sizeof *p->lengths, 0);
  p->formats = lua_newuserdatauv(L, n * sizeof *p->formats, 0);
  lua_createtable(L, p->count, 0);
  int keep = lua_gettop(L);
  for (int i = 0; i < p->count; i++) read_one(L, index, keep, i, p);
}

/* ---- Results ---- */

static int result_clear(lua_State *L) {
  struct result *holder = luaL_checkudata(L, 1, RESULT_HANDLE);
  PQclear(holder->result);
  holder->result = NULL;
  return 0;
}

struct result *result_push(lua_State *L) {
  struct result *holder = lua_newuserdatauv(L, sizeof *holder, 0);
  holder->result = NULL;
  if (luaL_newmetatable(L, RESULT_HANDLE)) {
    lua_pushcfunction(L, result_clear);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return holder;
}

static void push_number(lua_State *L, const char *text) {
  if (strcmp(text, "NaN") == 0) lua_pushnumber(L, (lua_Number)NAN);
  else if (strcmp(text, "Infinity") == 0) lua_pushnumber(L, (lua_Number)INFINITY);
  else if (strcmp(text, "-Infinity") == 0) lua_pushnumber(L, -(lua_Number)INFINITY);
  else if (lua_stringtonumber(L, text) == 0) lua_pushstring(L, text);
}

static void push_float_of(lua_State *L, const char *text) {
  push_number(L, text);
  if (!lua_isinteger(L, -1)) return;
  lua_pushnumber(L, lua_tonumber(L, -1));
  lua_remove(L, -2);
}

static int hex(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

/* Of "\x0a1b", which is how a session asks for them, unless a statement has changed that. */
static void push_bytes(lua_State *L, const char *text, size_t length) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 2; i + 1 < length; i += 2)
    luaL_addchar(&b, (char)(hex(text[i]) << 4 | hex(text[i + 1])));
  luaL_pushresult(&b);
}

static void push_value(lua_State *L, const PGresult *r, int row, int column) {
  if (PQgetisnull(r, row, column)) {
    push_null(L);
    return;
  }
  const char *text = PQgetvalue(r, row, column);
  size_t length = (size_t)PQgetlength(r, row, column);
  switch (PQftype(r, column)) {
    case OID_BOOL: lua_pushboolean(L, text[0] == 't'); return;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_OID: push_number(L, text); return;
    case OID_FLOAT4:
    case OID_FLOAT8: push_float_of(L, text); return;
    case OID_BYTEA:
      if (length >= 2 && text[0] == '\\' && text[1] == 'x') {
        push_bytes(L, text, length);
        return;
      }
      break;
    default: break;
  }
  lua_pushlstring(L, text, length);
}

static void push_row(lua_State *L, const PGresult *r, int row) {
  int columns = PQnfields(r);
  lua_createtable(L, 0, columns);
  for (int i = 0; i < columns; i++) {
    push_value(L, r, row, i);
    lua_setfield(L, -2, PQfname(r, i));
  }
}

/* How many rows a command has written, or gives. */
static lua_Integer count_of(PGresult *r) {
  const char *told = PQcmdTuples(r);
  return *told ? (lua_Integer)strtoll(told, NULL, 10) : PQntuples(r);
}

int result_push_rows(lua_State *L, PGresult *r) {
  lua_createtable(L, 0, 3);
  lua_pushstring(L, PQcmdStatus(r));
  lua_setfield(L, -2, "tag");
  lua_pushinteger(L, count_of(r));
  lua_setfield(L, -2, "count");
  lua_createtable(L, PQntuples(r), 0);
  for (int i = 0; i < PQntuples(r); i++) {
    push_row(L, r, i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "rows");
  return 1;
}

static void set_field(lua_State *L, const PGresult *r, int code, const char *name) {
  const char *text = PQresultErrorField(r, code);
  if (!text) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

int result_push_failure(lua_State *L, const PGresult *r) {
  lua_newtable(L);
  set_field(L, r, PG_DIAG_SQLSTATE, "sqlstate");
  set_field(L, r, PG_DIAG_SEVERITY_NONLOCALIZED, "severity");
  set_field(L, r, PG_DIAG_MESSAGE_PRIMARY, "message");
  set_field(L, r, PG_DIAG_MESSAGE_HINT, "hint");
  set_field(L, r, PG_DIAG_CONSTRAINT_NAME, "constraint");
  set_field(L, r, PG_DIAG_TABLE_NAME, "table");
  lua_getfield(L, -1, "message");
  if (lua_isnil(L, -1)) { /* libpq's own, such as a result too big for its memory */
    lua_pushstring(L, PQresultErrorMessage(r));
    lua_setfield(L, -3, "message");
  }
  lua_pop(L, 1);
  return 1;
}

void values_open(lua_State *L) {
  lua_getfield(L, -1, "null");
  lua_rawsetp(L, LUA_REGISTRYINDEX, NULL_KEY);
  lua_pop(L, 1);
}
