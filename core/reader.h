/* reader.h: reading events: along the log, or along the chains that a plan has
** chosen; forward or backward. What a reader returns has been checked.
**
** A reader sees the store as it was when it was made: it keeps the address of
** the end, and goes back below it. It holds no lock and no LMDB transaction
** between two steps. */
#ifndef RILLE_READER_H
#define RILLE_READER_H

#include "plan.h"

enum reader_way { READER_SCAN, READER_SCAN_BACK, READER_CHAINS };

/* What rille_event.record points to. */
struct read_record {
  struct record record;
  const uint8_t *uuid;
  struct record_taking hidden; /* what is not to be shown of it */
};

struct rille_reader {
  struct log *log;
  void *owner;             /* what keeps the log open; store.c's */
  struct memory memory;
  enum reader_way way;
  bool backward;
  struct query query;
  rille_text stream;       /* a copy; empty: all */
  uint64_t first, last;    /* versions of the stream, or positions, inclusive */
  uint64_t left;           /* events that may still be given out */
  uint32_t share, shares;  /* of streams; 0: all */
  struct log_end end;      /* where the log ends for this reader */
  struct plan plan;
  struct read_record current;
  uint64_t followed; /* of the log's: what is in memory is from then */
  size_t item;
  int failed;
  rille_error error;

  uint64_t low, high;      /* positions that a scan has still to look at, inclusive */
  struct scan scan;        /* READER_SCAN */
  struct window window;    /* the others: records that are not in a slot */

  struct merge merge;      /* READER_CHAINS */
  bool merging;            /* it has begun */

  uint64_t *found;         /* READER_SCAN_BACK: addresses of a stretch, ascending */
  size_t found_count, found_capacity;
  uint64_t found_end;      /* where the stretch ends */
};

/* `end` is what the reader may see. */
INTERNAL int reader_open(rille_reader **reader, struct log *log, const rille_query *query,
                         const struct log_end *end, rille_error *error);
/* Not necessarily the cheapest way: for tests. */
INTERNAL int reader_open_by(rille_reader **reader, struct log *log, const rille_query *query,
                            const struct log_end *end, enum plan_choice choice,
                            rille_error *error);
INTERNAL void reader_close(rille_reader *reader);

/* The number of a stream's last event below `end`, truncated or not; 0: it has none. */
INTERNAL int reader_version(struct log *log, rille_text stream, const struct log_end *end,
                            uint64_t *version, rille_error *error);

/* The last position below `end` that matches the query's items, behind query->after; 0:
** none. Its other bounds do not count. The log's lock must not be held. Where a chain ends
** before `after`, or was never begun, its head is all that is looked at. */
INTERNAL int reader_last_match(struct log *log, const rille_query *query,
                               const struct log_end *end, uint64_t *position,
                               rille_error *error);

#endif
