/* made.h: records and frames made for tests, by the real writer. What a record
** must say is kept beside it, so that what is read can be compared. */
#ifndef RILLE_MADE_H
#define RILLE_MADE_H

#include "checksum.h"
#include "frame.h"
#include "test.h"

#define POOL_BYTES ((size_t)1 << 20) /* texts and data are cuts out of one pool */

struct made {
  struct record_fields fields;
  rille_text tags[RECORD_TAGS_MOST + 1]; /* one too many, for who wants to lie */
  uint64_t numbers[RECORD_FIRST_TAG + RECORD_TAGS_MOST + 1];
  uint64_t address;
};

static uint8_t pool[POOL_BYTES];

static inline void pool_fill(void) { random_fill(pool, sizeof pool); }

static inline rille_text pool_cut(size_t n) {
  size_t at = random_below((uint32_t)(POOL_BYTES - n + 1));
  return (rille_text){(const char *)pool + at, n};
}

/* Any address will do for a link, as long as the reader knows which. */
static inline uint64_t made_link(uint64_t number, size_t chain, unsigned k) {
  return 8 * (1 + (number * 31 + chain * 7 + k) % 1000003);
}

static inline uint64_t made_number(void) {
  if (one_in(8)) return (uint64_t)1 << random_below(63);
  return 1 + (random_bits() >> random_below(64)) % ((uint64_t)1 << 62);
}

/* What a record is to say, its place excepted. */
static inline void made_random(struct made *m, size_t tags, size_t data, size_t meta) {
  *m = (struct made){.fields = {.stream = pool_cut(1 + random_below(40)),
                                .type = pool_cut(1 + random_below(20)),
                                .id = pool_cut(one_in(2) ? 0 : 1 + random_below(36)),
                                .data = pool_cut(data), .meta = pool_cut(meta),
                                .tag_count = tags}};
  m->fields.tags = m->tags; /* so it stays where it is */
  for (size_t i = 0; i < tags; i++) m->tags[i] = pool_cut(1 + random_below(one_in(8) ? 255 : 12));
  for (size_t i = 0; i < RECORD_FIRST_TAG + tags; i++) m->numbers[i] = made_number();
}

static inline size_t made_put(struct made *m, uint8_t *room, uint64_t address, uint64_t salt,
                              uint32_t *head_checksum) {
  struct record_writer w;
  m->address = address;
  record_begin(&w, room, address, &m->fields);
  for (size_t c = 0; c < RECORD_FIRST_TAG + m->fields.tag_count; c++) {
    uint64_t links[LINKS_MOST];
    for (unsigned k = 0; k < link_count(m->numbers[c]); k++)
      links[k] = made_link(m->numbers[c], c, k);
    record_add_chain(&w, c, m->numbers[c], links);
  }
  return record_finish(&w, &m->fields, salt, head_checksum);
}

/* The most bytes that a frame of these records can take. */
static inline size_t frame_room(struct made *records, size_t count, size_t prefix) {
  size_t n = FRAME_HEADER_BYTES + prefix;
  for (size_t i = 0; i < count; i++) n += record_room(&records[i].fields);
  return n;
}

/* Puts a frame at f->address: header, f->prefix bytes, records. The caller has
** set address, first_position, durable, time_us, prefix, kind and format. */
static inline size_t frame_put(struct frame *f, uint8_t *room, struct made *records, size_t count,
                               uint64_t salt) {
  size_t at = FRAME_HEADER_BYTES + f->prefix;
  memcpy(room + FRAME_HEADER_BYTES, pool, f->prefix);
  f->content_checksum = checksum_seed(salt, f->address);
  if (f->prefix)
    f->content_checksum = checksum(f->content_checksum, room + FRAME_HEADER_BYTES, f->prefix);
  for (size_t i = 0; i < count; i++) {
    uint32_t head;
    records[i].fields.position = f->first_position + i;
    records[i].fields.time_us = f->time_us;
    at += made_put(&records[i], room + at, f->address + at, salt, &head);
    f->content_checksum = frame_content_add(f->content_checksum, head);
  }
  f->length = (uint32_t)at;
  f->count = (uint32_t)count;
  frame_put_header(room, f, salt);
  return at;
}

/* Whether a record says what was made, its body at r->bytes + head excepted. */
static inline bool made_equals(const struct made *m, const struct record *r) {
  const struct record_fields *f = &m->fields;
  if (r->address != m->address || r->position != f->position || r->time_us != f->time_us ||
      r->data_length != f->data.length || r->meta_length != f->meta.length ||
      r->tag_count != f->tag_count || r->flags != (f->id.length ? RECORD_ID_GIVEN : 0))
    return false;
  if (!text_equal(r->stream, f->stream) || !text_equal(r->type, f->type)) return false;
  if (!text_equal(r->id, f->id)) return false;
  for (size_t i = 0; i < f->tag_count; i++)
    if (!text_equal(record_tag(r, i), m->tags[i])) return false;
  for (size_t c = 0; c < RECORD_FIRST_TAG + f->tag_count; c++) {
    uint64_t links[LINKS_MOST];
    if (record_number(r, c) != m->numbers[c]) return false;
    if (record_links(r, c, links) != link_count(m->numbers[c])) return false;
    for (unsigned k = 0; k < link_count(m->numbers[c]); k++)
      if (links[k] != made_link(m->numbers[c], c, k)) return false;
  }
  return true;
}

static inline bool made_body_equals(const struct made *m, const uint8_t *body) {
  const struct record_fields *f = &m->fields;
  return memcmp(body, f->data.bytes, f->data.length) == 0 &&
         memcmp(body + f->data.length, f->meta.bytes, f->meta.length) == 0;
}

#endif
