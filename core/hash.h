/* hash.h: a hash that can't be steered by who chooses the bytes: SipHash-2-4
** (Aumasson and Bernstein, 2012), keyed by two secret numbers. */
#ifndef RILLE_HASH_H
#define RILLE_HASH_H

#include "base.h"

INTERNAL uint64_t hash_keyed(uint64_t key0, uint64_t key1, const void *bytes, size_t n);

#endif
