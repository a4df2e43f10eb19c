/* record.c: heads of frames and records, sealed and as they come; each accessor of a record that
** was taken stays within its bytes. The first byte tells whether they are sealed. */
#include "fuzz.h"

static void use_record(const struct record *r, const uint8_t *bytes, size_t n) {
  uint64_t links[LINKS_MOST];
  unsigned sum = fuzz_touch(r->stream) + fuzz_touch(r->type) + fuzz_touch(record_given_id(r));
  MUST(r->head_length <= n && r->bytes == bytes);
  for (size_t i = 0; i < r->tag_count; i++) sum += fuzz_touch(record_tag(r, i));
  for (size_t i = 0; i < record_chains(r); i++) {
    MUST(record_number(r, i) > 0);
    sum += record_links(r, i, links);
  }
  if (n >= record_bytes(r)) sum += record_body_is_sound(r, bytes + r->head_length, FUZZ_SALT);
  MUST(sum != 1 || n > 0);
}

static void try_record(uint8_t *b, size_t n, bool sealed) {
  struct record r;
  size_t needs = record_needs(b, n);
  if (sealed) (void)fuzz_seal_record(b, n, 48);
  enum record_result result = record_get(b, n, 48, FUZZ_SALT, &r);
  if (result == RECORD_SHORT) MUST(needs > n);
  if (result == RECORD_OK) use_record(&r, b, n);
}

static void try_frame(uint8_t *b, size_t n, bool sealed) {
  struct frame f;
  if (n < FRAME_HEADER_BYTES) return;
  if (sealed) (void)fuzz_seal_frame(b, n, 0);
  if (!frame_get_header(b, 0, FUZZ_SALT, &f)) return;
  MUST(f.prefix <= f.length - FRAME_HEADER_BYTES && f.length % 8 == 0);
  MUST(frame_kind_name(f.kind)[0] &&
       (!frame_is_known(&f) || f.kind <= FRAME_MARK || f.kind == FRAME_REDACT));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  if (n == 0) return 0;
  bool sealed = bytes[0] & 1;
  uint8_t *copy = fuzz_copy(bytes + 1, n - 1);
  if (bytes[0] & 2) try_frame(copy, n - 1, sealed);
  else try_record(copy, n - 1, sealed);
  free(copy);
  return 0;
}
