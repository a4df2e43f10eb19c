/* contender.h: who runs in a row: a peer in one of its modes. */
#ifndef BENCH_CONTENDER_H
#define BENCH_CONTENDER_H

#include "peer.h"

struct contender {
  const char *name;            /* as shown */
  const struct peer *peer;
  bool durable;
  unsigned variant;            /* what is different about this line, as the row has it */
};

static inline bool contender_built(const struct contender *c) { return c->peer->about != NULL; }

#endif
