/* pack.h: numbers and texts in a row of bytes, for what a frame says beside its records.
**
** A text is its length in four bytes, then its bytes. Nothing is aligned. Reading never
** goes beyond the end: `bad` is set, and all that is read from then on is zero. */
#ifndef RILLE_PACK_H
#define RILLE_PACK_H

#include "buffer.h"

struct pack {
  struct buffer bytes;
  bool no_memory; /* something could not be added */
};
INTERNAL void pack_init(struct pack *p, const struct memory *memory);
INTERNAL void pack_release(struct pack *p);
INTERNAL void pack_u32(struct pack *p, size_t number);
INTERNAL void pack_u64(struct pack *p, uint64_t number);
INTERNAL void pack_text(struct pack *p, rille_text text);
INTERNAL void pack_texts(struct pack *p, const rille_text *texts, size_t n); /* n is before them */
INTERNAL void pack_event(struct pack *p, const rille_event_input *event);
static inline rille_text pack_all(const struct pack *p) {
  return (rille_text){(const char *)p->bytes.bytes, p->bytes.length};
}

struct unpack {
  const uint8_t *at;
  size_t left;
  bool bad;
};
INTERNAL uint32_t unpack_u32(struct unpack *u);
INTERNAL uint64_t unpack_u64(struct unpack *u);
INTERNAL rille_text unpack_text(struct unpack *u); /* lies in the bytes */

#endif
