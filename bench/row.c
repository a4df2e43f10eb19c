/* row.c: the rows, and what those do that one process runs alone. The others stand in
** processes.c, transaction.c, tags.c, folding.c, growth.c, follow.c, pace.c and conditions.c.
**
** A turn ends early after TURN_MOST_NS, so that a slow disk gives fewer samples, not a
** long wait.
**
** Appending rows: the clock runs inside append calls only; making the events is
** outside. "closed too" adds the close, hence all that was put off until then. */
#include "row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conditions.h"
#include "fixture.h"
#include "folding.h"
#include "follow.h"
#include "growth.h"
#include "pace.h"
#include "peer_pair.h"
#include "play.h"
#include "probe.h"
#include "processes.h"
#include "tags.h"
#include "transaction.h"

#define TURN_MOST_NS 5000000000u
#define APPEND_STREAMS 10000
#define SEED 7

/* ---- Appending ----------------------------------------------------------- */

/* How a row appends, and what its turns share. */
struct appending {
  unsigned appends, events_each;
  size_t tags_each;
  uint64_t filled;               /* events that are there before; 0: from empty */
  size_t frame_bytes;            /* of rille's appends: what the bare loop writes */
  uint64_t *samples;             /* nanoseconds of each append of a turn */
};

struct timing {
  uint64_t total_ns;
  size_t appends;
};

/* The bare loop stores nothing, so there is nothing to fill. */
static bool is_filled(const struct entrant *e, const struct appending *a) {
  return a->filled > 0 && e->contender->peer->scan;
}

static void begin_empty(struct entrant *e, const struct appending *a) {
  char name[64];
  snprintf(name, sizeof name, "append-%s", e->contender->peer->name);
  scratch_path(e->path, name);
  workload_init(&e->own, APPEND_STREAMS, a->tags_each, SEED);
  e->workload = &e->own;
}

static void begin_filled(struct entrant *e, const struct appending *a) {
  struct fixture *f = fixture_get(e->contender->peer, a->filled, a->tags_each,
                                  e->settings->progress);
  memcpy(e->path, f->path, sizeof e->path);
  e->workload = &f->workload;
}

static void open_entrant(struct entrant *e, const struct appending *a) {
  struct peer_mode mode = {.purpose = a->events_each > 1 ? LARGE_APPENDS : SMALL_APPENDS,
                           .durable = e->contender->durable, .tags = a->tags_each > 0};
  if (is_filled(e, a)) begin_filled(e, a);
  else begin_empty(e, a);
  e->handle = e->contender->peer->open(e->path, &mode);
}

/* Returns how long it took; then removes what began empty. */
static uint64_t close_entrant(struct entrant *e) {
  uint64_t start = clock_ns();
  e->contender->peer->close(e->handle);
  uint64_t took = clock_ns() - start;
  e->handle = NULL;
  if (e->workload != &e->own) return took;
  workload_release(&e->own);
  remove_store(e->path);
  return took;
}

static struct timing append_timed(struct entrant *e, const struct appending *a) {
  static struct input events[BATCH_EVENTS];
  const struct peer *peer = e->contender->peer;
  struct timing t = {0};
  while (t.appends < a->appends && t.total_ns < TURN_MOST_NS) {
    workload_next(e->workload, events, a->events_each);
    uint64_t start = clock_ns();
    peer->append(e->handle, events, a->events_each);
    a->samples[t.appends] = clock_ns() - start;
    t.total_ns += a->samples[t.appends++];
  }
  return t;
}

/* Rille comes first in the first round, so the bare loop knows its size of frames. */
static struct timing append_turn(struct entrant *e, struct appending *a) {
  const struct peer *peer = e->contender->peer;
  uint64_t before = peer->log_bytes ? peer->log_bytes(e->handle) : 0;
  if (peer->reserve) peer->reserve(e->handle, a->frame_bytes, a->appends);
  struct timing t = append_timed(e, a);
  if (peer->log_bytes)
    a->frame_bytes = (size_t)((peer->log_bytes(e->handle) - before) / t.appends);
  if (a->frame_bytes == 0) die("%s: the log did not grow", peer->name);
  return t;
}

static void note_appends(struct report *r, const struct settings *s, const struct appending *a) {
  uint64_t streams = a->filled ? a->filled / FIXTURE_STREAM_EVENTS : APPEND_STREAMS;
  snprintf(r->note, sizeof r->note,
           "%u rounds of %u appends, %d bytes of data an event, %llu streams, %llu events there "
           "before; a frame of rille's: %zu bytes", s->rounds, a->appends, DATA_BYTES,
           (unsigned long long)streams, (unsigned long long)a->filled, a->frame_bytes);
}

static void single_turn(struct entrant *e, void *context) {
  static const double shares[] = {0.5, 0.99, 0.999};
  struct appending *a = context;
  struct timing t = append_turn(e, a);
  series_add(&e->series[0], (double)t.appends * NS_PER_S / (double)t.total_ns);
  add_percentiles(&e->series[1], a->samples, t.appends, shares, sizeof shares / sizeof shares[0]);
}

/* The stores stay open from round to round: it is the steady state that counts. */
static void run_single_of(const struct row *row, const struct settings *s, struct report *r,
                          unsigned appends) {
  struct entrant entrants[CONTENDERS_MOST];
  size_t n = enter(entrants, row, s, r);
  struct appending a = {.appends = appends, .events_each = 1,
                        .samples = malloc(appends * sizeof *a.samples)};
  if (!a.samples) die("no memory");
  for (size_t i = 0; i < n; i++)
    if (contender_built(entrants[i].contender)) open_entrant(&entrants[i], &a);
  play(entrants, n, row->subject.name, single_turn, &a);
  for (size_t i = 0; i < n; i++)
    if (entrants[i].handle) close_entrant(&entrants[i]);
  free(a.samples);
  note_appends(r, s, &a);
}

static void run_single(const struct row *row, const struct settings *s, struct report *r) {
  run_single_of(row, s, r, s->single_appends);
}

static void run_single_unsynced(const struct row *row, const struct settings *s,
                                struct report *r) {
  run_single_of(row, s, r, s->single_unsynced_appends);
}

static void batch_turn(struct entrant *e, void *context) {
  struct appending *a = context;
  open_entrant(e, a);
  struct timing t = append_turn(e, a);
  uint64_t close_ns = close_entrant(e);
  double events = (double)t.appends * a->events_each;
  series_add(&e->series[0], events * NS_PER_S / (double)t.total_ns);
  series_add(&e->series[1], events * NS_PER_S / (double)(t.total_ns + close_ns));
}

static void run_batch_of(const struct row *row, const struct settings *s, struct report *r,
                         size_t tags_each, uint64_t filled) {
  struct entrant entrants[CONTENDERS_MOST];
  size_t n = enter(entrants, row, s, r);
  struct appending a = {.appends = s->batch_appends, .events_each = BATCH_EVENTS,
                        .tags_each = tags_each, .filled = filled,
                        .samples = malloc(s->batch_appends * sizeof *a.samples)};
  if (!a.samples) die("no memory");
  for (size_t i = 0; i < n; i++)
    if (contender_built(entrants[i].contender) && is_filled(&entrants[i], &a))
      begin_filled(&entrants[i], &a);
  play(entrants, n, row->subject.name, batch_turn, &a);
  free(a.samples);
  note_appends(r, s, &a);
  r->without_targets = !s->full_size;
}

static void run_batch(const struct row *row, const struct settings *s, struct report *r) {
  run_batch_of(row, s, r, 0, s->scan_events);
}

static void run_batch_tags(const struct row *row, const struct settings *s, struct report *r) {
  run_batch_of(row, s, r, TAGS_EACH, s->scan_events);
}

static void run_batch_empty(const struct row *row, const struct settings *s, struct report *r) {
  run_batch_of(row, s, r, 0, 0);
}

/* ---- Reading ------------------------------------------------------------- */

/* What the first reader found; the others must find the same. */
struct expected {
  struct tally tally;
  const char *by;
};

static void compare(struct expected *expected, const struct tally *found, const char *name) {
  if (!expected->by) *expected = (struct expected){*found, name};
  if (expected->tally.events != found->events || expected->tally.sum != found->sum)
    die("%s and %s read different events", expected->by, name);
}

static void scan_turn(struct entrant *e, void *context) {
  struct tally tally = {0};
  uint64_t start = clock_ns();
  e->contender->peer->scan(e->handle, &tally);
  uint64_t took = clock_ns() - start;
  if (tally.events != e->settings->scan_events) die("%s: events are missing", e->contender->name);
  compare(context, &tally, e->contender->name);
  series_add(&e->series[0], (double)tally.events * NS_PER_S / (double)took);
}

static void stream_turn(struct entrant *e, void *context) {
  static const double shares[] = {0.5, 0.99};
  unsigned n = e->settings->stream_reads;
  uint32_t streams = (uint32_t)(e->settings->scan_events / FIXTURE_STREAM_EVENTS);
  uint64_t *samples = malloc(n * sizeof *samples), total = 0;
  struct workload random = {.random = SEED};
  struct tally tally = {0};
  if (!samples) die("no memory");
  for (unsigned i = 0; i < n; i++) {
    rille_text stream = workload_stream(workload_random(&random, streams));
    uint64_t start = clock_ns();
    e->contender->peer->read_stream(e->handle, stream, &tally);
    samples[i] = clock_ns() - start;
    total += samples[i];
  }
  if (tally.events != (uint64_t)n * FIXTURE_STREAM_EVENTS)
    die("%s: events are missing", e->contender->name);
  compare(context, &tally, e->contender->name);
  samples_sort(samples, n);
  series_add(&e->series[0], (double)total / n / NS_PER_US);
  for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
    series_add(&e->series[1 + i], (double)samples_percentile(samples, n, shares[i]) / NS_PER_US);
  free(samples);
}

static void run_reading(const struct row *row, const struct settings *s, struct report *r,
                        void (*turn)(struct entrant *entrant, void *context)) {
  struct entrant entrants[CONTENDERS_MOST];
  struct expected expected = {.by = NULL};
  size_t n = enter(entrants, row, s, r);
  for (size_t i = 0; i < n; i++) {
    if (!contender_built(entrants[i].contender)) continue;
    const struct peer *peer = entrants[i].contender->peer;
    struct fixture *f = fixture_get(peer, s->scan_events, 0, s->progress);
    entrants[i].handle = peer->open(f->path, &(struct peer_mode){0});
  }
  play(entrants, n, row->subject.name, turn, &expected);
  for (size_t i = 0; i < n; i++)
    if (entrants[i].handle) entrants[i].contender->peer->close(entrants[i].handle);
}

static void run_scan(const struct row *row, const struct settings *s, struct report *r) {
  run_reading(row, s, r, scan_turn);
  snprintf(r->note, sizeof r->note, "%u rounds, each through all %llu events", s->rounds,
           (unsigned long long)s->scan_events);
}

static void run_stream(const struct row *row, const struct settings *s, struct report *r) {
  run_reading(row, s, r, stream_turn);
  snprintf(r->note, sizeof r->note, "%u rounds of %u streams of %d events, of %llu streams",
           s->rounds, s->stream_reads, FIXTURE_STREAM_EVENTS,
           (unsigned long long)s->scan_events / FIXTURE_STREAM_EVENTS);
}

/* ---- In a process of its own ---------------------------------------------- */

static void open_turn(struct entrant *e, void *context) {
  (void)context;
  struct opened o = probe_open(e->settings->self, e->contender->peer, e->path);
  series_add(&e->series[0], o.open_ms);
  series_add(&e->series[1], o.first_ms);
}

static void memory_turn(struct entrant *e, void *context) {
  (void)context;
  struct remembered m = probe_memory(e->settings->self, e->contender->peer, e->path);
  if (m.events < (double)e->settings->scan_events)
    die("%s: events are missing", e->contender->name);
  if (m.peak_kib > 0) series_add(&e->series[0], m.peak_kib / KIB_PER_MIB);
}

/* Filling the peers with as much as rille would take minutes: theirs is the smaller store. */
static void run_probes(const struct row *row, const struct settings *s, struct report *r,
                       void (*turn)(struct entrant *entrant, void *context)) {
  struct entrant entrants[CONTENDERS_MOST];
  size_t n = enter(entrants, row, s, r);
  for (size_t i = 0; i < n; i++) {
    if (!contender_built(entrants[i].contender)) continue;
    struct fixture *f = fixture_get(entrants[i].contender->peer,
                                    i == 0 ? s->large_events : s->scan_events, 0, s->progress);
    memcpy(entrants[i].path, f->path, sizeof f->path);
  }
  play(entrants, n, row->subject.name, turn, NULL);
  snprintf(r->note, sizeof r->note,
           "%u rounds, each in a new process; rille holds %llu events, the others %llu or little "
           "more", s->rounds, (unsigned long long)s->large_events,
           (unsigned long long)s->scan_events);
  r->without_targets = !s->full_size;
}

static void run_open(const struct row *row, const struct settings *s, struct report *r) {
  run_probes(row, s, r, open_turn);
}

static void run_memory(const struct row *row, const struct settings *s, struct report *r) {
  run_probes(row, s, r, memory_turn);
}

/* ---- The rows ------------------------------------------------------------ */

#define DURABLE                                                                         \
  {{"rille", &peer_rille, true, 0}, {"bare loop", &peer_loop, true, 0},                 \
   {"SQLite FULL", &peer_sqlite, true, 0}, {"LMDB", &peer_lmdb, true, 0}}
#define UNSYNCED                                                                        \
  {{"rille", &peer_rille, false, 0}, {"SQLite OFF", &peer_sqlite, false, 0},            \
   {"LMDB NOSYNC", &peer_lmdb, false, 0}}
#define READERS                                                                         \
  {{"rille", &peer_rille, false, 0}, {"SQLite", &peer_sqlite, false, 0},                \
   {"LMDB", &peer_lmdb, false, 0}}
#define SINGLE_METRICS                                                                  \
  {{"appends", "appends/s", "1/s", false}, {"p50", "p50 us", "us", true},               \
   {"p99", "p99 us", "us", true}, {"p999", "p99.9 us", "us", true}}
#define BATCH_METRICS                                                                   \
  {{"events", "events/s", "1/s", false}, {"events_closed", "closed too", "1/s", false}}
#define STREAM_METRICS                                                                  \
  {{"mean", "us a stream", "us", true}, {"p50", "p50 us", "us", true},                  \
   {"p99", "p99 us", "us", true}}
#define TAG_READERS                                                                     \
  {{"rille", &peer_rille, false, BY_THE_INDEX}, {"SQLite", &peer_sqlite, false, 0},     \
   {"LMDB", &peer_lmdb, false, 0}, {"rille, all", &peer_rille, false, PAST_EVERY_EVENT}}
#define TAG_METRICS                                                                     \
  {{"mean", "us a tag", "us", true}, {"p50", "p50 us", "us", true}, {"p99", "p99 us", "us", true}}
#define OPEN_METRICS                                                                    \
  {{"open", "ms", "ms", true}, {"read", "stream read too", "ms", true}}

#define SEVERAL(name, peer)                                                             \
  {name ", 8 processes", &peer, true, 8}, {name ", 4", &peer, true, 4},                 \
  {name ", 2", &peer, true, 2}, {name ", 1", &peer, true, 1}
#define PROCESSES                                                                       \
  {SEVERAL("rille", peer_rille), SEVERAL("shared loop", peer_group),                    \
   SEVERAL("SQLite FULL", peer_sqlite)}
#define PROCESSES_METRICS                                                               \
  {{"appends", "appends/s", "1/s", false}, {"a_flush", "a flush", "1", false},          \
   {"p50", "p50 us", "us", true}, {"p99", "p99 us", "us", true}, {"p999", "p99.9 us", "us", true}}

#define TRANSACTION                                                                     \
  {{"rille", &peer_stores, true, 1}, {"rille, from Lua", &peer_coordinator, true, 1},   \
   {"bare pair", &peer_pair, true, 1},                                                  \
   {"SQLite, attached", &peer_attached, true, 1},                                       \
   {"PostgreSQL, prepared", &peer_databases, true, 1}}
#define TRANSACTION_CLIENTS                                                             \
  {{"rille, 8 clients", &peer_stores, true, 8}, {"rille, 1", &peer_stores, true, 1},    \
   {"from Lua, 8", &peer_coordinator, true, 8}, {"from Lua, 1", &peer_coordinator, true, 1}, \
   {"shared pair, 8", &peer_pair_shared, true, 8}, {"shared pair, 1", &peer_pair_shared, true, 1}, \
   {"SQLite, attached, 8", &peer_attached, true, 8},                                    \
   {"PostgreSQL, 8", &peer_databases, true, 8}}
#define TRANSACTION_METRICS                                                             \
  {{"transactions", "transactions/s", "1/s", false}, {"flushes", "flushes each", "1", true}}

#define FOLDING                                                                         \
  {{"one event, folding", &peer_rille, true, 0}, {"one event, idle", &peer_rille, true, 0},\
   {"1000, folding", &peer_rille, true, 0}, {"1000, idle", &peer_rille, true, 0}}
#define FOLDING_METRICS                                                                 \
  {{"added", "ms added", "ms", true}, {"p50", "p50 us", "us", true},                    \
   {"p99", "p99 us", "us", true}, {"p999", "p99.9 us", "us", true}, {"most", "most us", "us", true}}

#define GROWTH(durable)                                                                 \
  {{"ten times as many", &peer_rille, durable, 10}, {"one a stream", &peer_rille, durable, 1}}
#define GROWTH_METRICS                                                                  \
  {{"events_closed", "closed too", "1/s", false}, {"events", "events/s", "1/s", false}, \
   {"index_a_stream", "B of index/stream", "B", true},                                  \
   {"index_an_event", "B of index/event", "B", true}}
#define INDEX                                                                           \
  {{"a tag of its own each", &peer_rille, false, 3},                                    \
   {"2 of 5 000 tags each", &peer_rille, false, 2}, {"no tags", &peer_rille, false, 0}}
#define INDEX_METRICS                                                                   \
  {{"index", "MiB of index", "MiB", true}, {"an_event", "B/event", "B", true},          \
   {"a_tag", "B/tag", "B", true}, {"events", "events/s", "1/s", false}}
#define FOLLOW                                                                          \
  {{"rille", &peer_rille, true, 0}, {"rille, not synced", &peer_rille, false, 0},       \
   {"pipe", &peer_pipe, false, 0}}
#define FOLLOW_METRICS                                                                  \
  {{"p50", "p50 us", "us", true}, {"p99", "p99 us", "us", true},                        \
   {"p999", "p99.9 us", "us", true}, {"from_call", "p50 from call", "us", true}}
#define PACE                                                                            \
  {{"interval", &peer_rille, false, SYNC_INTERVAL}, {"never", &peer_rille, false, 0},   \
   {"always", &peer_rille, true, 0}}
#define PACE_METRICS                                                                    \
  {{"p50", "p50 us", "us", true}, {"p99", "p99 us", "us", true},                        \
   {"p999", "p99.9 us", "us", true}, {"most", "most us", "us", true}}
#define CONDITIONS                                                                      \
  {{"neither", &peer_rille, false, WITH_NOTHING},                                       \
   {"unless its tag", &peer_rille, false, WITH_UNLESS},                                 \
   {"an id each", &peer_rille, false, WITH_IDS}}
#define CONDITIONS_METRICS                                                              \
  {{"appends", "appends/s", "1/s", false}, {"p50", "p50 us", "us", true},               \
   {"p99", "p99 us", "us", true}, {"an_id", "B of index/id", "B", true}}

/* In this order: scan, stream and tag read the filled stores before the batches make
** them grow; open and memory come last, because filling ten million events may
** use up what a rented disk allows in bursts. */
const struct row rows[] = {
  {{"single", "one event an append, durable", DURABLE, SINGLE_METRICS,
    {{"bare loop", 0.8, 0}, {"SQLite FULL", 1, 0}}}, run_single, false},
  {{"single-unsynced", "one event an append, not synced", UNSYNCED, SINGLE_METRICS, {{0}}},
   run_single_unsynced, false},
  {{"processes", "several processes appending one event at a time, durable", PROCESSES,
    PROCESSES_METRICS, {{"rille, 1", 3, 0}, {NULL, 4, 1}}}, run_processes, false},
  {{"transaction", "two stores, one client, durable", TRANSACTION, TRANSACTION_METRICS,
    {{"bare pair", 0.8, 0}}}, run_transactions, false},
  {{"transaction-clients", "two stores, several clients, durable", TRANSACTION_CLIENTS,
    TRANSACTION_METRICS, {{"rille, 1", 3, 0}, {"from Lua, 1", 3, 1}}}, run_transactions, false},
  {{"scan", "reading everything", READERS, {{"events", "events/s", "1/s", false}},
    {{NULL, 8e6, 0}}}, run_scan, false},
  {{"stream", "reading one stream among many", READERS, STREAM_METRICS,
    {{NULL, 100, 0}}}, run_stream, false},
  {{"tag", "reading a tag that ten events have", READERS, TAG_METRICS, {{NULL, 15, 0}}}, run_tag,
   false},
  {{"tag-frequent", "reading a tag that hundreds have, by its chain and past every event",
    TAG_READERS, TAG_METRICS, {{0}}}, run_tag_frequent, false},
  {{"batch", "1000 events an append, durable", DURABLE, BATCH_METRICS,
    {{"SQLite FULL", 10, 0}}}, run_batch, false},
  {{"batch-unsynced", "1000 events an append, not synced", UNSYNCED, BATCH_METRICS, {{0}}},
   run_batch, false},
  {{"batch-tags", "1000 events an append, two tags each, durable", DURABLE, BATCH_METRICS,
    {{"SQLite FULL", 5, 0}}}, run_batch_tags, false},
  {{"batch-tags-unsynced", "1000 events an append, two tags each, not synced", UNSYNCED,
    BATCH_METRICS, {{0}}}, run_batch_tags, false},
  {{"batch-empty", "1000 events an append, durable, into an empty store", DURABLE, BATCH_METRICS,
    {{0}}}, run_batch_empty, false},
  {{"follow", "another process waits for each event and reads it", FOLLOW, FOLLOW_METRICS,
    {{NULL, 1000, 1}}}, run_follow, false},
  {{"pace", "one event an append, by sync", PACE, PACE_METRICS, {{0}}}, run_pace, false},
  {{"conditions", "one event an append, not synced, under conditions", CONDITIONS,
    CONDITIONS_METRICS, {{0}}}, run_conditions, false},
  {{"index", "the index by what is in it", INDEX, INDEX_METRICS, {{0}}}, run_index, false},
  {{"index-large", "the same with ten times as many events", INDEX, INDEX_METRICS, {{0}}},
   run_index, true},
  {{"growth", "1000 events an append, durable, into a store that has grown", GROWTH(true),
    GROWTH_METRICS, {{"one a stream", 0.8, 0}}}, run_growth, true},
  {{"growth-unsynced", "the same, not synced", GROWTH(false), GROWTH_METRICS,
    {{"one a stream", 0.8, 0}}}, run_growth, true},
  {{"folding", "appends while the index is folded, and while not", FOLDING, FOLDING_METRICS,
    {{NULL, 5, 0}}}, run_folding, false},
  {{"open", "opening after a clean close", READERS, OPEN_METRICS, {{NULL, 50, 0}}},
   run_open, false},
  {{"memory", "most memory while reading everything, without mapped files", READERS,
    {{"peak", "MiB", "MiB", true}}, {{0}}}, run_memory, false}};

const size_t row_count = sizeof rows / sizeof rows[0];
