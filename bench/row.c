/* row.c: what each row does.
**
** A round gives every contender one turn, next to each other; each round starts
** with another one. Between turns, outside the clock, what was left dirty is
** written out, so that nobody pays for the one before. A turn ends early after
** TURN_MOST_NS, so that a slow disk gives fewer samples, not a long wait.
**
** Appending rows: the clock runs inside append calls only; making the events is
** outside. "closed too" adds the close, hence all that was put off until then. */
#include "row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "probe.h"
#include "scratch.h"

#define NS_PER_S 1e9
#define NS_PER_US 1e3
#define KIB_PER_MIB 1024.0
#define TURN_MOST_NS 5000000000u
#define APPEND_STREAMS 10000
#define SEED 7

/* A contender in the middle of a row. */
struct entrant {
  const struct contender *contender;
  const struct settings *settings;
  struct series *series;         /* one a metric */
  void *handle;
  char path[PATH_BYTES];
  struct workload own;           /* of a store that began empty */
  struct workload *workload;     /* this, or its fixture's */
};

/* Calls turn(entrant, context) for each built contender, round by round. */
static void play(struct entrant *entrants, size_t n, const char *name,
                 void (*turn)(struct entrant *entrant, void *context), void *context) {
  const struct settings *s = entrants[0].settings;
  for (unsigned round = 0; round < s->rounds; round++)
    for (size_t k = 0; k < n; k++) {
      struct entrant *e = &entrants[(round + k) % n];
      scratch_check();
      if (s->progress) s->progress(name, round * n + k, s->rounds * n);
      if (!contender_built(e->contender)) continue;
      turn(e, context);
      scratch_settle();
    }
}

static size_t enter(struct entrant entrants[CONTENDERS_MOST], const struct row *row,
                    const struct settings *settings, struct report *report) {
  size_t n = subject_contenders(&row->subject);
  for (size_t i = 0; i < n; i++)
    entrants[i] = (struct entrant){.contender = &row->subject.contenders[i],
                                   .settings = settings, .series = report->series[i]};
  return n;
}

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
  static const char *const sides[] = {"", "-wal", "-shm", "-lock"};
  char path[PATH_BYTES + 8];
  uint64_t start = clock_ns();
  e->contender->peer->close(e->handle);
  uint64_t took = clock_ns() - start;
  e->handle = NULL;
  if (e->workload != &e->own) return took;
  workload_release(&e->own);
  for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
    snprintf(path, sizeof path, "%s%s", e->path, sides[i]);
    scratch_remove(path);
  }
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
  samples_sort(a->samples, t.appends);
  for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
    series_add(&e->series[1 + i],
               (double)samples_percentile(a->samples, t.appends, shares[i]) / NS_PER_US);
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

/* What a row reads, and what the first reader found: the others must find the same. */
struct reading {
  size_t tags_each;              /* of the store that is read */
  unsigned reads;                /* 0: everything is read, once */
  uint32_t names;                /* one of so many is read, at random */
  rille_text (*name)(uint32_t number);
  bool by_tag;                   /* else by stream */
  unsigned events_each;          /* of each name; 0: they differ */
  struct tally tally;
  const char *by;
};

static void compare(struct reading *r, const struct tally *found, const char *name) {
  if (!r->by) {
    r->tally = *found;
    r->by = name;
  }
  if (r->tally.events != found->events || r->tally.sum != found->sum)
    die("%s and %s read different events", r->by, name);
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

/* Returns how long all took. */
static uint64_t read_names(struct entrant *e, const struct reading *r, uint64_t *samples,
                           struct tally *tally) {
  const struct peer *peer = e->contender->peer;
  struct workload random = {.random = SEED};
  uint64_t total = 0;
  for (unsigned i = 0; i < r->reads; i++) {
    rille_text name = r->name(workload_random(&random, r->names));
    uint64_t start = clock_ns();
    if (r->by_tag) peer->read_tag(e->handle, name, tally);
    else peer->read_stream(e->handle, name, tally);
    samples[i] = clock_ns() - start;
    total += samples[i];
  }
  return total;
}

static void names_turn(struct entrant *e, void *context) {
  static const double shares[] = {0.5, 0.99};
  struct reading *r = context;
  uint64_t *samples = malloc(r->reads * sizeof *samples);
  struct tally tally = {0};
  if (!samples) die("no memory");
  uint64_t total = read_names(e, r, samples, &tally);
  if (r->events_each && tally.events != (uint64_t)r->reads * r->events_each)
    die("%s: events are missing", e->contender->name);
  compare(r, &tally, e->contender->name);
  samples_sort(samples, r->reads);
  series_add(&e->series[0], (double)total / r->reads / NS_PER_US);
  for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
    series_add(&e->series[1 + i],
               (double)samples_percentile(samples, r->reads, shares[i]) / NS_PER_US);
  free(samples);
}

static void run_reading(const struct row *row, const struct settings *s, struct report *r,
                        struct reading *reading) {
  struct entrant entrants[CONTENDERS_MOST];
  size_t n = enter(entrants, row, s, r);
  for (size_t i = 0; i < n; i++) {
    if (!contender_built(entrants[i].contender)) continue;
    const struct peer *peer = entrants[i].contender->peer;
    struct fixture *f = fixture_get(peer, s->scan_events, reading->tags_each, s->progress);
    entrants[i].handle = peer->open(f->path, &(struct peer_mode){.tags = reading->tags_each > 0});
  }
  play(entrants, n, row->subject.name, reading->reads ? names_turn : scan_turn, reading);
  for (size_t i = 0; i < n; i++)
    if (entrants[i].handle) entrants[i].contender->peer->close(entrants[i].handle);
}

static void run_scan(const struct row *row, const struct settings *s, struct report *r) {
  struct reading reading = {.reads = 0};
  run_reading(row, s, r, &reading);
  snprintf(r->note, sizeof r->note, "%u rounds, each through all %llu events", s->rounds,
           (unsigned long long)s->scan_events);
}

static void run_stream(const struct row *row, const struct settings *s, struct report *r) {
  struct reading reading = {.reads = s->stream_reads, .name = workload_stream,
                            .names = (uint32_t)(s->scan_events / FIXTURE_STREAM_EVENTS),
                            .events_each = FIXTURE_STREAM_EVENTS};
  run_reading(row, s, r, &reading);
  snprintf(r->note, sizeof r->note, "%u rounds of %u streams of %d events, of %u streams",
           s->rounds, reading.reads, FIXTURE_STREAM_EVENTS, reading.names);
}

static void run_tag(const struct row *row, const struct settings *s, struct report *r) {
  struct reading reading = {.reads = s->tag_reads, .name = workload_rare_tag, .by_tag = true,
                            .names = FIXTURE_RARE_TAGS(s->scan_events), .tags_each = TAGS_EACH,
                            .events_each = RARE_TAG_EVENTS};
  run_reading(row, s, r, &reading);
  snprintf(r->note, sizeof r->note, "%u rounds of %u tags of %d events, among %llu", s->rounds,
           reading.reads, RARE_TAG_EVENTS, (unsigned long long)s->scan_events);
  r->without_targets = !s->full_size;
}

/* Each event has two tags of TAGS, so a tag is in about that share of the events. */
static void run_tag_frequent(const struct row *row, const struct settings *s, struct report *r) {
  struct reading reading = {.reads = s->frequent_tag_reads, .name = workload_tag, .names = TAGS,
                            .by_tag = true, .tags_each = TAGS_EACH};
  run_reading(row, s, r, &reading);
  snprintf(r->note, sizeof r->note, "%u rounds of %u tags of about %llu events, among %llu",
           s->rounds, reading.reads, (unsigned long long)s->scan_events * TAGS_EACH / TAGS,
           (unsigned long long)s->scan_events);
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
  {{"rille", &peer_rille, true}, {"bare loop", &peer_loop, true},                       \
   {"SQLite FULL", &peer_sqlite, true}, {"LMDB", &peer_lmdb, true}}
#define UNSYNCED                                                                        \
  {{"rille", &peer_rille, false}, {"SQLite OFF", &peer_sqlite, false},                  \
   {"LMDB NOSYNC", &peer_lmdb, false}}
#define READERS                                                                         \
  {{"rille", &peer_rille, false}, {"SQLite", &peer_sqlite, false}, {"LMDB", &peer_lmdb, false}}
#define SINGLE_METRICS                                                                  \
  {{"appends", "appends/s", "1/s", false}, {"p50", "p50 us", "us", true},               \
   {"p99", "p99 us", "us", true}, {"p999", "p99.9 us", "us", true}}
#define BATCH_METRICS                                                                   \
  {{"events", "events/s", "1/s", false}, {"events_closed", "closed too", "1/s", false}}
#define NAME_METRICS(what)                                                              \
  {{"mean", "us a " what, "us", true}, {"p50", "p50 us", "us", true},                   \
   {"p99", "p99 us", "us", true}}
#define OPEN_METRICS                                                                    \
  {{"open", "ms", "ms", true}, {"read", "stream read too", "ms", true}}

/* In this order: scan, stream and tag read the filled stores before the batches make
** them grow; open and memory come last, because filling ten million events may
** use up what a rented disk allows in bursts. */
const struct row rows[] = {
  {{"single", "one event an append, durable", DURABLE, SINGLE_METRICS,
    {{"bare loop", 0.8}, {"SQLite FULL", 1}}}, run_single},
  {{"single-unsynced", "one event an append, not synced", UNSYNCED, SINGLE_METRICS, {{0}}},
   run_single_unsynced},
  {{"scan", "reading everything", READERS, {{"events", "events/s", "1/s", false}},
    {{NULL, 8e6}}}, run_scan},
  {{"stream", "reading one stream among many", READERS, NAME_METRICS("stream"), {{0}}},
   run_stream},
  {{"tag", "reading the 10 events of a tag among a million", READERS, NAME_METRICS("tag"),
    {{NULL, 15}}}, run_tag},
  {{"tag-frequent", "reading the 400 events of a tag: along its chain, or past every event",
    {{"rille", &peer_rille, false}, {"rille, all", &peer_rille_log, false},
     {"SQLite", &peer_sqlite, false}, {"LMDB", &peer_lmdb, false}}, NAME_METRICS("tag"), {{0}}},
   run_tag_frequent},
  {{"batch", "1000 events an append, durable", DURABLE, BATCH_METRICS,
    {{"SQLite FULL", 10}}}, run_batch},
  {{"batch-unsynced", "1000 events an append, not synced", UNSYNCED, BATCH_METRICS, {{0}}},
   run_batch},
  {{"batch-tags", "1000 events an append, two tags each, durable", DURABLE, BATCH_METRICS,
    {{"SQLite FULL", 5}}}, run_batch_tags},
  {{"batch-tags-unsynced", "1000 events an append, two tags each, not synced", UNSYNCED,
    BATCH_METRICS, {{0}}}, run_batch_tags},
  {{"batch-empty", "1000 events an append, durable, into an empty store", DURABLE, BATCH_METRICS,
    {{0}}}, run_batch_empty},
  {{"open", "opening after a clean close", READERS, OPEN_METRICS, {{NULL, 50}}}, run_open},
  {{"memory", "most memory while reading everything, without mapped files", READERS,
    {{"peak", "MiB", "MiB", true}}, {{0}}}, run_memory}};

const size_t row_count = sizeof rows / sizeof rows[0];
