/* growth.h: the rows of a store that has grown. */
#ifndef BENCH_GROWTH_H
#define BENCH_GROWTH_H

#include "row.h"

void run_growth(const struct row *row, const struct settings *settings, struct report *report);
void run_index(const struct row *row, const struct settings *settings, struct report *report);

#endif
