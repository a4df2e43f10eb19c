/* pace.h: the row of what an append waits for, by `sync`. */
#ifndef BENCH_PACE_H
#define BENCH_PACE_H

#include "row.h"

#define SYNC_INTERVAL 1          /* variant of a contender that is not durable */

void run_pace(const struct row *row, const struct settings *settings, struct report *report);

#endif
