/* folding.h: the row of appends while the index is being folded. */
#ifndef BENCH_FOLDING_H
#define BENCH_FOLDING_H

#include "row.h"

void run_folding(const struct row *row, const struct settings *settings, struct report *report);

#endif
