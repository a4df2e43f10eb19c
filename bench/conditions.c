/* conditions.c: appends of one event with one tag, on the condition that no event with this
** tag has come since the append before; and with an id, which makes repeating an append
** harmless; beside neither. Not synced, because a flush takes longer than all of it.
**
** Each turn begins with an empty store. The index's bytes are counted after the close; an
** id's are what the index has more than that of the same events without. */
#include "conditions.h"

#include <stdio.h>
#include <stdlib.h>

#include "play.h"

#define STREAMS 10000
#define SEED 19

enum { APPENDS, P50, P99, AN_ID };

struct conditions {
  unsigned appends;
  uint64_t *samples;
  double index_bytes;            /* without ids */
};

static uint64_t append_all(struct entrant *e, const struct conditions *c) {
  struct input event;
  uint64_t total = 0;
  for (unsigned i = 0; i < c->appends; i++) {
    workload_next(e->workload, &event, 1);
    uint64_t start = clock_ns();
    e->contender->peer->append(e->handle, &event, 1);
    total += c->samples[i] = clock_ns() - start;
  }
  return total;
}

static double index_bytes(const struct entrant *e) {
  rille_stats stats;
  rille_error error;
  void *handle = e->contender->peer->open(e->path, &(struct peer_mode){0});
  if (rille_store_stats(peer_rille_store(handle), &stats, &error) < 0) die("%s", error.message);
  e->contender->peer->close(handle);
  return (double)stats.index_bytes;
}

static void turn(struct entrant *e, void *context) {
  static const double shares[] = {0.5, 0.99};
  struct conditions *c = context;
  unsigned with = e->contender->variant;
  struct peer_mode mode = {.purpose = SMALL_APPENDS, .durable = e->contender->durable,
                           .tags = true, .unless = with == WITH_UNLESS};
  scratch_path(e->path, "conditions");
  workload_init(&e->own, STREAMS, 1, SEED);
  e->workload = &e->own;
  e->own.ids = with == WITH_IDS;
  e->handle = e->contender->peer->open(e->path, &mode);
  uint64_t took = append_all(e, c);
  e->contender->peer->close(e->handle);
  workload_release(&e->own);
  series_add(&e->series[APPENDS], (double)c->appends * NS_PER_S / (double)took);
  add_percentiles(&e->series[P50], c->samples, c->appends, shares,
                  sizeof shares / sizeof shares[0]);
  double bytes = index_bytes(e);
  if (with == WITH_NOTHING) c->index_bytes = bytes;
  if (with == WITH_IDS) series_add(&e->series[AN_ID], (bytes - c->index_bytes) / c->appends);
  remove_store(e->path);
}

/* The line without comes first, so that its bytes are known. */
void run_conditions(const struct row *row, const struct settings *s, struct report *r) {
  struct entrant entrants[CONTENDERS_MOST];
  size_t n = enter(entrants, row, s, r);
  struct conditions c = {.appends = 5 * s->single_unsynced_appends};
  c.samples = malloc(c.appends * sizeof *c.samples);
  if (!c.samples) die("no memory");
  play(entrants, n, row->subject.name, turn, &c);
  free(c.samples);
  snprintf(r->note, sizeof r->note,
           "%u rounds of %u appends, one tag of %d an event, %d streams, not synced; ratios: how "
           "many times slower than without", s->rounds, c.appends, TAGS, STREAMS);
}
