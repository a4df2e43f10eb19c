/* checksum.c: CRC32C. */
#include "checksum.h"

#include "checksum_table.h"

static uint64_t load64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, 8);
  return v;
}

static uint32_t load32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return v;
}

uint32_t checksum_by_table(uint32_t seed, const void *bytes, size_t n) {
  const uint32_t(*t)[256] = checksum_table;
  const uint8_t *p = bytes;
  uint32_t c = ~seed;
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t v = get64(p) ^ c;
    c = t[7][v & 255] ^ t[6][v >> 8 & 255] ^ t[5][v >> 16 & 255] ^ t[4][v >> 24 & 255] ^
        t[3][v >> 32 & 255] ^ t[2][v >> 40 & 255] ^ t[1][v >> 48 & 255] ^ t[0][v >> 56];
  }
  while (n--) c = c >> 8 ^ t[0][(c ^ *p++) & 255];
  return ~c;
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t by_hardware(uint32_t seed, const uint8_t *p,
                                                              size_t n) {
  uint64_t c = (uint32_t)~seed;
  for (; n >= 8; n -= 8, p += 8) c = _mm_crc32_u64(c, load64(p));
  uint32_t d = (uint32_t)c;
  if (n >= 4) {
    d = _mm_crc32_u32(d, load32(p));
    p += 4, n -= 4;
  }
  while (n--) d = _mm_crc32_u8(d, *p++);
  return ~d;
}

static bool have_hardware(void) { return __builtin_cpu_supports("sse4.2"); }

#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>

static uint32_t by_hardware(uint32_t seed, const uint8_t *p, size_t n) {
  uint32_t c = ~seed;
  for (; n >= 8; n -= 8, p += 8) c = __crc32cd(c, load64(p));
  if (n >= 4) c = __crc32cw(c, load32(p)), p += 4, n -= 4;
  while (n--) c = __crc32cb(c, *p++);
  return ~c;
}

static bool have_hardware(void) { return true; }

#else

static uint32_t by_hardware(uint32_t seed, const uint8_t *p, size_t n) {
  (void)load64, (void)load32;
  return checksum_by_table(seed, p, n);
}

static bool have_hardware(void) { return false; }
#endif

uint32_t checksum(uint32_t seed, const void *bytes, size_t n) {
  return have_hardware() ? by_hardware(seed, bytes, n) : checksum_by_table(seed, bytes, n);
}
