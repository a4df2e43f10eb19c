/* judge.h: opens the stores of a state with the library itself, and says what is wrong. */
#ifndef RILLE_POWER_JUDGE_H
#define RILLE_POWER_JUDGE_H

#include "promise.h"

/* What a workload's stores are, and what else is to be looked at. */
struct trial {
  const char *paths[STORES_MOST]; /* NULL: there are no more */
  uint64_t segment_bytes;
  bool projects;                  /* a fold is kept in the index, see keep.h */
  bool grows;                     /* and large values, too */
  bool emits;                     /* a processor's mark and its events agree */
  bool decides;                   /* transactions over all of the stores, the first is home */
  bool forgets;                   /* content is taken out of the log, see forget.h */
  bool copies;                    /* the second is a copy of the first, and may be absent */
};

/* What a store has; also for workloads. NULL, or what is wrong. */
const char *judge_read(rille_store *store, struct seen *seen);

/* NULL, or what is wrong. Marks what it has seen and what it appends. */
const char *judge(const struct trial *trial, const struct promises *promises);

#endif
