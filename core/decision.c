/* decision.c: a decision to bytes, and back. */
#include "decision.h"

#define DECISION_FORMAT 1u

void decision_pack(const struct decision *d, struct pack *p) {
  size_t bytes = 0;
  for (size_t i = 0; i < d->member_count; i++) bytes += 4 + d->members[i].length;
  pack_u32(p, DECISION_FORMAT);
  pack_text(p, d->client);
  pack_text(p, d->detail);
  pack_u32(p, d->member_count);
  pack_u32(p, bytes);
  for (size_t i = 0; i < d->member_count; i++) pack_text(p, d->members[i]);
}

bool decision_unpack(struct decision *d, rille_text payload) {
  struct unpack u = {.at = (const uint8_t *)payload.bytes, .left = payload.length};
  *d = (struct decision){.client = {0}};
  if (unpack_u32(&u) != DECISION_FORMAT) return false;
  d->client = unpack_text(&u);
  d->detail = unpack_text(&u);
  d->member_count = unpack_u32(&u);
  d->member_bytes = unpack_text(&u);
  return !u.bad;
}

bool decision_has_member(const struct decision *d, rille_text name) {
  struct unpack u = {.at = (const uint8_t *)d->member_bytes.bytes, .left = d->member_bytes.length};
  for (size_t i = 0; i < d->member_count && !u.bad; i++)
    if (text_equal(unpack_text(&u), name)) return true;
  return false;
}
