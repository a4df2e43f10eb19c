/* sha256.h: SHA-256 (FIPS 180-4): a name for bytes that nobody can give to others.
**
** Fed in parts of any size; the sum is that of all of them joined. It allocates
** nothing and can't fail, and a struct that is copied goes on from where it was. */
#ifndef RILLE_SHA256_H
#define RILLE_SHA256_H

#include "base.h"

#define SHA256_BYTES 32
#define SHA256_BLOCK_BYTES 64

struct sha256 {
  uint32_t words[8];
  uint64_t bytes; /* fed so far; what exceeds whole blocks waits in `block` */
  uint8_t block[SHA256_BLOCK_BYTES];
};

INTERNAL void sha256_begin(struct sha256 *s);
INTERNAL void sha256_feed(struct sha256 *s, const void *bytes, size_t n);
/* After this the struct must be begun again. */
INTERNAL void sha256_end(struct sha256 *s, uint8_t sum[SHA256_BYTES]);

#endif
