/* sha256_test.c: SHA-256 against published sums, and in parts against the whole. */
#include "sha256.h"

#include "test.h"

#define LENGTH_MOST 700
#define TRIALS 2000
#define MILLION 1000000

static bool has_sum(struct sha256 *s, const char *expected) {
  uint8_t sum[SHA256_BYTES];
  char text[2 * SHA256_BYTES + 1];
  sha256_end(s, sum);
  for (int i = 0; i < SHA256_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", sum[i]);
  return strcmp(text, expected) == 0;
}

static bool text_has_sum(const char *text, const char *expected) {
  struct sha256 s;
  sha256_begin(&s);
  sha256_feed(&s, text, strlen(text));
  return has_sum(&s, expected);
}

/* FIPS 180-4's examples, and the sum of nothing. */
static void published_sums(void) {
  CHECK(text_has_sum("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
  CHECK(text_has_sum("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
  CHECK(text_has_sum("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"));
  CHECK(
      text_has_sum("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
                   "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
                   "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"));
}

static void published_million(void) {
  struct sha256 s;
  sha256_begin(&s);
  for (int i = 0; i < MILLION / 10; i++) sha256_feed(&s, "aaaaaaaaaa", 10);
  CHECK(has_sum(&s, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
}

static void sum_of(const void *bytes, size_t n, uint8_t sum[SHA256_BYTES]) {
  struct sha256 s;
  sha256_begin(&s);
  sha256_feed(&s, bytes, n);
  sha256_end(&s, sum);
}

static void parts_join(void) {
  uint8_t bytes[LENGTH_MOST], whole[SHA256_BYTES], parts[SHA256_BYTES];
  random_fill(bytes, sizeof bytes);
  for (int i = 0; i < TRIALS; i++) {
    struct sha256 s;
    size_t n = random_below(LENGTH_MOST + 1), at = 0;
    sum_of(bytes, n, whole);
    sha256_begin(&s);
    while (at < n) {
      size_t part = random_below(one_in(4) ? 200 : 9);
      if (part > n - at) part = n - at;
      sha256_feed(&s, bytes + at, part);
      at += part;
    }
    sha256_end(&s, parts);
    CHECK(memcmp(whole, parts, sizeof whole) == 0);
  }
}

static void every_length_differs(void) {
  static uint8_t zeros[LENGTH_MOST], sums[LENGTH_MOST][SHA256_BYTES];
  for (size_t n = 0; n < LENGTH_MOST; n++) {
    sum_of(zeros, n, sums[n]);
    for (size_t other = 0; other < n; other++)
      CHECK(memcmp(sums[n], sums[other], SHA256_BYTES) != 0);
  }
}

static const struct test tests[] = {
    {"published sums", published_sums},
    {"published sum of a million letters", published_million},
    {"parts have the sum of the whole", parts_join},
    {"every length has its own sum", every_length_differs},
};
TEST_MAIN(tests)
