/* redact.c: what is to be taken out of the log. */
#include "redact.h"

#define REDACT_FORMAT 1u

void redact_name_of(uint64_t frame, char room[REDACT_NAME_BYTES]) {
  for (int i = REDACT_NAME_BYTES - 1; i >= 0; i--, frame >>= 4)
    room[i] = "0123456789abcdef"[frame & 15];
}

void redact_pack(const rille_redact *r, const uint64_t *positions, size_t count, struct pack *p) {
  pack_u32(p, REDACT_FORMAT);
  pack_text(p, r->reason);
  pack_u32(p, (r->keep_data ? 0u : REDACT_DATA) | (r->ids ? REDACT_ID : 0u) |
                  (r->tag_count + r->stream_count ? REDACT_NAMES : 0u));
  pack_u64(p, count);
  for (size_t i = 0; i < count; i++) pack_u64(p, positions[i]);
  pack_u32(p, r->tag_count + r->stream_count);
  for (size_t i = 0; i < r->tag_count; i++) {
    pack_u32(p, CHAIN_TAG);
    pack_text(p, r->tags[i]);
  }
  for (size_t i = 0; i < r->stream_count; i++) {
    pack_u32(p, CHAIN_STREAM);
    pack_text(p, r->streams[i]);
  }
}

bool redact_unpack(struct redaction *r, rille_text payload) {
  struct unpack u = {.at = (const uint8_t *)payload.bytes, .left = payload.length};
  *r = (struct redaction){0};
  if (unpack_u32(&u) != REDACT_FORMAT) return false;
  r->reason = unpack_text(&u);
  r->what = unpack_u32(&u);
  r->count = unpack_u64(&u);
  if (u.bad || r->count > u.left / 8) return false;
  r->positions = u.at;
  u.at += 8 * r->count;
  u.left -= 8 * (size_t)r->count;
  r->names_at = payload.length - u.left;
  r->name_count = unpack_u32(&u);
  r->names = u;
  return !u.bad;
}

bool redact_next_name(struct redaction *r, enum chain_kind *kind, rille_text *name) {
  if (r->name_count == 0) return false;
  r->name_count--;
  uint32_t number = unpack_u32(&r->names);
  *name = unpack_text(&r->names);
  *kind = (enum chain_kind)number;
  return !r->names.bad && (number == CHAIN_TAG || number == CHAIN_STREAM) && name->length &&
         name->length <= RILLE_NAME_BYTES;
}

bool redact_has(const struct redaction *r, uint64_t position) {
  uint64_t low = 0, high = r->count;
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    if (get64(r->positions + 8 * middle) < position) low = middle + 1;
    else high = middle;
  }
  return low < r->count && get64(r->positions + 8 * low) == position;
}

static uint64_t tags_named(const struct record *r, rille_text name) {
  uint64_t tags = 0;
  for (size_t i = 0; i < r->tag_count; i++)
    if (!record_lost(r, RECORD_FIRST_TAG + i) && text_equal(record_tag(r, i), name))
      tags |= (uint64_t)1 << i;
  return tags;
}

struct record_taking redact_taking(const struct redaction *redaction, const struct record *r) {
  struct record_taking t = {0};
  struct redaction names = *redaction; /* read from the first */
  enum chain_kind kind;
  rille_text name;
  if (redact_has(redaction, r->position)) {
    if (redaction->what & REDACT_DATA && !(r->flags & RECORD_REDACTED)) t.flags |= RECORD_REDACTED;
    bool has_id = r->flags & RECORD_ID_GIVEN && !(r->flags & RECORD_ID_TAKEN);
    if (redaction->what & REDACT_ID && has_id) t.flags |= RECORD_ID_TAKEN;
  }
  while (redact_next_name(&names, &kind, &name)) {
    if (kind == CHAIN_TAG) t.tags |= tags_named(r, name);
    else if (!record_lost(r, RECORD_STREAM) && text_equal(r->stream, name))
      t.flags |= RECORD_STREAM_TAKEN;
  }
  return t;
}

bool redact_forget(struct overlay *o, rille_text payload, uint64_t frame) {
  struct redaction r;
  enum chain_kind kind;
  rille_text name;
  if (!redact_unpack(&r, payload)) return true; /* who finishes it tells */
  if (r.what & REDACT_NAMES && r.name_count == 0) o->late = true;
  while (redact_next_name(&r, &kind, &name)) {
    if (!overlay_forget(o, kind, name, frame)) return false;
    if (kind == CHAIN_STREAM && !overlay_forget(o, WORD_CUT, name, frame)) return false;
  }
  return true;
}
