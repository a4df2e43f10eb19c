/* peer_attached.c: SQLite's transaction over two files: one connection, the second file
** attached. It is atomic across files in the modes with a rollback journal alone, so not with
** the write-ahead log; then by a super-journal, which names the journals of both. */
#include "peer_pair.h"

#ifdef NO_SQLITE

const struct peer peer_attached = {.name = "attached"};

#else

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "measure.h"
#include "scratch.h"

enum statement { BEGIN, COMMIT, HOME, OTHER, STATEMENTS };

#define INSERT(where) \
  "INSERT INTO " where ".events (stream, version, type, time, data) VALUES (?, ?, ?, ?, ?)"

static const char *const texts[STATEMENTS] = {
  [BEGIN] = "BEGIN IMMEDIATE", [COMMIT] = "COMMIT", [HOME] = INSERT("main"),
  [OTHER] = INSERT("other")};

enum parameter { STREAM = 1, VERSION, TYPE, TIME, DATA };

/* DELETE is the default; TRUNCATE and PERSIST are neither faster nor slower. fullfsync matters
** on macOS only, where rille flushes that way too. */
#define SET_UP(where)                                                                       \
  "PRAGMA " where ".journal_mode = DELETE;  PRAGMA " where ".synchronous = FULL;"           \
  "PRAGMA " where ".cache_size = -65536;"                                                   \
  "CREATE TABLE IF NOT EXISTS " where ".events (position INTEGER PRIMARY KEY, stream TEXT," \
  " version INTEGER, type TEXT, time INTEGER, data BLOB, UNIQUE (stream, version));"

static const char set_up[] = "PRAGMA fullfsync = 1;" SET_UP("main") SET_UP("other");

#define BUSY_MS 30000           /* how long one process waits for another's transaction */

struct handle {
  sqlite3 *db;
  sqlite3_stmt *statements[STATEMENTS];
};

static const char *attached_about(void) { return "SQLite " SQLITE_VERSION ", two files"; }

static void check(struct handle *h, int result, int wanted, const char *what) {
  if (result != wanted) die("SQLite: %s: %s", what, sqlite3_errmsg(h->db));
}

static void execute(struct handle *h, const char *text) {
  check(h, sqlite3_exec(h->db, text, NULL, NULL, NULL), SQLITE_OK, text);
}

static void *attached_open(const char *path, const struct peer_mode *mode) {
  char home[PATH_BYTES];
  struct handle *h = calloc(1, sizeof *h);
  if (!h) die("no memory");
  (void)mode;
  if (snprintf(home, sizeof home, "%s/home.db", path) >= PATH_BYTES) die("path too long");
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  check(h, sqlite3_open_v2(home, &h->db, flags, NULL), SQLITE_OK, "open");
  check(h, sqlite3_busy_timeout(h->db, BUSY_MS), SQLITE_OK, "busy_timeout");
  char *attach = sqlite3_mprintf("ATTACH '%q/other.db' AS other", path);
  if (!attach) die("no memory");
  execute(h, attach);
  sqlite3_free(attach);
  execute(h, set_up);
  for (int i = 0; i < STATEMENTS; i++)
    check(h, sqlite3_prepare_v3(h->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &h->statements[i],
                                NULL), SQLITE_OK, texts[i]);
  return h;
}

static void attached_close(void *handle) {
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

static void insert(struct handle *h, enum statement which, const struct input *event) {
  bind_text(h, which, STREAM, event->stream);
  bind_number(h, which, VERSION, (int64_t)event->version);
  bind_text(h, which, TYPE, event->type);
  bind_number(h, which, TIME, clock_wall_us());
  check(h, sqlite3_bind_blob(h->statements[which], DATA, event->data.bytes,
                             (int)event->data.length, SQLITE_STATIC), SQLITE_OK, "data");
  run(h, which);
}

static void attached_append(void *handle, const struct input *events, size_t n) {
  struct handle *h = handle;
  for (size_t i = 0; i + 1 < n; i += 2) {
    run(h, BEGIN);
    insert(h, HOME, &events[i]);
    insert(h, OTHER, &events[i + 1]);
    run(h, COMMIT);
  }
}

const struct peer peer_attached = {.name = "attached",
                                   .about = attached_about,
                                   .open = attached_open,
                                   .close = attached_close,
                                   .append = attached_append};

#endif
