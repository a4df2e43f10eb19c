/* measure.c: figures are kept by round, so that a ratio can be taken between
** turns that ran next to each other, and only then the median: a disk that is
** slower for ten seconds then moves both sides of a ratio, not the ratio. */
#define _POSIX_C_SOURCE 200809L
#include "measure.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scratch.h"

static int compare_doubles(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int compare_samples(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

void series_add(struct series *s, double value) {
  assert(s->count < ROUNDS_MOST);
  s->values[s->count++] = value;
}

static struct series sorted(const struct series *s) {
  assert(s->count > 0);
  struct series copy = *s;
  qsort(copy.values, copy.count, sizeof copy.values[0], compare_doubles);
  return copy;
}

double series_median(const struct series *s) {
  struct series copy = sorted(s);
  size_t half = copy.count / 2;
  return copy.count % 2 ? copy.values[half] : (copy.values[half - 1] + copy.values[half]) / 2;
}

double series_least(const struct series *s) { return sorted(s).values[0]; }

double series_most(const struct series *s) { return sorted(s).values[s->count - 1]; }

struct series series_ratio(const struct series *top, const struct series *bottom) {
  assert(top->count == bottom->count);
  struct series ratio = {.count = top->count};
  for (size_t i = 0; i < top->count; i++) ratio.values[i] = top->values[i] / bottom->values[i];
  return ratio;
}

static uint64_t clock_read(clockid_t id) {
  struct timespec t;
  if (clock_gettime(id, &t) != 0) die("no clock: %s", strerror(errno));
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_ns(void) { return clock_read(CLOCK_MONOTONIC); }

int64_t clock_wall_us(void) { return (int64_t)(clock_read(CLOCK_REALTIME) / 1000); }

void samples_sort(uint64_t *samples, size_t n) {
  qsort(samples, n, sizeof samples[0], compare_samples);
}

uint64_t samples_percentile(const uint64_t *sorted_samples, size_t n, double share) {
  assert(n > 0);
  size_t place = (size_t)(share * (double)n);
  return sorted_samples[place < n ? place : n - 1];
}

uint64_t memory_anonymous_kib(void) {
  FILE *status = fopen("/proc/self/status", "r");
  if (!status) return 0;
  char line[256];
  unsigned long kib = 0;
  while (fgets(line, sizeof line, status))
    if (sscanf(line, "RssAnon: %lu kB", &kib) == 1) break;
  fclose(status);
  return kib;
}
