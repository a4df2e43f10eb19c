/* chance.h: random numbers of which all files here take from one line, so that a seed tells
** all of them. */
#ifndef RILLE_POWER_CHANCE_H
#define RILLE_POWER_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

extern uint64_t chance_state;

/* SplitMix64. */
static inline uint64_t chance_mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}
static inline uint64_t chance_bits(void) { return chance_mix(chance_state += 0x9E3779B97F4A7C15u); }
/* 0 .. n - 1. */
static inline uint32_t chance_below(uint32_t n) {
  return (uint32_t)((chance_bits() >> 32) * n >> 32);
}
static inline bool chance_in(uint32_t n) { return chance_below(n) == 0; }

#endif
