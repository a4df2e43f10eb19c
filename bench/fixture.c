/* fixture.c: a store that is there is used again, so a row may ask for it
** without knowing who asked before. Rows that append to one make it grow; they
** stand after the rows that read it (rows in row.c). */
#include "fixture.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define FIXTURES_MOST 16
#define FIXTURE_SEED 42
#define NAME_BYTES 64

static struct fixture fixtures[FIXTURES_MOST];
static size_t fixture_count;

static void fill(struct fixture *f,
                 void (*progress)(const char *what, uint64_t done, uint64_t all)) {
  static struct input batch[BATCH_EVENTS];
  char what[NAME_BYTES];
  struct peer_mode mode = {.purpose = LARGE_APPENDS, .tags = f->workload.tags_each > 0};
  uint64_t events = f->filling.events;
  snprintf(what, sizeof what, "filling %s", f->peer->name);
  void *handle = f->peer->open(f->path, &mode);
  for (uint64_t done = 0; done < events; done += BATCH_EVENTS) {
    scratch_check();
    if (progress) progress(what, done, events);
    workload_next(&f->workload, batch, BATCH_EVENTS);
    f->peer->append(handle, batch, BATCH_EVENTS);
  }
  f->peer->close(handle);
  f->workload.rare_tags = 0;   /* what is appended later has no more tags than the row says */
  scratch_settle();
}

static bool is_same(const struct filling *a, const struct filling *b) {
  return a->events == b->events && a->streams == b->streams && a->tags_each == b->tags_each &&
         a->own_tag == b->own_tag && a->rare_tags == b->rare_tags;
}

static struct fixture *find(const struct peer *peer, const struct filling *filling) {
  for (size_t i = 0; i < fixture_count; i++)
    if (fixtures[i].peer == peer && is_same(&fixtures[i].filling, filling)) return &fixtures[i];
  return NULL;
}

struct fixture *fixture_fill(const struct peer *peer, const struct filling *filling,
                             void (*progress)(const char *what, uint64_t done, uint64_t all)) {
  assert(filling->events % BATCH_EVENTS == 0);
  struct fixture *f = find(peer, filling);
  if (f) return f;
  if (fixture_count == FIXTURES_MOST) die("too many fixtures");
  f = &fixtures[fixture_count++];
  *f = (struct fixture){.peer = peer, .filling = *filling};
  char name[NAME_BYTES];
  snprintf(name, sizeof name, "filled-%s-%zu", peer->name, fixture_count);
  scratch_path(f->path, name);
  workload_init(&f->workload, filling->streams, filling->tags_each, FIXTURE_SEED);
  f->workload.own_tag = filling->own_tag;
  if (filling->rare_tags) f->workload.rare_tags = workload_rare_tags(filling->events);
  fill(f, progress);
  return f;
}

struct fixture *fixture_get(const struct peer *peer, uint64_t events, size_t tags_each,
                            void (*progress)(const char *what, uint64_t done, uint64_t all)) {
  struct filling filling = {.events = events,
                            .streams = (uint32_t)(events / FIXTURE_STREAM_EVENTS),
                            .tags_each = tags_each, .rare_tags = tags_each > 0};
  return fixture_fill(peer, &filling, progress);
}
