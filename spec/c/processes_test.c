/* processes_test.c: what one process does to the others by dying, failing or being slow
** at a certain call. What happens by chance is in kill_test.c. */
#define _GNU_SOURCE
#include "processes.h"

#ifndef __linux__
int main(void) { return puts("0 passed, 0 failed, 1 skipped: calls are watched on Linux") < 0; }
#else

#include <sys/resource.h>

#include "calls.h"

static struct shared {
  _Atomic int failing, told, inside, go, writes, ready, left;
  _Atomic int results[8];
} * shared;

static char path[300];
static char data[16000]; /* no zeros: they would look like nothing */

static void begin(const char *name) {
  strcpy(path, path_of(name));
  if (!shared) shared = share(sizeof *shared);
  memset((void *)shared, 0, sizeof *shared);
  memset(data, 'x', sizeof data);
  call_watch = NULL;
}

/* ---- What is written again: of the log, in this process, since `watch_rewriting` ---- */

static struct {
  uint64_t low, high, low_flushed, high_flushed;
  unsigned flushes;
} seen;

static int note_call(const struct call *c) {
  if (!c->done || !is_of_log(c)) return 0;
  if (c->kind == CALL_WRITE && c->at < seen.low) seen.low = c->at;
  if (c->kind == CALL_WRITE && c->at + c->bytes > seen.high) seen.high = c->at + c->bytes;
  if (c->kind != CALL_FLUSH) return 0;
  seen.flushes++;
  seen.low_flushed = seen.low;
  seen.high_flushed = seen.high;
  return 0;
}

static void watch_rewriting(void) {
  memset(&seen, 0, sizeof seen);
  seen.low = UINT64_MAX;
  call_watch = note_call;
}

/* ---- A failed flush ---- */

#define WRITERS 3

/* The first flush fails when all have written; the kernel tells nobody else of it. */
static int fail_once(const struct call *c) {
  if (!is_of_log(c) || !atomic_load(&shared->failing)) return 0;
  if (c->kind == CALL_WRITE && c->done) atomic_fetch_add(&shared->writes, 1);
  if (c->kind != CALL_FLUSH || c->done || atomic_fetch_add(&shared->told, 1) > 0) return 0;
  wait_until(&shared->writes, WRITERS);
  usleep(20000);
  return EIO;
}

static int append_to_failing(void *context) {
  int me = (int)(intptr_t)context;
  call_watch = fail_once;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  atomic_fetch_add(&shared->ready, 1);
  wait_until(&shared->go, 1);
  atomic_store(&shared->results[me], put_one(store, "s"));
  CHECK(put_one(store, "s") == RILLE_IO);
  CHECK(rille_store_sync(store, NULL) < 0);
  CHECK(rille_store_durable(store) == 1);
  atomic_fetch_add(&shared->left, 1);
  wait_until(&shared->go, 2);
  CHECK(rille_store_close(store) < 0);
  return 0;
}

static void check_refused(void) {
  rille_store *store = NULL;
  rille_error e = {0};
  CHECK(rille_store_open(path, NULL, &store, &e) == RILLE_IO && store == NULL);
  CHECK(strstr(e.message, "a flush failed") != NULL);
}

static int open_failing(void *context) {
  (void)context;
  check_refused();
  return 0;
}

static void check_mended(uint64_t from, uint64_t events) {
  watch_rewriting();
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  rille_stats stats = stats_of(store);
  CHECK(seen.flushes >= 2 && seen.low_flushed <= from && seen.high_flushed >= stats.log_bytes);
  CHECK(stats.head == events && stats.durable == events && !stats.failed);
  CHECK(put_one(store, "s") == 0);
  check_reopened(store, path, events + 1);
}

static void a_failed_flush_is_everybodys(void) {
  pid_t pids[WRITERS];
  begin("failing");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "s") == 0);
  uint64_t durable = stats_of(store).log_bytes;
  for (int i = 0; i < WRITERS; i++) pids[i] = start(append_to_failing, (void *)(intptr_t)i);
  wait_until(&shared->ready, WRITERS);
  atomic_store(&shared->failing, 1);
  atomic_store(&shared->go, 1);
  wait_until(&shared->left, WRITERS);
  for (int i = 0; i < WRITERS; i++) CHECK(atomic_load(&shared->results[i]) == RILLE_UNKNOWN);
  CHECK(stats_of(store).failed);
  CHECK(rille_store_wait(store, 2, 2000, NULL) == RILLE_IO);
  CHECK(wait_for(start(open_failing, NULL)) == 0);
  check_refused(); /* here, too, where it is open */
  CHECK(rille_store_close(store) < 0);
  check_refused(); /* the others still have it open */
  atomic_store(&shared->go, 2);
  for (int i = 0; i < WRITERS; i++) CHECK(wait_for(pids[i]) == 0);
  atomic_store(&shared->failing, 0);
  check_mended(durable, 1 + WRITERS);
}

/* ---- A write that can't be taken back ---- */

static bool breaks; /* half of the next frame is written, and can't be cut off again */

static int break_once(const struct call *c) {
  if (!breaks || c->done || !is_of_log(c)) return 0;
  if (c->kind == CALL_CUT) return EIO;
  if (c->kind != CALL_WRITE) return 0;
  CHECK(syscall(SYS_pwrite64, c->fd, c->v[0].iov_base, c->v[0].iov_len / 2, c->at) > 0);
  return EIO;
}

/* Which does not know of it, and whose disk is sound. */
static int append_beside_broken(void *context) {
  rille_error e = {0};
  (void)context;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  atomic_fetch_add(&shared->ready, 1);
  wait_until(&shared->go, 1);
  CHECK(put(store, "s", RILLE_EXPECT_ANY, "b", 1, &e) == RILLE_IO);
  CHECK(strstr(e.message, "mend") && strstr(e.message, "could not be taken back"));
  CHECK(put_one(store, "s") == RILLE_IO && stats_of(store).failed);
  CHECK(rille_store_close(store) < 0);
  atomic_fetch_add(&shared->left, 1);
  return 0;
}

static int open_broken(void *context) {
  rille_store *store = NULL;
  rille_error e = {0};
  (void)context;
  CHECK(rille_store_open(path, NULL, &store, &e) == RILLE_IO && store == NULL);
  CHECK(strstr(e.message, "could not be taken back") && strstr(e.message, "close it"));
  return 0;
}

static void a_write_that_cannot_be_taken_back_is_everybodys(void) {
  rille_error e = {0};
  begin("broken");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "s") == 0);
  pid_t other = start(append_beside_broken, NULL);
  wait_until(&shared->ready, 1);
  call_watch = break_once;
  breaks = true;
  CHECK(put(store, "s", RILLE_EXPECT_ANY, "b", 1, &e) == RILLE_UNKNOWN && e.system == EIO);
  CHECK(strstr(e.message, "close the store in all processes, mend the disk") != NULL);
  breaks = false; /* it is too late */
  CHECK(put_one(store, "s") == RILLE_IO && stats_of(store).failed);
  CHECK(wait_for(start(open_broken, NULL)) == 0);
  atomic_store(&shared->go, 1);
  wait_until(&shared->left, 1);
  CHECK(wait_for(other) == 0);
  CHECK(rille_store_close(store) < 0);
  store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(rille_store_head(store) == 1 && !stats_of(store).failed);
  CHECK(put_one(store, "s") == 0);
  check_reopened(store, path, 2);
}

/* ---- Who dies ---- */

static int die_in_flush(const struct call *c) {
  if (c->kind == CALL_FLUSH && is_of_log(c)) die();
  return 0;
}

static int die_in_write(const struct call *c) {
  if (c->kind == CALL_WRITE && is_of_log(c)) die_half_written(c);
  return 0;
}

static int die_after_write(const struct call *c) {
  if (c->kind == CALL_WRITE && is_of_log(c) && c->done) die();
  return 0;
}

struct victim {
  int (*watch)(const struct call *c);
  size_t bytes;
  uint64_t segment_bytes;
};

static int append_and_die(void *context) {
  const struct victim *v = context;
  rille_options o = options_of(RILLE_SYNC_ALWAYS, false);
  o.segment_bytes = v->segment_bytes;
  rille_store *store = open_with(path, &o);
  call_watch = v->watch;
  (void)put(store, "victim", RILLE_EXPECT_ANY, data, v->bytes, NULL);
  call_watch = NULL;
  return 0;
}

static int append_one(void *context) {
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, context) == 0);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static void who_dies_flushing_has_it_done_again(void) {
  struct victim v = {die_in_flush, 100, 0};
  begin("flusher");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "s") == 0);
  uint64_t durable = stats_of(store).log_bytes;
  CHECK(wait_for(start(append_and_die, &v)) == KILLED);
  CHECK(rille_store_durable(store) == 1);
  watch_rewriting();
  CHECK(put_one(store, "s") == 0);
  CHECK(seen.flushes == 1 && seen.low_flushed <= durable);
  CHECK(seen.high_flushed >= stats_of(store).log_bytes);
  watch_rewriting();
  CHECK(put_one(store, "s") == 0); /* once is enough */
  CHECK(seen.flushes == 1 && seen.low > durable);
  check_reopened(store, path, 4);
}

static bool is_zero_behind(uint64_t end) {
  char name[340];
  snprintf(name, sizeof name, "%s/log/0000000000000000.seg", path);
  FILE *file = fopen(name, "rb");
  if (!file || fseek(file, (long)end, SEEK_SET) != 0) return false;
  int c;
  while ((c = getc(file)) == 0) continue;
  fclose(file);
  return c == EOF;
}

/* `moved`: the next to append does not know the end that the dead one knew. */
static void try_dead_writer(int (*watch)(const struct call *c), bool moved) {
  struct victim v = {watch, 12000, 0};
  begin("writer");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "s") == 0);
  if (moved) CHECK(wait_for(start(append_one, "other")) == 0);
  CHECK(wait_for(start(append_and_die, &v)) == KILLED);
  CHECK(stats_of(store).written == 1u + moved);
  CHECK(put_one(store, "s") == 0);
  CHECK(is_zero_behind(stats_of(store).log_bytes));
  check_reopened(store, path, 2u + moved);
  remove_store(path);
}

static void who_dies_writing_leaves_nothing(void) {
  for (int moved = 0; moved < 2; moved++) {
    try_dead_writer(die_in_write, moved);
    try_dead_writer(die_after_write, moved);
  }
}

/* ---- Beginning a segment ---- */

#define BIG 6000

static int calls_left;

static int die_at_call(const struct call *c) {
  if (c->fd >= 0 && !is_of_log(c) && c->kind != CALL_FLUSH) return 0;
  if (--calls_left == 0) die();
  return 0;
}

/* Has the store open all the time, and appends when all is over. */
static int stand_by(void *context) {
  rille_store *store = open_with(path, context);
  CHECK(put_one(store, "other") == 0);
  atomic_store(&shared->ready, 1);
  wait_until(&shared->go, 1);
  CHECK(put_one(store, "other") == 0);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

/* `wide`: the next to append would not begin a segment for itself. */
static int die_beginning_segment(int call, bool wide) {
  struct victim v = {die_at_call, BIG, RILLE_SEGMENT_BYTES_LEAST};
  rille_options o = options_of(RILLE_SYNC_ALWAYS, false);
  uint64_t events = 1;
  begin("segment");
  if (!wide) o.segment_bytes = v.segment_bytes;
  rille_store *store = open_with(path, &o);
  pid_t bystander = start(stand_by, &o);
  wait_until(&shared->ready, 1);
  while (stats_of(store).log_bytes < v.segment_bytes) {
    CHECK(put(store, "s", RILLE_EXPECT_ANY, data, BIG, NULL) == 0);
    events++;
  }
  calls_left = call;
  int status = wait_for(start(append_and_die, &v));
  uint64_t more = stats_of(store).written - events;
  CHECK(more <= 1);
  for (int i = 0; i < 3; i++)
    if (!CHECK(put(store, "s", RILLE_EXPECT_ANY, data, BIG, NULL) == 0))
      printf("       call %d\n", call);
  atomic_store(&shared->go, 1);
  CHECK(wait_for(bystander) == 0);
  check_reopened(store, path, events + more + 4);
  remove_store(path);
  return status;
}

static void who_dies_beginning_a_segment_loses_nothing(void) {
  for (int wide = 0; wide < 2; wide++) {
    int call = 1;
    while (die_beginning_segment(call, wide) == KILLED) call++;
    CHECK(call > 8);
  }
}

static int die_making_file(const struct call *c) {
  if (c->kind == CALL_NAME && c->done) die();
  return 0;
}

static bool folder_flushed, index_flushed, parent_flushed;

static int note_folder(const struct call *c) {
  char name[64], where[4096];
  snprintf(name, sizeof name, "/proc/self/fd/%d", c->fd);
  ssize_t n = c->fd < 0 ? 0 : readlink(name, where, sizeof where);
  if (c->kind != CALL_FLUSH || !c->done || n < 6) return 0;
  if (memcmp(where + n - 4, "/log", 4) == 0) folder_flushed = true;
  if (memcmp(where + n - 6, "/index", 6) == 0) index_flushed = true;
  if ((size_t)n == strlen(folder) && memcmp(where, folder, (size_t)n) == 0) parent_flushed = true;
  return 0;
}

/* Its name is not durable, and what is appended to it would go with it. */
static void the_first_opener_makes_names_durable(void) {
  struct victim v = {die_making_file, BIG, RILLE_SEGMENT_BYTES_LEAST};
  uint64_t events = 0;
  begin("name");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  for (; stats_of(store).log_bytes < v.segment_bytes; events++)
    CHECK(put(store, "s", RILLE_EXPECT_ANY, data, BIG, NULL) == 0);
  CHECK(rille_store_close(store) == 0);
  CHECK(wait_for(start(append_and_die, &v)) == KILLED);
  folder_flushed = false;
  call_watch = note_folder;
  store = open_store(path, RILLE_SYNC_ALWAYS);
  call_watch = NULL;
  CHECK(stats_of(store).segments == 2 && folder_flushed);
  CHECK(put_one(store, "s") == 0);
  check_reopened(store, path, events + 1);
}

/* Who made it may have been killed before its own name was durable. */
static void an_empty_store_is_made_durable_by_who_opens_it(void) {
  begin("empty");
  CHECK(rille_store_close(open_store(path, RILLE_SYNC_ALWAYS)) == 0);
  parent_flushed = false;
  call_watch = note_folder;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  call_watch = NULL;
  CHECK(parent_flushed);
  check_reopened(store, path, 0);
}

/* Else it would come back when the power goes, and tell that the index is damaged. */
static void the_sum_of_the_index_goes_for_good(void) {
  char sum[320];
  begin("sum");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "s") == 0);
  CHECK(rille_store_close(store) == 0);
  snprintf(sum, sizeof sum, "%s/index/sum", path);
  CHECK(access(sum, F_OK) == 0);
  index_flushed = false;
  call_watch = note_folder;
  store = open_store(path, RILLE_SYNC_ALWAYS);
  call_watch = NULL;
  CHECK(access(sum, F_OK) != 0 && index_flushed);
  check_reopened(store, path, 1);
}

/* ---- Who is slow ---- */

static int wait_in_flush(const struct call *c) {
  if (c->kind != CALL_FLUSH || !c->done || !is_of_log(c)) return 0;
  atomic_store(&shared->inside, 1);
  wait_until(&shared->go, 1);
  return 0;
}

static int wait_before_write(const struct call *c) {
  if (c->kind != CALL_WRITE || c->done || !is_of_log(c)) return 0;
  atomic_store(&shared->inside, 1);
  wait_until(&shared->go, 1);
  return 0;
}

/* What was written while the disk was busy may not have got there. */
static void a_flush_counts_for_what_was_written_before(void) {
  struct victim v = {wait_in_flush, 100, 0};
  begin("slow");
  rille_store *store = open_store(path, RILLE_SYNC_NEVER);
  pid_t pid = start(append_and_die, &v);
  wait_until(&shared->inside, 1);
  CHECK(put_one(store, "s") == 0);
  rille_store *strict = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(rille_store_durable(store) == 0 && rille_store_head(strict) == 0);
  atomic_store(&shared->go, 1);
  CHECK(wait_for(pid) == 0);
  CHECK(rille_store_durable(store) == 1 && rille_store_head(store) == 2);
  CHECK(rille_store_head(strict) == 1 && rille_store_close(strict) == 0);
  check_reopened(store, path, 2);
}

static int append_unless(void *context) {
  (void)context;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  rille_text type = rille_text_of("Happened");
  rille_item item = {.types = &type, .type_count = 1};
  rille_query unless = {
      .size = sizeof unless, .items = &item, .item_count = 1, .after = rille_store_head(store)};
  rille_event_input event = {.type = type};
  rille_part part = {.stream = rille_text_of("b"), .events = &event, .event_count = 1};
  rille_append a = {.size = sizeof a, .parts = &part, .part_count = 1, .unless = &unless};
  rille_error e = {0};
  atomic_store(&shared->ready, 1);
  CHECK(rille_store_append(store, &a, NULL, &e) == RILLE_CONFLICT && e.position == 2);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static int append_expecting(void *context) {
  (void)context;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  rille_error e = {0};
  atomic_store(&shared->ready, 1);
  CHECK(put(store, "victim", RILLE_EXPECT_NONE, data, 8, &e) == RILLE_CONFLICT && e.version == 1);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

/* The one walks back before the other has written, and then waits for its lock. */
static void try_waiting(int (*other_one)(void *context)) {
  struct victim v = {wait_before_write, 100, 0};
  begin("waiting");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "s") == 0);
  pid_t writer = start(append_and_die, &v);
  wait_until(&shared->inside, 1);
  pid_t other = start(other_one, NULL);
  wait_until(&shared->ready, 1);
  usleep(50000);
  atomic_store(&shared->go, 1);
  CHECK(wait_for(writer) == 0 && wait_for(other) == 0);
  check_reopened(store, path, 2);
  remove_store(path);
}

static void what_came_since_the_walk_counts(void) { try_waiting(append_unless); }
static void what_others_wrote_meanwhile_counts(void) { try_waiting(append_expecting); }

static void versions_of_others_count(void) {
  rille_error e = {0};
  begin("versions");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put(store, "s", RILLE_EXPECT_NONE, data, 8, NULL) == 0);
  CHECK(wait_for(start(append_one, "s")) == 0);
  CHECK(put(store, "s", 1, data, 8, &e) == RILLE_CONFLICT && e.version == 2);
  CHECK(wait_for(start(append_one, "s")) == 0);
  CHECK(put(store, "s", 3, data, 8, &e) == 0);
  check_reopened(store, path, 4);
}

/* ---- A full disk, for one ---- */

static int be_full(const struct call *c) {
  return c->kind == CALL_WRITE && !c->done && is_of_log(c) ? ENOSPC : 0;
}

/* What it appends is too large to be left to another process, whose disk is not full. */
static int put_large(rille_store *store) {
  static const char large[3000];
  return put(store, "full", RILLE_EXPECT_ANY, large, sizeof large, NULL);
}

static int meet_full_disk(void *context) {
  (void)context;
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  for (int i = 0; i < 20; i++) {
    call_watch = be_full;
    CHECK(put_large(store) == RILLE_FULL);
    call_watch = NULL;
    CHECK(put_large(store) == 0);
  }
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static void a_full_disk_is_its_finders_alone(void) {
  begin("full");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  pid_t pid = start(meet_full_disk, NULL);
  for (int i = 0; i < 40; i++) CHECK(put_one(store, "s") == 0);
  CHECK(wait_for(pid) == 0);
  CHECK(!stats_of(store).failed);
  check_reopened(store, path, 60);
}

/* ---- No room for the index ---- */

static int be_full_beside_log(const struct call *c) {
  return c->kind == CALL_WRITE && !c->done && !is_of_log(c) ? ENOSPC : 0;
}

/* An append that is there is not said to have failed because the fold behind it did; the
** one that finds no room in memory is refused. */
static void what_is_written_is_not_denied(void) {
  static char large[1 << 20];
  begin("denied");
  rille_store *store = open_store(path, RILLE_SYNC_INTERVAL);
  uint64_t written = 0;
  int result = 0;
  call_watch = be_full_beside_log;
  for (int i = 0; i < 80 && !result; i++) {
    result = put(store, "s", RILLE_EXPECT_ANY, large, sizeof large, NULL);
    written += !result;
    if (!CHECK(rille_store_head(store) == written)) break;
  }
  CHECK(written > 20 && result == RILLE_FULL);
  call_watch = NULL;
  check_reopened(store, path, written);
}

/* ---- No descriptors left, for one ---- */

static void let_open_no_more(void) {
  int next = dup(0);
  struct rlimit limit = {(rlim_t)next, (rlim_t)next};
  close(next);
  CHECK(next > 0 && setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* What it can do without another file it does; that it can't begin one is its own trouble. */
static int run_out_of_files(void *context) {
  (void)context;
  rille_options o = options_of(RILLE_SYNC_ALWAYS, false);
  o.segment_bytes = RILLE_SEGMENT_BYTES_LEAST;
  rille_store *store = open_with(path, &o);
  uint64_t segments = stats_of(store).segments;
  let_open_no_more();
  int result, n = 0;
  while ((result = put(store, "few", RILLE_EXPECT_ANY, data, sizeof data, NULL)) == 0) n++;
  CHECK(n > 3 && result == RILLE_IO);
  CHECK(stats_of(store).segments == segments && rille_store_head(store) == 1u + (unsigned)n);
  atomic_store(&shared->left, n);
  (void)rille_store_close(store);
  return 0;
}

static void no_descriptors_left_is_its_finders_alone(void) {
  begin("few");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "s") == 0);
  CHECK(wait_for(start(run_out_of_files, NULL)) == 0);
  CHECK(!stats_of(store).failed && put_one(store, "s") == 0);
  check_reopened(store, path, 2u + (unsigned)atomic_load(&shared->left));
}

static const struct test tests[] = {
    {"a failed flush is everybody's, until all have closed", a_failed_flush_is_everybodys},
    {"a write that can't be taken back is everybody's",
     a_write_that_cannot_be_taken_back_is_everybodys},
    {"who dies flushing has it done again", who_dies_flushing_has_it_done_again},
    {"who dies writing leaves nothing", who_dies_writing_leaves_nothing},
    {"who dies beginning a segment loses nothing", who_dies_beginning_a_segment_loses_nothing},
    {"the first opener makes names durable", the_first_opener_makes_names_durable},
    {"an empty store is made durable by who opens it",
     an_empty_store_is_made_durable_by_who_opens_it},
    {"the sum of the index goes for good", the_sum_of_the_index_goes_for_good},
    {"a flush counts for what was written before it", a_flush_counts_for_what_was_written_before},
    {"what came since the walk counts", what_came_since_the_walk_counts},
    {"what others wrote meanwhile counts", what_others_wrote_meanwhile_counts},
    {"versions that others wrote count", versions_of_others_count},
    {"a full disk is its finder's alone", a_full_disk_is_its_finders_alone},
    {"what is written is not denied", what_is_written_is_not_denied},
    {"no descriptors left is its finder's alone", no_descriptors_left_is_its_finders_alone},
};
TEST_MAIN(tests)

#endif
