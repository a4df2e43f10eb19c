/* log_test.c: the log as a whole on real files, seen from inside: folds that fail or
** end between two of their commits, writes and flushes that fail, frames of newer
** versions. After every step the invariants of log.h are checked.
**
** The calls that write and flush are defined here, before those of the C library, so
** that they can be made to fail (on Linux, where a descriptor tells its path). */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "checksum.h"
#include "frame.h"
#include "test.h"

#define STREAMS 20000u /* more heads than two chunks of a fold */
#define CHUNKS_LEAST 2u
#define PART_EVENTS 1000u
#define SEGMENT_BYTES RILLE_SEGMENT_BYTES_LEAST

static char folder[PATH_MAX / 2];
static unsigned made_stores;

/* ---- Failing calls ---- */

enum { FAIL_NONE = 0, FAIL_WRITE = 1, FAIL_FLUSH = 2, FAIL_TRUNCATE = 4 };

/* Calls of some kinds, on files whose names end so, fail from number `after` on, as many
** times as `times` says. */
static struct {
  int kinds, number;
  unsigned after, times, seen;
  const char *suffix;
} fault;

static void fail(int kinds, const char *suffix, unsigned after, unsigned times, int number) {
  fault.kinds = kinds;
  fault.suffix = suffix;
  fault.after = after;
  fault.times = times;
  fault.number = number;
  fault.seen = 0;
}

static void fail_no_more(void) { fault.kinds = FAIL_NONE; }

#ifdef __linux__
#include <sys/syscall.h>
#include <sys/uio.h>

static bool ends_with(int fd, const char *suffix) {
  char name[64], path[PATH_MAX];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(name, path, sizeof path - 1);
  size_t length = strlen(suffix);
  return n > (ssize_t)length && memcmp(path + (size_t)n - length, suffix, length) == 0;
}

static bool fails(int kind, int fd) {
  if (!(fault.kinds & kind) || !ends_with(fd, fault.suffix)) return false;
  unsigned n = ++fault.seen;
  if (n <= fault.after || n > fault.after + fault.times) return false;
  errno = fault.number;
  return true;
}

#define OURS __attribute__((visibility("default"))) /* for LMDB too */

OURS int fdatasync(int fd) {
  return fails(FAIL_FLUSH, fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

OURS int ftruncate(int fd, off_t size) {
  return fails(FAIL_TRUNCATE, fd) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

OURS ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
  if (!fails(FAIL_WRITE, fd)) return syscall(SYS_pwrite64, fd, bytes, n, at);
  return -1;
}

/* What fails here has written a part of the first piece. */
OURS ssize_t pwritev(int fd, const struct iovec *v, int count, off_t at) {
  if (!fails(FAIL_WRITE, fd)) return syscall(SYS_pwritev, fd, v, (long)count, (long)at, 0L);
  (void)!syscall(SYS_pwrite64, fd, v[0].iov_base, v[0].iov_len / 2, at);
  errno = fault.number;
  return -1;
}

static const bool can_fail = true;
#else
static const bool can_fail = false;
#endif

static bool calls_can_fail(void) {
  if (!can_fail) printf("  not tried: calls can be made to fail on Linux\n");
  return can_fail;
}

/* ---- Stores ---- */

static void remove_folder(void) { system_remove_tree(folder); }

static void make_folder(void) {
  const char *base = getenv("TMPDIR");
  if (folder[0]) return;
  snprintf(folder, sizeof folder, "%s/rille-log-XXXXXX", base && *base ? base : "/tmp");
  if (!mkdtemp(folder) || atexit(remove_folder) != 0) {
    perror(folder);
    exit(EXIT_FAILURE);
  }
}

static void remove_store(const char *path) { system_remove_tree(path); }

static const char *new_path(char room[PATH_MAX]) {
  make_folder();
  snprintf(room, PATH_MAX, "%s/%u", folder, ++made_stores);
  return room;
}

static rille_store *open_store(const char *path, int sync, int readonly) {
  rille_options o = {.size = sizeof o, .sync = sync, .readonly = readonly,
                     .segment_bytes = SEGMENT_BYTES, .no_background = 1};
  rille_store *store = NULL;
  rille_error e = {0};
  if (!CHECK(rille_store_open(path, &o, &store, &e) >= 0)) {
    printf("  %s\n", e.message);
    exit(EXIT_FAILURE);
  }
  return store;
}

static struct log *log_of(rille_store *store) { return &store->shared->log; }

static void check_invariants(rille_store *store) {
  struct log *l = log_of(store);
  CHECK(index_folded(l->index).address <= log_durable(l).address); /* L9 */
  CHECK(log_durable(l).address <= log_written(l).address);         /* L10 */
  CHECK((l->has_old ? &l->old : &l->fresh)->start <= index_folded(l->index).address);
}

/* One append: n events to streams of these names. */
static int append(rille_store *store, const char *prefix, unsigned first, unsigned n, size_t data,
                  rille_error *e) {
  static char bytes[1 << 20];
  rille_part *parts = calloc(n, sizeof *parts);
  rille_event_input *events = calloc(n, sizeof *events);
  char(*names)[32] = calloc(n, sizeof *names);
  for (unsigned i = 0; i < n; i++) {
    snprintf(names[i], sizeof names[i], "%s-%u", prefix, first + i);
    events[i] = (rille_event_input){.type = rille_text_of(i % 2 ? "Odd" : "Even"),
                                    .data = {bytes, data}};
    parts[i] = (rille_part){
        .stream = rille_text_of(names[i]), .events = &events[i], .event_count = 1};
  }
  rille_append a = {.size = sizeof a, .parts = parts, .part_count = n};
  int result = rille_store_append(store, &a, NULL, e);
  free(parts);
  free(events);
  free(names);
  check_invariants(store);
  return result;
}

static void append_well(rille_store *store, const char *prefix, unsigned first, unsigned n) {
  rille_error e = {0};
  if (!CHECK(append(store, prefix, first, n, 16, &e) == 0)) printf("  %s\n", e.message);
}

static void append_many(rille_store *store, unsigned streams) {
  for (unsigned i = 0; i < streams; i += PART_EVENTS) append_well(store, "many", i, PART_EVENTS);
}

/* What is in the store, as one number: every event, and the versions of its stream. */
static uint64_t answers(rille_store *store) {
  rille_reader *reader;
  rille_event event;
  rille_error e = {0};
  uint64_t h = 1, version;
  int result;
  if (!CHECK(rille_store_read(store, NULL, &reader, &e) == 0)) return 0;
  while ((result = rille_reader_next(reader, &event, &e)) == 1) {
    h = h * 31 + event.position + event.version * 7 + event.stream.length + event.data.length;
    h = h * 31 + checksum(0, event.stream.bytes, event.stream.length);
    if (event.position % 16 == 0) {
      CHECK(rille_store_version(store, event.stream, &version, &e) == 0);
      h = h * 31 + version;
    }
  }
  CHECK(result == 0);
  rille_reader_end(reader);
  return h;
}

static int print_problem(void *context, const rille_problem *p) {
  (void)context;
  printf("  %s at byte %llu: %s\n", p->invariant, (unsigned long long)p->address, p->message);
  return 0;
}

static void check_sound(rille_store *store) {
  rille_verify v = {.size = sizeof v, .problem = print_problem};
  CHECK(rille_store_verify(store, &v, NULL, NULL) == 0);
}

/* Ends it as a killed process does: nothing is flushed or folded. */
static void drop(rille_store *store) {
  log_fail(log_of(store), RILLE_IO, "dropped by the test");
  CHECK(rille_store_close(store) < 0);
}

/* Opens, compares, checks, appends, closes. */
static void check_again(const char *path, uint64_t expected) {
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS, 1);
  CHECK(answers(store) == expected);
  rille_store_close(store);
  store = open_store(path, RILLE_SYNC_ALWAYS, 0);
  check_invariants(store);
  CHECK(answers(store) == expected);
  check_sound(store);
  append_well(store, "again", 0, 1);
  append_well(store, "many", 0, 1);
  expected = answers(store);
  CHECK(rille_store_close(store) == 0);
  store = open_store(path, RILLE_SYNC_ALWAYS, 0);
  CHECK(answers(store) == expected);
  check_sound(store);
  CHECK(rille_store_close(store) == 0);
}

/* ---- Folds ---- */

static int fold(rille_store *store, rille_error *e) {
  int result = log_fold(log_of(store), e);
  check_invariants(store);
  return result;
}

static void any_order_of_appends_flushes_and_folds_keeps_the_invariants(void) {
  char path[PATH_MAX];
  unsigned next = 0;
  int sync = one_in(2) ? RILLE_SYNC_ALWAYS : RILLE_SYNC_NEVER;
  rille_store *store = open_store(new_path(path), sync, 0);
  for (int i = 0; i < 150; i++) {
    rille_error e = {0};
    uint64_t before = answers(store);
    switch (random_below(6)) {
      case 0: CHECK(fold(store, &e) == 0); break;
      case 1: CHECK(rille_store_sync(store, &e) == 0); break;
      case 2:
        if (one_in(2)) drop(store);
        else CHECK(rille_store_close(store) == 0);
        store = open_store(path, one_in(2) ? RILLE_SYNC_ALWAYS : RILLE_SYNC_NEVER, 0);
        break;
      default:
        append_well(store, one_in(3) ? "new" : "old", one_in(2) ? next++ : 0, 1 + random_below(4));
        before = answers(store);
    }
    check_invariants(store);
    if (!CHECK(answers(store) == before)) break;
  }
  check_sound(store);
  uint64_t expected = answers(store);
  rille_store_close(store);
  check_again(path, expected);
  remove_store(path);
}

/* How many heads the index has ahead of what it says it has folded. */
static uint64_t heads_in_index(rille_store *store) {
  struct log *l = log_of(store);
  uint64_t count = 0;
  CHECK(index_begin(l->index, NULL) == 0);
  CHECK(index_count(l->index, CHAIN_STREAM, &count, NULL) == 0);
  index_end(l->index);
  return count;
}

/* Fails the n-th flush of the index: true while there was one. */
static bool fail_fold(unsigned n, bool dies, bool *ahead) {
  char path[PATH_MAX];
  rille_error e = {0};
  rille_store *store = open_store(new_path(path), RILLE_SYNC_NEVER, 0);
  append_well(store, "many", 0, PART_EVENTS);
  CHECK(fold(store, &e) == 0);
  append_many(store, STREAMS);
  uint64_t expected = answers(store), a = index_folded(log_of(store)->index).address;
  fail(FAIL_FLUSH, "/data.mdb", n, 1, EIO);
  int result = fold(store, &e);
  bool failed = fault.seen > n;
  fail_no_more();
  CHECK(failed == (result < 0));
  if (failed) {
    CHECK(index_folded(log_of(store)->index).address == a);
    if (n > 0) *ahead = *ahead || heads_in_index(store) > PART_EVENTS;
  }
  CHECK(answers(store) == expected);
  if (dies) {
    drop(store);
  } else {
    append_well(store, "many", 5, 1); /* on with a fold that is half there */
    expected = answers(store);
    check_sound(store);
    CHECK(rille_store_close(store) == 0 || n == 0);
  }
  check_again(path, expected);
  remove_store(path);
  return failed;
}

static void a_fold_that_fails_between_two_chunks_changes_no_answer(void) {
  if (!calls_can_fail()) return;
  for (int dies = 0; dies < 2; dies++) {
    bool ahead = false;
    unsigned n = 0;
    while (fail_fold(n, dies, &ahead)) n++;
    CHECK(n > CHUNKS_LEAST);
    CHECK(ahead);
  }
}

static void a_copy_of_the_index_from_any_moment_serves(void) {
  char path[PATH_MAX], index[PATH_MAX + 16], command[3 * PATH_MAX];
  rille_store *store = open_store(new_path(path), RILLE_SYNC_NEVER, 0);
  for (unsigned i = 0; i < 4; i++) {
    append_well(store, "many", i * 100, 300);
    CHECK(fold(store, NULL) == 0);
    snprintf(command, sizeof command, "cp -r '%s/index' '%s/copy-%u'", path, folder, i);
    CHECK(system(command) == 0);
  }
  append_well(store, "last", 0, 3);
  uint64_t expected = answers(store);
  CHECK(rille_store_close(store) == 0);
  snprintf(index, sizeof index, "%s/index", path);
  for (unsigned i = 0; i < 4; i++) {
    CHECK(system_remove_tree(index) == 0);
    snprintf(command, sizeof command, "mv '%s/copy-%u' '%s'", folder, i, index);
    CHECK(system(command) == 0);
    store = open_store(path, RILLE_SYNC_NEVER, 0);
    CHECK(answers(store) == expected);
    check_sound(store);
    CHECK(rille_store_close(store) == 0);
  }
  remove_store(path);
}

/* ---- Writes that fail ---- */

static void a_write_that_fails_leaves_the_log_as_it_was(void) {
  if (!calls_can_fail()) return;
  char path[PATH_MAX];
  static const struct {
    int number, code;
  } kinds[] = {{ENOSPC, RILLE_FULL}, {EFBIG, RILLE_FULL}, {EDQUOT, RILLE_FULL}, {EIO, RILLE_IO}};
  rille_store *store = open_store(new_path(path), RILLE_SYNC_ALWAYS, 0);
  append_well(store, "s", 0, 3);
  for (unsigned i = 0; i < 100; i++) {
    rille_error e = {0};
    unsigned k = random_below(4);
    size_t data = one_in(3) ? 40000 + random_below(60000) : random_below(3000);
    uint64_t expected = answers(store), reloads = log_of(store)->control->words->appends;
    if (one_in(3)) fold(store, NULL);
    fail(FAIL_WRITE, ".seg", 0, 1, kinds[k].number);
    int result = append(store, one_in(2) ? "s" : "t", i, 1 + random_below(3), data, &e);
    fail_no_more();
    if (!CHECK(result == kinds[k].code && e.code == result)) printf("  %s\n", e.message);
    CHECK(log_of(store)->failed == 0 && log_of(store)->control->words->appends == reloads);
    if (!CHECK(answers(store) == expected)) break;
    append_well(store, one_in(2) ? "s" : "t", i, 1 + random_below(3));
  }
  check_sound(store);
  uint64_t expected = answers(store);
  if (one_in(2)) drop(store);
  else CHECK(rille_store_close(store) == 0);
  check_again(path, expected);
  remove_store(path);
}

/* ---- Flushes that fail ---- */

static void check_refused_for_good(rille_store *store) {
  rille_error e = {0};
  for (int i = 0; i < 3; i++) { /* the disk answers again: that means nothing */
    CHECK(append(store, "later", 0, 1, 8, &e) == RILLE_IO);
    CHECK(strstr(e.message, "must be closed") != NULL);
  }
}

static void check_failed_for_good(rille_store *store) {
  rille_error e = {0};
  check_refused_for_good(store);
  CHECK(rille_store_sync(store, &e) == RILLE_UNKNOWN);
  CHECK(fold(store, &e) < 0 || index_folded(log_of(store)->index).address <=
                                   log_durable(log_of(store)).address);
}

static void a_write_that_can_not_be_taken_back_is_final_until_the_store_is_opened_again(void) {
  if (!calls_can_fail()) return;
  char path[PATH_MAX];
  for (int dies = 0; dies < 2; dies++) {
    rille_error e = {0};
    rille_store *store = open_store(new_path(path), RILLE_SYNC_ALWAYS, 0);
    append_well(store, "s", 0, 3);
    uint64_t expected = answers(store);
    fail(FAIL_WRITE | FAIL_TRUNCATE, ".seg", 0, 2, EIO);
    CHECK(append(store, "s", 0, 2, 50000, &e) == RILLE_UNKNOWN);
    CHECK(fault.seen == 2);
    fail_no_more();
    CHECK(answers(store) == expected);
    check_refused_for_good(store);
    if (dies) drop(store);
    else CHECK(rille_store_close(store) < 0);
    check_again(path, expected);
    remove_store(path);
  }
}

static void a_flush_that_fails_is_final_until_the_store_is_opened_again(void) {
  if (!calls_can_fail()) return;
  char path[PATH_MAX];
  for (unsigned before = 0; before < 6; before++) {
    rille_error e = {0};
    rille_store *store = open_store(new_path(path), RILLE_SYNC_ALWAYS, 0);
    for (unsigned i = 0; i < before; i++) append_well(store, "s", 0, 2);
    uint64_t durable = rille_store_durable(store);
    fail(FAIL_FLUSH, ".seg", 0, 1, EIO);
    CHECK(append(store, "s", 0, 2, 100, &e) == RILLE_UNKNOWN);
    fail_no_more();
    CHECK(rille_store_durable(store) == durable && rille_store_head(store) == durable);
    check_failed_for_good(store);
    CHECK(rille_store_close(store) < 0);
    store = open_store(path, RILLE_SYNC_ALWAYS, 0);
    uint64_t head = rille_store_head(store);
    CHECK(head == durable + 2 && rille_store_durable(store) == head); /* R4 */
    check_sound(store);
    uint64_t expected = answers(store);
    CHECK(rille_store_close(store) == 0);
    check_again(path, expected);
    remove_store(path);
  }
}

static void a_flush_that_fails_at_the_end_of_a_segment_is_final_too(void) {
  if (!calls_can_fail()) return;
  char path[PATH_MAX];
  rille_error e = {0};
  rille_store *store = open_store(new_path(path), RILLE_SYNC_NEVER, 0);
  CHECK(append(store, "s", 0, 1, SEGMENT_BYTES, &e) == 0); /* the next one begins a segment */
  fail(FAIL_FLUSH, ".seg", 0, 1, EIO);
  int result = append(store, "s", 0, 1, 100, &e);
  CHECK(result < 0 && fault.seen == 1);
  fail_no_more();
  CHECK(append(store, "s", 0, 1, 100, &e) < 0);
  CHECK(rille_store_durable(store) == 0);
  CHECK(rille_store_close(store) < 0);
  store = open_store(path, RILLE_SYNC_ALWAYS, 0);
  CHECK(rille_store_head(store) == 1);
  uint64_t expected = answers(store);
  rille_store_close(store);
  check_again(path, expected);
  remove_store(path);
}

static void a_flush_that_fails_in_a_fold_keeps_the_index_back(void) {
  if (!calls_can_fail()) return;
  char path[PATH_MAX];
  rille_error e = {0};
  rille_store *store = open_store(new_path(path), RILLE_SYNC_NEVER, 0);
  append_well(store, "s", 0, 5);
  fail(FAIL_FLUSH, ".seg", 0, 1, EIO);
  CHECK(fold(store, &e) == RILLE_UNKNOWN);
  fail_no_more();
  CHECK(index_folded(log_of(store)->index).address == 0);
  CHECK(append(store, "s", 0, 1, 8, &e) == RILLE_IO);
  CHECK(rille_store_close(store) < 0);
  store = open_store(path, RILLE_SYNC_NEVER, 0);
  CHECK(rille_store_head(store) == 5);
  uint64_t expected = answers(store);
  rille_store_close(store);
  check_again(path, expected);
  remove_store(path);
}

static void a_descriptor_closed_under_the_store_ends_in_an_error(void) {
  char path[PATH_MAX];
  rille_error e = {0};
  rille_store *store = open_store(new_path(path), RILLE_SYNC_ALWAYS, 0);
  append_well(store, "s", 0, 3);
  uint64_t expected = answers(store);
  struct segments *s = &log_of(store)->segments;
  struct segment *last = &s->list[s->count - 1];
  int kept = last->fd;
  last->fd = open("/dev/null", O_RDONLY); /* writing to it fails, and cutting it */
  CHECK(append(store, "s", 0, 1, 8, &e) == RILLE_IO);
  system_close(last->fd);
  last->fd = kept;
  int again = append(store, "s", 0, 1, 8, &e);
  CHECK(again == 0 || again == RILLE_IO);
  if (again == 0) expected = answers(store);
  rille_store_close(store);
  check_again(path, expected);
  remove_store(path);
}

/* ---- Frames of newer versions ---- */

/* Writes a frame without records behind the end of a closed store's log. */
static void add_frame(const char *path, uint16_t kind, uint8_t format) {
  char name[PATH_MAX + 64];
  uint8_t b[FRAME_HEADER_BYTES + 16];
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS, 0);
  struct log *l = log_of(store);
  uint64_t salt = l->identity.salt, end = log_written(l).address;
  struct frame f = {.address = end, .length = sizeof b, .kind = kind, .format = format,
                    .time_us = log_written(l).time_us,
                    .first_position = log_written(l).next_position,
                    .durable = log_durable(l).address, .prefix = 16};
  uint64_t first = segments_last_first(&l->segments);
  random_fill(b + FRAME_HEADER_BYTES, 16);
  f.content_checksum = checksum(checksum_seed(salt, end), b + FRAME_HEADER_BYTES, 16);
  frame_put_header(b, &f, salt);
  CHECK(rille_store_close(store) == 0);
  snprintf(name, sizeof name, "%s/log/%016llx.seg", path, (unsigned long long)first);
  int fd = open(name, O_WRONLY);
  CHECK(fd >= 0 && pwrite(fd, b, sizeof b, (off_t)(end - first)) == (ssize_t)sizeof b);
  close(fd);
}

static void check_refused(uint16_t kind, uint8_t format, const char *part) {
  char path[PATH_MAX];
  rille_store *store = open_store(new_path(path), RILLE_SYNC_ALWAYS, 0);
  append_well(store, "s", 0, 4);
  rille_store_close(store);
  add_frame(path, kind, format);
  for (int readonly = 0; readonly < 2; readonly++) {
    rille_options o = {.size = sizeof o, .readonly = readonly};
    rille_error e = {0};
    CHECK(rille_store_open(path, &o, &store, &e) == RILLE_UNSUPPORTED);
    if (!CHECK(strstr(e.message, "newer rille") && strstr(e.message, part)))
      printf("  %s\n", e.message);
  }
  remove_store(path);
}

static void a_frame_that_must_be_known_and_is_not_is_refused(void) {
  check_refused(99, FRAME_FORMAT, "kind 99");
  check_refused(FRAME_EVENTS, FRAME_FORMAT + 1, "format 2");
}

static void a_frame_that_need_not_be_known_is_passed_over(void) {
  char path[PATH_MAX];
  rille_store *store = open_store(new_path(path), RILLE_SYNC_ALWAYS, 0);
  append_well(store, "s", 0, 4);
  uint64_t expected = answers(store);
  rille_store_close(store);
  for (int i = 0; i < 5; i++) {
    add_frame(path, (uint16_t)(FRAME_IGNORABLE | (90 + i)), (uint8_t)(FRAME_FORMAT + i % 2));
    if (i % 3 == 2) add_frame(path, FRAME_IGNORABLE | FRAME_EVENTS, FRAME_FORMAT);
    store = open_store(path, RILLE_SYNC_ALWAYS, 1);
    CHECK(answers(store) == expected);
    rille_store_close(store);
    store = open_store(path, RILLE_SYNC_ALWAYS, 0);
    CHECK(answers(store) == expected);
    check_sound(store);
    append_well(store, "s", 0, 3);
    if (one_in(2)) CHECK(fold(store, NULL) == 0);
    append_well(store, "t", (unsigned)i, 1);
    expected = answers(store);
    check_sound(store);
    if (one_in(2)) drop(store);
    else rille_store_close(store);
  }
  check_again(path, expected);
  remove_store(path);
}

#define TEST(name) {#name, name}

static const struct test tests[] = {
    TEST(any_order_of_appends_flushes_and_folds_keeps_the_invariants),
    TEST(a_fold_that_fails_between_two_chunks_changes_no_answer),
    TEST(a_copy_of_the_index_from_any_moment_serves),
    TEST(a_write_that_fails_leaves_the_log_as_it_was),
    TEST(a_write_that_can_not_be_taken_back_is_final_until_the_store_is_opened_again),
    TEST(a_flush_that_fails_is_final_until_the_store_is_opened_again),
    TEST(a_flush_that_fails_at_the_end_of_a_segment_is_final_too),
    TEST(a_flush_that_fails_in_a_fold_keeps_the_index_back),
    TEST(a_descriptor_closed_under_the_store_ends_in_an_error),
    TEST(a_frame_that_must_be_known_and_is_not_is_refused),
    TEST(a_frame_that_need_not_be_known_is_passed_over),
};

TEST_MAIN(tests)
