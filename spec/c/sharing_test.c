/* sharing_test.c: processes that come and go, fork, wake each other and share their
** flushes, with nobody dying in the midst of it. */
#define _GNU_SOURCE
#include "processes.h"

#include <pthread.h>

#ifndef __linux__
int main(void) { return puts("0 passed, 0 failed, 1 skipped: calls are watched on Linux") < 0; }
#else

#include "calls.h"

#define ROUNDS 11
#define NAP_US 250000 /* how long who waits would sleep if nobody woke it: core/flush.c */

static struct shared {
  _Atomic int ready, go, waiting;
  _Atomic int64_t appended_us[ROUNDS + 1], woken_us[ROUNDS + 1];
} *shared;

static char path[300];

static void begin(const char *name) {
  strcpy(path, path_of(name));
  if (!shared) shared = share(sizeof *shared);
  memset((void *)shared, 0, sizeof *shared);
  call_watch = NULL;
}

/* ---- Forks ---- */

static rille_store *inherited;
static rille_reader *inherited_reader;

static int use_inherited(void *context) {
  rille_error e = {0};
  rille_event event;
  rille_reader *reader;
  (void)context;
  CHECK(put(inherited, "s", RILLE_EXPECT_ANY, "x", 1, &e) == RILLE_CLOSED);
  CHECK(strstr(e.message, "forked") != NULL);
  CHECK(rille_store_read(inherited, NULL, &reader, NULL) == RILLE_CLOSED);
  int result;
  while ((result = rille_reader_next(inherited_reader, &event, NULL)) == 1) continue;
  CHECK(result == 0 || result == RILLE_CLOSED); /* it may have had the bytes already */
  CHECK(rille_store_wait(inherited, 9, 0, NULL) == RILLE_CLOSED);
  CHECK(rille_store_sync(inherited, NULL) == RILLE_CLOSED);
  rille_reader_end(inherited_reader);
  CHECK(rille_store_close(inherited) == 0);
  rille_store *own = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(rille_store_head(own) >= 1 && put_one(own, "s") == 0);
  CHECK(rille_store_close(own) == 0);
  return 0;
}

/* RILLE_BUSY where somebody else has the store open. */
static int rebuild(void *context) {
  rille_options o = options_of(RILLE_SYNC_ALWAYS, false);
  rille_store *store;
  (void)context;
  o.rebuild = 1;
  int result = rille_store_open(path, &o, &store, NULL);
  if (result >= 0) rille_store_close(store);
  return -result;
}

static void a_child_opens_the_store_for_itself(void) {
  rille_event event;
  begin("parent");
  rille_options o = options_of(RILLE_SYNC_ALWAYS, FORKS_WITH_THREADS);
  inherited = open_with(path, &o);
  CHECK(put_one(inherited, "s") == 0);
  CHECK(rille_store_read(inherited, NULL, &inherited_reader, NULL) == 0);
  for (int i = 0; i < 3; i++) {
    CHECK(wait_for(start(use_inherited, NULL)) == 0);
    CHECK(wait_for(start(rebuild, NULL)) == -RILLE_BUSY);
    CHECK(put_one(inherited, "s") == 0);
  }
  CHECK(rille_reader_next(inherited_reader, &event, NULL) == 1);
  rille_reader_end(inherited_reader);
  check_reopened(inherited, path, 7);
}

static int stay(void *context) {
  (void)context;
  atomic_store(&shared->ready, 1);
  wait_until(&shared->go, 1);
  return 0;
}

static int open_and_fork(void *context) {
  (void)context;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "s") == 0);
  start(stay, NULL);
  while (pause() < 0) continue;
  return 0;
}

static void a_child_holds_no_lock_of_its_parents(void) {
  begin("orphan");
  pid_t pid = start(open_and_fork, NULL);
  wait_until(&shared->ready, 1);
  CHECK(wait_for(start(rebuild, NULL)) == -RILLE_BUSY);
  kill(pid, SIGKILL);
  CHECK(wait_for(pid) == KILLED);
  CHECK(rebuild(NULL) == 0);
  atomic_store(&shared->go, 1);
}

/* ---- Opening slowly ---- */

static _Thread_local bool slow;

/* Who is slow stops at its first call until told to go on. */
static int hold_the_slow(const struct call *c) {
  (void)c;
  if (!slow) return 0;
  slow = false;
  atomic_store(&shared->waiting, 1);
  wait_until(&shared->go, 1);
  return 0;
}

static void *open_slowly(void *context) {
  rille_options o = options_of(RILLE_SYNC_ALWAYS, false);
  o.rebuild = 1;
  slow = true;
  rille_store *store = open_with(path, &o);
  (void)context;
  return store;
}

static void *open_too(void *context) {
  (void)context;
  return open_store(path, RILLE_SYNC_ALWAYS);
}

static void *fork_meanwhile(void *context) {
  CHECK(wait_for(start(rebuild, NULL)) == -RILLE_BUSY);
  return context;
}

/* Nor does it a reader that ends; but one that opens the same store, and a fork, wait. */
static void an_opening_holds_up_no_other_store(void) {
  pthread_t first, second, forking;
  void *opened = NULL, *too = NULL;
  begin("slow");
  CHECK(rille_store_close(open_store(path, RILLE_SYNC_ALWAYS)) == 0);
  call_watch = hold_the_slow;
  CHECK(pthread_create(&first, NULL, open_slowly, NULL) == 0);
  wait_until(&shared->waiting, 1);
  CHECK(pthread_create(&second, NULL, open_too, NULL) == 0);
  rille_store *other = open_store(path_of("other"), RILLE_SYNC_ALWAYS);
  CHECK(put_one(other, "s") == 0 && rille_store_close(other) == 0);
  if (FORKS_WITH_THREADS) CHECK(pthread_create(&forking, NULL, fork_meanwhile, NULL) == 0);
  atomic_store(&shared->go, 1);
  CHECK(pthread_join(first, &opened) == 0 && pthread_join(second, &too) == 0);
  if (FORKS_WITH_THREADS) CHECK(pthread_join(forking, NULL) == 0);
  call_watch = NULL;
  CHECK(put_one(opened, "s") == 0 && rille_store_head(too) == 1);
  CHECK(rille_store_close(opened) == 0 && put_one(too, "s") == 0 && rille_store_close(too) == 0);
  CHECK(rebuild(NULL) == 0);
}

/* ---- A table of readers that is not there ---- */

static int stop_at_lock_file(const struct call *c) {
  char name[64], file[4096];
  snprintf(name, sizeof name, "/proc/self/fd/%d", c->fd);
  ssize_t n = c->kind == CALL_WRITE && !c->done ? readlink(name, file, sizeof file - 1) : 0;
  file[n > 0 ? n : 0] = '\0';
  if (strstr(file, "lock.mdb") == NULL) return 0;
  atomic_store(&shared->waiting, 1);
  wait_until(&shared->go, 1);
  return 0;
}

static rille_store *open_readonly(void) {
  rille_options o = options_of(RILLE_SYNC_ALWAYS, false);
  o.readonly = 1;
  return open_with(path, &o);
}

static int make_table_slowly(void *context) {
  (void)context;
  call_watch = stop_at_lock_file;
  return rille_store_close(open_readonly());
}

static void readers_may_make_their_table_at_once(void) {
  char file[320];
  begin("copied");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "s") == 0 && rille_store_close(store) == 0);
  snprintf(file, sizeof file, "%s/index/lock.mdb", path);
  CHECK(remove(file) == 0);
  pid_t pid = start(make_table_slowly, NULL);
  wait_until(&shared->waiting, 1);
  store = open_readonly();
  CHECK(stats_of(store).index_readers == 1);
  atomic_store(&shared->go, 1);
  CHECK(wait_for(pid) == 0);
  CHECK(stats_of(store).index_readers == 1);
  CHECK(rille_store_close(store) == 0);
}

/* ---- An index that is made anew ---- */

static int look_on(void *context) {
  rille_store *store = open_readonly();
  (void)context;
  CHECK(stats_of(store).streams == 1);
  atomic_store(&shared->waiting, 1);
  wait_until(&shared->go, 1);
  rille_stats s = stats_of(store);
  CHECK(s.streams == 2 && s.written == 2 && s.unfolded_bytes == 0);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static void a_reader_follows_to_a_new_index(void) {
  begin("renewed");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "s") == 0 && rille_store_close(store) == 0);
  pid_t pid = start(look_on, NULL);
  wait_until(&shared->waiting, 1);
  CHECK(rebuild(NULL) == 0);
  store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "t") == 0 && rille_store_close(store) == 0);
  store = open_store(path, RILLE_SYNC_ALWAYS); /* whose words can be followed */
  atomic_store(&shared->go, 1);
  CHECK(wait_for(pid) == 0);
  CHECK(rille_store_close(store) == 0);
}

/* ---- Waking ---- */

static int wait_for_events(void *context) {
  rille_options o = options_of(RILLE_SYNC_ALWAYS, false);
  o.readonly = context != NULL;
  rille_store *store = open_with(path, &o);
  for (int i = 1; i <= ROUNDS; i++) {
    atomic_store(&shared->waiting, i);
    CHECK(rille_store_wait(store, (uint64_t)i, PATIENCE_US / 1000, NULL) == 0);
    atomic_store(&shared->woken_us[i], now_us());
    CHECK(rille_store_head(store) >= (uint64_t)i);
  }
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static int compare(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* Of several, in the middle: this machine may be busy with other things. */
static void check_woken(void) {
  int64_t us[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) us[i] = shared->woken_us[i + 1] - shared->appended_us[i + 1];
  qsort(us, ROUNDS, sizeof *us, compare);
  printf("       woken after %lld us, at most %lld\n", (long long)us[ROUNDS / 2],
         (long long)us[ROUNDS - 1]);
  CHECK(us[ROUNDS / 2] < NAP_US / 4);
}

static void who_waits_is_woken(void) {
  for (intptr_t readonly = 0; readonly < 2; readonly++) {
    begin("waiting");
    rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
    pid_t pid = start(wait_for_events, (void *)readonly);
    for (int i = 1; i <= ROUNDS; i++) {
      wait_until(&shared->waiting, i);
      usleep(5000);
      CHECK(put_one(store, "s") == 0);
      atomic_store(&shared->appended_us[i], now_us());
    }
    CHECK(wait_for(pid) == 0);
    check_woken();
    CHECK(rille_store_close(store) == 0);
    remove_store(path);
  }
}

/* ---- The background ---- */

static void an_interval_flushes_by_itself(void) {
  begin("interval");
  rille_options o = options_of(RILLE_SYNC_INTERVAL, true);
  o.sync_interval_ms = 20;
  rille_store *store = open_with(path, &o);
  int64_t end = now_us() + PATIENCE_US;
  for (int i = 0; i < 50; i++) CHECK(put_one(store, "s") == 0);
  CHECK(rille_store_head(store) == 50);
  while (rille_store_durable(store) < 50 && now_us() < end) usleep(1000);
  CHECK(rille_store_durable(store) == 50);
  CHECK(stats_of(store).flushes < 25);
  check_reopened(store, path, 50);
}

/* ---- Sharing a flush ---- */

#define APPENDERS 8
#define APPENDS 100
#define FLUSH_US 500 /* at least, so that there is something to share on any disk */

static int be_slow(const struct call *c) {
  if (c->kind == CALL_FLUSH && c->done) usleep(FLUSH_US);
  return 0;
}

static int append_many(void *context) {
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  call_watch = be_slow;
  atomic_fetch_add(&shared->ready, 1);
  wait_until(&shared->go, 1);
  for (int i = 0; i < APPENDS; i++) CHECK(put_one(store, context) == 0);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static void appenders_share_flushes(void) {
  pid_t pids[APPENDERS];
  begin("together");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  for (int i = 0; i < APPENDERS; i++) pids[i] = start(append_many, "s");
  wait_until(&shared->ready, APPENDERS);
  uint64_t before = stats_of(store).flushes;
  atomic_store(&shared->go, 1);
  for (int i = 0; i < APPENDERS; i++) CHECK(wait_for(pids[i]) == 0);
  rille_stats stats = stats_of(store);
  double each = (double)stats.appends / (double)(stats.flushes - before);
  printf("       %.1f appends a flush, of %d processes\n", each, APPENDERS);
  CHECK(stats.appends == APPENDERS * APPENDS && each > 1.5);
  check_reopened(store, path, APPENDERS * APPENDS);
}

/* ---- Coming and going ---- */

#define OPENERS 20
#define OPENINGS 4

static int come_and_go(void *context) {
  char name[32];
  sprintf(name, "stream-%d", (int)(intptr_t)context);
  test_random += (uint64_t)getpid();
  atomic_fetch_add(&shared->ready, 1);
  wait_until(&shared->go, 1);
  for (int i = 0; i < OPENINGS; i++) {
    rille_options o = options_of(one_in(2) ? RILLE_SYNC_ALWAYS : RILLE_SYNC_NEVER, one_in(2));
    rille_store *store = open_with(path, &o);
    if (!store) return 1;
    CHECK(put(store, name, i ? i : RILLE_EXPECT_NONE, "x", 1, NULL) == 0);
    CHECK(rille_store_close(store) == 0);
    usleep(random_below(3000));
  }
  return 0;
}

static void remove_index(void) {
  char command[400];
  sprintf(command, "rm -rf '%s/index'", path);
  CHECK(system(command) == 0);
}

/* Whether the store is there yet, who repairs it, who is the last: all are raced for. */
static void all_may_come_and_go_at_once(void) {
  for (int round = 0; round < 3; round++) {
    pid_t pids[OPENERS];
    begin("raced-for");
    for (int i = 0; i < OPENERS; i++) pids[i] = start(come_and_go, (void *)(intptr_t)i);
    wait_until(&shared->ready, OPENERS);
    atomic_store(&shared->go, 1);
    for (int i = 0; i < OPENERS; i++) CHECK(wait_for(pids[i]) == 0);
    check_reopened(open_store(path, RILLE_SYNC_ALWAYS), path, OPENERS * OPENINGS);
    remove_index();
    check_reopened(open_store(path, RILLE_SYNC_ALWAYS), path, OPENERS * OPENINGS);
    remove_store(path);
  }
}

/* ---- Whose file is flushed ---- */

#define SMALL_SEGMENT ((uint64_t)64 << 10)

/* Two frames of which no flush knows, the second in a file of its own: closing would be one. */
static int begin_a_file(void *context) {
  static char large[SMALL_SEGMENT];
  rille_options o = options_of(RILLE_SYNC_NEVER, false);
  (void)context;
  o.segment_bytes = SMALL_SEGMENT;
  memset(large, 'x', sizeof large);
  rille_store *store = open_with(path, &o);
  CHECK(put(store, "s", RILLE_EXPECT_ANY, large, sizeof large, NULL) == 0);
  CHECK(put_one(store, "s") == 0);
  if (CHECK(stats_of(store).segments == 2)) die();
  return 0;
}

static ino_t flushed;

static int note_flushed(const struct call *c) {
  struct stat s;
  if (c->kind == CALL_FLUSH && c->done && is_of_log(c) && fstat(c->fd, &s) == 0)
    flushed = s.st_ino;
  return 0;
}

static ino_t last_file(void) {
  char name[700], last[300] = "";
  struct stat s = {0};
  snprintf(name, sizeof name, "%s/log", path);
  DIR *list = opendir(name);
  for (struct dirent *entry; list && (entry = readdir(list));)
    if (strstr(entry->d_name, ".seg") && strcmp(entry->d_name, last) > 0)
      strcpy(last, entry->d_name);
  closedir(list);
  snprintf(name, sizeof name, "%s/log/%s", path, last);
  CHECK(stat(name, &s) == 0);
  return s.st_ino;
}

/* Who flushes has not read what others wrote, nor seen in which file it is. */
static void a_flush_is_of_the_file_that_others_have_begun(void) {
  begin("file");
  rille_store *store = open_store(path, RILLE_SYNC_NEVER);
  CHECK(put_one(store, "s") == 0);
  CHECK(wait_for(start(begin_a_file, NULL)) == KILLED);
  flushed = 0;
  call_watch = note_flushed;
  CHECK(rille_store_sync(store, NULL) == 0);
  call_watch = NULL;
  CHECK(rille_store_durable(store) == 3 && flushed == last_file());
  check_reopened(store, path, 3);
}

static const struct test tests[] = {
    {"a child opens the store for itself", a_child_opens_the_store_for_itself},
    {"a child holds no lock of its parent's", a_child_holds_no_lock_of_its_parents},
    {"an opening holds up no other store", an_opening_holds_up_no_other_store},
    {"readers may make their table at once", readers_may_make_their_table_at_once},
    {"a reader follows to a new index", a_reader_follows_to_a_new_index},
    {"who waits is woken", who_waits_is_woken},
    {"an interval flushes by itself", an_interval_flushes_by_itself},
    {"appenders share flushes", appenders_share_flushes},
    {"a flush is of the file that others have begun",
     a_flush_is_of_the_file_that_others_have_begun},
    {"all may come and go at once", all_may_come_and_go_at_once},
};
TEST_MAIN(tests)

#endif
