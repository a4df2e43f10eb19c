/* follow.h: the row of how soon another process has an event. */
#ifndef BENCH_FOLLOW_H
#define BENCH_FOLLOW_H

#include "row.h"

void run_follow(const struct row *row, const struct settings *settings, struct report *report);

#endif
