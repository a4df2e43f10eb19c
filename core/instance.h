/* instance.h: a coordinator that lives: an epoch of its home, and a lock that dies with it. */
#ifndef RILLE_INSTANCE_H
#define RILLE_INSTANCE_H

#include "home.h"
#include "store.h"

struct rille_instance {
  struct claim claim; /* first: it is in the store's list of claims */
  struct memory memory;
  struct shared *shared;
  struct epoch epoch;
  size_t prefix_length;   /* of what all its ids begin with; the number is behind it */
  char prefix[RILLE_TRANSACTION_BYTES - 20];
  _Atomic uint64_t begun; /* how many transactions */
};

/* Whether the coordinator of an epoch lives; context: the home's struct shared. */
INTERNAL bool instance_lives(void *context, uint64_t epoch);

#endif
