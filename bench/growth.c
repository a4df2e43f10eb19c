/* growth.c: whether rille gets slower, or its index larger, with the number of events. Two
** stores have the same streams, one with ten times as many events. Both are appended to in
** turns, and both are in the steady state: every head is in the index. Then the size of
** the index by what the events have: nothing besides their stream, a few tags again and
** again, or each a tag of its own. */
#include "growth.h"

#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"
#include "play.h"

#define LARGE 10                 /* times as many events */
#define APPENDS_A_TURN 100u
#define KIND_OWN_TAG 3           /* variants of the row of index sizes; others: tags each */

static rille_stats stats_of(void *handle) {
  rille_stats stats;
  rille_error error;
  if (rille_store_stats(peer_rille_store(handle), &stats, &error) < 0) die("%s", error.message);
  return stats;
}

/* ---- Appending to it ---- */

enum { CLOSED, CALLS, A_STREAM, AN_EVENT };

static struct fixture *grown(const struct entrant *e) {
  const struct settings *s = e->settings;
  struct filling filling = {.events = s->growth_events * e->contender->variant,
                            .streams = (uint32_t)s->growth_events};
  return fixture_fill(e->contender->peer, &filling, s->progress);
}

static uint64_t append_many(void *handle, struct fixture *f) {
  static struct input batch[BATCH_EVENTS];
  uint64_t took = 0;
  for (unsigned i = 0; i < APPENDS_A_TURN; i++) {
    workload_next(&f->workload, batch, BATCH_EVENTS);
    uint64_t start = clock_ns();
    f->peer->append(handle, batch, BATCH_EVENTS);
    took += clock_ns() - start;
  }
  return took;
}

static void growth_turn(struct entrant *e, void *context) {
  (void)context;
  struct fixture *f = grown(e);
  struct peer_mode mode = {.purpose = LARGE_APPENDS, .durable = e->contender->durable};
  void *handle = f->peer->open(f->path, &mode);
  rille_stats stats = stats_of(handle);
  uint64_t calls = append_many(handle, f), start = clock_ns();
  f->peer->close(handle);
  uint64_t all = calls + clock_ns() - start;
  double events = (double)APPENDS_A_TURN * BATCH_EVENTS * NS_PER_S;
  series_add(&e->series[CLOSED], events / (double)all);
  series_add(&e->series[CALLS], events / (double)calls);
  series_add(&e->series[A_STREAM], (double)stats.index_bytes / (double)stats.streams);
  series_add(&e->series[AN_EVENT], (double)stats.index_bytes / (double)stats.head);
}

void run_growth(const struct row *row, const struct settings *s, struct report *r) {
  struct entrant entrants[CONTENDERS_MOST];
  size_t n = enter(entrants, row, s, r);
  for (size_t i = 0; i < n; i++) grown(&entrants[i]);
  play(entrants, n, row->subject.name, growth_turn, NULL);
  snprintf(r->note, sizeof r->note,
           "%u rounds of %u appends of %d events, %llu streams; events there before: %llu and %llu "
           "or little more", s->rounds, APPENDS_A_TURN, BATCH_EVENTS,
           (unsigned long long)s->growth_events, (unsigned long long)s->growth_events * LARGE,
           (unsigned long long)s->growth_events);
  r->without_targets = !s->full_size;
}

/* ---- How large its index is ---- */

enum { INDEX_MIB, INDEX_AN_EVENT, INDEX_A_TAG, FILLED };

struct size {
  double bytes, tags;
};

static struct size fill_one(struct entrant *e, uint64_t events) {
  static struct input batch[BATCH_EVENTS];
  struct workload w;
  struct peer_mode mode = {.purpose = LARGE_APPENDS};
  const struct peer *peer = e->contender->peer;
  bool own = e->contender->variant == KIND_OWN_TAG;
  workload_init(&w, (uint32_t)(events / FIXTURE_STREAM_EVENTS), own ? 0 : e->contender->variant, 1);
  w.own_tag = own;
  scratch_path(e->path, "index-size");
  uint64_t took = 0, start;
  void *handle = peer->open(e->path, &mode);
  for (uint64_t i = 0; i < events; i += BATCH_EVENTS) {
    workload_next(&w, batch, BATCH_EVENTS);
    start = clock_ns();
    peer->append(handle, batch, BATCH_EVENTS);
    took += clock_ns() - start;
  }
  start = clock_ns();
  peer->close(handle);
  took += clock_ns() - start;
  workload_release(&w);
  series_add(&e->series[FILLED], (double)events * NS_PER_S / (double)took);
  handle = peer->open(e->path, &(struct peer_mode){0});
  rille_stats stats = stats_of(handle);
  peer->close(handle);
  scratch_remove(e->path);
  return (struct size){(double)stats.index_bytes, (double)stats.tags};
}

/* Lines: with tags, which the last line, that has none, is taken from. Once is enough:
** sizes do not vary. */
void run_index(const struct row *row, const struct settings *s, struct report *r) {
  struct entrant entrants[CONTENDERS_MOST];
  struct size sizes[CONTENDERS_MOST];
  size_t n = enter(entrants, row, s, r);
  uint64_t events = row->heavy ? s->large_events : s->scan_events;
  for (size_t i = 0; i < n; i++) {
    scratch_check();
    if (s->progress) s->progress(row->subject.name, i, n);
    sizes[i] = fill_one(&entrants[i], events);
    scratch_settle();
  }
  for (size_t i = 0; i < n; i++) {
    series_add(&entrants[i].series[INDEX_MIB], sizes[i].bytes / KIB_PER_MIB / KIB_PER_MIB);
    series_add(&entrants[i].series[INDEX_AN_EVENT], sizes[i].bytes / (double)events);
    if (sizes[i].tags > 0)
      series_add(&entrants[i].series[INDEX_A_TAG],
                 (sizes[i].bytes - sizes[n - 1].bytes) / sizes[i].tags);
  }
  snprintf(r->note, sizeof r->note,
           "one round of %llu events in %llu streams, 1000 an append, not synced; the rate is that "
           "of the filling, with the close", (unsigned long long)events,
           (unsigned long long)events / FIXTURE_STREAM_EVENTS);
}
