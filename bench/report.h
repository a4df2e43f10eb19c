/* report.h: what a row has found, as a table to read or as JSON lines. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "contender.h"
#include "measure.h"

#define CONTENDERS_MOST 12
#define METRICS_MOST 5
#define TARGETS_MOST 2
#define NOTE_BYTES 256

/* A figure. Ratios are made so that above 1 rille is the better one. */
struct metric {
  const char *name, *column, *unit;   /* in JSON, at the head of the table, in JSON */
  bool lower_is_better;
};

/* A bound: of rille's own figure, or of its ratio to another. At most one a line. */
struct target {
  const char *against;         /* a contender's name; NULL: rille's own figure */
  double bound;
  size_t metric;
};

/* Everything about a row but how it is run. The first contender is rille; the others may
** be rille in other circumstances. */
struct subject {
  const char *name, *title;
  struct contender contenders[CONTENDERS_MOST];
  struct metric metrics[METRICS_MOST];
  struct target targets[TARGETS_MOST];   /* bound 0: none */
};

struct report {
  const struct subject *subject;
  struct series series[CONTENDERS_MOST][METRICS_MOST];
  char note[NOTE_BYTES];       /* counts: "5 rounds of 3 000 appends" */
  bool without_targets;        /* too small a run for its targets to mean anything */
};

/* How many targets were met and missed so far. */
struct score {
  unsigned met, missed;
};

size_t subject_contenders(const struct subject *subject);
size_t subject_metrics(const struct subject *subject);

void report_print(const struct report *report, struct score *score);
void report_json(const struct report *report, struct score *score);

#endif
