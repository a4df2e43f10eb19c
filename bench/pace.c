/* pace.c: how long an append of one event takes with sync "interval", whose flushes the
** background thread makes, ten a second; beside "never" and "always". Appends are due
** every PACE_NS, so that a turn has ten flushes and none fills the disk's queue; who is
** late goes on at once. */
#include "pace.h"

#include <stdio.h>
#include <stdlib.h>

#include "play.h"

#define STREAMS BATCH_EVENTS
#define SEED 17
#define PACE_NS 50000u
#define SAMPLES_MOST 0x10000u

enum { P50, P99, P999, MOST };

/* Sleeping would take longer. */
static void spin_until(uint64_t due_ns) {
  while (clock_ns() < due_ns) continue;
}

static size_t append_at_pace(struct entrant *e, uint64_t *samples) {
  uint64_t due = clock_ns(), end = due + (uint64_t)(e->settings->turn_s * NS_PER_S);
  struct input event;
  size_t n = 0;
  for (; due < end && n < SAMPLES_MOST; due += PACE_NS) {
    workload_next(e->workload, &event, 1);
    spin_until(due);
    uint64_t start = clock_ns();
    e->contender->peer->append(e->handle, &event, 1);
    samples[n++] = clock_ns() - start;
    if (clock_ns() > end) break;
  }
  return n;
}

static void turn(struct entrant *e, void *context) {
  static const double shares[] = {0.5, 0.99, 0.999, 1};
  uint64_t *samples = context;
  struct peer_mode mode = {.purpose = SMALL_APPENDS, .durable = e->contender->durable,
                           .interval = e->contender->variant == SYNC_INTERVAL};
  scratch_path(e->path, "pace");
  workload_init(&e->own, STREAMS, 0, SEED);
  e->workload = &e->own;
  e->handle = e->contender->peer->open(e->path, &mode);
  size_t n = append_at_pace(e, samples);
  e->contender->peer->close(e->handle);
  workload_release(&e->own);
  remove_store(e->path);
  add_percentiles(&e->series[P50], samples, n, shares, sizeof shares / sizeof shares[0]);
}

void run_pace(const struct row *row, const struct settings *s, struct report *r) {
  struct entrant entrants[CONTENDERS_MOST];
  size_t n = enter(entrants, row, s, r);
  uint64_t *samples = malloc(SAMPLES_MOST * sizeof *samples);
  if (!samples) die("no memory");
  play(entrants, n, row->subject.name, turn, samples);
  free(samples);
  snprintf(r->note, sizeof r->note, "%u rounds of %g s, an append every %u us if it can be done",
           s->rounds, s->turn_s, PACE_NS / 1000);
}
