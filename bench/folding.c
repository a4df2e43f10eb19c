/* folding.c: how long an append takes while the background thread folds, and while it does
** not. Into a store that holds an event of each of very many streams, so that every fold is
** as large as one gets.
**
** Whether somebody folds is told by the lock that he holds, a byte of the file `store`
** (control.h): asked before and after each append, outside the clock. An append belongs to
** the fold if either says so.
**
** A round: one event at a time, from the beginning of a fold to its end, and as many
** afterwards; then 1000 at a time, PACED_US apart, for two folds, and on until as many were
** made while nobody folded. That is about half of what the disk takes: at full speed appends
** wait for the fold to make room, which is another matter.
**
** What a fold adds is the slowest append beside it less the slowest of as many without: on a
** machine that others use, the slowest of a few is no measure for the slowest of many. */
#define _GNU_SOURCE
#include "folding.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "fixture.h"
#include "play.h"

#define PACED_US 5000
#define SAMPLES_MOST 40000u
#define SINGLES_LEAST 1000u      /* of each kind, so that a p99.9 means something */
#define BATCHES_MOST 2400u
#define FOLDS_A_TURN 2u

enum { ONE_FOLDING, ONE_IDLE, MANY_FOLDING, MANY_IDLE, KINDS };
enum { ADDED_MS, P50, P99, P999, MOST };

struct samples {
  uint64_t list[SAMPLES_MOST];
  size_t count;
};

struct turn {
  const struct peer *peer;
  void *handle;
  struct workload *workload;
  int store;                     /* the file with the locks */
  struct samples kinds[KINDS];
};

#ifdef F_OFD_GETLK
static bool can_tell(void) { return true; }

static bool is_folding(const struct turn *t) {
  struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = CONTROL_FOLDER, .l_len = 1};
  if (fcntl(t->store, F_OFD_GETLK, &l) != 0) die("can't ask for a lock: %s", strerror(errno));
  return l.l_type != F_UNLCK;
}
#else
static bool can_tell(void) { return false; }
static bool is_folding(const struct turn *t) { return t->store < 0; }
#endif

/* As many as make the workload's cycle whole again after single events: 1000 or less. */
static size_t batch_size(const struct turn *t) {
  return BATCH_EVENTS - t->workload->cursor % BATCH_EVENTS;
}

static void note(struct samples *s, uint64_t took, size_t most) {
  if (s->count < most) s->list[s->count++] = took;
}

/* Appends; returns whether a fold was running. At most so many are noted of each kind. */
static bool append_timed(struct turn *t, size_t events, unsigned folding_kind, size_t most) {
  static struct input batch[BATCH_EVENTS];
  workload_next(t->workload, batch, events);
  bool folding = is_folding(t);
  uint64_t start = clock_ns();
  t->peer->append(t->handle, batch, events);
  uint64_t took = clock_ns() - start;
  folding |= is_folding(t);
  note(&t->kinds[folding ? folding_kind : folding_kind + 1], took, most);
  return folding;
}

static void begin_a_fold(struct turn *t) {
  static struct input batch[BATCH_EVENTS];
  while (!is_folding(t)) {
    size_t events = batch_size(t);
    workload_next(t->workload, batch, events);
    t->peer->append(t->handle, batch, events);
  }
}

static void append_one_by_one(struct turn *t) {
  const struct samples *during = &t->kinds[ONE_FOLDING], *after = &t->kinds[ONE_IDLE];
  while (during->count < SINGLES_LEAST) {
    begin_a_fold(t);
    while (append_timed(t, 1, ONE_FOLDING, SAMPLES_MOST)) continue;
  }
  while (after->count < during->count) append_timed(t, 1, ONE_FOLDING, during->count);
}

/* The next one is due so long after the last was. */
static void pause_until(uint64_t due_ns) {
  uint64_t now = clock_ns();
  if (now >= due_ns) return;
  nanosleep(&(struct timespec){.tv_nsec = (long)(due_ns - now)}, NULL);
}

static bool append_paced(struct turn *t, uint64_t *due, size_t most) {
  bool folding = append_timed(t, batch_size(t), MANY_FOLDING, most);
  pause_until(*due += PACED_US * (uint64_t)NS_PER_US);
  return folding;
}

/* For some folds; then on until as many are without one. */
static void append_many(struct turn *t) {
  struct samples *during = &t->kinds[MANY_FOLDING], *idle = &t->kinds[MANY_IDLE];
  unsigned folds = 0, i = 0;
  bool before = is_folding(t);
  uint64_t due = clock_ns();
  for (; i < BATCHES_MOST && folds < FOLDS_A_TURN; i++) {
    bool folding = append_paced(t, &due, SAMPLES_MOST);
    folds += before && !folding;
    before = folding;
  }
  size_t enough = during->count;
  for (; i < BATCHES_MOST && idle->count < enough; i++) append_paced(t, &due, enough);
  if (during->count > idle->count) during->count = idle->count;
  if (idle->count > during->count) idle->count = during->count;
}

static void open_turn(struct turn *t, const struct fixture *f) {
  char path[PATH_BYTES + 8];
  struct peer_mode mode = {.purpose = SMALL_APPENDS, .durable = true};
  t->handle = t->peer->open(f->path, &mode);
  snprintf(path, sizeof path, "%s/store", f->path);
  t->store = open(path, O_RDWR | O_CLOEXEC);
  if (t->store < 0) die("can't open %s: %s", path, strerror(errno));
}

/* A store that is open twice in a process is refused, so this one is closed first. */
static void close_turn(struct turn *t) {
  close(t->store);
  t->peer->close(t->handle);
}

static double added_ms(const struct samples *folding, const struct samples *idle) {
  uint64_t with = folding->list[folding->count - 1], without = idle->list[idle->count - 1];
  return ((double)with - (double)without) / NS_PER_MS;
}

static void tell(struct turn *t, struct report *r) {
  static const double shares[] = {0.5, 0.99, 0.999, 1};
  for (unsigned k = 0; k < KINDS; k++)
    if (t->kinds[k].count > 0)
      add_percentiles(&r->series[k][P50], t->kinds[k].list, t->kinds[k].count, shares,
                      sizeof shares / sizeof shares[0]);
  for (unsigned k = ONE_FOLDING; k < KINDS; k += 2)
    if (t->kinds[k].count > 0 && t->kinds[k + 1].count > 0)
      series_add(&r->series[k][ADDED_MS], added_ms(&t->kinds[k], &t->kinds[k + 1]));
}

static void play_round(struct turn *t, const struct fixture *f, struct report *r) {
  scratch_check();
  for (unsigned k = 0; k < KINDS; k++) t->kinds[k].count = 0;
  open_turn(t, f);
  append_one_by_one(t);
  append_many(t);
  close_turn(t);
  tell(t, r);
  scratch_settle();
}

void run_folding(const struct row *row, const struct settings *s, struct report *r) {
  static struct turn t;
  struct filling filling = {.events = s->folded_streams, .streams = (uint32_t)s->folded_streams};
  struct fixture *f = fixture_fill(&peer_rille, &filling, s->progress);
  t.peer = &peer_rille;
  t.workload = &f->workload;
  for (unsigned round = 0; can_tell() && round < s->rounds; round++) {
    if (s->progress) s->progress(row->subject.name, round, s->rounds);
    play_round(&t, f, r);
  }
  snprintf(r->note, sizeof r->note,
           "%u rounds, durable, %llu streams, all in the index; the last one: %zu appends of one "
           "event and %zu of 1000, every %d us, during folds; ratios are of the first line",
           s->rounds, (unsigned long long)s->folded_streams, t.kinds[ONE_FOLDING].count,
           t.kinds[MANY_FOLDING].count, PACED_US);
  r->without_targets = !s->full_size;
}
