/* doubts.h: lists of what is not over in a store, for operators and for who settles. */
#ifndef RILLE_DOUBTS_H
#define RILLE_DOUBTS_H

#include "store.h"

/* Copies, whose texts live until rille_doubts_free. `by_hand`: those too that an operator has
** resolved and that home has not confirmed. */
INTERNAL int doubts_prepared(rille_store *store, bool by_hand, rille_doubts *doubts,
                             rille_error *error);

#endif
