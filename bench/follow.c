/* follow.c: one process appends an event now and then, another waits for it and reads it,
** as `rille tail` does. What is told is the time from the append's return until the other
** has the event, 0 where it has it before; and from its call. Both clocks are the
** machine's one monotonic clock.
**
** Beside it, a byte through a pipe: what the system needs to wake a process that waits. */
#define _POSIX_C_SOURCE 200809L
#include "follow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crew.h"
#include "play.h"

#define STREAMS BATCH_EVENTS
#define SEED 13
#define PAUSE_NS 500000          /* the follower is asleep by then */
#define EVENTS_MOST 2000u
#define SOON_NS 1u               /* stands for 0, so that ratios exist */

enum { P50, P99, P999, FROM_CALL };
enum { APPENDER, FOLLOWER };

/* Shared. */
struct times {
  uint64_t called[EVENTS_MOST], returned[EVENTS_MOST], seen[EVENTS_MOST];
};

struct following {
  const struct entrant *entrant;
  unsigned events;
  int pipe[2];
  struct times *times;
};

static void pause_ns(long ns) { nanosleep(&(struct timespec){.tv_nsec = ns}, NULL); }

/* ---- rille ---- */

static void append_now_and_then(struct crew *crew, const struct following *f) {
  const struct contender *c = f->entrant->contender;
  struct peer_mode mode = {.purpose = SMALL_APPENDS, .durable = c->durable};
  struct workload w;
  struct input event;
  void *handle = c->peer->open(f->entrant->path, &mode);
  workload_init(&w, STREAMS, 0, SEED);
  crew_meet(crew);
  crew_meet(crew);
  for (unsigned i = 0; i < f->events; i++) {
    workload_next(&w, &event, 1);
    pause_ns(PAUSE_NS);
    f->times->called[i] = clock_ns();
    c->peer->append(handle, &event, 1);
    f->times->returned[i] = clock_ns();
  }
  crew_meet(crew);
  c->peer->close(handle);
}

static void read_one(rille_store *store, uint64_t position) {
  rille_query query = {.size = sizeof query, .after = position - 1, .limit = 1};
  rille_reader *reader;
  rille_event event;
  rille_error error;
  if (rille_store_read(store, &query, &reader, &error) < 0) die("read: %s", error.message);
  if (rille_reader_next(reader, &event, &error) != 1 || event.position != position)
    die("event %llu is not there", (unsigned long long)position);
  rille_reader_end(reader);
}

static void wait_and_read(struct crew *crew, const struct following *f) {
  const struct contender *c = f->entrant->contender;
  struct peer_mode mode = {.durable = c->durable, .readonly = true};
  crew_meet(crew);               /* the store is there */
  void *handle = c->peer->open(f->entrant->path, &mode);
  rille_store *store = peer_rille_store(handle);
  rille_error error;
  crew_meet(crew);
  for (unsigned i = 0; i < f->events; i++) {
    int result;
    while ((result = rille_store_wait(store, i + 1, RILLE_FOREVER, &error)) > 0) continue;
    if (result < 0) die("wait: %s", error.message);
    read_one(store, i + 1);
    f->times->seen[i] = clock_ns();
  }
  c->peer->close(handle);
  crew_meet(crew);
}

/* ---- The pipe ---- */

static const char *pipe_about(void) { return "pipe"; }

const struct peer peer_pipe = {.name = "pipe", .about = pipe_about};

static void write_now_and_then(struct crew *crew, const struct following *f) {
  crew_meet(crew);
  for (unsigned i = 0; i < f->events; i++) {
    pause_ns(PAUSE_NS);
    f->times->called[i] = clock_ns();
    if (write(f->pipe[1], "", 1) != 1) die("pipe: %s", strerror(errno));
    f->times->returned[i] = clock_ns();
  }
}

static void read_pipe(struct crew *crew, const struct following *f) {
  char byte;
  crew_meet(crew);
  for (unsigned i = 0; i < f->events; i++) {
    if (read(f->pipe[0], &byte, 1) != 1) die("pipe: %s", strerror(errno));
    f->times->seen[i] = clock_ns();
  }
}

/* ---- A turn ---- */

static void run_member(struct crew *crew, unsigned number, void *context) {
  const struct following *f = context;
  bool store = f->entrant->contender->peer == &peer_rille;
  if (number == APPENDER && store) append_now_and_then(crew, f);
  else if (number == APPENDER) write_now_and_then(crew, f);
  else if (store) wait_and_read(crew, f);
  else read_pipe(crew, f);
}

static void tell(struct entrant *e, const struct following *f) {
  static const double shares[] = {0.5, 0.99, 0.999};
  uint64_t after[EVENTS_MOST], from_call[EVENTS_MOST];
  const struct times *t = f->times;
  for (unsigned i = 0; i < f->events; i++) {
    from_call[i] = t->seen[i] - t->called[i];
    after[i] = t->seen[i] > t->returned[i] ? t->seen[i] - t->returned[i] : SOON_NS;
  }
  add_percentiles(&e->series[P50], after, f->events, shares, sizeof shares / sizeof shares[0]);
  add_percentiles(&e->series[FROM_CALL], from_call, f->events, shares, 1);
}

static void turn(struct entrant *e, void *context) {
  struct following *f = context;
  f->entrant = e;
  scratch_path(e->path, "follow");
  crew_run(2, run_member, f);
  tell(e, f);
  remove_store(e->path);
}

void run_follow(const struct row *row, const struct settings *s, struct report *r) {
  struct entrant entrants[CONTENDERS_MOST];
  size_t n = enter(entrants, row, s, r);
  struct following f = {.events = s->followed_events, .times = crew_share(sizeof *f.times)};
  if (f.events > EVENTS_MOST) die("too many events to follow");
  if (pipe(f.pipe) != 0) die("pipe: %s", strerror(errno));
  play(entrants, n, row->subject.name, turn, &f);
  close(f.pipe[0]);
  close(f.pipe[1]);
  crew_unshare(f.times, sizeof *f.times);
  snprintf(r->note, sizeof r->note, "%u rounds of %u events, one at a time, %d us apart", s->rounds,
           f.events, PAUSE_NS / 1000);
}
