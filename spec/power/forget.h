/* forget.h: workloads that take content out of a store's log, and what must hold of that.
**
** What was redacted stays redacted: no later state shows it, and once the call has returned, no
** file of the store holds its bytes, whether it has been opened since or not. What a scavenge has
** taken was truncated before; its place is known from what was told. */
#ifndef RILLE_POWER_FORGET_H
#define RILLE_POWER_FORGET_H

#include "promise.h"

void scavenging(void);
void redacting(void);
void redacting_the_torn(void);

/* The label of the append of one event that was told to be at a position, and its stream, type
** and tags; false: none was. */
bool forget_recall(const struct of_store *p, uint64_t position, struct label *label,
                   struct shape_names *names);
/* What is gone or redacted may be, and what must be is. */
const char *forget_check(const struct of_store *p, const struct seen *seen);
/* No file under `path`, which is of the stage, has the bytes of what was redacted. */
const char *forget_search(const struct of_store *p, const char *path);

#endif
