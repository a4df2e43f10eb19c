/* promise.h: what a participant has promised, as bytes of its prepare frame and as a struct.
**
** A promise is all that is needed to keep it without the one who asked for it: the events
** and conditions, and where home is. Whoever settles a transaction, in whichever process,
** builds the commit frame from this alone. */
#ifndef RILLE_PROMISE_H
#define RILLE_PROMISE_H

#include "pack.h"

#define PROMISE_DETAIL_BYTES ((size_t)64 << 10)

struct promise {
  struct memory memory;
  rille_text id; /* of the transaction */
  rille_text name, home_kind, home_path, home_relative, coordinator, client, detail;
  uint64_t home_end;
  int64_t deadline_us, now_us; /* now: when it was prepared; the time of its events */
  rille_append work;
  rille_query unless;     /* work.unless, where there is one */
  void *arrays;           /* of parts, events, texts, items; NULL: they are the caller's */
  size_t array_bytes;
  uint8_t *bytes;         /* that the texts lie in; NULL: they are the caller's */
  size_t byte_count;
};

/* Nothing but conditions: it has no event and moves no mark. */
INTERNAL bool promise_checks_only(const struct promise *promise);
/* Adds the promise, but for its id, to bytes. */
INTERNAL void promise_pack(const struct promise *promise, struct pack *pack);
/* The promise in a prepare frame's fact: `payload` is copied. RILLE_CORRUPT, RILLE_MEMORY. */
INTERNAL int promise_open(struct promise *promise, rille_text id, rille_text payload,
                          const struct memory *memory, rille_error *error);
INTERNAL void promise_release(struct promise *promise);
/* The most bytes that the frame which keeps it can take. */
INTERNAL uint64_t promise_commit_bytes(const struct promise *promise);

#endif
