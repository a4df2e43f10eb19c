/* store.h: a store as its users hold it. Two openings of one folder in one
** process share what is underneath: a table, by device and inode, tells. */
#ifndef RILLE_STORE_H
#define RILLE_STORE_H

#include "log.h"

/* What is open once a process, however many handles it has. */
struct shared {
  struct shared *next;
  struct system_identity file; /* of the file `store` */
  size_t holders;              /* handles and readers */
  bool forked;                 /* this is a child of the process that opened it */
  struct memory memory;
  char *folder;
  struct control control;
  struct log log;
};

struct rille_store {
  struct shared *shared;
  struct memory memory;
  int sync;                    /* enum rille_sync, of this handle */
  int64_t sync_interval_us;
};

INTERNAL void shared_hold(struct shared *shared);
/* The last one closes; what that returns. */
INTERNAL int shared_drop(struct shared *shared, rille_error *error);

/* RILLE_CLOSED in a forked child, whose store this is not. */
INTERNAL int store_usable(const rille_store *store, rille_error *error);
/* Whether the handle's readers see the durable end, or the written one. */
static inline bool store_sees_durable(const rille_store *store) {
  return store->sync == RILLE_SYNC_ALWAYS;
}

#endif
