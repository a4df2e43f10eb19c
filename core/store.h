/* store.h: a store as its users hold it. Two openings of one folder in one
** process share what is underneath: a table, by device and inode, tells. */
#ifndef RILLE_STORE_H
#define RILLE_STORE_H

#include "log.h"

/* The lock of a coordinator that lives in this process, on a file of its own. */
struct claim {
  struct claim *next;
  int fd;
};

/* Folders where homes of transactions may be, as the first opener said. */
struct peers {
  char **paths;
  size_t count;
};

/* What is open once a process, however many handles it has. */
struct shared {
  struct shared *next;
  struct system_identity file; /* of the file `store` */
  size_t holders;              /* handles and readers */
  bool forked;                 /* this is a child of the process that opened it */
  struct claim *claims;        /* of the coordinators that live here */
  struct peers peers;
  struct memory memory;
  char *folder;
  struct control control;
  struct log log;
};

struct rille_store {
  struct shared *shared;
  struct memory memory;
  int sync; /* enum rille_sync, of this handle */
  int64_t sync_interval_us;
};

/* Opens a store as rille_store_open does, but settles nothing. */
INTERNAL int store_open(const char *path, const rille_options *options, rille_store **store,
                        rille_error *error);
/* A handle on a store that is open in this process and has this uuid, the `number`th such;
** NULL: there is none. */
INTERNAL rille_store *store_of_uuid(rille_text uuid, size_t number);
/* Appends as rille_store_append does, but never waits for a lock. */
INTERNAL int store_append_once(rille_store *store, const rille_append *append, rille_appended *done,
                               rille_error *error);
INTERNAL int store_cut_once(rille_store *store, rille_text stream, uint64_t before,
                            rille_error *error);
INTERNAL void shared_add_claim(struct shared *shared, struct claim *claim);
INTERNAL void shared_remove_claim(struct shared *shared, struct claim *claim);
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
