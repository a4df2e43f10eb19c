/* processes.c: 1, 2, 4 and 8 processes append to one store, one small event at a time,
** durably, as fast as they can, each to streams of its own, for the same time.
**
** Each turn begins with an empty store. The processes are forked first, then each opens it;
** they begin together, and none closes it before all have ended. The flushes are counted by
** one of them, from its first append to the end of its last. */
#include "processes.h"

#include <stdio.h>
#include <string.h>

#include "crew.h"
#include "play.h"

#define STREAMS_EACH BATCH_EVENTS
#define SAMPLES_EACH 0x20000     /* more than a disk flushes in a turn */
#define SEED 11

enum { APPENDS, A_FLUSH, P50 };

/* What a process has found. */
struct found {
  uint64_t appends, took_ns, flushes, log_bytes;
  uint64_t samples[SAMPLES_EACH];
};

struct several {
  const struct entrant *entrant;
  unsigned processes;
  size_t frame_bytes;            /* of rille's appends: what the bare loop writes */
  struct found *found;           /* shared, one a process */
  uint64_t *samples;             /* of all */
};

static void append_for_a_while(const struct several *s, void *handle, struct workload *w,
                               struct found *f) {
  const struct peer *peer = s->entrant->contender->peer;
  uint64_t all = (uint64_t)(s->entrant->settings->turn_s * NS_PER_S);
  struct input event;
  uint64_t begin = clock_ns();
  while (f->took_ns < all && f->appends < SAMPLES_EACH) {
    workload_next(w, &event, 1);
    uint64_t start = clock_ns();
    peer->append(handle, &event, 1);
    uint64_t now = clock_ns();
    f->samples[f->appends++] = now - start;
    f->took_ns = now - begin;
  }
}

static void *open_member(const struct several *s) {
  const struct contender *c = s->entrant->contender;
  struct peer_mode mode = {.purpose = SMALL_APPENDS, .durable = c->durable};
  void *handle = c->peer->open(s->entrant->path, &mode);
  if (c->peer->reserve) c->peer->reserve(handle, s->frame_bytes, 0);
  return handle;
}

static void run_member(struct crew *crew, unsigned number, void *context) {
  struct several *s = context;
  struct found *f = &s->found[number];
  const struct peer *peer = s->entrant->contender->peer;
  void *handle = open_member(s);
  struct workload w;
  workload_init(&w, STREAMS_EACH, 0, SEED + number);
  w.first = number * STREAMS_EACH;
  crew_meet(crew);
  uint64_t flushes = peer->flushes ? peer->flushes(handle) : 0;
  uint64_t bytes = peer->log_bytes ? peer->log_bytes(handle) : 0;
  append_for_a_while(s, handle, &w, f);
  f->flushes = peer->flushes ? peer->flushes(handle) - flushes : 0;
  f->log_bytes = peer->log_bytes ? peer->log_bytes(handle) - bytes : 0;
  crew_meet(crew);
  peer->close(handle);
}

/* Made by one process, as a store that is in use was. */
static void make_store(struct entrant *e, const struct several *s) {
  char name[64];
  snprintf(name, sizeof name, "several-%s", e->contender->peer->name);
  scratch_path(e->path, name);
  e->contender->peer->close(open_member(s));
  scratch_settle();
}

static void add_up(struct entrant *e, struct several *s) {
  static const double shares[] = {0.5, 0.99, 0.999};
  size_t appends = 0;
  double rate = 0;
  for (unsigned i = 0; i < s->processes; i++) {
    const struct found *f = &s->found[i];
    memcpy(s->samples + appends, f->samples, f->appends * sizeof f->samples[0]);
    appends += f->appends;
    rate += (double)f->appends * NS_PER_S / (double)f->took_ns;
  }
  series_add(&e->series[APPENDS], rate);
  if (s->found->flushes)
    series_add(&e->series[A_FLUSH], (double)appends / (double)s->found->flushes);
  if (s->found->log_bytes) s->frame_bytes = s->found->log_bytes / appends & ~(size_t)7;
  add_percentiles(&e->series[P50], s->samples, appends, shares, sizeof shares / sizeof shares[0]);
}

static void turn(struct entrant *e, void *context) {
  struct several *s = context;
  s->entrant = e;
  s->processes = e->contender->variant;
  memset(s->found, 0, CREW_MOST * sizeof *s->found);
  make_store(e, s);
  crew_run(s->processes, run_member, s);
  add_up(e, s);
  remove_store(e->path);
}

void run_processes(const struct row *row, const struct settings *settings, struct report *r) {
  struct entrant entrants[CONTENDERS_MOST];
  size_t n = enter(entrants, row, settings, r), bytes = CREW_MOST * sizeof(struct found);
  struct several s = {.found = crew_share(bytes), .samples = crew_share(bytes)};
  play(entrants, n, row->subject.name, turn, &s);
  crew_unshare(s.found, bytes);
  crew_unshare(s.samples, bytes);
  snprintf(r->note, sizeof r->note,
           "%u rounds of %g s, from an empty store, %d bytes of data an event; a frame of rille's: "
           "%zu bytes; ratios are of 8 processes with rille", settings->rounds, settings->turn_s,
           DATA_BYTES, s.frame_bytes);
  r->without_targets = !settings->full_size;
}
