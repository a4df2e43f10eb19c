/* fuzz.h: what every target of the fuzzer shares.
**
** A target is a file with one function, LLVMFuzzerTestOneInput, which returns whatever the bytes
** are: what it calls may refuse them, and must not crash, read beyond them, or say what is not
** true (then it aborts). libFuzzer drives it, or replay.c. Bytes that a checksum guards are
** sealed first, or nothing behind the checksum would ever be reached. */
#ifndef RILLE_FUZZ_H
#define RILLE_FUZZ_H

#include "buffer.h"
#include "checksum.h"
#include "frame.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define FUZZ_SALT UINT64_C(0x5eed)

/* What must hold; the fuzzer shows the bytes with which it did not. */
#define MUST(condition)                                               \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                        \
    }                                                                 \
  } while (0)

/* A copy of exactly n bytes, so that one byte too far is seen. */
static inline uint8_t *fuzz_copy(const uint8_t *bytes, size_t n) {
  uint8_t *copy = calloc(1, n ? n : 1);
  MUST(copy != NULL);
  if (n) memcpy(copy, bytes, n);
  return copy;
}

/* Reads every byte of a text. */
static inline unsigned fuzz_touch(rille_text t) {
  unsigned sum = 0;
  for (size_t i = 0; i < t.length; i++) sum += (uint8_t)t.bytes[i];
  return sum;
}

/* Seals the record that may stand there: body first, then head. Returns its bytes; 0: there is
** no room for what it claims. */
static inline size_t fuzz_seal_record(uint8_t *b, size_t n, uint64_t address) {
  uint32_t seed = checksum_seed(FUZZ_SALT, address);
  if (n < RECORD_FIXED_BYTES) return 0;
  size_t head = get32(b + 4), body = (size_t)get32(b + 40) + get32(b + 44);
  if (head < RECORD_FIXED_BYTES || head % 8 || head > n || align8(body) > n - head) return 0;
  put32(b + 48, checksum(seed, b + head, body));
  put32(b, checksum(seed, b + 4, head - 4));
  return head + (size_t)align8(body);
}

/* The same for a frame and the records in it; what does not fit it is left as it is. */
static inline size_t fuzz_seal_frame(uint8_t *b, size_t n, uint64_t address) {
  uint32_t seed = checksum_seed(FUZZ_SALT, address), content;
  if (n < FRAME_HEADER_BYTES) return 0;
  size_t length = get32(b + 4), prefix = get32(b + 40), at = FRAME_HEADER_BYTES + prefix;
  if (length < FRAME_HEADER_BYTES || length % 8 || length > n || at > length) return 0;
  content = checksum(seed, b + FRAME_HEADER_BYTES, prefix);
  for (size_t used; at < length; at += used) {
    used = fuzz_seal_record(b + at, length - at, address + at);
    if (used == 0) break;
    content = frame_content_add(content, get32(b + at));
  }
  put32(b + 44, content);
  put32(b, checksum(seed, b + 4, FRAME_HEADER_BYTES - 4));
  return length;
}

#endif
