/* play.h: contenders in the middle of a row, and whose turn it is. */
#ifndef BENCH_PLAY_H
#define BENCH_PLAY_H

#include "row.h"
#include "scratch.h"

#define NS_PER_S 1e9
#define NS_PER_MS 1e6
#define NS_PER_US 1e3
#define KIB_PER_MIB 1024.0

struct entrant {
  const struct contender *contender;
  const struct settings *settings;
  struct series *series;         /* one a metric */
  void *handle;
  char path[PATH_BYTES];
  struct workload own;           /* of a store that began empty */
  struct workload *workload;     /* this, or its fixture's */
};

/* One for each contender of the row; returns how many. */
size_t enter(struct entrant entrants[CONTENDERS_MOST], const struct row *row,
             const struct settings *settings, struct report *report);

/* Calls turn(entrant, context) for each built contender, round by round: next to each
** other, each round starting with another one. Between turns, outside the clock, what was
** left dirty is written out, so that nobody pays for the one before. */
void play(struct entrant *entrants, size_t n, const char *name,
          void (*turn)(struct entrant *entrant, void *context), void *context);

/* Sorts the samples, and adds those that these shares do not exceed to as many series, in
** microseconds. */
void add_percentiles(struct series *series, uint64_t *samples, size_t n, const double *shares,
                     size_t count);

/* Removes a store and what stands beside it. */
void remove_store(const char *path);

#endif
