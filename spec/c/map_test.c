/* map_test.c: log files that are read through memory (core/map.h). What is read is the same as
** by calls; and where a page may not be touched, it is not: here the system says what it has in
** memory as the test wants it to, files are made shorter under a reader, maps can't be had. */
#define _GNU_SOURCE
#include "processes.h"

#ifndef __linux__
int main(void) { return puts("0 passed, 0 failed, 1 skipped: this asks Linux what it has") < 0; }
#else

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "map.h"

#define STREAMS 20u
#define EVENTS 2000u /* some hundred KiB */
#define TURNS 10u    /* of reading everything: more than MAP_CALLS to every stretch */
#define DATA_BYTES 60u
#define SMALL_SEGMENT ((uint64_t)64 << 10)
#define CUT_SIGNAL (128 + SIGBUS)

/* ---- What the system says ---- */

enum memory_says { THE_TRUTH, ALL_IS_THERE, NOTHING_IS_THERE, NOTHING };

static _Atomic int says;
static _Atomic bool no_maps;
static _Atomic unsigned reads, asked, maps; /* calls that read, ask what is in memory, map files */
static uint64_t cut_at; /* not 0: there the log file is cut, once its length was told */
static char cut_file[400];

#pragma GCC visibility push(default)
int mincore(void *bytes, size_t n, unsigned char *each) {
  atomic_fetch_add(&asked, 1);
  if (says == NOTHING) return errno = ENOSYS, -1;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (says != THE_TRUTH) memset(each, says == ALL_IS_THERE, (n + page - 1) / page);
  return says == THE_TRUTH ? (int)syscall(SYS_mincore, bytes, n, each) : 0;
}

ssize_t preadv2(int fd, const struct iovec *v, int count, off_t at, int flags) {
  atomic_fetch_add(&reads, 1);
  return syscall(SYS_preadv2, fd, v, (long)count, (long)at, 0L, flags);
}

int fstat(int fd, struct stat *st) {
  long result = syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);
  if (cut_at && truncate(cut_file, (off_t)cut_at) == 0) cut_at = 0;
  return (int)result;
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
  if (fd >= 0 && no_maps) return errno = ENOMEM, MAP_FAILED;
  if (fd >= 0) atomic_fetch_add(&maps, 1);
  return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}
#pragma GCC visibility pop

/* ---- A store and what is in it ---- */

static uint32_t versions[STREAMS + 1];

static void stream_name(char name[32], uint32_t stream) { sprintf(name, "stream-%u", stream); }

/* What the event of that version has for data, in whichever process. */
static void make_data(uint8_t data[DATA_BYTES], uint32_t stream, uint64_t version) {
  for (unsigned i = 0; i < DATA_BYTES; i++) data[i] = (uint8_t)(stream * 31 + version * 7 + i);
}

static void add(rille_store *s, unsigned n) {
  uint8_t data[DATA_BYTES];
  char name[32];
  while (n--) {
    uint32_t stream = 1 + random_below(STREAMS);
    stream_name(name, stream);
    make_data(data, stream, ++versions[stream]);
    CHECK(put(s, name, RILLE_EXPECT_ANY, data, sizeof data, NULL) >= 0);
  }
}

static rille_store *begin(uint64_t segment_bytes) {
  rille_options o = options_of(RILLE_SYNC_NEVER, false);
  o.segment_bytes = segment_bytes;
  says = THE_TRUTH;
  no_maps = false;
  memset(versions, 0, sizeof versions);
  remove_store(path_of("store"));
  rille_store *s = open_with(path_of("store"), &o);
  add(s, EVENTS);
  return s;
}

/* Every event of a stream is there, in order. < 0: the error with which reading ended. */
static int read_stream(rille_store *s, uint32_t stream, rille_error *e) {
  uint8_t data[DATA_BYTES];
  uint32_t version = 0;
  char name[32];
  rille_reader *reader;
  rille_event event;
  stream_name(name, stream);
  rille_query q = {.size = sizeof q, .stream = rille_text_of(name)};
  int result = rille_store_read(s, &q, &reader, e);
  if (result < 0) return result;
  while ((result = rille_reader_next(reader, &event, e)) == 1) {
    make_data(data, stream, ++version);
    if (!CHECK(event.version == version && event.data.length == sizeof data)) break;
    if (!CHECK(memcmp(event.data.bytes, data, sizeof data) == 0)) break;
  }
  rille_reader_end(reader);
  if (result == 0) CHECK(version == versions[stream]);
  return result;
}

static void read_all(rille_store *s) {
  rille_error e = {0};
  for (uint32_t i = 1; i <= STREAMS; i++)
    if (!CHECK(read_stream(s, i, &e) == 0)) printf("       %s\n", e.message);
}

static void warm(rille_store *s) {
  for (unsigned i = 0; i < TURNS; i++) read_all(s);
}

/* Of reading everything once more. */
static unsigned calls_to_read(rille_store *s) {
  unsigned before = reads;
  read_all(s);
  return reads - before;
}

/* ---- Tests ---- */

static void from_memory(void) {
  rille_store *s = begin(0);
  CHECK(calls_to_read(s) >= MAP_CALLS); /* what is read once is read by calls */
  warm(s);
  CHECK(calls_to_read(s) == 0);
  CHECK(rille_store_close(s) == 0);
}

static void growing_files(void) {
  for (unsigned i = 0; i < 2; i++) {
    rille_store *s = begin(i ? SMALL_SEGMENT : 0);
    for (unsigned k = 0; k < TURNS; k++) {
      warm(s);
      add(s, 1 + random_below(EVENTS / 4));
      read_all(s);
    }
    warm(s);
    CHECK(calls_to_read(s) < EVENTS / 4);
    CHECK(rille_store_close(s) == 0);
  }
}

/* Not for each record at its end, either, whose neighbours would be in the next file. */
static void mapped_once(void) {
  rille_store *s = begin(SMALL_SEGMENT);
  warm(s);
  unsigned before = maps;
  CHECK(before > 0);
  warm(s);
  CHECK(maps == before);
  CHECK(rille_store_close(s) == 0);
}

static unsigned mapped_files(void) {
  char line[1000];
  unsigned n = 0;
  FILE *f = fopen("/proc/self/maps", "r");
  while (f && fgets(line, sizeof line, f)) n += strstr(line, ".seg") != NULL;
  if (f) fclose(f);
  return n;
}

/* What has a limit is left to the host's allocator. */
static int read_in_few_addresses(void *context) {
  (void)context;
  struct rlimit limit = {(rlim_t)1 << 50, (rlim_t)1 << 50};
  CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
  rille_store *s = begin(0);
  warm(s);
  CHECK(mapped_files() == 0 && calls_to_read(s) >= EVENTS);
  return rille_store_close(s);
}

static void few_addresses(void) { CHECK(wait_for(start(read_in_few_addresses, NULL)) == 0); }

static int inherit(void *context) {
  CHECK(mapped_files() == 0);
  CHECK(rille_store_close(context) == 0);
  return 0;
}

static void forked(void) {
  rille_store *s = begin(SMALL_SEGMENT);
  warm(s);
  CHECK(mapped_files() > 0);
  CHECK(wait_for(start(inherit, s)) == 0);
  CHECK(calls_to_read(s) < EVENTS / 4);
  CHECK(rille_store_close(s) == 0);
}

/* Longer ones than the first: the slots take more, or less than all. */
static void records_of_all_lengths(void) {
  static char data[3000];
  rille_store *s = begin(0);
  uint64_t lengths[200];
  for (unsigned i = 0; i < 200; i++) {
    lengths[i] = one_in(4) ? random_below(sizeof data) : random_below(500);
    CHECK(put(s, "long", RILLE_EXPECT_ANY, data, lengths[i], NULL) >= 0);
  }
  for (unsigned k = 0; k < TURNS; k++) {
    rille_query q = {.size = sizeof q, .stream = rille_text_of("long"), .reverse = k % 2};
    rille_reader *reader;
    rille_event event;
    unsigned n = 0;
    CHECK(rille_store_read(s, &q, &reader, NULL) == 0);
    for (; rille_reader_next(reader, &event, NULL) == 1; n++)
      CHECK(event.data.length == lengths[event.version - 1]);
    CHECK(n == 200);
    rille_reader_end(reader);
  }
  CHECK(rille_store_close(s) == 0);
}

static void not_in_memory(void) {
  rille_store *s = begin(0);
  says = NOTHING_IS_THERE;
  warm(s);
  CHECK(calls_to_read(s) >= EVENTS);
  CHECK(rille_store_close(s) == 0);
}

static void asked_again(void) {
  rille_store *s = begin(0);
  warm(s);
  unsigned before = asked;
  usleep((MAP_TRUST_MS + 100) * 1000);
  CHECK(calls_to_read(s) == 0 && asked > before);
  CHECK(rille_store_close(s) == 0);
}

/* It says that of everything, also of what is behind the end. */
static void untold(void) {
  for (int what = ALL_IS_THERE; what <= NOTHING; what += NOTHING - ALL_IS_THERE) {
    rille_store *s = begin(0);
    says = what;
    warm(s);
    CHECK(calls_to_read(s) >= EVENTS);
    CHECK(rille_store_close(s) == 0);
  }
}

static void no_map(void) {
  rille_store *s = begin(0);
  no_maps = true;
  warm(s);
  CHECK(calls_to_read(s) >= EVENTS);
  no_maps = false;
  CHECK(rille_store_close(s) == 0);
}

static const char *first_file(void) {
  snprintf(cut_file, sizeof cut_file, "%s/log/0000000000000000.seg", path_of("store"));
  return cut_file;
}

static int cut_while_read(void *context) {
  rille_store *s = begin(*(uint64_t *)context);
  const char *file = first_file();
  struct stat st;
  int result = 0;
  warm(s);
  says = ALL_IS_THERE; /* as it was a moment ago */
  CHECK(stat(file, &st) == 0);
  CHECK(truncate(file, st.st_size / 3) == 0);
  for (uint32_t i = 1; i <= STREAMS; i++) {
    rille_error e = {0};
    int failed = read_stream(s, i, &e);
    CHECK(failed == 0 || failed == RILLE_CORRUPT || failed == RILLE_IO); /* 0: all is left of it */
    if (failed) result = failed;
  }
  return result ? 0 : 1; /* it is not closed: the store is beyond that */
}

static void cut_files(void) {
  uint64_t sizes[] = {0, SMALL_SEGMENT};
  for (unsigned i = 0; i < 2; i++) {
    int status = wait_for(start(cut_while_read, &sizes[i]));
    CHECK(status != CUT_SIGNAL);
    CHECK(status == 0);
  }
}

/* A log file gets a successor, and loses the zeros behind its end, right after its length was
** asked for: the last event ends a page. */
static int cut_behind(void *context) {
  rille_store *s = begin(0);
  (void)context;
  while (4096 - stats_of(s).log_bytes % 4096 > 60) add(s, 1);
  warm(s);
  uint64_t end = stats_of(s).log_bytes;
  says = ALL_IS_THERE;
  first_file();
  for (uint32_t i = 1; i <= STREAMS; i++) {
    rille_error e = {0};
    cut_at = end;
    CHECK(read_stream(s, i, &e) == 0);
    CHECK(truncate(cut_file, (off_t)end + (1 << 20)) == 0);
  }
  return 0;
}

static void behind_the_end(void) {
  int status = wait_for(start(cut_behind, NULL));
  CHECK(status != CUT_SIGNAL);
  CHECK(status == 0);
}

/* What was redacted by another process is not shown out of the old file's map. */
static int redact(void *context) {
  (void)context;
  uint64_t position = 1;
  rille_redact r = {.size = sizeof r, .positions = &position, .position_count = 1};
  rille_options o = options_of(RILLE_SYNC_NEVER, false);
  o.segment_bytes = SMALL_SEGMENT;
  rille_store *s = open_with(path_of("store"), &o);
  CHECK(rille_store_redact(s, &r, NULL, NULL) == 0);
  return rille_store_close(s);
}

static void replaced_files(void) {
  rille_store *s = begin(SMALL_SEGMENT);
  rille_query q = {.size = sizeof q, .limit = 1};
  rille_reader *reader;
  rille_event event;
  char name[64];
  warm(s);
  CHECK(rille_store_read(s, &q, &reader, NULL) == 0 &&
        rille_reader_next(reader, &event, NULL) == 1 && !event.redacted);
  snprintf(name, sizeof name, "%.*s", (int)event.stream.length, event.stream.bytes);
  rille_reader_end(reader);
  CHECK(wait_for(start(redact, NULL)) == 0);
  q.stream = rille_text_of(name);
  CHECK(rille_store_read(s, &q, &reader, NULL) == 0 &&
        rille_reader_next(reader, &event, NULL) == 1);
  CHECK(event.version == 1 && event.redacted && event.data.length == 0);
  rille_reader_end(reader);
  CHECK(rille_store_close(s) == 0);
}

static void *go_on_reading(void *context) {
  for (unsigned i = 0; i < TURNS; i++)
    for (uint32_t k = 1; k <= STREAMS; k++) {
      rille_query q = {.size = sizeof q, .stream = rille_text_of("stream-1")};
      rille_reader *reader;
      rille_event event;
      uint64_t n = 0;
      if (rille_store_read(context, &q, &reader, NULL)) return NULL;
      while (rille_reader_next(reader, &event, NULL) == 1 && event.version == n + 1) n++;
      rille_reader_end(reader);
      if (n < 1) return NULL;
    }
  return context;
}

static void threads(void) {
  pthread_t readers[4];
  rille_store *s = begin(SMALL_SEGMENT);
  for (unsigned i = 0; i < 4; i++) CHECK(pthread_create(&readers[i], NULL, go_on_reading, s) == 0);
  for (unsigned i = 0; i < TURNS; i++) add(s, EVENTS / TURNS);
  for (unsigned i = 0; i < 4; i++) {
    void *result;
    CHECK(pthread_join(readers[i], &result) == 0 && result == s);
  }
  read_all(s);
  CHECK(rille_store_close(s) == 0);
}

static const struct test tests[] = {
    {"what is read again and again is read from memory, without calls", from_memory},
    {"files that grow, and that get successors, are mapped again", growing_files},
    {"a file is mapped once", mapped_once},
    {"where addresses are limited, nothing is mapped", few_addresses},
    {"a child has none of its parent's maps", forked},
    {"records of all lengths come out whole", records_of_all_lengths},
    {"pages that are not in memory are read by calls", not_in_memory},
    {"what was in memory is asked for again", asked_again},
    {"where the system does not tell, all is read by calls", untold},
    {"where no map can be had, all is read by calls", no_map},
    {"a file that is made shorter under a reader is an error, and no signal", cut_files},
    {"nothing is touched behind the end of the log", behind_the_end},
    {"a file that was replaced is read no more", replaced_files},
    {"threads read while it grows", threads},
};

int main(int argc, char **argv) {
  return test_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
#endif
