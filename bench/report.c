/* report.c: medians, ratios and targets, as a table or as JSON lines.
**
** One block a row, one line a contender. The first metric is shown with the
** least and most of its rounds and rille's ratio to the contender; the others
** with their median and, in brackets, the ratio; then the line's target, if it
** has one. A ratio is the median of the ratios of the rounds. */
#include "report.h"

#include <stdio.h>
#include <string.h>

#define NAME_WIDTH 24
#define VALUE_WIDTH 12
#define SPREAD_WIDTH 24
#define RATIO_WIDTH 8
#define OTHER_WIDTH 18
#define UNSTEADY 2.0             /* the disk itself was this much slower in another round */
#define NUMBER_BYTES 40
#define CELL_BYTES 128

size_t subject_contenders(const struct subject *subject) {
  size_t n = 0;
  while (n < CONTENDERS_MOST && subject->contenders[n].name) n++;
  return n;
}

size_t subject_metrics(const struct subject *subject) {
  size_t n = 0;
  while (n < METRICS_MOST && subject->metrics[n].name) n++;
  return n;
}

/* 12345.6 as "12 346", 12.345 as "12.3": about three digits that mean something. */
static const char *number(char room[NUMBER_BYTES], double value) {
  char digits[NUMBER_BYTES];
  int n = snprintf(digits, sizeof digits, "%.*f", value < 10 ? 2 : value < 100 ? 1 : 0, value);
  if (value < 100) return strcpy(room, digits);
  char *to = room;
  for (int i = 0; i < n; i++) {
    if (i > 0 && (n - i) % 3 == 0) *to++ = ' ';
    *to++ = digits[i];
  }
  *to = '\0';
  return room;
}

static bool comparable(const struct series *a, const struct series *b) {
  return a->count > 0 && a->count == b->count;
}

static struct series ratio_to(const struct report *r, size_t contender, size_t metric) {
  const struct series *rille = &r->series[0][metric], *other = &r->series[contender][metric];
  bool lower = r->subject->metrics[metric].lower_is_better;
  return lower ? series_ratio(other, rille) : series_ratio(rille, other);
}

/* What a contender's line says about a target. */
struct verdict {
  bool wanted, judged, met, own, lower;
  double bound, short_by;
};

static const struct target *target_of(const struct report *r, size_t contender) {
  for (size_t i = 0; i < TARGETS_MOST; i++) {
    const struct target *t = &r->subject->targets[i];
    if (t->bound == 0) continue;
    if (t->against ? strcmp(t->against, r->subject->contenders[contender].name) == 0
                   : contender == 0) return t;
  }
  return NULL;
}

static struct verdict judge(const struct report *r, size_t contender, size_t metric,
                            struct score *score) {
  const struct target *t = target_of(r, contender);
  if (!t || t->metric != metric ||
      !comparable(&r->series[0][metric], &r->series[contender][metric]))
    return (struct verdict){0};
  struct verdict v = {.wanted = true, .own = !t->against, .bound = t->bound};
  v.lower = v.own && r->subject->metrics[metric].lower_is_better;
  if (r->without_targets) return v;
  v.judged = true;
  struct series ratio = ratio_to(r, contender, metric);
  double value = series_median(v.own ? &r->series[0][metric] : &ratio);
  v.short_by = v.lower ? value - t->bound : t->bound - value;
  v.met = v.lower ? v.short_by < 0 : v.short_by <= 0;
  if (v.met) score->met++;
  else score->missed++;
  return v;
}

static void target_cell(char cell[CELL_BYTES], const struct verdict *v) {
  cell[0] = '\0';
  if (!v->wanted) return;
  char bound[NUMBER_BYTES], missing[NUMBER_BYTES];
  const char *sign = v->lower ? "<" : ">=";
  number(bound, v->bound);
  number(missing, v->short_by);
  if (!v->judged) snprintf(cell, CELL_BYTES, "%s %s in a full run", sign, bound);
  else if (v->met) snprintf(cell, CELL_BYTES, "%s %s met", sign, bound);
  else snprintf(cell, CELL_BYTES, "%s %s MISSED, short by %s", sign, bound, missing);
}

static void ratio_cell(char cell[CELL_BYTES], const struct report *r, size_t c, size_t m) {
  char text[NUMBER_BYTES];
  cell[0] = '\0';
  if (c == 0 || !comparable(&r->series[0][m], &r->series[c][m])) return;
  struct series ratio = ratio_to(r, c, m);
  snprintf(cell, CELL_BYTES, "%s", number(text, series_median(&ratio)));
}

static void print_first(const struct report *r, size_t c) {
  const struct series *s = &r->series[c][0];
  char value[NUMBER_BYTES], least[NUMBER_BYTES], most[NUMBER_BYTES];
  char spread[CELL_BYTES], ratio[CELL_BYTES];
  if (s->count == 0) {
    printf("%*s", VALUE_WIDTH + SPREAD_WIDTH + RATIO_WIDTH, "");
    return;
  }
  number(value, series_median(s));
  snprintf(spread, sizeof spread, "%s - %s", number(least, series_least(s)),
           number(most, series_most(s)));
  ratio_cell(ratio, r, c, 0);
  printf("%*s%*s%*s", VALUE_WIDTH, value, SPREAD_WIDTH, spread, RATIO_WIDTH, ratio);
}

static void print_other(const struct report *r, size_t c, size_t m) {
  char value[NUMBER_BYTES], ratio[CELL_BYTES], cell[CELL_BYTES * 2];
  const struct series *s = &r->series[c][m];
  if (s->count == 0) {
    printf("%*s", OTHER_WIDTH, "not measured");
    return;
  }
  ratio_cell(ratio, r, c, m);
  snprintf(cell, sizeof cell, ratio[0] ? "%s (%s)" : "%s", number(value, series_median(s)), ratio);
  printf("%*s", OTHER_WIDTH, cell);
}

static void print_head(const struct report *r) {
  const struct metric *m = r->subject->metrics;
  printf("\n%s: %s\n  %s\n", r->subject->name, r->subject->title, r->note);
  printf("%-*s%*s%*s%*s", NAME_WIDTH, "", VALUE_WIDTH, m[0].column, SPREAD_WIDTH, "least - most",
         RATIO_WIDTH, "ratio");
  for (size_t i = 1; i < subject_metrics(r->subject); i++) printf("%*s", OTHER_WIDTH, m[i].column);
  puts(r->subject->targets[0].bound != 0 ? "  target" : "");
}

static void print_line(const struct report *r, size_t c, struct score *score) {
  char target[CELL_BYTES];
  print_first(r, c);
  for (size_t m = 1; m < subject_metrics(r->subject); m++) print_other(r, c, m);
  for (size_t m = 0; m < subject_metrics(r->subject); m++) {
    struct verdict v = judge(r, c, m, score);
    target_cell(target, &v);
    printf("%s%s", target[0] ? "  " : "", target);
  }
  putchar('\n');
}

/* The bare loop does the same in each round; where it varies, the disk does. */
static void print_unsteady(const struct report *r) {
  for (size_t c = 0; c < subject_contenders(r->subject); c++) {
    const struct series *s = &r->series[c][0];
    if (!r->subject->contenders[c].peer->is_disk || s->count == 0) continue;
    double factor = series_most(s) / series_least(s);
    if (factor > UNSTEADY)
      printf("  unsteady: the disk was %.1f times slower in one round than in another\n", factor);
  }
}

static bool is_measured(const struct report *r, size_t c) {
  for (size_t m = 0; m < subject_metrics(r->subject); m++)
    if (r->series[c][m].count > 0) return true;
  return false;
}

void report_print(const struct report *r, struct score *score) {
  print_head(r);
  for (size_t c = 0; c < subject_contenders(r->subject); c++) {
    const struct contender *contender = &r->subject->contenders[c];
    printf("%-*s", NAME_WIDTH, contender->name);
    if (!contender_built(contender)) printf("%*s\n", VALUE_WIDTH, "not built");
    else if (!is_measured(r, c)) printf("%*s\n", VALUE_WIDTH, "not measured");
    else print_line(r, c, score);
  }
  print_unsteady(r);
  fflush(stdout);
}

static void json_figure(const struct report *r, size_t c, size_t m) {
  const struct series *s = &r->series[c][m];
  printf(",\"median\":%.6g,\"least\":%.6g,\"most\":%.6g,\"rounds\":[", series_median(s),
         series_least(s), series_most(s));
  for (size_t i = 0; i < s->count; i++) printf("%s%.6g", i ? "," : "", s->values[i]);
  putchar(']');
  if (c == 0 || !comparable(&r->series[0][m], s)) return;
  struct series ratio = ratio_to(r, c, m);
  printf(",\"ratio\":%.6g,\"ratio_least\":%.6g,\"ratio_most\":%.6g", series_median(&ratio),
         series_least(&ratio), series_most(&ratio));
}

static void json_verdict(const struct verdict *v) {
  if (!v->judged) return;
  printf(",\"target\":%g,\"met\":%s", v->bound, v->met ? "true" : "false");
  if (!v->met) printf(",\"short_by\":%.6g", v->short_by);
}

/* Names, titles and notes are this programme's own: letters without need of escapes. */
void report_json(const struct report *r, struct score *score) {
  for (size_t c = 0; c < subject_contenders(r->subject); c++)
    for (size_t m = 0; m < subject_metrics(r->subject); m++) {
      const struct contender *contender = &r->subject->contenders[c];
      printf("{\"row\":\"%s\",\"metric\":\"%s\",\"unit\":\"%s\",\"contender\":\"%s\",\"built\":%s,"
             "\"note\":\"%s\"", r->subject->name, r->subject->metrics[m].name,
             r->subject->metrics[m].unit, contender->name,
             contender_built(contender) ? "true" : "false", r->note);
      if (r->series[c][m].count > 0) json_figure(r, c, m);
      struct verdict v = judge(r, c, m, score);
      json_verdict(&v);
      printf("}\n");
    }
  fflush(stdout);
}
