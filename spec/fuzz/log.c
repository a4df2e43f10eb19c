/* log.c: a segment of these bytes, whose frames are sealed one after another as far as they go:
** what repair says of where it ends, what a walk finds there, and frames read again. */
#include "fuzz.h"

#include "recall.h"
#include "repair.h"

struct segment_bytes {
  const uint8_t *bytes;
  size_t n;
};

static int read_bytes(void *context, uint64_t address, void *to, size_t n, size_t *got,
                      rille_error *e) {
  const struct segment_bytes *s = context;
  (void)e;
  size_t left = address < s->n ? s->n - (size_t)address : 0;
  *got = n < left ? n : left;
  if (*got) memcpy(to, s->bytes + address, *got);
  return 0;
}

/* Repair and the walk agree on every frame before its X. */
static void walk(const struct source *source, const struct memory *memory, uint64_t end,
                 uint64_t next_position) {
  struct scan s;
  struct record r;
  rille_error e = {0};
  uint64_t seen = 0, sum = 0;
  int result;
  scan_init(&s, source, memory, 0, 1, end);
  while ((result = scan_next(&s, &r, &e)) == 1) {
    MUST(r.position == ++seen);
    MUST(window_check_body(&s.window, &r, &e) == 0);
    sum += fuzz_touch((rille_text){(const char *)r.bytes + r.head_length, r.data_length});
  }
  MUST(result == 0 && seen == next_position - 1 && s.address == end && sum < UINT64_MAX);
  scan_release(&s);
}

static void recall_all(const struct source *source, const struct memory *memory, uint64_t end) {
  struct recalled r;
  struct fact f;
  for (uint64_t at = 0; at < end; at = frame_end(&r.frame)) {
    MUST(recall_frame(&r, source, memory, at, NULL) == 0);
    (void)recall_fact(&r, FACT_DECIDED, (rille_text){"t", 1}, &f);
    recall_release(&r);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  struct memory memory = memory_default();
  uint8_t *copy = fuzz_copy(bytes, n);
  struct segment_bytes segment = {copy, n};
  const struct source source = {read_bytes, &segment, FUZZ_SALT};
  const struct repair_segment whole = {.first = 0, .end = n, .last = true};
  struct repair_finding f = {.end = {.next_position = 1}};
  rille_error e = {0};
  for (size_t at = 0, used; (used = fuzz_seal_frame(copy + at, n - at, at)) != 0;) at += used;
  if (repair_look(&source, &memory, &whole, &f, &e) == 0) {
    MUST(f.end.address <= n && f.end.address % 8 == 0);
    walk(&source, &memory, f.end.address, f.end.next_position);
    recall_all(&source, &memory, f.end.address);
  } else {
    MUST(e.code == RILLE_UNSUPPORTED);
  }
  free(copy);
  return 0;
}
