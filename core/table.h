/* table.h: the stores that this process has open. Two openings of one folder share what is
** underneath: the table tells, by device and inode. */
#ifndef RILLE_TABLE_H
#define RILLE_TABLE_H

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
  bool between;                /* it is being opened or closed, by a thread */
  bool forked;                 /* this is a child of the process that opened it */
  struct claim *claims;        /* of the coordinators that live here */
  struct peers peers;
  struct memory memory;
  char *folder;
  struct control control;
  struct log log;
};

/* Holds what is open already, or opens it. Returns what rille_store_open does. */
INTERNAL int table_open(const char *path, const rille_options *options, struct shared **shared,
                        rille_error *error);
/* Holds what is open and has this uuid, the `number`th such; NULL: there is none. */
INTERNAL struct shared *table_find(rille_text uuid, size_t number);
INTERNAL void shared_hold(struct shared *shared);
/* The last one closes; what that returns. */
INTERNAL int shared_drop(struct shared *shared, rille_error *error);

/* Between these no thread can fork: for who takes a lock that the child must know. */
INTERNAL void table_enter(void);
INTERNAL void table_leave(void);
INTERNAL void shared_add_claim(struct shared *shared, struct claim *claim);
INTERNAL void shared_remove_claim(struct shared *shared, struct claim *claim);

INTERNAL struct memory table_memory(const rille_options *options);

#endif
