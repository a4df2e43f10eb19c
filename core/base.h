/* base.h: what every file of the core shares: sizes, limits, and how a number
** becomes bytes. On disk every number is little-endian, whatever the host. */
#ifndef RILLE_BASE_H
#define RILLE_BASE_H

/* POSIX and Linux's additions to it; base.h is every file's first include. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "rille.h"

/* What is shared among the library's files and no further: a host that has a
** function of the same name must not get between. In the amalgamation, where
** all is one file, these become static. */
#ifndef INTERNAL
#if defined(__GNUC__)
#define INTERNAL __attribute__((visibility("hidden")))
#else
#define INTERNAL
#endif
#endif

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* The addresses of a store: byte offsets in its log. No record can start at 0,
** because a frame's header comes first; so 0 stands for "none". */
#define NO_ADDRESS ((uint64_t)0)

static inline uint64_t align8(uint64_t n) { return (n + 7) & ~(uint64_t)7; }
static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }
/* a + b, or the nearest there is: of times that callers give. */
static inline int64_t add_i64(int64_t a, int64_t b) {
  if (b > 0 && a > INT64_MAX - b) return INT64_MAX;
  return b < 0 && a < INT64_MIN - b ? INT64_MIN : a + b;
}

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
static inline uint16_t disk16(uint16_t v) { return __builtin_bswap16(v); }
static inline uint32_t disk32(uint32_t v) { return __builtin_bswap32(v); }
static inline uint64_t disk64(uint64_t v) { return __builtin_bswap64(v); }
#else
static inline uint16_t disk16(uint16_t v) { return v; }
static inline uint32_t disk32(uint32_t v) { return v; }
static inline uint64_t disk64(uint64_t v) { return v; }
#endif

static inline uint16_t get16(const void *p) { uint16_t v; memcpy(&v, p, 2); return disk16(v); }
static inline uint32_t get32(const void *p) { uint32_t v; memcpy(&v, p, 4); return disk32(v); }
static inline uint64_t get64(const void *p) { uint64_t v; memcpy(&v, p, 8); return disk64(v); }
static inline void put16(void *p, uint16_t v) { v = disk16(v); memcpy(p, &v, 2); }
static inline void put32(void *p, uint32_t v) { v = disk32(v); memcpy(p, &v, 4); }
static inline void put64(void *p, uint64_t v) { v = disk64(v); memcpy(p, &v, 8); }

/* Where a position stands: its record, and the frame that holds it. */
struct place {
  uint64_t position, frame, record;
};

/* How many links a record has in a chain in which its number is n: one to each
** n - 2^k that is a multiple of 2^k and not 0 (see chain.h); never LINKS_MOST. */
#define LINKS_MOST 64u
static inline unsigned link_count(uint64_t n) {
  unsigned zeros = (unsigned)__builtin_ctzll(n);
  return (n & (n - 1)) == 0 ? zeros : zeros + 1;
}

static inline bool text_equal(rille_text a, rille_text b) {
  return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

#endif
