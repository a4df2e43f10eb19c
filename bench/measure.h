/* measure.h: a clock, a list of figures, and how much memory the process has. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#define ROUNDS_MOST 99

/* One figure a round. Empty: could not be measured here. */
struct series {
  double values[ROUNDS_MOST];
  size_t count;
};

void series_add(struct series *s, double value);
double series_median(const struct series *s);   /* not of an empty one, like the next two */
double series_least(const struct series *s);
double series_most(const struct series *s);

/* top / bottom, round by round. */
struct series series_ratio(const struct series *top, const struct series *bottom);

/* Nanoseconds of a clock that only goes forward; microseconds since 1970. */
uint64_t clock_ns(void);
int64_t clock_wall_us(void);

/* Sorts the samples; then the smallest that at least `share` of them don't exceed. */
void samples_sort(uint64_t *samples, size_t n);
uint64_t samples_percentile(const uint64_t *sorted, size_t n, double share);

/* KiB of memory that is no file's (RssAnon); 0 where the system does not tell. */
uint64_t memory_anonymous_kib(void);

#endif
