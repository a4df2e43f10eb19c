/* tags.c: reading what a tag has, among a million events that have tags.
**
** A tag in 10 events, and one in some hundred; and there also what it costs without any
** index of tags, by looking at every event. */
#include "tags.h"

#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"
#include "play.h"

#define SEED 7

struct reading {
  unsigned reads;
  uint32_t tags;                 /* one of so many is read, at random */
  rille_text (*tag)(uint32_t number);
  unsigned events_each;          /* of each tag; 0: they differ */
  struct tally found;            /* by the first reader; the others must find the same */
  const char *by;
};

static void compare(struct reading *r, const struct tally *found, const char *name) {
  if (r->events_each && found->events != (uint64_t)r->reads * r->events_each)
    die("%s: events are missing", name);
  if (!r->by) r->found = *found;
  if (r->found.events != found->events || r->found.sum != found->sum)
    die("%s and %s read different events", r->by, name);
  r->by = name;
}

static void tags_turn(struct entrant *e, void *context) {
  static const double shares[] = {0.5, 0.99};
  struct reading *r = context;
  uint64_t *samples = malloc(r->reads * sizeof *samples), total = 0;
  struct workload random = {.random = SEED};
  struct tally tally = {0};
  if (!samples) die("no memory");
  for (unsigned i = 0; i < r->reads; i++) {
    rille_text tag = r->tag(workload_random(&random, r->tags));
    uint64_t start = clock_ns();
    e->contender->peer->read_tag(e->handle, tag, &tally);
    samples[i] = clock_ns() - start;
    total += samples[i];
  }
  compare(r, &tally, e->contender->name);
  series_add(&e->series[0], (double)total / r->reads / NS_PER_US);
  add_percentiles(&e->series[1], samples, r->reads, shares, sizeof shares / sizeof shares[0]);
  free(samples);
}

static void run(const struct row *row, const struct settings *s, struct report *r,
                struct reading *reading) {
  struct entrant entrants[CONTENDERS_MOST];
  size_t n = enter(entrants, row, s, r);
  for (size_t i = 0; i < n; i++) {
    const struct contender *c = entrants[i].contender;
    if (!contender_built(c)) continue;
    struct fixture *f = fixture_get(c->peer, s->scan_events, TAGS_EACH, s->progress);
    struct peer_mode mode = {.tags = true, .every_event = c->variant == PAST_EVERY_EVENT};
    entrants[i].handle = c->peer->open(f->path, &mode);
  }
  play(entrants, n, row->subject.name, tags_turn, reading);
  for (size_t i = 0; i < n; i++)
    if (entrants[i].handle) entrants[i].contender->peer->close(entrants[i].handle);
  r->without_targets = !s->full_size;
}

void run_tag(const struct row *row, const struct settings *s, struct report *r) {
  struct reading reading = {.reads = s->tag_reads, .tag = workload_rare_tag,
                            .tags = workload_rare_tags(s->scan_events),
                            .events_each = RARE_TAG_EVENTS};
  run(row, s, r, &reading);
  snprintf(r->note, sizeof r->note, "%u rounds of %u tags of %d events, among %llu", s->rounds,
           reading.reads, RARE_TAG_EVENTS, (unsigned long long)s->scan_events);
}

/* Each event has TAGS_EACH of TAGS tags. */
void run_tag_frequent(const struct row *row, const struct settings *s, struct report *r) {
  struct reading reading = {.reads = s->frequent_tag_reads, .tag = workload_tag, .tags = TAGS};
  run(row, s, r, &reading);
  snprintf(r->note, sizeof r->note, "%u rounds of %u tags of about %llu events, among %llu",
           s->rounds, reading.reads, (unsigned long long)s->scan_events * TAGS_EACH / TAGS,
           (unsigned long long)s->scan_events);
}
