/* peer_databases.c: PostgreSQL as one would make a transaction over two of its databases: both
** are prepared, then both are committed; each step is sent to both before either's answer is
** waited for. It is spared what a coordinator must also do, to write down its decision. The
** statements are prepared; each step is one message and one answer a database. */
#include "peer_pair.h"

#ifdef NO_PQ

const struct peer peer_databases = {.name = "databases"};

#else

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure.h"
#include "scratch.h"
#include "server.h"

#define TEXT_BYTES 1024
#define BASES 2

struct handle {
  PGconn *bases[BASES];
  unsigned long made;              /* of this handle's transactions */
};

static const char *databases_about(void) {
  static char text[64];
  int version = PQlibVersion();
  snprintf(text, sizeof text, "PostgreSQL (libpq %d.%d)", version / 10000, version % 10000);
  return text;
}

static void fail(PGconn *base, const char *what) {
  die("PostgreSQL: %s: %s", what, PQerrorMessage(base));
}

/* All of an answer; the last of its results must have this tag. */
static void expect(PGconn *base, const char *tag) {
  PGresult *result, *last = NULL;
  while ((result = PQgetResult(base))) {
    if (PQresultStatus(result) != PGRES_COMMAND_OK) fail(base, tag);
    PQclear(last);
    last = result;
  }
  if (!last || strcmp(PQcmdStatus(last), tag) != 0) fail(base, tag);
  PQclear(last);
}

static void ask(PGconn *base, const char *text) {
  if (!PQsendQuery(base, text)) fail(base, text);
}

/* A turn's tables have the name of its folder. */
static PGconn *open_base(const char *name, const char *table) {
  char text[PATH_BYTES];
  server_reach(text, name);
  PGconn *base = PQconnectdb(text);
  if (PQstatus(base) != CONNECTION_OK) fail(base, "connect");
  snprintf(text, sizeof text,
           "SET client_min_messages = warning;"
           "CREATE TABLE IF NOT EXISTS \"%s\" (position BIGSERIAL PRIMARY KEY, stream TEXT,"
           " version BIGINT, type TEXT, time BIGINT, data BYTEA, UNIQUE (stream, version));"
           "PREPARE put AS INSERT INTO \"%s\" (stream, version, type, time, data)"
           " VALUES ($1, $2, $3, $4, $5)", table, table);
  ask(base, text);
  expect(base, "PREPARE");
  return base;
}

static void *databases_open(const char *path, const struct peer_mode *mode) {
  static const char *const names[BASES] = {"home", "other"};
  struct handle *h = calloc(1, sizeof *h);
  if (!h) die("no memory");
  (void)mode;
  for (int i = 0; i < BASES; i++) h->bases[i] = open_base(names[i], strrchr(path, '/') + 1);
  return h;
}

static void databases_close(void *handle) {
  struct handle *h = handle;
  for (int i = 0; i < BASES; i++) PQfinish(h->bases[i]);
  free(h);
}

static void hex(char *to, rille_text bytes) {
  for (size_t i = 0; i < bytes.length; i++)
    sprintf(to + 2 * i, "%02x", (unsigned)(unsigned char)bytes.bytes[i]);
}

static void send_prepare(struct handle *h, int i, const struct input *event) {
  char text[TEXT_BYTES], data[2 * DATA_BYTES + 1];
  hex(data, event->data);
  snprintf(text, sizeof text,
           "BEGIN; EXECUTE put('%.*s', %llu, '%.*s', %lld, '\\x%s');"
           " PREPARE TRANSACTION 'bench-%ld-%lu-%d'",
           (int)event->stream.length, event->stream.bytes, (unsigned long long)event->version,
           (int)event->type.length, event->type.bytes, (long long)clock_wall_us(), data,
           (long)getpid(), h->made, i);
  ask(h->bases[i], text);
}

static void send_commit(struct handle *h, int i) {
  char text[TEXT_BYTES];
  snprintf(text, sizeof text, "COMMIT PREPARED 'bench-%ld-%lu-%d'", (long)getpid(), h->made, i);
  ask(h->bases[i], text);
}

static void transact(struct handle *h, const struct input *events) {
  h->made++;
  for (int i = 0; i < BASES; i++) send_prepare(h, i, &events[i]);
  for (int i = 0; i < BASES; i++) expect(h->bases[i], "PREPARE TRANSACTION");
  for (int i = 0; i < BASES; i++) send_commit(h, i);
  for (int i = 0; i < BASES; i++) expect(h->bases[i], "COMMIT PREPARED");
}

static void databases_append(void *handle, const struct input *events, size_t n) {
  for (size_t i = 0; i + 1 < n; i += BASES) transact(handle, &events[i]);
}

const struct peer peer_databases = {.name = "databases",
                                    .about = databases_about,
                                    .open = databases_open,
                                    .close = databases_close,
                                    .append = databases_append,
                                    .start = server_start,
                                    .stop = server_stop};

#endif
