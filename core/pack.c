/* pack.c: numbers and texts in a row of bytes. */
#include "pack.h"

void pack_init(struct pack *p, const struct memory *memory) {
  buffer_init(&p->bytes, memory);
  p->no_memory = false;
}

void pack_release(struct pack *p) { buffer_release(&p->bytes); }

#define PACK_LEAST_BYTES 512u /* what most frames say fits */

static void add(struct pack *p, const void *bytes, size_t n) {
  bool fits = p->bytes.bytes || buffer_reserve(&p->bytes, PACK_LEAST_BYTES);
  if (!fits || (n && !buffer_add(&p->bytes, bytes, n))) p->no_memory = true;
}

void pack_u32(struct pack *p, size_t number) {
  uint8_t b[4];
  put32(b, (uint32_t)number);
  add(p, b, sizeof b);
}

void pack_u64(struct pack *p, uint64_t number) {
  uint8_t b[8];
  put64(b, number);
  add(p, b, sizeof b);
}

void pack_text(struct pack *p, rille_text text) {
  pack_u32(p, text.length);
  add(p, text.bytes, text.length);
}

void pack_texts(struct pack *p, const rille_text *texts, size_t n) {
  pack_u32(p, n);
  for (size_t i = 0; i < n; i++) pack_text(p, texts[i]);
}

void pack_event(struct pack *p, const rille_event_input *event) {
  pack_text(p, event->type);
  pack_text(p, event->data);
  pack_text(p, event->meta);
  pack_text(p, event->id);
  pack_u64(p, (uint64_t)event->time_us);
  pack_texts(p, event->tags, event->tag_count);
}

static const uint8_t *take(struct unpack *u, size_t n) {
  if (u->left < n) {
    u->bad = true;
    u->left = 0;
    return NULL;
  }
  const uint8_t *b = u->at;
  u->at += n;
  u->left -= n;
  return b;
}

uint32_t unpack_u32(struct unpack *u) {
  const uint8_t *b = take(u, 4);
  return b ? get32(b) : 0;
}

uint64_t unpack_u64(struct unpack *u) {
  const uint8_t *b = take(u, 8);
  return b ? get64(b) : 0;
}

rille_text unpack_text(struct unpack *u) {
  uint32_t n = unpack_u32(u);
  const uint8_t *b = take(u, n);
  return b ? (rille_text){(const char *)b, n} : (rille_text){0};
}
