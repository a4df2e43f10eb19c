/* store_test.c: what a host may do to a store: change its folder, use it from
** threads while the disk fails, from two handles of different sync. */
#define _GNU_SOURCE
#include "rille.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

/* ---- A disk whose first flush fails; the kernel tells one caller of it ---- */

static atomic_int failing, flushes;

int fdatasync(int fd) {
  if (!atomic_load(&failing)) return fsync(fd);
  if (atomic_fetch_add(&flushes, 1) > 0) return 0;
  usleep(100000); /* long enough for the others to come: what follows must hold anyway */
  errno = EIO;
  return -1;
}

static char folder[] = "/tmp/rille-store-test-XXXXXX";
static char data[70000];

static rille_store *open_store(const char *path, int sync) {
  rille_store *store = NULL;
  rille_error e = {0};
  rille_options o = {.size = sizeof o, .segment_bytes = RILLE_SEGMENT_BYTES_LEAST, .sync = sync};
  int result = rille_store_open(path, &o, &store, &e);
  if (!CHECK(result == 0)) printf("       %s\n", e.message);
  return store;
}

static int append(rille_store *store, const char *stream, int64_t expect, size_t n,
                  rille_error *e) {
  rille_event_input event = {.type = rille_text_of("Happened"), .data = {data, n}};
  rille_part part = {
      .stream = rille_text_of(stream), .expect = expect, .events = &event, .event_count = 1};
  rille_append a = {.size = sizeof a, .parts = &part, .part_count = 1};
  return rille_store_append(store, &a, NULL, e);
}

static void path_of(char *room, const char *name) { sprintf(room, "%s/%s", folder, name); }

/* ---- Tests ---- */

static void a_relative_path_stays_where_it_was(void) {
  char a[64], b[64];
  path_of(a, "a");
  path_of(b, "b");
  CHECK(chdir(folder) == 0);
  CHECK(rille_store_close(open_store("b", 0)) == 0);
  rille_store *store = open_store("a", 0);
  CHECK(chdir("/") == 0);
  for (int i = 0; i < 5; i++) CHECK(append(store, "s", RILLE_EXPECT_ANY, 60000, NULL) == 0);
  CHECK(rille_store_close(store) == 0);
  store = open_store(a, 0);
  CHECK(rille_store_head(store) == 5 && rille_store_close(store) == 0);
  store = open_store(b, 0);
  CHECK(rille_store_head(store) == 0 && rille_store_close(store) == 0);
}

struct appender {
  rille_store *store;
  size_t bytes;
  int result;
};

static void *run_appender(void *context) {
  struct appender *a = context;
  a->result = append(a->store, "s", RILLE_EXPECT_ANY, a->bytes, NULL);
  return NULL;
}

/* One appends and flushes, one waits for that flush, one begins a new segment. */
static void a_failed_flush_acknowledges_nobody(void) {
  char path[64];
  path_of(path, "failing");
  rille_store *store = open_store(path, 0);
  struct appender a[3] = {{store, 10, 0}, {store, 70000, 0}, {store, 10, 0}};
  pthread_t threads[3];
  atomic_store(&failing, 1);
  for (int i = 0; i < 3; i++) {
    CHECK(pthread_create(&threads[i], NULL, run_appender, &a[i]) == 0);
    usleep(20000);
  }
  for (int i = 0; i < 3; i++) {
    pthread_join(threads[i], NULL);
    CHECK(a[i].result < 0);
  }
  CHECK(rille_store_durable(store) == 0);
  CHECK(append(store, "s", RILLE_EXPECT_ANY, 10, NULL) < 0);
  CHECK(rille_store_close(store) < 0);
  atomic_store(&failing, 0);
  store = open_store(path, 0); /* what was written is there, repaired */
  CHECK(append(store, "s", RILLE_EXPECT_ANY, 10, NULL) == 0);
  CHECK(rille_store_close(store) == 0);
}

/* Who is refused because of an event must find it when it reads again. */
static void a_conflict_can_be_seen(void) {
  char path[64];
  path_of(path, "mixed");
  rille_store *loose = open_store(path, RILLE_SYNC_NEVER), *strict = open_store(path, 0);
  rille_error e;
  uint64_t version;
  CHECK(append(loose, "s", RILLE_EXPECT_ANY, 10, NULL) == 0);
  CHECK(append(strict, "s", RILLE_EXPECT_NONE, 10, &e) == RILLE_CONFLICT && e.version == 1);
  CHECK(rille_store_version(strict, rille_text_of("s"), &version, NULL) == 0 && version == 1);
  CHECK(append(strict, "s", (int64_t)version, 10, &e) == 0);
  CHECK(rille_store_close(loose) == 0 && rille_store_close(strict) == 0);
}

/* verify's callbacks may use the store. */
static rille_store *verified;
static unsigned told;

static void note_progress(void *context, uint64_t done, uint64_t all) {
  (void)context, (void)done, (void)all;
  told++;
  CHECK(append(verified, "during", RILLE_EXPECT_ANY, sizeof data, NULL) == 0);
  CHECK(rille_store_head(verified) > 0);
}

static void verify_may_be_watched(void) {
  char path[64];
  path_of(path, "verified");
  verified = open_store(path, RILLE_SYNC_NEVER);
  for (int i = 0; i < 600; i++)
    CHECK(append(verified, "s", RILLE_EXPECT_ANY, sizeof data, NULL) == 0);
  rille_verify options = {.size = sizeof options, .progress = note_progress};
  rille_verified result;
  CHECK(rille_store_verify(verified, &options, &result, NULL) == 0);
  CHECK(told > 0 && result.events == 600 + told && result.problems == 0);
  CHECK(rille_store_close(verified) == 0);
}

/* The program at the head of rille.h, but for the folder. */
static void the_story_is_true(void) {
  char path[64];
  path_of(path, "bank.rille");
  rille_store *store;
  rille_error error;
  if (!CHECK(rille_store_open(path, NULL, &store, &error) == 0)) return;
  rille_event_input opened = {.type = rille_text_of("Opened")};
  rille_part part = {.stream = rille_text_of("account-1"),
                     .expect = RILLE_EXPECT_NONE, .events = &opened, .event_count = 1};
  rille_append story = {.size = sizeof story, .parts = &part, .part_count = 1};
  rille_appended done;
  int result = rille_store_append(store, &story, &done, &error);
  CHECK(result == 0 && done.first == 1 && done.version == 1);
  rille_store_close(store);
}

/* Parts may name one stream several times: what each is told is how it stands behind all. */
static void a_repeat_is_told_what_the_first_was(void) {
  char path[64];
  rille_event_input events[4];
  rille_part parts[4];
  uint64_t first[4] = {0}, again[4] = {0};
  const char *const streams[] = {"s", "t", "s", "s"}, *const ids[] = {"a", "b", "c", "d"};
  for (int i = 0; i < 4; i++) {
    events[i] = (rille_event_input){.type = rille_text_of("Happened"), .id = rille_text_of(ids[i])};
    parts[i] = (rille_part){.stream = rille_text_of(streams[i]),
                            .expect = RILLE_EXPECT_ANY,
                            .events = &events[i],
                            .event_count = 1};
  }
  rille_append a = {.size = sizeof a, .parts = parts, .part_count = 4, .versions = first};
  path_of(path, "repeat");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(rille_store_append(store, &a, NULL, NULL) == 0);
  CHECK(first[0] == 3 && first[1] == 1 && first[2] == 3 && first[3] == 3);
  rille_appended done;
  a.versions = again;
  CHECK(append(store, "s", RILLE_EXPECT_ANY, 1, NULL) == 0);
  CHECK(rille_store_append(store, &a, &done, NULL) == 0 && done.duplicate);
  CHECK(memcmp(first, again, sizeof first) == 0);
  CHECK(rille_store_close(store) == 0);
}

static void nobody_truncates_by_mistake_all(void) {
  char path[64];
  rille_error e = {0};
  path_of(path, "truncated");
  rille_store *store = open_store(path, RILLE_SYNC_ALWAYS);
  CHECK(append(store, "s", RILLE_EXPECT_ANY, 1, NULL) == 0);
  CHECK(rille_store_truncate(store, rille_text_of("s"), UINT64_MAX, &e) == RILLE_INVALID);
  CHECK(strstr(e.message, "at most 2") != NULL);
  CHECK(rille_store_close(store) == 0);
}

static void remove_all(void) {
  char command[96];
  sprintf(command, "rm -rf '%s'", folder);
  if (system(command) != 0) printf("       %s could not be removed\n", folder);
}

static void make_folder(void) {
  CHECK(mkdtemp(folder) != NULL);
  atexit(remove_all);
}

static const struct test tests[] = {
    {"a folder for what follows", make_folder},
    {"a relative path stays where it was", a_relative_path_stays_where_it_was},
    {"a failed flush acknowledges nobody", a_failed_flush_acknowledges_nobody},
    {"a conflict can be seen by who reads again", a_conflict_can_be_seen},
    {"verify may be watched by who uses the store", verify_may_be_watched},
    {"a repeat is told what the first was", a_repeat_is_told_what_the_first_was},
    {"nobody truncates by mistake all", nobody_truncates_by_mistake_all},
    {"the story of rille.h is true", the_story_is_true},
};
TEST_MAIN(tests)
