/* buffer.c: memory from the host's allocator, and bytes that grow in it. */
#include "buffer.h"

#include <stdlib.h>

#define BUFFER_LEAST_BYTES 64

static void *default_alloc(void *context, void *p, size_t old, size_t n) {
  (void)context;
  (void)old;
  if (n == 0) {
    free(p);
    return NULL;
  }
  return realloc(p, n);
}

struct memory memory_default(void) {
  return (struct memory){default_alloc, NULL};
}

void *memory_get(const struct memory *m, size_t n) { return m->alloc(m->context, NULL, 0, n); }

void *memory_get_zeroed(const struct memory *m, size_t n) {
  void *p = memory_get(m, n);
  if (p) memset(p, 0, n);
  return p;
}

void *memory_resize(const struct memory *m, void *p, size_t old, size_t n) {
  return m->alloc(m->context, p, old, n);
}

void memory_free(const struct memory *m, void *p, size_t n) {
  if (p) m->alloc(m->context, p, n, 0);
}

char *memory_copy_text(const struct memory *m, const char *text) {
  size_t n = strlen(text) + 1;
  char *copy = memory_get(m, n);
  return copy ? memcpy(copy, text, n) : NULL;
}

void memory_free_text(const struct memory *m, char *text) {
  if (text) memory_free(m, text, strlen(text) + 1);
}

void buffer_init(struct buffer *b, const struct memory *m) { *b = (struct buffer){.memory = *m}; }

void buffer_release(struct buffer *b) {
  memory_free(&b->memory, b->bytes, b->capacity);
  *b = (struct buffer){.memory = b->memory};
}

static bool buffer_resize(struct buffer *b, size_t capacity) {
  uint8_t *bytes = memory_resize(&b->memory, b->bytes, b->capacity, capacity);
  if (!bytes) return false;
  b->bytes = bytes;
  b->capacity = capacity;
  return true;
}

uint8_t *buffer_reserve(struct buffer *b, size_t n) {
  if (n > SIZE_MAX / 4 - b->length) return NULL;
  if (!b->bytes || b->capacity - b->length < n) {
    size_t capacity = b->capacity ? b->capacity : BUFFER_LEAST_BYTES;
    while (capacity < b->length + n) capacity *= 2;
    if (!buffer_resize(b, capacity)) return NULL;
  }
  return b->bytes + b->length;
}

bool buffer_add_zeros(struct buffer *b, size_t n) {
  uint8_t *room = buffer_reserve(b, n);
  if (!room) return false;
  memset(room, 0, n);
  b->length += n;
  return true;
}

void buffer_clear(struct buffer *b, size_t keep) {
  b->length = 0;
  if (b->capacity > keep) buffer_release(b);
}
