/* fixture.h: stores filled beforehand, to be read, and to be appended to when
** they are no longer empty. */
#ifndef BENCH_FIXTURE_H
#define BENCH_FIXTURE_H

#include "peer.h"
#include "scratch.h"

#define FIXTURE_STREAM_EVENTS 100   /* events of each stream */

/* How many rare tags a filled store with tags has; each in RARE_TAG_EVENTS events. */
#define FIXTURE_RARE_TAGS(events) ((uint32_t)((events) / (RARE_TAG_SHARE * RARE_TAG_EVENTS)))

struct fixture {
  const struct peer *peer;
  uint64_t filled;                  /* events that were asked for */
  char path[PATH_BYTES];
  struct workload workload;         /* where it has come: appending goes on from here */
};

/* This peer's store of `events` events, closed. Made at the first call (not
** synced, BATCH_EVENTS an append), kept until the programme ends. The same
** events in the same order for every peer. `progress` may be NULL. */
struct fixture *fixture_get(const struct peer *peer, uint64_t events, size_t tags_each,
                            void (*progress)(const char *what, uint64_t done, uint64_t all));

#endif
