/* segment.c: a store whose one log file is these bytes, its frames sealed with the store's own
** salt as far as they go, so that they are believed. Whatever they say, it is refused or read. */
#include "store_fuzz.h"

#include <dirent.h>

static uint64_t salt;

/* As fuzz_seal_frame, with the salt of the store: only the numbers of its first record are
** its own business. */
static size_t seal(uint8_t *b, size_t n, uint64_t address) {
  uint32_t seed = checksum_seed(salt, address);
  if (n < FRAME_HEADER_BYTES) return 0;
  size_t length = get32(b + 4), prefix = get32(b + 40), at = FRAME_HEADER_BYTES + prefix;
  if (length < FRAME_HEADER_BYTES || length % 8 || length > n || at > length) return 0;
  uint32_t content = checksum(seed, b + FRAME_HEADER_BYTES, prefix);
  while (at + RECORD_FIXED_BYTES <= length) {
    size_t head = get32(b + at + 4), body = (size_t)get32(b + at + 40) + get32(b + at + 44);
    if (head < RECORD_FIXED_BYTES || head % 8 || head > length - at ||
        align8(body) > length - at - head)
      break;
    uint32_t own = checksum_seed(salt, address + at);
    put32(b + at + 48, checksum(own, b + at + head, body));
    put32(b + at, checksum(own, b + at + 4, head - 4));
    content = frame_content_add(content, get32(b + at));
    at += head + (size_t)align8(body);
  }
  put32(b + 44, content);
  put32(b, checksum(seed, b + 4, FRAME_HEADER_BYTES - 4));
  return length;
}

/* What repair cut off before lies beside the log. */
static void drop_torn(void) {
  char path[300], name[80];
  fuzz_path(path, sizeof path, "log");
  DIR *dir = opendir(path);
  MUST(dir != NULL);
  for (struct dirent *d; (d = readdir(dir)) != NULL;) {
    snprintf(name, sizeof name, "log/%.60s", d->d_name);
    if (strstr(d->d_name, ".torn")) fuzz_drop(name);
  }
  closedir(dir);
}

static void walk(rille_store *s) {
  rille_reader *reader = NULL;
  rille_event event;
  uint64_t n = 0;
  char room[RILLE_ID_BYTES];
  if (rille_store_read(s, NULL, &reader, NULL) != 0) return;
  while (rille_reader_next(reader, &event, NULL) == 1) {
    MUST(event.position > n && event.position <= rille_store_head(s));
    n = event.position;
    unsigned sum =
        fuzz_touch(event.data) + fuzz_touch(event.meta) + fuzz_touch(rille_event_id(&event, room));
    for (size_t i = 0; i < event.tag_count; i++) sum += fuzz_touch(rille_event_tag(&event, i));
    MUST(sum < UINT32_MAX);
  }
  rille_reader_end(reader);
}

static void look(bool writing) {
  rille_error e = {0};
  rille_verified v;
  rille_doubts doubts;
  rille_store *s = fuzz_open(writing, &e);
  if (!s) {
    MUST(e.code && e.message[0]);
    return;
  }
  walk(s);
  (void)rille_store_verify(s, NULL, &v, NULL);
  if (rille_store_indoubt(s, &doubts, NULL) == 0) rille_doubts_free(&doubts);
  rille_event_input event = {.type = rille_text_of("After")};
  rille_part part = {.stream = rille_text_of("s-1"), .events = &event, .event_count = 1};
  rille_append a = {.size = sizeof a, .parts = &part, .part_count = 1};
  if (writing) (void)rille_store_append(s, &a, NULL, NULL);
  (void)rille_store_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  size_t m;
  fuzz_make();
  uint8_t *store = fuzz_load("store", &m), *b = fuzz_copy(bytes, n);
  salt = get64(store + 32);
  free(store);
  for (size_t at = 0, used; (used = seal(b + at, n - at, at)) != 0;) at += used;
  fuzz_drop("index/data.mdb");
  fuzz_drop("index/sum");
  fuzz_put("log/0000000000000000.seg", b, n);
  look(false);
  look(true);
  drop_torn();
  free(b);
  return 0;
}
