/* row.h: the rows of the benchmark and how each is run. */
#ifndef BENCH_ROW_H
#define BENCH_ROW_H

#include "report.h"

/* How much is done. Counts are of one contender in one round. */
struct settings {
  const char *self;                /* argv[0], for probes */
  unsigned rounds;
  unsigned single_appends;         /* flushed */
  unsigned single_unsynced_appends;
  unsigned batch_appends;          /* of BATCH_EVENTS each */
  uint64_t scan_events;            /* in the store that is read */
  unsigned stream_reads, tag_reads, frequent_tag_reads;
  uint64_t large_events;           /* in the store that is opened; rille only */
  uint64_t folded_streams;         /* in the store that is folded while it grows */
  uint64_t growth_events;          /* in the smaller store, one a stream; ten times in the other */
  unsigned followed_events;
  double turn_s;                   /* in rows that run for a time */
  bool full_size;                  /* large enough for all targets */
  void (*progress)(const char *what, uint64_t done, uint64_t all);
};

struct row {
  struct subject subject;
  void (*run)(const struct row *row, const struct settings *settings, struct report *report);
  bool heavy;                      /* runs only when asked for, by name or with --all */
};

extern const struct row rows[];
extern const size_t row_count;

#endif
