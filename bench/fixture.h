/* fixture.h: stores filled beforehand, to be read, and to be appended to when
** they are no longer empty. */
#ifndef BENCH_FIXTURE_H
#define BENCH_FIXTURE_H

#include "peer.h"
#include "scratch.h"

#define FIXTURE_STREAM_EVENTS 100   /* events of each stream */

/* What is put into it. */
struct filling {
  uint64_t events;
  uint32_t streams;
  size_t tags_each;
  bool own_tag, rare_tags;          /* see workload.h */
};

struct fixture {
  const struct peer *peer;
  struct filling filling;
  char path[PATH_BYTES];
  struct workload workload;         /* where it has come: appending goes on from here */
};

/* This peer's store of `events` events, closed. Made at the first call (not
** synced, BATCH_EVENTS an append), kept until the programme ends. The same
** events in the same order for every peer. `progress` may be NULL. */
struct fixture *fixture_fill(const struct peer *peer, const struct filling *filling,
                             void (*progress)(const char *what, uint64_t done, uint64_t all));

/* The same, with FIXTURE_STREAM_EVENTS in each stream; where events have tags, some have
** a rare one, too. */
struct fixture *fixture_get(const struct peer *peer, uint64_t events, size_t tags_each,
                            void (*progress)(const char *what, uint64_t done, uint64_t all));

#endif
