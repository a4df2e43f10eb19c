/* play.c: turns and rounds. */
#include "play.h"

#include <stdio.h>

void play(struct entrant *entrants, size_t n, const char *name,
          void (*turn)(struct entrant *entrant, void *context), void *context) {
  const struct settings *s = entrants[0].settings;
  for (unsigned round = 0; round < s->rounds; round++)
    for (size_t k = 0; k < n; k++) {
      struct entrant *e = &entrants[(round + k) % n];
      scratch_check();
      if (s->progress) s->progress(name, round * n + k, s->rounds * n);
      if (!contender_built(e->contender)) continue;
      turn(e, context);
      scratch_settle();
    }
}

size_t enter(struct entrant entrants[CONTENDERS_MOST], const struct row *row,
             const struct settings *settings, struct report *report) {
  size_t n = subject_contenders(&row->subject);
  for (size_t i = 0; i < n; i++)
    entrants[i] = (struct entrant){.contender = &row->subject.contenders[i],
                                   .settings = settings, .series = report->series[i]};
  return n;
}

void add_percentiles(struct series *series, uint64_t *samples, size_t n, const double *shares,
                     size_t count) {
  samples_sort(samples, n);
  for (size_t i = 0; i < count; i++)
    series_add(&series[i], (double)samples_percentile(samples, n, shares[i]) / NS_PER_US);
}

void remove_store(const char *path) {
  static const char *const sides[] = {"", "-wal", "-shm", "-lock", "-words", "-flusher"};
  char side[PATH_BYTES + 16];
  for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
    snprintf(side, sizeof side, "%s%s", path, sides[i]);
    scratch_remove(side);
  }
}
