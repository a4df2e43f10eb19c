/* transaction.h: the rows of transactions over two stores. */
#ifndef BENCH_TRANSACTION_H
#define BENCH_TRANSACTION_H

#include "row.h"

void run_transactions(const struct row *row, const struct settings *settings,
                      struct report *report);

#endif
