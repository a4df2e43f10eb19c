/* frame.c: frames and records, bytes <-> structs. Pure: no files, no memory. */
#include "frame.h"

#include "checksum.h"

/* Offsets in a frame's header. */
enum {
  F_CHECKSUM = 0,
  F_LENGTH = 4,
  F_KIND = 8,
  F_FORMAT = 10,
  F_ZERO = 11,
  F_COUNT = 12,
  F_TIME = 16,
  F_FIRST = 24,
  F_DURABLE = 32,
  F_PREFIX = 40,
  F_CONTENT = 44
};

/* Offsets in a record's head. */
enum {
  R_CHECKSUM = 0,
  R_LENGTH = 4,
  R_POSITION = 8,
  R_TIME = 16,
  R_VERSION = 24,
  R_TYPE_NUMBER = 32,
  R_DATA = 40,
  R_META = 44,
  R_BODY = 48,
  R_NAMES = 52,
  R_STREAM = 54,
  R_TYPE = 55,
  R_ID = 56,
  R_TAGS = 57,
  R_FLAGS = 58,
  R_ZEROS = 59
};

void frame_put_header(uint8_t *b, struct frame *f, uint64_t salt) {
  put32(b + F_LENGTH, f->length);
  put16(b + F_KIND, f->kind);
  b[F_FORMAT] = f->format;
  b[F_ZERO] = 0;
  put32(b + F_COUNT, f->count);
  put64(b + F_TIME, (uint64_t)f->time_us);
  put64(b + F_FIRST, f->first_position);
  put64(b + F_DURABLE, f->durable);
  put32(b + F_PREFIX, f->prefix);
  put32(b + F_CONTENT, f->content_checksum);
  f->header_checksum =
      checksum(checksum_seed(salt, f->address), b + F_LENGTH, FRAME_HEADER_BYTES - F_LENGTH);
  put32(b + F_CHECKSUM, f->header_checksum);
}

bool frame_get_header(const uint8_t *b, uint64_t address, uint64_t salt, struct frame *f) {
  f->length = get32(b + F_LENGTH);
  if (f->length < FRAME_HEADER_BYTES || f->length % 8 != 0) return false;
  f->header_checksum = get32(b + F_CHECKSUM);
  uint32_t c = checksum(checksum_seed(salt, address), b + F_LENGTH, FRAME_HEADER_BYTES - F_LENGTH);
  if (c != f->header_checksum) return false;
  f->address = address;
  f->kind = get16(b + F_KIND);
  f->format = b[F_FORMAT];
  f->count = get32(b + F_COUNT);
  f->time_us = (int64_t)get64(b + F_TIME);
  f->first_position = get64(b + F_FIRST);
  f->durable = get64(b + F_DURABLE);
  f->prefix = get32(b + F_PREFIX);
  f->content_checksum = get32(b + F_CONTENT);
  return f->prefix <= f->length - FRAME_HEADER_BYTES && f->prefix % 8 == 0;
}

static const struct {
  const char *name;
  uint16_t kind;
  bool records;
} kinds[] = {
#define KIND_ROW(constant, name, number, records) {#name, number, records},
    FRAME_KINDS(KIND_ROW)
#undef KIND_ROW
};

const char *frame_kind_name(uint16_t kind) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (kinds[i].kind == kind) return kinds[i].name;
  return "unknown";
}

bool frame_is_known(const struct frame *f) {
  return f->format == FRAME_FORMAT && f->kind >= FRAME_EVENTS &&
         (f->kind <= FRAME_MARK || f->kind == FRAME_REDACT);
}

uint32_t frame_content_add(uint32_t content, uint32_t head_checksum) {
  uint8_t b[4];
  put32(b, head_checksum);
  return checksum(content, b, 4);
}

/* ---- Facts ---- */

void fact_put(uint8_t *b, const struct fact *f) {
  uint8_t *payload = b + FACT_FIXED_BYTES + align8(f->name.length);
  memset(b, 0, FACT_FIXED_BYTES + align8(f->name.length));
  b[0] = (uint8_t)f->kind;
  b[1] = (uint8_t)f->name.length;
  put32(b + 4, (uint32_t)f->payload.length);
  put64(b + 8, f->value);
  memcpy(b + FACT_FIXED_BYTES, f->name.bytes, f->name.length);
  if (f->payload.length == 0) return;
  memcpy(payload, f->payload.bytes, f->payload.length);
  memset(payload + f->payload.length, 0, align8(f->payload.length) - f->payload.length);
}

size_t fact_get(const uint8_t *b, size_t n, struct fact *f) {
  if (n < FACT_FIXED_BYTES || b[0] < FACT_MARK || b[0] >= FACT_KINDS_END) return 0;
  const char *name = (const char *)b + FACT_FIXED_BYTES;
  f->kind = (enum fact_kind)b[0];
  f->name = (rille_text){name, b[1]};
  f->value = get64(b + 8);
  f->payload = (rille_text){name + align8(b[1]), get32(b + 4)};
  return fact_bytes(f) <= n && f->name.length ? fact_bytes(f) : 0;
}

/* ---- Reading records ---- */

size_t record_needs(const uint8_t *b, size_t available) {
  if (available < RECORD_FIXED_BYTES) return RECORD_FIXED_BYTES;
  return get32(b + R_LENGTH);
}

/* Where the links start: behind the names and the tags' numbers. */
static size_t links_offset(const struct record *r) {
  return RECORD_FIXED_BYTES + r->names_length + 8u * r->tag_count;
}

/* Whether the names and links fill the head exactly. What a checksum has passed
** is so by construction; this keeps a forged one from reading elsewhere. */
static bool head_fits(const struct record *r) {
  uint64_t names = r->stream.length + r->type.length + r->id.length;
  const uint8_t *end = r->bytes + RECORD_FIXED_BYTES + r->names_length;
  if (names > r->names_length || r->tag_count > RECORD_TAGS_MOST) return false;
  if (r->version == 0 || r->type_number == 0) return false;
  if (links_offset(r) > r->head_length) return false;
  uint64_t links = link_count(r->version) + link_count(r->type_number);
  const uint8_t *tag = r->tags;
  for (size_t i = 0; i < r->tag_count; i++) {
    if (tag >= end || tag + 1 + *tag > end) return false;
    tag += 1 + *tag;
    uint64_t number = get64(end + 8 * i) & ~RECORD_NUMBER_TAKEN;
    if (number == 0) return false;
    links += link_count(number);
  }
  return links_offset(r) + 8 * links == r->head_length;
}

enum record_result record_get(const uint8_t *b, size_t available, uint64_t address, uint64_t salt,
                              struct record *r) {
  if (available < RECORD_FIXED_BYTES) return RECORD_SHORT;
  r->head_length = get32(b + R_LENGTH);
  if (r->head_length < RECORD_FIXED_BYTES || r->head_length > RECORD_HEAD_MOST ||
      r->head_length % 8 != 0)
    return RECORD_BAD;
  if (available < r->head_length) return RECORD_SHORT;
  r->head_checksum = get32(b + R_CHECKSUM);
  if (checksum(checksum_seed(salt, address), b + R_LENGTH, r->head_length - R_LENGTH) !=
      r->head_checksum)
    return RECORD_BAD;
  r->address = address;
  r->bytes = b;
  r->position = get64(b + R_POSITION);
  r->time_us = (int64_t)get64(b + R_TIME);
  r->version = get64(b + R_VERSION);
  r->type_number = get64(b + R_TYPE_NUMBER);
  r->data_length = get32(b + R_DATA);
  r->meta_length = get32(b + R_META);
  r->body_checksum = get32(b + R_BODY);
  r->names_length = get16(b + R_NAMES);
  r->tag_count = b[R_TAGS];
  r->flags = b[R_FLAGS];
  const char *names = (const char *)b + RECORD_FIXED_BYTES;
  r->stream = (rille_text){names, b[R_STREAM]};
  r->type = (rille_text){names + r->stream.length, b[R_TYPE]};
  r->id = (rille_text){r->type.bytes + r->type.length, b[R_ID]};
  r->tags = (const uint8_t *)r->id.bytes + r->id.length;
  return head_fits(r) ? RECORD_OK : RECORD_BAD;
}

bool record_body_is_sound(const struct record *r, const uint8_t *body, uint64_t salt) {
  uint64_t n = record_is_gone(r) ? 0 : record_body_bytes(r);
  return checksum(checksum_seed(salt, r->address), body, n) == r->body_checksum;
}

rille_text record_tag(const struct record *r, size_t tag) {
  const uint8_t *t = r->tags;
  while (tag--) t += 1 + *t;
  return (rille_text){(const char *)t + 1, *t};
}

uint64_t record_number(const struct record *r, size_t chain) {
  if (chain == RECORD_STREAM) return r->version;
  if (chain == RECORD_TYPE) return r->type_number;
  return get64(r->bytes + RECORD_FIXED_BYTES + r->names_length + 8 * (chain - RECORD_FIRST_TAG)) &
         ~RECORD_NUMBER_TAKEN;
}

bool record_lost(const struct record *r, size_t chain) {
  if (chain == RECORD_STREAM) return r->flags & RECORD_STREAM_TAKEN;
  if (chain == RECORD_TYPE) return false;
  size_t tag = chain - RECORD_FIRST_TAG;
  return get64(r->bytes + RECORD_FIXED_BYTES + r->names_length + 8 * tag) & RECORD_NUMBER_TAKEN;
}

unsigned record_links(const struct record *r, size_t chain, uint64_t links[LINKS_MOST]) {
  const uint8_t *p = r->bytes + links_offset(r);
  for (size_t c = 0; c < chain; c++) p += 8u * link_count(record_number(r, c));
  unsigned n = link_count(record_number(r, chain));
  for (unsigned i = 0; i < n; i++) links[i] = get64(p + 8u * i);
  return n;
}

/* ---- Writing records ---- */

static size_t names_bytes(const struct record_fields *f) {
  size_t n = f->stream.length + f->type.length + f->id.length;
  for (size_t i = 0; i < f->tag_count; i++) n += 1 + f->tags[i].length;
  return align8(n);
}

size_t record_room(const struct record_fields *f) {
  return RECORD_FIXED_BYTES + names_bytes(f) + 8 * f->tag_count +
         (2 + f->tag_count) * 8 * LINKS_MOST + align8(f->data.length + f->meta.length);
}

static uint8_t *put_text(uint8_t *p, rille_text t) {
  if (t.length) memcpy(p, t.bytes, t.length);
  return p + t.length;
}

static void put_names(uint8_t *p, const struct record_fields *f, size_t room) {
  uint8_t *end = p + room;
  p = put_text(p, f->stream);
  p = put_text(p, f->type);
  p = put_text(p, f->id);
  for (size_t i = 0; i < f->tag_count; i++) {
    *p++ = (uint8_t)f->tags[i].length;
    p = put_text(p, f->tags[i]);
  }
  memset(p, 0, (size_t)(end - p));
}

void record_begin(struct record_writer *w, uint8_t *b, uint64_t address,
                  const struct record_fields *f) {
  size_t names = names_bytes(f);
  put64(b + R_POSITION, f->position);
  put64(b + R_TIME, (uint64_t)f->time_us);
  put32(b + R_DATA, (uint32_t)f->data.length);
  put32(b + R_META, (uint32_t)f->meta.length);
  put16(b + R_NAMES, (uint16_t)names);
  b[R_STREAM] = (uint8_t)f->stream.length;
  b[R_TYPE] = (uint8_t)f->type.length;
  b[R_ID] = (uint8_t)f->id.length;
  b[R_TAGS] = (uint8_t)f->tag_count;
  b[R_FLAGS] = f->id.length ? RECORD_ID_GIVEN : 0;
  memset(b + R_ZEROS, 0, RECORD_FIXED_BYTES - R_ZEROS);
  put_names(b + RECORD_FIXED_BYTES, f, names);
  w->bytes = b;
  w->address = address;
  w->numbers = b + RECORD_FIXED_BYTES + names;
  w->links = w->numbers + 8 * f->tag_count;
}

void record_add_chain(struct record_writer *w, size_t chain, uint64_t number,
                      const uint64_t *links) {
  if (chain == RECORD_STREAM) put64(w->bytes + R_VERSION, number);
  else if (chain == RECORD_TYPE) put64(w->bytes + R_TYPE_NUMBER, number);
  else put64(w->numbers + 8 * (chain - RECORD_FIRST_TAG), number);
  for (unsigned i = 0, n = link_count(number); i < n; i++, w->links += 8) put64(w->links, links[i]);
}

size_t record_finish(struct record_writer *w, const struct record_fields *f, uint64_t salt,
                     uint32_t *head_checksum) {
  uint32_t seed = checksum_seed(salt, w->address);
  size_t head = (size_t)(w->links - w->bytes);
  size_t body = f->data.length + f->meta.length;
  uint8_t *end = put_text(put_text(w->links, f->data), f->meta);
  memset(end, 0, (size_t)(align8(body) - body));
  put32(w->bytes + R_LENGTH, (uint32_t)head);
  put32(w->bytes + R_BODY, checksum(seed, w->links, body));
  *head_checksum = checksum(seed, w->bytes + R_LENGTH, head - R_LENGTH);
  put32(w->bytes + R_CHECKSUM, *head_checksum);
  return head + (size_t)align8(body);
}

/* ---- Taking content out of records ---- */

static void wipe(uint8_t *head, const struct record *r, rille_text name) {
  memset(head + ((const uint8_t *)name.bytes - r->bytes), 0, name.length);
}

static void take_body(uint8_t *head, const struct record *r, uint64_t salt) {
  put32(head + R_DATA, (uint32_t)align8(record_body_bytes(r)));
  put32(head + R_META, 0);
  put32(head + R_BODY, checksum(checksum_seed(salt, r->address), head, 0));
}

static void take_tag(uint8_t *head, const struct record *r, size_t tag) {
  uint8_t *number = head + RECORD_FIXED_BYTES + r->names_length + 8 * tag;
  put64(number, get64(number) | RECORD_NUMBER_TAKEN);
  wipe(head, r, record_tag(r, tag));
}

uint32_t record_take(uint8_t *head, const struct record *r, const struct record_taking *what,
                     uint64_t salt) {
  if (what->flags & (RECORD_TAKEN | RECORD_REDACTED)) take_body(head, r, salt);
  if (what->flags & RECORD_STREAM_TAKEN) wipe(head, r, r->stream);
  if (what->flags & RECORD_ID_TAKEN) wipe(head, r, r->id);
  for (size_t i = 0; i < r->tag_count; i++)
    if (what->tags >> i & 1) take_tag(head, r, i);
  head[R_FLAGS] |= what->flags;
  uint32_t c =
      checksum(checksum_seed(salt, r->address), head + R_LENGTH, r->head_length - R_LENGTH);
  put32(head + R_CHECKSUM, c);
  return c;
}
