/* audit_test.c: verify beside appends. They come in the midst of it, from the callback that is
** told of a planted fault in the index: so in what order things happen is not left to chance. */
#define _GNU_SOURCE
#include "rille.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

#define STREAMS 3000u
#define LARGE ((size_t)200 << 10)

static char folder[] = "/tmp/rille-audit-test-XXXXXX";
static char data[LARGE];

static rille_store *open_store(const char *path) {
  rille_store *store = NULL;
  rille_error e = {0};
  rille_options o = {.size = sizeof o, .sync = RILLE_SYNC_NEVER};
  int result = rille_store_open(path, &o, &store, &e);
  if (!CHECK(result == 0)) printf("       %d %s\n", result, e.message);
  return store;
}

static void append(rille_store *store, const char *stream, size_t bytes) {
  rille_error e = {0};
  rille_text tag = rille_text_of(stream), id = {data, 0};
  rille_event_input event = {.type = rille_text_of("Happened"), .data = {data, bytes}, .tags = &tag,
                             .tag_count = 1, .id = id};
  rille_part part = {.stream = rille_text_of(stream), .expect = RILLE_EXPECT_ANY, .events = &event,
                     .event_count = 1};
  rille_append a = {.size = sizeof a, .parts = &part, .part_count = 1};
  if (!CHECK(rille_store_append(store, &a, NULL, &e) == 0)) printf("       %s\n", e.message);
}

static void name_of(char *room, unsigned i) { sprintf(room, "account-%u", i); }

static void fill(const char *path) {
  char stream[32];
  rille_store *store = open_store(path);
  for (unsigned i = 0; i < STREAMS; i++) {
    name_of(stream, i);
    append(store, stream, 20);
  }
  append(store, "victim-of-a-turned-bit", 20);
  CHECK(rille_store_close(store) == 0);
}

/* A bit turns behind each place where the index has the name. Returns how many there were. */
static unsigned turn_bits(const char *path, const char *name) {
  static char bytes[16 << 20];
  char file[512];
  unsigned turned = 0;
  snprintf(file, sizeof file, "%s/index/data.mdb", path);
  int fd = open(file, O_RDWR);
  ssize_t n = read(fd, bytes, sizeof bytes);
  CHECK(fd >= 0 && n > 0 && (size_t)n < sizeof bytes);
  for (char *at = bytes; (at = memmem(at, (size_t)(bytes + n - at), name, strlen(name))) != NULL;
       turned++) {
    at += strlen(name);
    *at ^= 4;
    CHECK(pwrite(fd, at, 1, at - bytes) == 1);
  }
  close(fd);
  return turned;
}

struct meanwhile {
  rille_store *store;
  unsigned count, told;
  size_t bytes;
};

/* The first time, appends to streams that are there, and to new ones. */
static int append_meanwhile(void *context, const rille_problem *p) {
  struct meanwhile *m = context;
  char stream[32];
  CHECK(strstr(p->message, "victim-of-a-turned-bit") != NULL);
  if (m->told++ > 0) return 0;
  for (unsigned i = 0; i < m->count; i++) {
    name_of(stream, STREAMS / 2 + i * (STREAMS / m->count));
    append(m->store, stream, m->bytes);
  }
  return 0;
}

/* Appends so much in the midst of a verification, which must find the planted fault and no
** other; and has seen the appends, so that these were not kept waiting for its end. */
static void verify_beside(const char *name, unsigned count, size_t bytes) {
  char path[256];
  sprintf(path, "%s/%s", folder, name);
  fill(path);
  struct meanwhile m = {.store = open_store(path), .count = count, .bytes = bytes};
  CHECK(turn_bits(path, "victim-of-a-turned-bit") > 0); /* opening would see it */
  rille_verify options = {
      .size = sizeof options, .problem = append_meanwhile, .context = &m};
  rille_verified result;
  rille_error e = {0};
  CHECK(rille_store_verify(m.store, &options, &result, &e) == RILLE_REMARK);
  CHECK(m.told > 0 && result.problems == m.told && m.told <= 2); /* as a stream and as a tag */
  CHECK(result.events == STREAMS + 1 + count && result.readable == result.events);
  CHECK(rille_store_close(m.store) == 0);
}

static void appends_go_on(void) { verify_beside("few", 3, 20); }

/* The background thread folds meanwhile: the index moves under what is compared with it. */
static void folds_go_on(void) { verify_beside("many", 400, LARGE); }

static const struct test tests[] = {
    {"appends go on while the index is looked at", appends_go_on},
    {"and so do folds", folds_go_on},
};

int main(int argc, char **argv) {
  if (!mkdtemp(folder)) return EXIT_FAILURE;
  int result = test_main(argc, argv, tests, sizeof tests / sizeof *tests);
  char command[128];
  sprintf(command, "rm -r %s", folder);
  return system(command) == 0 ? result : EXIT_FAILURE;
}
