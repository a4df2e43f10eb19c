/* sha256.c: SHA-256, as FIPS 180-4 writes it down; names in capitals are its own. */
#include "sha256.h"

#define ROUNDS 64
#define LENGTH_BYTES 8 /* at the end of the last block: how many bits were fed */

static const uint32_t K[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate_right(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* The standard's numbers are big-endian. */
static uint32_t get_word(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_word(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

static void make_schedule(uint32_t W[ROUNDS], const uint8_t *block) {
  for (int t = 0; t < 16; t++) W[t] = get_word(block + 4 * t);
  for (int t = 16; t < ROUNDS; t++) {
    uint32_t a = W[t - 15], b = W[t - 2];
    uint32_t small0 = rotate_right(a, 7) ^ rotate_right(a, 18) ^ a >> 3;
    uint32_t small1 = rotate_right(b, 17) ^ rotate_right(b, 19) ^ b >> 10;
    W[t] = small1 + W[t - 7] + small0 + W[t - 16];
  }
}

static void take_block(uint32_t words[8], const uint8_t *block) {
  uint32_t W[ROUNDS], v[8]; /* v: a .. h */
  make_schedule(W, block);
  memcpy(v, words, sizeof v);
  for (int t = 0; t < ROUNDS; t++) {
    uint32_t big1 = rotate_right(v[4], 6) ^ rotate_right(v[4], 11) ^ rotate_right(v[4], 25);
    uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
    uint32_t T1 = v[7] + big1 + choice + K[t] + W[t];
    uint32_t big0 = rotate_right(v[0], 2) ^ rotate_right(v[0], 13) ^ rotate_right(v[0], 22);
    uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
    memmove(v + 1, v, 7 * sizeof *v);
    v[4] += T1;
    v[0] = T1 + big0 + majority;
  }
  for (int i = 0; i < 8; i++) words[i] += v[i];
}

void sha256_begin(struct sha256 *s) {
  static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memcpy(s->words, first, sizeof first);
  s->bytes = 0;
}

void sha256_feed(struct sha256 *s, const void *bytes, size_t n) {
  const uint8_t *p = bytes;
  size_t waiting = s->bytes % SHA256_BLOCK_BYTES;
  s->bytes += n;
  while (n >= SHA256_BLOCK_BYTES - waiting) {
    size_t part = SHA256_BLOCK_BYTES - waiting;
    if (waiting) memcpy(s->block + waiting, p, part);
    take_block(s->words, waiting ? s->block : p);
    p += part, n -= part, waiting = 0;
  }
  if (n) memcpy(s->block + waiting, p, n);
}

void sha256_end(struct sha256 *s, uint8_t sum[SHA256_BYTES]) {
  static const uint8_t padding[SHA256_BLOCK_BYTES] = {0x80};
  uint64_t bits = s->bytes * 8;
  size_t room = SHA256_BLOCK_BYTES - LENGTH_BYTES, used = s->bytes % SHA256_BLOCK_BYTES;
  uint8_t length[LENGTH_BYTES];
  put_word(length, (uint32_t)(bits >> 32));
  put_word(length + 4, (uint32_t)bits);
  sha256_feed(s, padding, used < room ? room - used : SHA256_BLOCK_BYTES + room - used);
  sha256_feed(s, length, sizeof length);
  for (int i = 0; i < 8; i++) put_word(sum + 4 * i, s->words[i]);
}
