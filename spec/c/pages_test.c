/* pages_test.c: files that LMDB has made pass, whatever was done to them; and what was
** planted in one is seen. That no damaged file which passes ends a process is lies_test.c's. */
#define _GNU_SOURCE
#include "processes.h"

#include "pages.h"

#include <fcntl.h>
#include <sys/stat.h>

#define KEYS 400
#define MOST ((uint64_t)64 << 20)

static char path[300], data[330];
static rille_store *store;

static void begin_store(void) {
  if (access("/dev/shm", W_OK | X_OK) == 0)
    setenv("TMPDIR", "/dev/shm", 1); /* nothing is flushed */
  strcpy(path, path_of("pages"));
  snprintf(data, sizeof data, "%s/index/data.mdb", path);
  remove_store(path);
  store = open_store(path, RILLE_SYNC_NEVER);
}

static enum pages_result look(void) {
  struct memory memory = memory_default();
  enum pages_result result = PAGES_UNKNOWN;
  CHECK(pages_check(data, MOST, &memory, &result) == 0);
  return result;
}

/* Values small, of a page, and of many; keys of one byte and of 511. */
static void keep_at_random(void) {
  static char bytes[20000], key[RILLE_KEPT_KEY_BYTES];
  unsigned n = random_below(KEYS);
  size_t length = n % 10 == 0 ? sizeof key : 1 + n % 40;
  memset(key, (int)('a' + n % 26), sizeof key);
  snprintf(key, length > 8 ? 9 : length, "%u", n);
  rille_kept_put put = {.key = {key, length},
                        .value = {bytes, random_below(one_in(8) ? sizeof bytes : 300)},
                        .remove = one_in(3)};
  rille_kept_write w = {.size = sizeof w, .puts = &put, .put_count = 1};
  rille_error e = {0};
  if (!CHECK(rille_store_kept_write(store, &w, &e) == 0)) printf("       %s\n", e.message);
}

static void erase_some(void) {
  char letter = (char)('1' + random_below(9));
  uint64_t erased;
  CHECK(rille_store_kept_erase(store, (rille_text){&letter, 1}, 1 + random_below(300), &erased,
                               NULL) == 0);
}

static void reopen(void) {
  CHECK(rille_store_close(store) == 0);
  store = open_store(path, RILLE_SYNC_NEVER);
}

static void append_some(unsigned n) {
  for (unsigned i = 0; i < n; i++) {
    char stream[32];
    snprintf(stream, sizeof stream, "stream-%u", random_below(3000));
    CHECK(put_one(store, stream) == 0);
  }
}

static void what_lmdb_makes_passes(void) {
  unsigned rounds = (unsigned)test_setting("ROUNDS", 250), looked = 0;
  begin_store();
  for (unsigned i = 0; i < rounds; i++) {
    for (unsigned n = random_below(12); n; n--) keep_at_random();
    if (one_in(20)) erase_some();
    if (one_in(12)) append_some(60);
    if (one_in(25)) reopen();
    if (!CHECK(look() == PAGES_SOUND)) break;
    looked++;
  }
  CHECK(rille_store_close(store) == 0);
  CHECK(look() == PAGES_SOUND && looked == rounds);
}

/* ---- What is planted ---- */

static uint8_t *bytes;
static size_t size;

static void load(void) {
  struct stat s;
  int fd = open(data, O_RDONLY);
  CHECK(fd >= 0 && fstat(fd, &s) == 0);
  size = (size_t)s.st_size;
  bytes = malloc(size);
  CHECK(bytes && read(fd, bytes, size) == (ssize_t)size);
  close(fd);
}

static enum pages_result look_at(const uint8_t *b, size_t n) {
  int fd = open(data, O_WRONLY | O_TRUNC);
  CHECK(fd >= 0 && write(fd, b, n) == (ssize_t)n);
  close(fd);
  return look();
}

static uint8_t *page(size_t number) { return bytes + 4096 * number; }

static uint8_t *meta(void) {
  return get64(page(0) + 144) < get64(page(1) + 144) ? page(1) : page(0);
}

/* A value changed in place, and back again. */
#define PLANTED(change)                                                         \
  do {                                                                          \
    uint8_t *copy = malloc(size);                                               \
    memcpy(copy, bytes, size);                                                  \
    change;                                                                     \
    if (!CHECK(look_at(bytes, size) == PAGES_DAMAGED)) puts("       " #change); \
    memcpy(bytes, copy, size);                                                  \
    free(copy);                                                                 \
  } while (0)

static void what_is_planted_is_seen(void) {
  begin_store();
  for (int i = 0; i < 300; i++) keep_at_random();
  append_some(400);
  CHECK(rille_store_close(store) == 0);
  load();
  CHECK(look_at(bytes, size) == PAGES_SOUND);
  uint64_t root = get64(meta() + 88 + 40), last = get64(meta() + 136);
  uint8_t *leaf = page(root); /* of the main tree: the tables */
  uint8_t *first = leaf + get16(leaf + 16);
  CHECK(get16(leaf + 10) == 2);
  PLANTED(put64(meta() + 136, size / 4096)); /* the last page is behind the file's end */
  PLANTED(put64(meta() + 136, root - 1));
  PLANTED(put64(meta() + 88 + 40, last + 1));                    /* the root */
  PLANTED(put64(meta() + 88 + 32, get64(meta() + 88 + 32) + 1)); /* a count */
  PLANTED(put16(meta() + 88 + 4, 4));                            /* flags */
  PLANTED(put16(meta() + 40 + 4, 9));                            /* a fixed address */
  PLANTED(put16(meta() + 88 + 6, 33));                           /* a depth */
  PLANTED(put64(leaf, root + 1));                                /* another page's number */
  PLANTED(put16(leaf + 10, 1));
  PLANTED(put16(leaf + 12, 17));
  PLANTED(put16(leaf + 12, get16(leaf + 12) - 2)); /* a node less */
  PLANTED(put16(leaf + 14, 4098));
  PLANTED(put16(leaf + 16, 4094));
  PLANTED(put16(leaf + 16, get16(leaf + 18)));             /* two pointers to one node */
  PLANTED(put16(first + 6, 600));                          /* a key's size */
  PLANTED(first[8] = 'z');                                 /* an order */
  PLANTED(put16(first + 4, 0));                            /* a table that is none */
  PLANTED(put64(first + 8 + get16(first + 6) + 40, root)); /* a tree within itself */
  PLANTED(put32(page(0) + 40, 1000));                      /* the size of a page */
  PLANTED(put32(page(1) + 16, 7));
  CHECK(look_at(bytes, size / 2) == PAGES_DAMAGED);
  CHECK(look_at(bytes, 100) == PAGES_DAMAGED);
  put32(page(0) + 20, 2); /* another format: LMDB itself will say so */
  CHECK(look_at(bytes, size) == PAGES_UNKNOWN);
  free(bytes);
}

static const struct test tests[] = {
    {"what LMDB makes passes", what_lmdb_makes_passes},
    {"what is planted is seen", what_is_planted_is_seen},
};
TEST_MAIN(tests)
