/* checksum_test.c: CRC32C against published vectors, and its two ways of
** computing against each other. */
#include "checksum.h"

#include "test.h"

#define LENGTH_MOST 4096
#define TRIALS 5000

struct vector {
  const char *bytes;
  size_t n;
  uint32_t sum;
};

static void check_both(const void *bytes, size_t n, uint32_t sum) {
  CHECK(checksum(0, bytes, n) == sum);
  CHECK(checksum_by_table(0, bytes, n) == sum);
}

/* RFC 3720, appendix B.4, and the check value of the CRC catalogues. */
static void published_vectors(void) {
  uint8_t up[32], down[32], zeros[32] = {0}, ones[32];
  for (int i = 0; i < 32; i++) up[i] = (uint8_t)i, down[i] = (uint8_t)(31 - i), ones[i] = 0xff;
  check_both("123456789", 9, 0xe3069283u);
  check_both("", 0, 0);
  check_both("a", 1, 0xc1d04330u);
  check_both(zeros, 32, 0x8a9136aau);
  check_both(ones, 32, 0x62a8ab43u);
  check_both(up, 32, 0x46dd794eu);
  check_both(down, 32, 0x113fdb5cu);
}

static void published_command(void) { /* RFC 3720: an iSCSI Read (10) command */
  uint8_t b[48] = {0x01, 0xc0};
  b[16] = 0x14, b[22] = 0x04, b[27] = 0x14, b[31] = 0x18, b[32] = 0x28, b[40] = 0x02;
  check_both(b, sizeof b, 0xd9963a56u);
}

/* Bit by bit, as the polynomial is defined. */
static uint32_t by_definition(uint32_t seed, const uint8_t *p, size_t n) {
  uint32_t c = ~seed;
  while (n--) {
    c ^= *p++;
    for (int bit = 0; bit < 8; bit++) c = c >> 1 ^ (c & 1 ? 0x82F63B78u : 0);
  }
  return ~c;
}

static void hardware_equals_table(void) {
  uint8_t *bytes = malloc(LENGTH_MOST + 16);
  random_fill(bytes, LENGTH_MOST + 16);
  for (int i = 0; i < TRIALS; i++) {
    size_t n = random_below(one_in(8) ? LENGTH_MOST : 100), skip = random_below(16);
    uint32_t seed = (uint32_t)random_bits(), sum = checksum(seed, bytes + skip, n);
    CHECK(sum == checksum_by_table(seed, bytes + skip, n));
    if (n < 100) CHECK(sum == by_definition(seed, bytes + skip, n));
  }
  free(bytes);
}

static void parts_join(void) {
  uint8_t bytes[600];
  random_fill(bytes, sizeof bytes);
  for (int i = 0; i < TRIALS; i++) {
    uint32_t seed = (uint32_t)random_bits();
    size_t n = random_below(sizeof bytes + 1), cut = random_below((uint32_t)n + 1);
    uint32_t whole = checksum(seed, bytes, n);
    CHECK(whole == checksum(checksum(seed, bytes, cut), bytes + cut, n - cut));
    CHECK(whole == checksum_by_table(checksum(seed, bytes, cut), bytes + cut, n - cut));
  }
}

/* Addresses are multiples of 8: near ones must not share their seeds. */
static void seeds_differ(void) {
  for (int i = 0; i < TRIALS; i++) {
    uint64_t salt = random_bits(), address = random_bits() >> 16 << 3;
    uint32_t seed = checksum_seed(salt, address);
    unsigned same = 0;
    for (unsigned k = 1; k <= 16; k++) same += seed == checksum_seed(salt, address + 8 * k);
    CHECK(same <= 1); /* two of sixteen by chance: 1 in 10^17 */
    CHECK(seed == checksum_seed(salt, address));
  }
  CHECK(checksum_seed(1, 0) != checksum_seed(2, 0));
}

static const struct test tests[] = {
    {"published vectors", published_vectors},
    {"published iSCSI command", published_command},
    {"hardware, table and definition agree", hardware_equals_table},
    {"a checksum continues over parts", parts_join},
    {"seeds of neighbours differ", seeds_differ},
};
TEST_MAIN(tests)
