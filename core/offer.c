/* offer.c: appends that are left to other processes, in the memory that all share. */
#include "offer.h"

#include <assert.h>

#include "pack.h"

#define OFFER_FORMAT 1u
#define SLEEPERS ((uint32_t)1 << OFFERS_MOST) /* those who sleep for anything have this bit, too */

/* ---- Packing ---- */

/* One stream, a few events, and no other condition than its version. */
static bool is_simple(const rille_append *append) {
  if (append->part_count != 1 || append->unless || append->mark.name.length) return false;
  const rille_part *part = append->parts;
  size_t tags = 0, bytes = 0;
  if (part->event_count == 0 || part->event_count > OFFER_EVENTS_MOST) return false;
  for (size_t i = 0; i < part->event_count; i++) {
    tags += part->events[i].tag_count;
    bytes += part->events[i].data.length + part->events[i].meta.length;
  }
  return tags <= OFFER_TAGS_MOST && bytes < OFFER_BYTES;
}

bool offer_fill(struct offer *o, const rille_append *append, int64_t now_us,
                const struct memory *memory) {
  struct pack p;
  if (!is_simple(append)) return false;
  const rille_part *part = append->parts;
  pack_init(&p, memory);
  pack_u32(&p, OFFER_FORMAT);
  pack_u64(&p, (uint64_t)now_us);
  pack_u64(&p, (uint64_t)part->expect);
  pack_text(&p, part->stream);
  pack_u32(&p, part->event_count);
  for (size_t i = 0; i < part->event_count; i++) pack_event(&p, &part->events[i]);
  bool fits = !p.no_memory && p.bytes.length <= sizeof o->bytes;
  if (fits) memcpy(o->bytes, p.bytes.bytes, p.bytes.length);
  if (fits) o->length = p.bytes.length;
  pack_release(&p);
  return fits;
}

static bool unpack_event(struct unpack *u, struct offered *f, size_t i, size_t *tags) {
  rille_event_input *event = &f->events[i];
  event->type = unpack_text(u);
  event->data = unpack_text(u);
  event->meta = unpack_text(u);
  event->id = unpack_text(u);
  event->time_us = (int64_t)unpack_u64(u);
  event->tag_count = unpack_u32(u);
  event->tags = f->tags + *tags;
  if (u->bad || event->tag_count > OFFER_TAGS_MOST - *tags) return false;
  for (size_t t = 0; t < event->tag_count; t++) f->tags[(*tags)++] = unpack_text(u);
  return !u->bad;
}

bool offer_open(const struct control *c, unsigned which, struct offered *f) {
  const struct offer *o = &c->offers[which];
  if (o->length > sizeof o->bytes) return false;
  struct unpack u = {.at = o->bytes, .left = (size_t)o->length};
  size_t tags = 0;
  if (unpack_u32(&u) != OFFER_FORMAT) return false;
  f->append = (rille_append){.size = sizeof f->append, .parts = &f->part, .part_count = 1};
  f->append.now_us = (int64_t)unpack_u64(&u);
  f->part = (rille_part){.expect = (int64_t)unpack_u64(&u), .events = f->events};
  f->part.stream = unpack_text(&u);
  f->part.event_count = unpack_u32(&u);
  if (u.bad || f->part.event_count > OFFER_EVENTS_MOST) return false;
  for (size_t i = 0; i < f->part.event_count; i++)
    if (!unpack_event(&u, f, i, &tags)) return false;
  return true;
}

/* ---- The owner ---- */

static _Atomic uint32_t *state_of(const struct control *c, unsigned which) {
  return &c->words->states[which];
}

static bool change(const struct control *c, unsigned which, uint32_t from, uint32_t to) {
  return atomic_compare_exchange_strong(state_of(c, which), &from, to);
}

void offer_make(struct control *c) {
  assert(offer_state(c) == OFFER_NONE);
  atomic_store(&c->offers[c->offer].end, 0);
  atomic_store(state_of(c, (unsigned)c->offer), OFFER_MADE);
  atomic_fetch_add(&c->words->offered, 1);
}

/* What was offered does not stay in the file. */
static void wipe(struct offer *o) {
  memset(o->bytes, 0, o->length < sizeof o->bytes ? (size_t)o->length : sizeof o->bytes);
  o->length = 0;
}

bool offer_withdraw(struct control *c) {
  bool ours = change(c, (unsigned)c->offer, OFFER_MADE, OFFER_NONE);
  if (ours) wipe(&c->offers[c->offer]);
  return ours;
}

enum offer_state offer_state(const struct control *c) {
  return (enum offer_state)atomic_load(state_of(c, (unsigned)c->offer));
}

bool offer_is_first(const struct control *c) {
  for (int i = 0; i < c->offer; i++)
    if (atomic_load(state_of(c, (unsigned)i)) == OFFER_MADE) return false;
  return true;
}

void offer_clear(struct control *c) {
  wipe(&c->offers[c->offer]);
  atomic_store(state_of(c, (unsigned)c->offer), OFFER_NONE);
}

struct offer_result offer_result(const struct control *c) {
  const struct offer *o = &c->offers[c->offer];
  return (struct offer_result){o->first, o->last, o->version, atomic_load(&o->end)};
}

bool offer_settle(struct control *c) {
  uint64_t end = offer_result(c).end, written = shared_end_get(&c->words->written).address;
  bool done = offer_state(c) == OFFER_DONE ||
              (offer_state(c) == OFFER_TAKEN && end != 0 && end <= written); /* O1 */
  offer_clear(c);
  return done;
}

static bool make_free(struct control *c, unsigned which, bool writer) {
  uint32_t state = atomic_load(state_of(c, which));
  if (state == OFFER_TAKEN && !writer) return false;
  return change(c, which, state, OFFER_NONE);
}

bool offer_claim(struct control *c, bool writer) {
  for (unsigned i = 0; i < OFFERS_MOST; i++) {
    if (system_lock(c->fd, CONTROL_OFFERS + i, SYSTEM_EXCLUSIVE, false) != 0) continue;
    if (make_free(c, i, writer)) {
      c->offer = (int)i;
      return true;
    }
    system_lock(c->fd, CONTROL_OFFERS + i, SYSTEM_FREE, false);
  }
  return false;
}

/* ---- Who has WRITER ---- */

static bool is_alive(const struct control *c, unsigned which) {
  return (int)which == c->offer || system_is_locked(c->fd, CONTROL_OFFERS + which);
}

unsigned offer_take(struct control *c, unsigned from) {
  for (unsigned i = from; i < OFFERS_MOST; i++) {
    if (atomic_load(state_of(c, i)) != OFFER_MADE) continue;
    if (!change(c, i, OFFER_MADE, OFFER_TAKEN)) continue;
    if (is_alive(c, i)) return i;
    atomic_store(state_of(c, i), OFFER_NONE);
  }
  return OFFERS_MOST;
}

void offer_promise(struct control *c, unsigned which, const struct offer_result *r) {
  struct offer *o = &c->offers[which];
  o->first = r->first;
  o->last = r->last;
  o->version = r->version;
  atomic_store(&o->end, r->end);
}

void offer_end(struct control *c, unsigned which, bool done) {
  atomic_store(state_of(c, which), done ? OFFER_DONE : OFFER_DECLINED);
  if (!done) control_wake_some(c, (uint32_t)1 << which); /* no flush will */
}

void offers_take_back(struct control *c, uint64_t written) {
  for (unsigned i = 0; i < OFFERS_MOST; i++)
    if (atomic_load(&c->offers[i].end) > written) atomic_store(&c->offers[i].end, 0);
}

void offers_wipe(struct control *c) {
  for (unsigned i = 0; i < OFFERS_MOST; i++) {
    bool ours = (int)i == c->offer;
    if (ours || system_lock(c->fd, CONTROL_OFFERS + i, SYSTEM_EXCLUSIVE, false) != 0) continue;
    if (atomic_load(state_of(c, i)) != OFFER_TAKEN)
      memset(c->offers[i].bytes, 0, sizeof c->offers[i].bytes);
    system_lock(c->fd, CONTROL_OFFERS + i, SYSTEM_FREE, false);
  }
}

/* ---- Who has flushed ---- */

/* The first, because that one also waits for a leader that will be back (share.c). */
static uint32_t find_heir(const struct control *c) {
  for (unsigned i = 0; i < OFFERS_MOST; i++)
    if (atomic_load(state_of(c, i)) == OFFER_MADE) return (uint32_t)1 << i;
  return 0;
}

bool offers_are_made(const struct control *c) { return find_heir(c) != 0; }

bool offers_are_done(const struct control *c) {
  for (unsigned i = 0; i < OFFERS_MOST; i++)
    if (atomic_load(state_of(c, i)) == OFFER_DONE) return true;
  return false;
}

void offers_wake(struct control *c) {
  uint64_t durable = shared_end_get(&c->words->durable).address;
  uint32_t mask = SLEEPERS | find_heir(c);
  for (unsigned i = 0; i < OFFERS_MOST; i++) {
    uint32_t state = atomic_load(state_of(c, i));
    if (state == OFFER_DONE && atomic_load(&c->offers[i].end) <= durable) mask |= (uint32_t)1 << i;
  }
  control_wake_some(c, mask);
}

void offers_wake_heir(struct control *c) {
  uint32_t heir = c->offers ? find_heir(c) : 0;
  if (heir && !offer_is_wanted(c->words)) control_wake_some(c, heir);
}
