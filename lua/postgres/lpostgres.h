/* lpostgres.h: what the two C files of rille.postgres share: a connection, a command's
** parameters, and its result. */
#ifndef RILLE_LPOSTGRES_H
#define RILLE_LPOSTGRES_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* clock_gettime; so this header comes first */
#endif

#include "../lcompat.h"

#include <libpq-fe.h>
#include <unistd.h>

#define CONNECTION_HANDLE "rille.postgres.connection"
#define PARAMETERS_MOST 65535 /* of one command: the protocol counts them in 16 bits */
#define OID_BYTEA 17          /* numbers of types never change: pg_type.dat */

/* How waiting for the server ended. */
enum waited { WAITED_READY, WAITED_LATE, WAITED_LOST, WAITED_COPY };

/* A connection as Lua holds it. Used by the process that made it alone. */
struct connection {
  PGconn *conn; /* NULL: closed */
  pid_t owner;
  int busy; /* within a command: what an error of a hook leaves behind is useless */
};

/* Waits for events of poll() on its socket. Lua's hooks may run, and may raise. */
enum waited connection_wait(lua_State *L, struct connection *c, short events, lua_Number deadline);

/* ---- lpostgresvalue.c ---- */

/* A result as the stack holds it, so that an error leaks none. */
struct result {
  PGresult *result; /* NULL: none */
};
struct result *result_push(lua_State *L);

/* Parameters as libpq takes them. Everything lives on the stack of the caller. */
struct parameters {
  int count;
  int bytes; /* one is a string whose meaning as text and as bytes differs */
  const char **values;
  int *lengths, *formats;
};

/* Of the list at index with its field n; none where that is nil. Pushes what holds them.
** Raises where one is of a type that has no place in SQL. */
void parameters_read(lua_State *L, int index, struct parameters *p);

/* Pushes { tag=, count=, rows= }; rows by the columns' names, values of their types. */
int result_push_rows(lua_State *L, PGresult *result);
/* Pushes { sqlstate=, severity=, message=, constraint= }. */
int result_push_failure(lua_State *L, const PGresult *result);

/* Expects the module rille on top of the stack, and takes it. */
void values_open(lua_State *L);

#endif
