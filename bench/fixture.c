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
  snprintf(what, sizeof what, "filling %s", f->peer->name);
  if (mode.tags) f->workload.rare_tags = FIXTURE_RARE_TAGS(f->filled);
  void *handle = f->peer->open(f->path, &mode);
  for (uint64_t done = 0; done < f->filled; done += BATCH_EVENTS) {
    scratch_check();
    if (progress) progress(what, done, f->filled);
    workload_next(&f->workload, batch, BATCH_EVENTS);
    f->peer->append(handle, batch, BATCH_EVENTS);
  }
  f->peer->close(handle);
  f->workload.rare_tags = 0;   /* what is appended later has two tags, as the rows say */
  scratch_settle();
}

static struct fixture *find(const struct peer *peer, uint64_t events, size_t tags_each) {
  for (size_t i = 0; i < fixture_count; i++) {
    struct fixture *f = &fixtures[i];
    if (f->peer == peer && f->filled == events && f->workload.tags_each == tags_each) return f;
  }
  return NULL;
}

struct fixture *fixture_get(const struct peer *peer, uint64_t events, size_t tags_each,
                            void (*progress)(const char *what, uint64_t done, uint64_t all)) {
  assert(events % BATCH_EVENTS == 0 && (!tags_each || FIXTURE_RARE_TAGS(events) <= RARE_TAGS_MOST));
  if (peer->same_store) peer = peer->same_store;
  struct fixture *f = find(peer, events, tags_each);
  if (f) return f;
  if (fixture_count == FIXTURES_MOST) die("too many fixtures");
  f = &fixtures[fixture_count++];
  *f = (struct fixture){.peer = peer, .filled = events};
  char name[NAME_BYTES];
  snprintf(name, sizeof name, "filled-%s-%zu", peer->name, fixture_count);
  scratch_path(f->path, name);
  workload_init(&f->workload, (uint32_t)(events / FIXTURE_STREAM_EVENTS), tags_each, FIXTURE_SEED);
  fill(f, progress);
  return f;
}
