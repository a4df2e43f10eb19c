/* crew.h: several processes that do the same at the same time. */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <stddef.h>

#define CREW_MOST 8

struct crew;

/* Starts n processes that call member(crew, 0 to n - 1, context), and returns when all have
** come back from it. Ends the programme if one fails. */
void crew_run(unsigned n, void (*member)(struct crew *crew, unsigned number, void *context),
              void *context);

/* In a member: returns when all have called it as often. */
void crew_meet(struct crew *crew);

/* Memory, zeroed, in which the members leave what they have found. */
void *crew_share(size_t bytes);
void crew_unshare(void *memory, size_t bytes);

#endif
