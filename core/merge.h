/* merge.h: several chains as one: their members in the order of addresses, each
** once, whichever of the chains it is in.
**
** A heap of the cursors that have a member, the one whose turn it is on top. A
** step moves every cursor that stands on the member given last. */
#ifndef RILLE_MERGE_H
#define RILLE_MERGE_H

#include "cursor.h"

struct merge {
  struct memory memory;
  struct cursor **heap;
  size_t count, capacity;
  uint64_t given; /* the address of the last member; NO_ADDRESS: there was none */
  bool backward;
};

/* The cursors have begun, and stay the caller's. Each goes to its first member. On
** failure there is nothing to release. */
INTERNAL int merge_init(struct merge *m, struct cursor *cursors, size_t count, bool backward,
                        const struct memory *memory, rille_error *error);
/* 1: *cursor stands on the next member; 0: there is none; < 0: an error. */
INTERNAL int merge_next(struct merge *m, struct cursor **cursor, rille_error *error);
INTERNAL void merge_release(struct merge *m);

#endif
