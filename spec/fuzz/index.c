/* index.c: the index's file as it was, but for patches: offset (3 bytes), length (1), bytes. No
** sum says what it was. Where its pages pass, LMDB walks them all, reads and writes; every
** answer is right or an error. Patches go to pages of trees twice as often as anywhere. */
#include "store_fuzz.h"

static uint8_t *data;
static size_t data_bytes;

static void patch(uint8_t *b, const uint8_t *p, size_t n) {
  while (n > 4) {
    size_t at = ((size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16) % data_bytes;
    size_t length = 1 + p[3] % 16, left = n - 4;
    if (length > left) length = left;
    if (length > data_bytes - at) length = data_bytes - at;
    memcpy(b + at, p + 4, length);
    p += 4 + length;
    n -= 4 + length;
  }
}

static void ask(rille_store *s) {
  static char room[8192];
  rille_kept kept = {.room = room, .room_bytes = sizeof room};
  rille_verified v;
  (void)fuzz_read(s);
  for (unsigned i = 0; i < 26; i++) {
    char stream[16];
    uint64_t version;
    snprintf(stream, sizeof stream, "s-%u", i);
    if (rille_store_version(s, rille_text_of(stream), &version, NULL) == 0)
      MUST(version == (i < FUZZ_EVENTS - 25 ? 2 : i < 25 ? 1 : 0));
  }
  while (rille_store_kept_next(s, (rille_text){kept.key, kept.key_length}, (rille_text){0}, &kept,
                               NULL) == 0)
    MUST(kept.length <= 6000);
  (void)rille_store_verify(s, NULL, &v, NULL);
}

static void look(const uint8_t *b, bool writing) {
  rille_error e = {0};
  fuzz_put("index/data.mdb", b, data_bytes);
  fuzz_drop("index/sum");
  rille_store *s = fuzz_open(writing, &e);
  if (!s) {
    MUST(strstr(e.message, "index") != NULL);
    return;
  }
  ask(s);
  if (writing) { /* LMDB writes into what it has taken for its pages */
    rille_kept_put put = {.key = rille_text_of("new"), .value = {(const char *)b, 5000}};
    rille_kept_write w = {.size = sizeof w, .puts = &put, .put_count = 1};
    uint64_t erased;
    (void)rille_store_kept_write(s, &w, NULL);
    (void)rille_store_kept_erase(s, rille_text_of("k-1"), 10, &erased, NULL);
    (void)rille_store_kept_write(s, &w, NULL);
  }
  (void)rille_store_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  fuzz_make();
  if (!data) data = fuzz_load("index/data.mdb", &data_bytes);
  uint8_t *b = fuzz_copy(data, data_bytes);
  patch(b, bytes, n);
  look(b, false);
  look(b, true);
  free(b);
  return 0;
}
