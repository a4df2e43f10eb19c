/* entry.c: values of the index and their seals. */
#include "entry.h"

#include "checksum.h"

#define HEAD_FIXED_BYTES 16u

/* The state: format, uuid, and the end of the log that was folded. */
enum {
  S_FORMAT = 0,
  S_UUID = 8,
  S_ADDRESS = 24,
  S_POSITION = 32,
  S_TIME = 40,
  S_FRAME = 48,
  S_CHECKSUM = 56
};

static const uint8_t *bytes_of(rille_text t) { return (const uint8_t *)t.bytes; }

/* ---- Seals ---- */

static uint32_t seal_of(rille_text key, const uint8_t *value, size_t n) {
  return checksum(checksum(0, key.bytes, key.length), value, n);
}

void entry_seal(rille_text key, uint8_t *value, size_t n) {
  put32(value + n, seal_of(key, value, n));
}

bool entry_is_sealed(rille_text key, rille_text value) {
  if (value.length < ENTRY_SEAL_BYTES) return false;
  size_t n = value.length - ENTRY_SEAL_BYTES;
  return get32(value.bytes + n) == seal_of(key, bytes_of(value), n);
}

/* ---- Heads and words ---- */

size_t entry_write_head(uint8_t *b, uint64_t count, uint64_t touched, const uint64_t *tower) {
  unsigned levels = chain_levels(count);
  put64(b, count);
  put64(b + 8, touched);
  for (unsigned k = 0; k < levels; k++) put64(b + HEAD_FIXED_BYTES + 8 * k, tower[k]);
  return HEAD_FIXED_BYTES + 8 * (size_t)levels;
}

size_t entry_write_word(uint8_t *b, uint64_t number) {
  put64(b, number);
  return ENTRY_WORD_BYTES;
}

bool entry_read_head(rille_text value, struct chain_head *head) {
  const uint8_t *b = bytes_of(value);
  if (value.length < HEAD_FIXED_BYTES + ENTRY_SEAL_BYTES) return false;
  head->count = get64(b);
  head->touched = get64(b + 8);
  unsigned levels = chain_levels(head->count);
  if (levels > CHAIN_LEVELS || value.length != HEAD_FIXED_BYTES + 8 * levels + ENTRY_SEAL_BYTES)
    return false;
  for (unsigned k = 0; k < levels; k++) head->tower[k] = get64(b + HEAD_FIXED_BYTES + 8 * k);
  return true;
}

bool entry_read_word(rille_text value, struct chain_head *head) {
  if (value.length != ENTRY_WORD_BYTES + ENTRY_SEAL_BYTES) return false;
  head->count = 1;
  head->touched = 0;
  head->tower[0] = get64(value.bytes);
  return true;
}

/* ---- Places ---- */

void entry_write_key(uint8_t *key, uint64_t position) {
  for (unsigned i = 0; i < ENTRY_KEY_BYTES; i++) key[i] = (uint8_t)(position >> (56 - 8 * i));
}

uint64_t entry_read_key(const uint8_t *key) {
  uint64_t v = 0;
  for (unsigned i = 0; i < ENTRY_KEY_BYTES; i++) v = v << 8 | key[i];
  return v;
}

void entry_write_place(uint8_t *key, uint8_t *value, const struct place *p) {
  entry_write_key(key, p->position);
  put64(value, p->frame);
  put64(value + 8, p->record);
}

bool entry_read_place(rille_text key, rille_text value, struct place *place) {
  if (key.length != ENTRY_KEY_BYTES || value.length != ENTRY_PLACE_BYTES + ENTRY_SEAL_BYTES)
    return false;
  const uint8_t *v = bytes_of(value);
  *place = (struct place){entry_read_key(bytes_of(key)), get64(v), get64(v + 8)};
  return true;
}

/* ---- The state ---- */

void entry_write_state(uint8_t *b, uint32_t format, const uint8_t *uuid,
                       const struct log_end *end) {
  memset(b, 0, ENTRY_STATE_BYTES);
  put32(b + S_FORMAT, format);
  memcpy(b + S_UUID, uuid, 16);
  put64(b + S_ADDRESS, end->address);
  put64(b + S_POSITION, end->next_position);
  put64(b + S_TIME, (uint64_t)end->time_us);
  put64(b + S_FRAME, end->last_frame);
  put32(b + S_CHECKSUM, end->last_checksum);
}

bool entry_read_state(rille_text value, uint32_t format, const uint8_t **uuid,
                      struct log_end *end) {
  const uint8_t *b = bytes_of(value);
  if (value.length != ENTRY_STATE_BYTES + ENTRY_SEAL_BYTES || get32(b + S_FORMAT) != format)
    return false;
  *uuid = b + S_UUID;
  *end = (struct log_end){get64(b + S_ADDRESS), get64(b + S_POSITION), (int64_t)get64(b + S_TIME),
                          get64(b + S_FRAME), get32(b + S_CHECKSUM)};
  return true;
}
