/* conditions.h: the row of what conditions and ids cost. */
#ifndef BENCH_CONDITIONS_H
#define BENCH_CONDITIONS_H

#include "row.h"

enum condition { WITH_NOTHING, WITH_UNLESS, WITH_IDS };   /* variants of a contender */

void run_conditions(const struct row *row, const struct settings *settings,
                    struct report *report);

#endif
