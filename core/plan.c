/* plan.c: what drives each item, and what it costs. */
#include "plan.h"

#include <assert.h>

#include "error.h"

#define SLOTS_MOST 1024u /* of all cursors together */
#define BLOCK_LEAST 16u  /* of one of many cursors */

/* ---- From positions to addresses, by the nearest places ---- */

/* An address at or before that of the record at `position`. */
static int address_from(const struct plan *p, uint64_t position, uint64_t *address,
                        rille_error *e) {
  struct place place = {0};
  int failed = position > 1 ? log_place(p->log, position, &place, e) : 0;
  *address = place.position ? place.record : 0;
  return failed;
}

/* An address behind that of the record at `position`, the nearest that comes cheap. */
static int address_behind(const struct plan *p, uint64_t position, uint64_t *address,
                          rille_error *e) {
  uint64_t last = p->end.next_position - 1, step = 2 * PLAN_PLACE_EVENTS;
  *address = p->end.address;
  for (uint64_t at = position; last - at > step;) {
    struct place place;
    at += step;
    step *= 8;
    int failed = log_place(p->log, at, &place, e);
    if (failed) return failed;
    if (place.position <= position) continue;
    *address = place.record;
    return 0;
  }
  return 0;
}

/* ---- An item's driver ---- */

/* What drives an item so far: the last `count` of the plan's cursors. */
struct driver {
  uint64_t from, to; /* addresses that bound it */
  uint64_t members;
  size_t count;
  bool found;
};

static struct cursor *add_cursor(struct plan *p) {
  if (p->count == p->capacity) {
    size_t capacity = p->capacity ? 2 * p->capacity : 1;
    struct cursor *cursors = memory_resize(&p->memory, p->cursors, p->capacity * sizeof *cursors,
                                           capacity * sizeof *cursors);
    if (!cursors) return NULL;
    p->cursors = cursors;
    p->capacity = capacity;
  }
  return &p->cursors[p->count++];
}

static int add_chain(struct plan *p, const struct driver *d, enum chain_kind kind, rille_text name,
                     rille_error *e) {
  struct cursor *c = add_cursor(p);
  if (!c) return error_memory(e);
  int failed = cursor_init(c, p->log, p->window, kind, name, e);
  uint64_t enough = d->found ? min_u64(d->members, p->worth) : p->worth;
  return failed ? failed : cursor_bound(c, d->from, d->to, enough + (enough < UINT64_MAX), e);
}

/* The plan's last n cursors might drive the item, too: the cheaper ones stay. */
static void offer(struct plan *p, struct driver *d, size_t n) {
  uint64_t members = 0;
  for (size_t i = p->count - n; i < p->count; i++) members += cursor_count(&p->cursors[i]);
  if (d->found && d->members <= members) {
    p->count -= n;
    return;
  }
  struct cursor *old = p->cursors + p->count - n - d->count;
  memmove(old, old + d->count, n * sizeof *old);
  p->count -= d->count;
  d->members = members;
  d->count = n;
  d->found = true;
}

static int offer_chain(struct plan *p, struct driver *d, enum chain_kind kind, rille_text name,
                       rille_error *e) {
  int failed = add_chain(p, d, kind, name, e);
  if (!failed) offer(p, d, 1);
  return failed;
}

static int offer_types(struct plan *p, struct driver *d, const rille_item *item, rille_error *e) {
  if (d->found && d->members <= item->type_count) return 0; /* a head each would cost more */
  for (size_t i = 0; i < item->type_count; i++) {
    int failed = add_chain(p, d, CHAIN_TYPE, item->types[i], e);
    if (failed) return failed;
  }
  offer(p, d, item->type_count);
  return 0;
}

/* Takes the item's cursors out that the plan has already, for another item. They end alike,
** and begin with the earlier one. */
static void unite(struct plan *p, size_t known) {
  size_t kept = known;
  for (size_t i = known; i < p->count; i++) {
    const struct cursor *c = &p->cursors[i];
    size_t k = 0;
    while (k < kept && (p->cursors[k].kind != c->kind || !text_equal(p->cursors[k].name, c->name)))
      k++;
    if (k == kept) p->cursors[kept++] = *c;
    else p->cursors[k].low = min_u64(p->cursors[k].low, c->low);
  }
  p->count = kept;
}

/* `stream` is the chain whose versions are read, or NULL. */
static int drive(struct plan *p, const rille_item *item, const struct cursor *stream,
                 struct driver d, rille_error *e) {
  size_t known = p->count;
  int failed = 0;
  if (item->after >= p->high) return 0;
  if (item->after >= p->low) failed = address_from(p, item->after + 1, &d.from, e);
  if (stream && !failed) {
    struct cursor *c = add_cursor(p);
    if (!c) return error_memory(e);
    *c = *stream;
    offer(p, &d, 1);
  }
  for (size_t i = 0; i < item->tag_count && !failed && (!d.found || d.members); i++)
    failed = offer_chain(p, &d, CHAIN_TAG, item->tags[i], e);
  if (item->stream.length && !failed && (!d.found || d.members))
    failed = offer_chain(p, &d, CHAIN_STREAM, item->stream, e);
  if (item->type_count && !failed) failed = offer_types(p, &d, item, e);
  if (!failed) unite(p, known);
  return failed;
}

/* ---- The whole ---- */

/* How many chains would drive an item at most, as far as its look tells; 0: none can. */
static size_t chains_of(const rille_item *item) {
  return item->tag_count || item->stream.length ? 1 : item->type_count;
}

/* ... and the query; 0: not all items can be driven. */
static size_t chains_at_most(const struct query *q) {
  size_t chains = 0;
  for (size_t i = 0; i < q->count; i++) {
    size_t n = chains_of(&q->items[i]);
    if (n == 0) return 0;
    chains += n;
  }
  return chains;
}

/* How many members may be read before a scan of `events` is cheaper. Each chain costs about
** a member more, for its head. */
static void weigh(struct plan *p, uint64_t events, size_t chains) {
  uint64_t scan = (events + PLAN_PLACE_EVENTS) / PLAN_SCAN_EVENTS;
  p->worth = scan > chains ? scan - chains : 0;
  if (p->choice == PLAN_CHAINS) p->worth = UINT64_MAX;
  if (p->choice != PLAN_CHEAPEST || p->limit >= p->worth) return;
  /* Both ways end at the limit: what counts is how dense the members are. */
  uint64_t cost = (p->limit + chains) * PLAN_SCAN_EVENTS;
  if (cost <= PLAN_PLACE_EVENTS) p->worth = UINT64_MAX;
  else p->worth = max_u64(events / (cost - PLAN_PLACE_EVENTS) * p->limit, p->limit);
}

static void decide(struct plan *p) {
  p->members = 0;
  for (size_t i = 0; i < p->count; i++) p->members += cursor_count(&p->cursors[i]);
  p->scan = p->choice == PLAN_SCAN || p->members > p->worth;
}

static void look_at_all(struct plan *p) {
  p->members = p->events;
  p->scan = true;
}

int plan_positions(struct plan *p, const struct query *q, rille_error *e) {
  struct driver d = {.to = 0};
  p->events = p->low <= p->high ? p->high - p->low + 1 : 0;
  if (p->events == 0) return 0; /* no chains: nothing */
  size_t chains = chains_at_most(q);
  if (chains == 0 || chains > PLAN_CHAINS_MOST) {
    look_at_all(p);
    return 0;
  }
  weigh(p, p->events, chains);
  int failed = address_from(p, p->low, &d.from, e);
  if (!failed) failed = address_behind(p, p->high, &d.to, e);
  for (size_t i = 0; i < q->count && !failed; i++) failed = drive(p, &q->items[i], NULL, d, e);
  if (!failed) decide(p);
  return failed;
}

/* The stream's own chain, and no further thought. */
static int take_stream(struct plan *p, const struct cursor *stream, rille_error *e) {
  struct cursor *c = add_cursor(p);
  if (!c) return error_memory(e);
  *c = *stream;
  p->members = cursor_count(stream);
  return 0;
}

int plan_versions(struct plan *p, const struct query *q, const struct cursor *stream,
                  rille_error *e) {
  p->events = cursor_count(stream);
  uint64_t visits = q->count ? p->events : min_u64(p->events, p->limit);
  if (visits <= CHAIN_BLOCK && p->choice == PLAN_CHEAPEST) return take_stream(p, stream, e);
  if (p->events == 0) return 0;
  struct driver d = {.to = 0};
  int failed = cursor_find(stream, stream->low, &d.from, &p->low, e);
  if (!failed) failed = cursor_find(stream, stream->high, &d.to, &p->high, e);
  if (failed) return failed;
  d.to++; /* behind it */
  weigh(p, p->high - p->low + 1, 1);
  const rille_item any = {0};
  if (q->count == 0) failed = drive(p, &any, stream, d, e);
  for (size_t i = 0; i < q->count && !failed; i++) failed = drive(p, &q->items[i], stream, d, e);
  if (!failed) decide(p);
  return failed;
}

void plan_begin(struct plan *p, bool backward) {
  size_t most = CHAIN_BLOCK;
  while (most > BLOCK_LEAST && most * p->count > SLOTS_MOST) most /= 2;
  for (size_t i = 0; i < p->count; i++)
    cursor_begin(&p->cursors[i], backward, (size_t)min_u64(p->limit, most), most);
}

void plan_release(struct plan *p) {
  for (size_t i = 0; i < p->count; i++) cursor_release(&p->cursors[i]);
  memory_free(&p->memory, p->cursors, p->capacity * sizeof *p->cursors);
  p->cursors = NULL;
  p->count = p->capacity = 0;
}
