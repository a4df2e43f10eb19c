/* reader.h: reading events: all of them along the log, or a stream's along its
** chain; forward or backward. What a reader returns has been checked.
**
** A reader sees the store as it was when it was made: it keeps the address of
** the end, and goes back below it. It holds no lock and no LMDB transaction
** between two steps. */
#ifndef RILLE_READER_H
#define RILLE_READER_H

#include "log.h"
#include "query.h"

#define READER_SLOT_BYTES 512u /* read at once of a record in a chain; most fit */

enum reader_way { READER_SCAN, READER_SCAN_BACK, READER_CHAIN, READER_CHAIN_BACK };

/* What rille_event.record points to. */
struct read_record {
  struct record record;
  const uint8_t *uuid;
};

struct reader_slot {
  struct record record;
  size_t got;   /* how much of it is in bytes; 0: nothing yet, or its head is too long */
  uint8_t bytes[READER_SLOT_BYTES];
};

struct rille_reader {
  struct log *log;
  void *owner;             /* what keeps the log open; store.c's */
  struct memory memory;
  enum reader_way way;
  struct query query;
  uint64_t left;           /* events that may still be given out */
  uint64_t low, high;      /* positions or versions still to come, inclusive */
  struct log_end end;      /* where the log ends for this reader */
  struct read_record current;
  size_t item;
  int failed;
  rille_error error;

  struct scan scan;        /* READER_SCAN */
  struct window window;    /* the others: records that are not in a slot */

  rille_text stream;       /* READER_CHAIN: a copy */
  struct chain_head head;
  uint64_t block_low;      /* slots[i] is record block_low + i */
  size_t block_count, block_at, slot_count;
  struct reader_slot *slots, *spare;

  uint64_t *found;         /* READER_SCAN_BACK: addresses of a stretch, ascending */
  size_t found_count, found_capacity;
  uint64_t found_end;      /* where the stretch ends */
};

/* `end` is what the reader may see. */
INTERNAL int reader_open(rille_reader **reader, struct log *log, const rille_query *query,
                         const struct log_end *end, rille_error *error);
INTERNAL void reader_close(rille_reader *reader);

#endif
