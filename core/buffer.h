/* buffer.h: bytes that grow. A buffer that is all zero but for its memory is
** empty and needs no release; a failed growth leaves it as it was. */
#ifndef RILLE_BUFFER_H
#define RILLE_BUFFER_H

#include "base.h"

/* Where memory comes from: a function of lua_Alloc's shape. */
struct memory {
  rille_alloc alloc;
  void *context;
};

INTERNAL struct memory memory_default(void);
INTERNAL void *memory_get(const struct memory *m, size_t n); /* NULL when there is none */
INTERNAL void *memory_get_zeroed(const struct memory *m, size_t n);
INTERNAL void *memory_resize(const struct memory *m, void *p, size_t old, size_t n);
INTERNAL void memory_free(const struct memory *m, void *p, size_t n);   /* p may be NULL */
INTERNAL char *memory_copy_text(const struct memory *m, const char *text);
INTERNAL void memory_free_text(const struct memory *m, char *text);

struct buffer {
  struct memory memory;
  uint8_t *bytes;
  size_t length, capacity;
};

INTERNAL void buffer_init(struct buffer *b, const struct memory *m);
INTERNAL void buffer_release(struct buffer *b);

/* Room for n more bytes after length: the place to write them, or NULL. */
INTERNAL uint8_t *buffer_reserve(struct buffer *b, size_t n);

/* Appends n bytes; false when there is no memory, and nothing has changed. */
static inline bool buffer_add(struct buffer *b, const void *bytes, size_t n) {
  if (n > b->capacity - b->length && !buffer_reserve(b, n)) return false;
  if (n) memcpy(b->bytes + b->length, bytes, n);
  b->length += n;
  return true;
}
INTERNAL bool buffer_add_zeros(struct buffer *b, size_t n);

/* Empties it, and gives memory back that exceeds `keep` bytes. */
INTERNAL void buffer_clear(struct buffer *b, size_t keep);

#endif
