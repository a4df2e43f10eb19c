/* scarce_test.c: what runs short for a moment is no damage: descriptors, room for a name,
** and what of an append is said when it had been written already. */
#define _GNU_SOURCE
#include "processes.h"

#ifndef __linux__
int main(void) { return puts("0 passed, 0 failed, 1 skipped: calls are watched on Linux") < 0; }
#else

#include <sys/resource.h>

/* For LMDB, too. */
__attribute__((visibility("default"))) int fdatasync(int fd);

#include "calls.h"

#define BIG 60000

static struct shared {
  _Atomic int inside, ready, go, told;
} *shared;

static char path[300];
static char data[BIG];

static void begin(const char *name) {
  strcpy(path, path_of(name));
  if (!shared) shared = share(sizeof *shared);
  memset((void *)shared, 0, sizeof *shared);
  memset(data, 'x', sizeof data);
  call_watch = NULL;
}

static rille_store *open_small_segments(int sync) {
  rille_options o = options_of(sync, false);
  o.segment_bytes = RILLE_SEGMENT_BYTES_LEAST;
  return open_with(path, &o);
}

/* ---- Descriptors ---- */

static struct rlimit before;

static void leave_no_descriptors(void) {
  int lowest = dup(0);
  close(lowest);
  getrlimit(RLIMIT_NOFILE, &before);
  setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)lowest, before.rlim_max});
}

static void give_descriptors_back(void) { setrlimit(RLIMIT_NOFILE, &before); }

static int append_later(void *context) {
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  (void)context;
  atomic_store(&shared->ready, 1);
  wait_until(&shared->go, 1);
  CHECK(put_one(store, "s") == 0);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static void a_flush_needs_no_descriptor(void) {
  begin("descriptors");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  pid_t other = start(append_later, NULL);
  wait_until(&shared->ready, 1);
  CHECK(put_one(store, "s") == 0);
  leave_no_descriptors();
  CHECK(put_one(store, "s") == 0);
  give_descriptors_back();
  CHECK(!stats_of(store).failed && stats_of(store).durable == 2);
  CHECK(put_one(store, "s") == 0);
  atomic_store(&shared->go, 1);
  CHECK(wait_for(other) == 0);
  check_reopened(store, path, 4);
}

static void a_segment_that_can_not_be_opened_is_begun_later(void) {
  rille_error e = {0};
  begin("segment");
  rille_store *store = open_small_segments(RILLE_SYNC_ALWAYS);
  for (int i = 0; i < 2; i++) CHECK(put(store, "s", RILLE_EXPECT_ANY, data, BIG, NULL) == 0);
  leave_no_descriptors();
  CHECK(put(store, "s", RILLE_EXPECT_ANY, "x", 1, &e) == RILLE_IO); /* nothing is written */
  give_descriptors_back();
  CHECK(!stats_of(store).failed && stats_of(store).written == 2);
  CHECK(put_one(store, "s") == 0);
  CHECK(stats_of(store).segments == 2);
  check_reopened(store, path, 3);
}

/* ---- A segment that is begun in vain ---- */

static bool is_log_folder(const struct call *c) {
  char name[64], where[4096];
  snprintf(name, sizeof name, "/proc/self/fd/%d", c->fd);
  ssize_t n = c->fd < 0 ? 0 : readlink(name, where, sizeof where);
  return n > 4 && memcmp(where + n - 4, "/log", 4) == 0;
}

/* Another process looks at the folder before it turns out that there is no room. */
static int be_full_late(const struct call *c) {
  if (c->kind != CALL_FLUSH || c->done || !is_log_folder(c)) return 0;
  if (atomic_fetch_add(&shared->told, 1)) return 0;
  atomic_store(&shared->inside, 1);
  wait_until(&shared->ready, 1);
  return ENOSPC;
}

static int open_meanwhile(void *context) {
  (void)context;
  wait_until(&shared->inside, 1);
  rille_store *store = open_small_segments(RILLE_SYNC_ALWAYS);
  atomic_store(&shared->ready, 1);
  wait_until(&shared->go, 1);
  CHECK(put_one(store, "other") == 0);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static void a_segment_begun_in_vain_misleads_nobody(void) {
  begin("vain");
  pid_t other = start(open_meanwhile, NULL);
  rille_store *store = open_small_segments(RILLE_SYNC_ALWAYS);
  for (int i = 0; i < 2; i++) CHECK(put(store, "s", RILLE_EXPECT_ANY, data, BIG, NULL) == 0);
  call_watch = be_full_late;
  CHECK(put_one(store, "s") == RILLE_FULL);
  call_watch = NULL;
  CHECK(put_one(store, "s") == 0);
  atomic_store(&shared->go, 1);
  CHECK(wait_for(other) == 0);
  CHECK(put_one(store, "s") == 0);
  check_reopened(store, path, 5);
}

/* ---- What is said of an append that was written ---- */

static int index_is_full(const struct call *c) {
  char name[64], where[4096];
  if (c->kind != CALL_FLUSH || c->done || c->fd < 0) return 0;
  snprintf(name, sizeof name, "/proc/self/fd/%d", c->fd);
  ssize_t n = readlink(name, where, sizeof where);
  return n > 8 && memcmp(where + n - 8, "data.mdb", 8) == 0 ? ENOSPC : 0;
}

/* A fold that fails behind an append is no failure of the append. */
static void a_fold_that_fails_takes_no_append_back(void) {
  static char much[(size_t)8 << 20];
  uint64_t told = 0;
  begin("fold");
  rille_store *store = open_store(path, RILLE_SYNC_INTERVAL);
  call_watch = index_is_full;
  for (int i = 0; i < 6; i++)
    told += put(store, "s", RILLE_EXPECT_ANY, much, sizeof much, NULL) == 0;
  CHECK(told >= 4 && stats_of(store).written == told);
  call_watch = NULL;
  CHECK(put_one(store, "s") == 0);
  check_reopened(store, path, told + 1);
}

/* ---- A failed flush ---- */

static int flush_is_full(const struct call *c) {
  return c->kind == CALL_FLUSH && !c->done && is_of_log(c) ? ENOSPC : 0;
}

static int fail_and_stay(void *context) {
  (void)context;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  call_watch = flush_is_full;
  CHECK(put_one(store, "s") == RILLE_UNKNOWN);
  call_watch = NULL;
  CHECK(put_one(store, "s") == RILLE_IO);
  atomic_store(&shared->ready, 1);
  wait_until(&shared->go, 1);
  CHECK(rille_store_close(store) == RILLE_IO);
  return 0;
}

static void a_failed_flush_is_io_whatever_its_cause(void) {
  rille_store *store;
  rille_error e = {0};
  begin("io");
  pid_t pid = start(fail_and_stay, NULL);
  wait_until(&shared->ready, 1);
  CHECK(rille_store_open(path, NULL, &store, &e) == RILLE_IO && e.code == RILLE_IO);
  atomic_store(&shared->go, 1);
  CHECK(wait_for(pid) == 0);
}

static const struct test tests[] = {
    {"a flush needs no descriptor",
     a_flush_needs_no_descriptor},
    {"a segment that can't be opened is begun later",
     a_segment_that_can_not_be_opened_is_begun_later},
    {"a segment begun in vain misleads nobody", a_segment_begun_in_vain_misleads_nobody},
    {"a failed flush is io, whatever its cause", a_failed_flush_is_io_whatever_its_cause},
    {"a fold that fails takes no append back", a_fold_that_fails_takes_no_append_back},
};
TEST_MAIN(tests)

#endif
