/* repair.h: what a log's tail is after a crash, and how it is mended.
**
** Four rules. The first two are kept by who writes; the others are here.
**
** R1  Only the last segment can have an unflushed tail: it is flushed before the
**     next one's name exists.
** R2  Every header carries `durable`: below it, a flush had succeeded.
** R3  X is the first address at which a header, a body or the continuity fails.
**     E is the largest of: the address up to which the index was folded, and
**     `durable` of every valid header found behind X in this segment.
**     - X lies before E, or in a segment that has a successor: what had reached
**       the disk is gone. CORRUPT: readable up to X; nothing is cut.
**     - all zeros from X: CLEAN, the log just ends there.
**     - else TORN: the power went before the flush. Cut at X, write zeros behind
**       it, flush, only then append; survivors must not come back to life.
** R4  After a crash without a reboot the tail may be in the kernel's memory
**     alone, and a flush that failed may have marked it clean: flush, write
**     [durable, X) again in place, flush. Only the second success counts.
**
** Shared flushes let a power cut leave a hole before valid frames, legally and
** often; so a valid frame behind X is no sign of damage, its `durable` is. What
** can't be told apart: damage inside the last flush group, and a torn tail. */
#ifndef RILLE_REPAIR_H
#define RILLE_REPAIR_H

#include "scan.h"

/* The segments from the one that holds the starting point to the last. */
struct repair_segment {
  uint64_t first, end;    /* end: the next one's first address; of the last one: file's end */
  bool last;
};

enum repair_verdict { REPAIR_CLEAN, REPAIR_TORN, REPAIR_CORRUPT };

struct repair_finding {
  enum repair_verdict verdict;
  struct log_end end;     /* X */
  uint64_t durable;       /* flushed for certain, as far as headers before X and `folded` tell */
  uint64_t evidence;      /* E */
  bool survivors;         /* valid headers stand behind X */
  char reason[160];       /* why the log ends at X, unless it is clean */
};

/* Looks at one segment from `finding->end` on, which the caller has set to where
** the sound part ends so far, together with what it knows of `durable` and, if
** that is more, `evidence` (the folded address).
** Returns 0 with the finding filled in, or < 0 when reading itself failed, or
** the log is of a newer version. Go on with the next segment while the verdict
** is clean and end.address == segment.end. */
INTERNAL int repair_look(const struct source *source, const struct memory *memory,
                         const struct repair_segment *segment, struct repair_finding *finding,
                         rille_error *error);

/* The last segment, as repair changes it. Each returns 0 or < 0. write may go
** behind the segment's end. */
struct repair_disk {
  int (*write)(void *context, uint64_t address, const void *bytes, size_t n, rille_error *error);
  int (*cut)(void *context, uint64_t address, rille_error *error); /* nothing is left behind it */
  int (*flush)(void *context, rille_error *error);
  void *context;
};

/* R4's second write: the same bytes to the same place, so that they are dirty. */
INTERNAL int repair_rewrite(const struct source *source, const struct repair_disk *disk,
                            const struct memory *memory, uint64_t from, uint64_t to,
                            rille_error *error);

/* Cuts what is torn (R3) and makes [durable, X) durable (R4). After success all
** below X is; after failure nothing may be appended. May be repeated. */
INTERNAL int repair_mend(const struct source *source, const struct repair_disk *disk,
                         const struct memory *memory, const struct repair_finding *finding,
                         rille_error *error);

#endif
