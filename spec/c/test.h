/* test.h: the smallest harness that can fail. A program is a table of named
** tests; each starts from the same seed, which is printed, and can be given
** again as first argument or in SEED; a part of their names as second argument runs
** only some. The last line is "N passed, N failed". */
#ifndef RILLE_TEST_H
#define RILLE_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEST_SHOWN_MOST 5 /* failed checks that one test prints */

struct test {
  const char *name;
  void (*run)(void);
};

static unsigned test_failures; /* of the current test */
static uint64_t test_random;

/* True when the condition holds; else the test has failed, but goes on. */
#define CHECK(condition) test_check((condition), __FILE__, __LINE__, #condition)

static inline bool test_check(bool holds, const char *file, int line, const char *condition) {
  if (!holds && test_failures++ < TEST_SHOWN_MOST)
    printf("%s:%d: failed: %s\n", file, line, condition);
  return holds;
}

/* SplitMix64. */
static inline uint64_t random_bits(void) {
  uint64_t x = test_random += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}
/* 0 .. n - 1. */
static inline uint32_t random_below(uint32_t n) {
  return (uint32_t)((random_bits() >> 32) * n >> 32);
}
static inline bool one_in(uint32_t n) { return random_below(n) == 0; }
static inline void random_fill(void *bytes, size_t n) {
  uint8_t *p = bytes;
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t v = random_bits();
    memcpy(p, &v, 8);
  }
  for (; n; n--) *p++ = (uint8_t)random_bits();
}

/* A number from the environment, or what stands for it. */
static inline uint64_t test_setting(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* Whether all is to be tried, whatever it takes: RILLE_SOAK, a number, is 1 or more. Under the
** sanitizers it is less: see spec/support/rounds.lua. */
static inline bool test_tries_all(void) {
  const char *text = getenv("RILLE_SOAK");
  return text && strtod(text, NULL) >= 1;
}

/* Which part of n is to be tried, at least one: all, but under the sanitizers as RILLE_SOAK says.
** As rounds.of in spec/support/rounds.lua, which makes more of them, too. */
static inline unsigned test_part(unsigned n) {
  const char *text = getenv("RILLE_SOAK");
  double part = text ? strtod(text, NULL) : 1;
  if (part >= 1) return n;
  return (unsigned)(n * part + 0.5) > 1 ? (unsigned)(n * part + 0.5) : 1;
}

/* What has been tried, and how often: added up by spec/run.lua. */
static inline void test_tally(const char *what, uint64_t n) {
  printf("tally: %llu %s\n", (unsigned long long)n, what);
}

static inline int test_main(int argc, char **argv, const struct test *tests, size_t n) {
  uint64_t seed = test_setting("SEED", (uint64_t)time(NULL));
  if (argc > 1) seed = strtoull(argv[1], NULL, 0);
  unsigned failed = 0, passed = 0;
  printf("%s: seed %llu\n", argv[0], (unsigned long long)seed);
  for (size_t i = 0; i < n; i++) {
    if (argc > 2 && !strstr(tests[i].name, argv[2])) continue;
    test_failures = 0;
    test_random = seed;
    tests[i].run();
    printf("%s %s\n", test_failures ? "FAILED" : "ok    ", tests[i].name);
    if (test_failures) failed++;
    else passed++;
    fflush(stdout);
  }
  printf("%u passed, %u failed\n", passed, failed);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The last line of each program. */
#define TEST_MAIN(tests)                                                      \
  int main(int argc, char **argv) {                                          \
    return test_main(argc, argv, tests, sizeof tests / sizeof *tests);        \
  }

#endif
