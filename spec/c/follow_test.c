/* follow_test.c: who reads while others write: what it keeps in memory, what it is told,
** and files of the log that it has not seen yet. From inside. */
#define _GNU_SOURCE
#include "condition.h"
#include "cursor.h"
#include "store.h"

#include "processes.h"

static struct together {
  _Atomic int wanted, done;
} *together;

static char path[300];
static char block[(size_t)512 << 10];

static void begin(const char *name) {
  strcpy(path, path_of(name));
  if (!together) together = share(sizeof *together);
  memset((void *)together, 0, sizeof *together);
}

static struct log *log_of(rille_store *store) { return &store->shared->log; }

/* ---- Memory ---- */

#define BLOCKS 100 /* nearly twice what may be unfolded */

/* One append for each that is wanted. */
static int write_blocks(void *context) {
  rille_options o = options_of(RILLE_SYNC_NEVER, true);
  rille_store *store = open_with(path, &o);
  (void)context;
  for (int i = 1; i <= BLOCKS; i++) {
    wait_until(&together->wanted, i);
    CHECK(put(store, "s", RILLE_EXPECT_ANY, block, sizeof block, NULL) == 0);
    atomic_store(&together->done, i);
  }
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static void read_only_ever(bool background) {
  uint64_t version, most = 0;
  begin(background ? "thread" : "none");
  rille_options o = options_of(RILLE_SYNC_NEVER, background);
  pid_t pid = start(write_blocks, NULL);
  rille_store *store = open_with(path, &o);
  struct log *l = log_of(store);
  for (int i = 1; i <= BLOCKS; i++) {
    atomic_store(&together->wanted, i);
    wait_until(&together->done, i);
    CHECK(rille_store_version(store, rille_text_of("s"), &version, NULL) == 0);
    CHECK(version == (uint64_t)i);
    pthread_mutex_lock(&l->lock);
    most = max_u64(most, l->seen.address - l->fresh.start);
    pthread_mutex_unlock(&l->lock);
  }
  CHECK(wait_for(pid) == 0);
  CHECK(most <= LOG_FRESH_BYTES_MOST + 4 * sizeof block);
  CHECK(put_one(store, "s") == 0);
  check_reopened(store, path, BLOCKS + 1);
}

static void who_only_reads_keeps_what_an_appender_would(void) {
  read_only_ever(true);
  read_only_ever(false);
}

/* ---- Conditions ---- */

static struct source real_source;
static uint64_t bytes_read;

static int read_and_count(void *context, uint64_t address, void *bytes, size_t n, size_t *got,
                          rille_error *e) {
  bytes_read += n;
  return real_source.read(context, address, bytes, n, got, e);
}

/* Or who has a long walk before it would never be done while others append. */
static void a_walk_goes_on_where_the_last_one_ended(void) {
  static char kib[1024];
  rille_item item = {.category = rille_text_of("none")};
  rille_query unless = {.size = sizeof unless, .items = &item, .item_count = 1};
  rille_append a = {.size = sizeof a, .unless = &unless};
  struct condition c;
  begin("walk");
  rille_store *store = open_store(path, RILLE_SYNC_NEVER);
  struct log *l = log_of(store);
  for (int i = 0; i < 10000; i++) CHECK(put(store, "s", RILLE_EXPECT_ANY, kib, 1024, NULL) == 0);
  CHECK(condition_init(&c, l, &a, NULL) == 0);
  CHECK(condition_walk(&c, l, NULL) == 0);
  CHECK(put_one(store, "s") == 0);
  real_source = l->source;
  l->source.read = read_and_count;
  bytes_read = 0;
  CHECK(condition_walk(&c, l, NULL) == 0 && c.found == 0 && c.walked.next_position == 10002);
  CHECK(bytes_read < ((uint64_t)1 << 20));
  CHECK(put_one(store, "none") == 0);
  CHECK(condition_walk(&c, l, NULL) == 0 && c.found == 10002);
  l->source = real_source;
  condition_release(&c);
  CHECK(rille_store_close(store) == 0);
}

/* ---- Files ---- */

static int write_and_fold(void *context) {
  rille_options o = options_of(RILLE_SYNC_ALWAYS, false);
  (void)context;
  o.segment_bytes = RILLE_SEGMENT_BYTES_LEAST;
  rille_store *store = open_with(path, &o);
  for (int i = 0; i < 5; i++)
    CHECK(put(store, "s", RILLE_EXPECT_ANY, block, RILLE_SEGMENT_BYTES_LEAST, NULL) == 0);
  CHECK(log_fold(log_of(store), NULL) == 0);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

/* Between catching up and asking the index, the others may have come far. */
static void a_head_may_lead_to_a_file_that_is_new(void) {
  struct log_end end;
  struct chain_head head;
  struct window w;
  struct record r;
  begin("files");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  struct log *l = log_of(store);
  CHECK(put_one(store, "s") == 0 && log_fold(l, NULL) == 0);
  CHECK(log_look(l, true, &end, NULL) == 0);
  CHECK(wait_for(start(write_and_fold, NULL)) == 0);
  pthread_mutex_lock(&l->lock);
  CHECK(log_find_head(l, CHAIN_STREAM, rille_text_of("s"), &head, NULL) == 0);
  pthread_mutex_unlock(&l->lock);
  CHECK(head.count == 6);
  window_init(&w, &l->source, &l->memory, SCAN_WINDOW_SMALL);
  CHECK(window_record(&w, head.tower[0], &r, NULL) == 0 && r.version == 6);
  window_release(&w);
  check_reopened(store, path, 6);
}

/* ---- The index and what is not in it yet ---- */

#define FOLDS 6
#define FOLD_LATER_US 5000 /* within a call that the reader is slow about */

/* An append that is told of, and folded when the reader is at it; too large to be read where
** there is a newer A. */
static int append_and_fold_later(void *context) {
  static char large[LOG_SKIP_BYTES + 1];
  rille_store *store = open_store(path, RILLE_SYNC_NEVER);
  (void)context;
  for (int i = 1; i <= FOLDS; i++) {
    CHECK(put(store, "s", RILLE_EXPECT_ANY, large, sizeof large, NULL) == 0);
    atomic_store(&together->done, i);
    wait_until(&together->wanted, i);
    usleep(FOLD_LATER_US);
    CHECK(log_fold(log_of(store), NULL) == 0);
  }
  CHECK(rille_store_close(store) == 0);
  return 0;
}

/* Who asked the index first, and then looked what is not in it, would miss what was folded in
** between: it was not in the one yet, and is not in the other any more. */
static void a_head_is_no_older_than_what_was_told(void) {
  uint64_t version;
  begin("told");
  pid_t pid = start(append_and_fold_later, NULL);
  rille_store *store = open_store(path, RILLE_SYNC_NEVER);
  for (int i = 1; i <= FOLDS; i++) {
    wait_until(&together->done, i);
    atomic_store(&together->wanted, i);
    CHECK(rille_store_version(store, rille_text_of("s"), &version, NULL) == 0);
    CHECK(version == (uint64_t)i || (version == (uint64_t)i + 1 && i < FOLDS));
  }
  CHECK(wait_for(pid) == 0);
  check_reopened(store, path, FOLDS);
}

/* ---- What is told ---- */

static int move_mark(void *context) {
  rille_store *store = open_store(path, RILLE_SYNC_NEVER);
  rille_append a = {.size = sizeof a, .mark = {rille_text_of("m"), 0, 7}};
  (void)context;
  CHECK(rille_store_append(store, &a, NULL, NULL) == 0);
  atomic_store(&together->done, 1);
  wait_until(&together->wanted, 1);
  CHECK(rille_store_close(store) == 0);
  return 0;
}

static void a_mark_is_told_when_it_is_durable(void) {
  uint64_t mark = 0;
  begin("mark");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "s") == 0);
  pid_t pid = start(move_mark, NULL);
  wait_until(&together->done, 1);
  struct log *l = log_of(store);
  CHECK(log_durable(l).address < log_written(l).address);
  CHECK(rille_store_mark(store, rille_text_of("m"), &mark, NULL) == 0);
  CHECK(mark == 7 && log_durable(l).address == log_written(l).address);
  atomic_store(&together->wanted, 1);
  CHECK(wait_for(pid) == 0);
  check_reopened(store, path, 1);
}

/* Nobody else would flush. */
static void waiting_flushes_what_is_due(void) {
  begin("due");
  rille_options o = options_of(RILLE_SYNC_INTERVAL, false);
  o.sync_interval_ms = 10;
  rille_store *store = open_with(path, &o);
  CHECK(put_one(store, "s") == 0);
  CHECK(rille_store_wait(store, 1, 5000, NULL) == 0);
  check_reopened(store, path, 1);
}

/* ---- Forks ---- */

static int step_in_child(void *context) {
  rille_event event;
  alarm(10);
  return rille_reader_next(context, &event, NULL) == RILLE_CLOSED ? 0 : 1;
}

/* The lock is held in the child by a thread that it does not have. */
static void a_reader_in_a_forked_child_waits_for_no_lock(void) {
  rille_query q = {.size = sizeof q, .reverse = 1};
  rille_reader *reader;
  begin("fork");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(put_one(store, "s") == 0);
  CHECK(rille_store_read(store, &q, &reader, NULL) == 0);
  pthread_mutex_lock(&log_of(store)->lock);
  pid_t pid = start(step_in_child, reader);
  pthread_mutex_unlock(&log_of(store)->lock);
  CHECK(wait_for(pid) == 0);
  rille_reader_end(reader);
  check_reopened(store, path, 1);
}

static const struct test tests[] = {
    {"who only reads keeps what an appender would", who_only_reads_keeps_what_an_appender_would},
    {"a walk goes on where the last one ended", a_walk_goes_on_where_the_last_one_ended},
    {"a head may lead to a file that is new", a_head_may_lead_to_a_file_that_is_new},
    {"a head is no older than what was told", a_head_is_no_older_than_what_was_told},
    {"a mark is told when it is durable", a_mark_is_told_when_it_is_durable},
    {"waiting flushes what is due", waiting_flushes_what_is_due},
    {"a reader in a forked child waits for no lock", a_reader_in_a_forked_child_waits_for_no_lock},
};
TEST_MAIN(tests)
