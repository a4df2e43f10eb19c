/* hash.c: SipHash-2-4. */
#include "hash.h"

static uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }

static void mix_rounds(uint64_t v[4], int rounds) {
  while (rounds--) {
    v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
    v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
  }
}

static void take_word(uint64_t v[4], uint64_t word) {
  v[3] ^= word;
  mix_rounds(v, 2);
  v[0] ^= word;
}

uint64_t hash_keyed(uint64_t key0, uint64_t key1, const void *bytes, size_t n) {
  uint64_t v[4] = {key0 ^ 0x736f6d6570736575u, key1 ^ 0x646f72616e646f6du,
                   key0 ^ 0x6c7967656e657261u, key1 ^ 0x7465646279746573u};
  const uint8_t *p = bytes;
  size_t left = n;
  for (; left >= 8; left -= 8, p += 8) take_word(v, get64(p));
  uint64_t last = (uint64_t)n << 56;
  for (size_t i = 0; i < left; i++) last |= (uint64_t)p[i] << 8 * i;
  take_word(v, last);
  v[2] ^= 0xff;
  mix_rounds(v, 4);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}
