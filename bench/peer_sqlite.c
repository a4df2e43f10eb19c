/* peer_sqlite.c: SQLite through its C API, as an event store is usually made of
** it: one table of events, prepared statements, write-ahead log, one transaction
** an append. UNIQUE(stream, version) is its check of the expected version. */
#include "peer.h"

#ifdef NO_SQLITE

const struct peer peer_sqlite = {.name = "sqlite"};

#else

#include <sqlite3.h>
#include <stdlib.h>

#include "measure.h"
#include "scratch.h"

enum statement { BEGIN, COMMIT, INSERT, INSERT_TAG, SCAN, READ, READ_TAG, STATEMENTS };

static const char *const texts[STATEMENTS] = {
  [BEGIN] = "BEGIN IMMEDIATE",
  [COMMIT] = "COMMIT",
  [INSERT] = "INSERT INTO events (stream, version, type, time, data) VALUES (?, ?, ?, ?, ?)",
  [INSERT_TAG] = "INSERT INTO tags (tag, position) VALUES (?, ?)",
  [SCAN] = "SELECT * FROM events ORDER BY position",
  [READ] = "SELECT * FROM events WHERE stream = ? ORDER BY version",
  [READ_TAG] = "SELECT events.* FROM tags JOIN events USING (position) WHERE tag = ?"
               " ORDER BY position"};

enum column { POSITION, STREAM, VERSION, TYPE, TIME, DATA };

/* fullfsync matters on macOS only, where rille flushes that way too. */
static const char schema[] =
  "PRAGMA journal_mode = WAL; PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1;"
  "CREATE TABLE IF NOT EXISTS events (position INTEGER PRIMARY KEY, stream TEXT, version INTEGER,"
  " type TEXT, time INTEGER, data BLOB, UNIQUE (stream, version));"
  "CREATE TABLE IF NOT EXISTS tags (tag TEXT, position INTEGER, PRIMARY KEY (tag, position))"
  " WITHOUT ROWID;";

/* Found by trying: each of these is the fastest for its rows and slower than the
** defaults for the others. A page cache of 64 MiB is what rille's overlay may
** take; a log of 16 384 pages is checkpointed less often than the default 1000;
** pages read from a map are not copied. */
static const char *const tuning[] = {
  [READING] = "PRAGMA mmap_size = 4294967296",
  [SMALL_APPENDS] = "PRAGMA cache_size = -65536",
  [LARGE_APPENDS] = "PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 16384"};

#define BUSY_MS 30000           /* how long one process waits for another's transaction */

struct handle {
  sqlite3 *db;
  sqlite3_stmt *statements[STATEMENTS];
};

static const char *sqlite_about(void) { return "SQLite " SQLITE_VERSION; }

static void check(struct handle *h, int result, int wanted, const char *what) {
  if (result != wanted) die("SQLite: %s: %s", what, sqlite3_errmsg(h->db));
}

static void execute(struct handle *h, const char *text) {
  check(h, sqlite3_exec(h->db, text, NULL, NULL, NULL), SQLITE_OK, text);
}

static void *sqlite_open(const char *path, const struct peer_mode *mode) {
  struct handle *h = calloc(1, sizeof *h);
  if (!h) die("no memory");
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  check(h, sqlite3_open_v2(path, &h->db, flags, NULL), SQLITE_OK, "open");
  check(h, sqlite3_busy_timeout(h->db, BUSY_MS), SQLITE_OK, "busy_timeout");
  execute(h, mode->durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = OFF");
  execute(h, tuning[mode->purpose]);
  execute(h, schema);
  for (int i = 0; i < STATEMENTS; i++)
    check(h, sqlite3_prepare_v3(h->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &h->statements[i],
                                NULL), SQLITE_OK, texts[i]);
  return h;
}

static void sqlite_close(void *handle) {
  struct handle *h = handle;
  for (int i = 0; i < STATEMENTS; i++) sqlite3_finalize(h->statements[i]);
  check(h, sqlite3_close(h->db), SQLITE_OK, "close");
  free(h);
}

static void run(struct handle *h, enum statement which) {
  check(h, sqlite3_step(h->statements[which]), SQLITE_DONE, texts[which]);
  check(h, sqlite3_reset(h->statements[which]), SQLITE_OK, texts[which]);
}

static void bind_text(struct handle *h, enum statement which, int place, rille_text text) {
  check(h, sqlite3_bind_text(h->statements[which], place, text.bytes, (int)text.length,
                             SQLITE_STATIC), SQLITE_OK, texts[which]);
}

static void bind_number(struct handle *h, enum statement which, int place, int64_t number) {
  check(h, sqlite3_bind_int64(h->statements[which], place, number), SQLITE_OK, texts[which]);
}

static void insert(struct handle *h, const struct input *event, int64_t time_us) {
  bind_text(h, INSERT, STREAM, event->stream);
  bind_number(h, INSERT, VERSION, (int64_t)event->version);
  bind_text(h, INSERT, TYPE, event->type);
  bind_number(h, INSERT, TIME, time_us);
  check(h, sqlite3_bind_blob(h->statements[INSERT], DATA, event->data.bytes,
                             (int)event->data.length, SQLITE_STATIC), SQLITE_OK, "data");
  run(h, INSERT);
  if (event->tag_count == 0) return;
  bind_number(h, INSERT_TAG, 2, sqlite3_last_insert_rowid(h->db));
  for (size_t i = 0; i < event->tag_count; i++) {
    bind_text(h, INSERT_TAG, 1, event->tags[i]);
    run(h, INSERT_TAG);
  }
}

/* A single INSERT is a transaction by itself: cheaper for SQLite than BEGIN and COMMIT. */
static void sqlite_append(void *handle, const struct input *events, size_t n) {
  struct handle *h = handle;
  int64_t time_us = clock_wall_us();
  bool several = n > 1 || events[0].tag_count > 0;
  if (several) run(h, BEGIN);
  for (size_t i = 0; i < n; i++) insert(h, &events[i], time_us);
  if (several) run(h, COMMIT);
}

static rille_text column(sqlite3_stmt *s, enum column which) {
  const void *bytes = which == DATA ? sqlite3_column_blob(s, which)
                                    : (const void *)sqlite3_column_text(s, which);
  if (!bytes) die("SQLite: a column is empty");
  return (rille_text){bytes, (size_t)sqlite3_column_bytes(s, which)};
}

static void read_rows(struct handle *h, enum statement which, struct tally *tally) {
  sqlite3_stmt *s = h->statements[which];
  int result;
  while ((result = sqlite3_step(s)) == SQLITE_ROW) {
    if (sqlite3_column_int64(s, TIME) <= 0) die("SQLite: an event has no time");
    tally_event(tally, (uint64_t)sqlite3_column_int64(s, POSITION),
                (uint64_t)sqlite3_column_int64(s, VERSION), column(s, STREAM), column(s, TYPE),
                column(s, DATA));
  }
  check(h, result, SQLITE_DONE, texts[which]);
  check(h, sqlite3_reset(s), SQLITE_OK, texts[which]);
}

static void sqlite_scan(void *handle, struct tally *tally) { read_rows(handle, SCAN, tally); }

static void sqlite_read_stream(void *handle, rille_text stream, struct tally *tally) {
  bind_text(handle, READ, 1, stream);
  read_rows(handle, READ, tally);
}

static void sqlite_read_tag(void *handle, rille_text tag, struct tally *tally) {
  bind_text(handle, READ_TAG, 1, tag);
  read_rows(handle, READ_TAG, tally);
}

const struct peer peer_sqlite = {.name = "sqlite",
                                 .about = sqlite_about,
                                 .open = sqlite_open,
                                 .close = sqlite_close,
                                 .append = sqlite_append,
                                 .scan = sqlite_scan,
                                 .read_stream = sqlite_read_stream,
                                 .read_tag = sqlite_read_tag};

#endif
