/* keep.h: a fold whose state is kept in the index, and a processor that emits: as scripts do it,
** in the C of the core's own calls. */
#ifndef RILLE_POWER_KEEP_H
#define RILLE_POWER_KEEP_H

#include "promise.h"

/* Folds what has come since, and keeps the state. */
int keep_fold(rille_store *store, rille_error *e);
/* The state that is kept is the fold of the log up to its mark. */
const char *keep_check(rille_store *store, const struct seen *seen);

/* Keeps value number 1, 2, 3 ... of some pages. */
int keep_large(rille_store *store, uint32_t number, rille_error *e);
/* They are what they were, and no earlier one is missing. */
const char *keep_check_large(rille_store *store);

/* Reacts to the next event that is not emitted itself, by an event and a mark, in one append.
** 1: it did; 0: there is none. */
int emit_next(rille_store *store, bool durable, rille_error *e);
/* Each event up to the mark has had its reaction once, none behind it has. */
const char *emit_check(rille_store *store, const struct seen *seen);

#endif
