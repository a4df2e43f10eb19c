/* transaction.c: transactions that put one event into each of two stores, as fast as one
** process makes them, or several at once, each with streams of its own.
**
** Each turn begins with two empty stores in a folder. As in processes.c the members are
** forked first, then each opens them; they begin together, and none closes before all have
** ended. The flushes are counted by one of them. */
#include "transaction.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "crew.h"
#include "peer_pair.h"
#include "play.h"

#define STREAMS_EACH BATCH_EVENTS
#define SEED 19
#define CALL_TRANSACTIONS 10     /* between two looks at the clock */
#define SIDES 2                  /* stores, of which each gets an event of a transaction */
#define RECORDED_BYTES 1050      /* of a transaction of rille's, where that does not run */

enum { RATE, FLUSHES };

struct found {
  uint64_t transactions, took_ns, flushes, log_bytes;
};

struct several {
  const struct entrant *entrant;
  unsigned processes, turns;
  size_t bytes;                  /* that a transaction of rille's writes: so many the bare pair */
  struct found *found;           /* shared, one a process */
  const char *missing[CONTENDERS_MOST];
  const struct entrant *entrants;
};

/* What the two stores get, by turns: a workload each, so that versions are of that store. */
static void next_events(struct workload sides[SIDES], struct input *events) {
  struct input own[CALL_TRANSACTIONS];
  for (size_t side = 0; side < SIDES; side++) {
    workload_next(&sides[side], own, CALL_TRANSACTIONS);
    for (size_t i = 0; i < CALL_TRANSACTIONS; i++) events[SIDES * i + side] = own[i];
  }
}

static void transact_for_a_while(const struct several *s, void *handle,
                                 struct workload sides[SIDES], struct found *f) {
  const struct peer *peer = s->entrant->contender->peer;
  uint64_t all = (uint64_t)(s->entrant->settings->turn_s * NS_PER_S), begin = clock_ns();
  struct input events[SIDES * CALL_TRANSACTIONS];
  while (f->took_ns < all) {
    next_events(sides, events);
    peer->append(handle, events, SIDES * CALL_TRANSACTIONS);
    f->transactions += CALL_TRANSACTIONS;
    f->took_ns = clock_ns() - begin;
  }
}

static void *open_member(const struct several *s) {
  const struct peer *peer = s->entrant->contender->peer;
  void *handle = peer->open(s->entrant->path, &(struct peer_mode){.durable = true});
  if (peer->reserve) peer->reserve(handle, s->bytes, 0);
  return handle;
}

static void run_member(struct crew *crew, unsigned number, void *context) {
  struct several *s = context;
  struct found *f = &s->found[number];
  const struct peer *peer = s->entrant->contender->peer;
  void *handle = open_member(s);
  struct workload sides[SIDES];
  for (unsigned side = 0; side < SIDES; side++) {
    workload_init(&sides[side], STREAMS_EACH, 0, SEED + number);
    sides[side].first = number * STREAMS_EACH;
  }
  crew_meet(crew);
  uint64_t flushes = peer->flushes ? peer->flushes(handle) : 0;
  uint64_t bytes = peer->log_bytes ? peer->log_bytes(handle) : 0;
  transact_for_a_while(s, handle, sides, f);
  crew_meet(crew);
  f->flushes = peer->flushes ? peer->flushes(handle) - flushes : 0;
  f->log_bytes = peer->log_bytes ? peer->log_bytes(handle) - bytes : 0;
  crew_meet(crew);
  peer->close(handle);
}

/* Made by one process, as a store that is in use was. */
static void make_stores(struct entrant *e, struct several *s) {
  char name[64];
  snprintf(name, sizeof name, "transaction-%s-%u", e->contender->peer->name, s->turns++);
  scratch_path(e->path, name);
  if (mkdir(e->path, 0777) != 0) die("can't make %s: %s", e->path, strerror(errno));
  e->contender->peer->close(open_member(s));
  scratch_settle();
}

static void add_up(struct entrant *e, struct several *s) {
  uint64_t transactions = 0;
  double rate = 0;
  for (unsigned i = 0; i < s->processes; i++) {
    const struct found *f = &s->found[i];
    transactions += f->transactions;
    rate += (double)f->transactions * NS_PER_S / (double)f->took_ns;
  }
  series_add(&e->series[RATE], rate);
  if (s->found->flushes)
    series_add(&e->series[FLUSHES], (double)s->found->flushes / (double)transactions);
  if (s->found->log_bytes) s->bytes = s->found->log_bytes / transactions;
}

static void turn(struct entrant *e, void *context) {
  struct several *s = context;
  if (s->missing[e - s->entrants]) return;
  s->entrant = e;
  s->processes = e->contender->variant;
  memset(s->found, 0, CREW_MOST * sizeof *s->found);
  make_stores(e, s);
  crew_run(s->processes, run_member, s);
  add_up(e, s);
  scratch_remove(e->path);
}

/* A peer with two lines in a row starts once. Returns a reason of one that can't run, or NULL. */
static const char *start_peers(struct several *s, size_t n) {
  const char *reason = NULL;
  for (size_t i = 0; i < n; i++) {
    const struct peer *peer = s->entrants[i].contender->peer;
    size_t same = 0;
    while (s->entrants[same].contender->peer != peer) same++;
    if (same < i) s->missing[i] = s->missing[same];
    else if (peer->about && peer->start) s->missing[i] = peer->start();
    if (s->missing[i]) reason = s->missing[i];
  }
  return reason;
}

static void stop_peers(const struct several *s, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (s->entrants[i].contender->peer->stop) s->entrants[i].contender->peer->stop();
}

void run_transactions(const struct row *row, const struct settings *settings, struct report *r) {
  struct entrant entrants[CONTENDERS_MOST];
  size_t n = enter(entrants, row, settings, r), bytes = CREW_MOST * sizeof(struct found);
  struct several s = {.found = crew_share(bytes), .bytes = RECORDED_BYTES, .entrants = entrants};
  const char *reason = start_peers(&s, n);
  play(entrants, n, row->subject.name, turn, &s);
  stop_peers(&s, n);
  crew_unshare(s.found, bytes);
  snprintf(r->note, sizeof r->note,
           "%u rounds of %g s, from empty stores, an event of %d bytes of data into each; a "
           "transaction of rille's: %zu bytes%s%s", settings->rounds, settings->turn_s, DATA_BYTES,
           s.bytes, reason ? "; not measured: " : "", reason ? reason : "");
  r->without_targets = !settings->full_size;
}
