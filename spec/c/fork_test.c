/* fork_test.c: a process forks while it has stores open, with threads of its own and rille's at
** work in them, with readers, doubts and coordinators: the child is told that what it inherited
** is closed, opens the store for itself, and ends in any way; the parent does not notice. */
#define _GNU_SOURCE
#define LOG_FRESH_BYTES_MOST ((uint64_t)32 << 10) /* so that the thread folds all the time */
#include "fold.c"

#include <pthread.h>

#include "processes.h"

#ifdef __APPLE__
int main(void) { return puts("0 passed, 0 failed, 1 skipped: locks are of files on Linux") < 0; }
#else

#define APPENDERS 3
#define FORKS 60
#define HANG_S 20 /* a child that hangs is killed by its own alarm */

static char path[300];
static rille_store *store;
static rille_instance *instance;
static rille_reader *reader;

static struct shared {
  _Atomic int ready, go, ended;
} *shared;

static void begin(const char *name, bool background) {
  strcpy(path, path_of(name));
  if (!shared) shared = share(sizeof *shared);
  memset((void *)shared, 0, sizeof *shared);
  rille_options o = options_of(RILLE_SYNC_NEVER, background);
  store = open_with(path, &o);
  CHECK(put_one(store, "s") == 0);
}

/* ---- With threads at work ---- */

static _Atomic bool over;
static _Atomic uint64_t appended;

static void *append_on(void *context) {
  char name[16], data[300] = {0};
  for (int i = 0; !atomic_load(&over); i++) {
    sprintf(name, "t-%d-%d", *(int *)context, i % 50);
    CHECK(put(store, name, RILLE_EXPECT_ANY, data, sizeof data, NULL) == 0);
    atomic_fetch_add(&appended, 1);
    if (i % 20 == 0) usleep(1000);
  }
  return NULL;
}

static void check_inherited(void) {
  rille_event event;
  rille_error e = {0};
  rille_begun begun;
  rille_doubts doubts;
  rille_stats stats;
  rille_verified verified;
  uint64_t n;
  rille_text s = rille_text_of("s");
  const rille_settle all = {.size = sizeof all};
  CHECK(put(store, "s", RILLE_EXPECT_ANY, "x", 1, &e) == RILLE_CLOSED);
  CHECK(strstr(e.message, "forked") != NULL);
  CHECK(rille_store_version(store, s, &n, NULL) == RILLE_CLOSED);
  CHECK(rille_store_mark(store, s, &n, NULL) == RILLE_CLOSED);
  CHECK(rille_store_truncate(store, s, 1, NULL) == RILLE_CLOSED);
  CHECK(rille_store_delete(store, s, NULL) == RILLE_CLOSED);
  CHECK(rille_store_poll(store, NULL) == RILLE_CLOSED);
  CHECK(rille_store_sync(store, NULL) == RILLE_CLOSED);
  CHECK(rille_store_wait(store, 1, 0, NULL) == RILLE_CLOSED);
  CHECK(rille_store_stats(store, &stats, NULL) == RILLE_CLOSED);
  CHECK(rille_store_verify(store, NULL, &verified, NULL) == RILLE_CLOSED);
  CHECK(rille_store_backup(store, path_of("copy"), NULL) == RILLE_CLOSED);
  CHECK(rille_store_kept_erase(store, s, 1, &n, NULL) == RILLE_CLOSED);
  CHECK(rille_store_indoubt(store, &doubts, NULL) == RILLE_CLOSED);
  CHECK(rille_store_pending(store, &doubts, NULL) == RILLE_CLOSED);
  CHECK(rille_store_settle(store, &all, &(rille_settled){0}, NULL) == RILLE_CLOSED);
  CHECK(rille_store_strong(store, NULL, NULL) == RILLE_CLOSED);
  CHECK(rille_store_forget(store, 1, NULL) == RILLE_CLOSED);
  CHECK(rille_store_head(store) == 0 && rille_store_durable(store) == 0);
  if (instance) CHECK(rille_instance_begin(instance, &begun, NULL) == RILLE_CLOSED);
  if (reader) CHECK(rille_reader_next(reader, &event, NULL) != 0);
}

/* In any order, or not at all. */
static void close_inherited(unsigned way) {
  if (way & 1) CHECK(rille_store_close(store) == 0);
  if (way & 2) rille_reader_end(reader);
  if (way & 4) (void)rille_instance_close(instance, NULL);
}

static int be_child(void *context) {
  unsigned way = (unsigned)(uintptr_t)context;
  alarm(HANG_S);
  check_inherited();
  close_inherited(way);
  if (way & 8) {
    rille_store *own = open_store(path, RILLE_SYNC_ALWAYS);
    CHECK(rille_store_head(own) >= 1 && put_one(own, "child") == 0);
    if (way & 16) CHECK(rille_store_close(own) == 0);
  }
  if (test_failures == 0 && way & 32) exit(0); /* what a process does at its end is done, too */
  return 0;
}

static void a_fork_among_threads_hurts_nobody(void) {
  pthread_t threads[APPENDERS];
  int numbers[APPENDERS];
  uint64_t children = 0;
  begin("threads", true);
  atomic_store(&appended, 0);
  atomic_store(&over, false);
  CHECK(rille_instance_open(store, rille_text_of("c"), &instance, NULL) == 0);
  CHECK(rille_store_read(store, NULL, &reader, NULL) == 0);
  for (int i = 0; i < APPENDERS; i++) {
    numbers[i] = i;
    CHECK(pthread_create(&threads[i], NULL, append_on, &numbers[i]) == 0);
  }
  for (unsigned i = 0; i < FORKS; i++) {
    unsigned way = random_below(64);
    children += (way & 8) != 0;
    CHECK(wait_for(start(be_child, (void *)(uintptr_t)way)) == 0);
  }
  atomic_store(&over, true);
  for (int i = 0; i < APPENDERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  rille_event event;
  CHECK(rille_reader_next(reader, &event, NULL) == 1);
  rille_reader_end(reader);
  CHECK(rille_instance_close(instance, NULL) == 0);
  instance = NULL;
  reader = NULL;
  CHECK(stats_of(store).folds > 0);
  check_reopened(store, path, 1 + children + atomic_load(&appended));
}

/* ---- A coordinator ---- */

static int stay(void *context) {
  (void)context;
  (void)rille_instance_close(instance, NULL);
  atomic_store(&shared->ready, 1);
  wait_until(&shared->go, 1);
  atomic_store(&shared->ended, 1);
  return 0;
}

/* Promises something there, and waits: its child has inherited the coordinator. */
static int promise_and_wait(void *context) {
  rille_begun begun;
  rille_prepared prepared;
  rille_event_input event = {.type = rille_text_of("Moved")};
  rille_part part = {.stream = rille_text_of("p"), .events = &event, .event_count = 1};
  rille_append work = {.size = sizeof work, .parts = &part, .part_count = 1};
  rille_store *there = open_store(context, RILLE_SYNC_ALWAYS);
  store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(rille_instance_open(store, rille_text_of("c"), &instance, NULL) == 0);
  CHECK(rille_instance_begin(instance, &begun, NULL) == 0);
  const rille_prepare p = {.size = sizeof p,
                           .id = rille_text_of(begun.id),
                           .name = rille_text_of("there"),
                           .home_kind = rille_text_of("store"),
                           .home_path = rille_text_of(path),
                           .home_end = begun.home_end,
                           .work = &work};
  CHECK(rille_store_prepare(there, &p, &prepared, NULL) == 0);
  CHECK(rille_store_flush(there, prepared.flush, NULL) == 0);
  start(stay, NULL);
  while (!test_failures && pause() < 0) continue;
  return 1;
}

static rille_settled settle(const char *there_path) {
  const rille_settle all = {.size = sizeof all};
  rille_settled settled = {0};
  rille_store *there = open_store(there_path, RILLE_SYNC_ALWAYS);
  CHECK(rille_store_settle(there, &all, &settled, NULL) == 0);
  CHECK(rille_store_close(there) == 0);
  return settled;
}

/* It lives as long as who opened it, not as who inherited it. */
static void a_coordinator_lives_with_its_own_process(void) {
  char there[300];
  begin("home", false);
  strcpy(there, path_of("there"));
  pid_t pid = start(promise_and_wait, there);
  wait_until(&shared->ready, 1);
  rille_store *opened = open_store(there, RILLE_SYNC_ALWAYS); /* opening settles what it can */
  CHECK(put_one(opened, "p") == RILLE_LOCKED);
  CHECK(rille_store_close(opened) == 0);
  CHECK(settle(there).undecided == 1);
  kill(pid, SIGKILL);
  CHECK(wait_for(pid) == KILLED);
  (void)settle(there);
  opened = open_store(there, RILLE_SYNC_ALWAYS);
  CHECK(put_one(opened, "p") == 0 && rille_store_close(opened) == 0);
  atomic_store(&shared->go, 1);
  wait_until(&shared->ended, 1);
  check_reopened(store, path, 1);
}

/* ---- Generations ---- */

static int fork_on(void *context) {
  intptr_t left = (intptr_t)context;
  alarm(HANG_S);
  CHECK(put_one(store, "s") == RILLE_CLOSED);
  rille_store *own = open_store(path, RILLE_SYNC_NEVER);
  CHECK(put_one(own, "child") == 0);
  store = own;
  if (left) CHECK(wait_for(start(fork_on, (void *)(left - 1))) == 0);
  CHECK(put_one(own, "child") == 0 && rille_store_close(own) == 0);
  return 0;
}

static void children_of_children_are_told_too(void) {
  begin("generations", true);
  CHECK(wait_for(start(fork_on, (void *)3)) == 0);
  check_reopened(store, path, 1 + 8);
}

static const struct test tests[] = {
    {"a fork among threads hurts nobody", a_fork_among_threads_hurts_nobody},
    {"a coordinator lives with its own process", a_coordinator_lives_with_its_own_process},
    {"children of children are told, too", children_of_children_are_told_too},
};
TEST_MAIN(tests)

#endif
