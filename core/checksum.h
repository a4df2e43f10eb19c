/* checksum.h: CRC32C (Castagnoli), by the processor's instruction where it has
** one and by tables elsewhere; both give the same numbers.
**
** Every checksum in a store is seeded with the place of the bytes and the
** store's secret salt. So bytes that are whole but stand where they were not
** written do not pass, and data that looks like a frame can't pose as one: its
** author would have to know the salt. */
#ifndef RILLE_CHECKSUM_H
#define RILLE_CHECKSUM_H

#include "base.h"

/* Continues a checksum: checksum(checksum(s, a), b) is that of a and b joined. */
INTERNAL uint32_t checksum(uint32_t seed, const void *bytes, size_t n);
INTERNAL uint32_t checksum_by_table(uint32_t seed, const void *bytes, size_t n);

/* The seed for bytes at an address (the finalizer of SplitMix64). */
static inline uint32_t checksum_seed(uint64_t salt, uint64_t address) {
  uint64_t x = salt ^ (address + 0x9E3779B97F4A7C15u);
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return (uint32_t)((x ^ (x >> 31)) >> 16);
}

#endif
