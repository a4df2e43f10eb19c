/* processes.h: the row of several processes that append to one store. */
#ifndef BENCH_PROCESSES_H
#define BENCH_PROCESSES_H

#include "row.h"

void run_processes(const struct row *row, const struct settings *settings, struct report *report);

#endif
