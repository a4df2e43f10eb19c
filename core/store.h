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
  struct memory memory;
  char *folder;
  struct control control;
  struct log log;
};

struct rille_store {
  struct shared *shared;
  struct memory memory;
  int sync;                    /* enum rille_sync, of this handle */
};

INTERNAL void shared_hold(struct shared *shared);
/* The last one closes; what that returns. */
INTERNAL int shared_drop(struct shared *shared, rille_error *error);

/* The end of what readers of this handle see. */
INTERNAL struct log_end store_visible(rille_store *store);

#endif
