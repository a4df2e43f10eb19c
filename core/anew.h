/* anew.h: the index made anew, beside the one that is used, without what a redaction has taken.
**
** LMDB leaves what was deleted in its pages. So whatever stays is copied, value by value, into
** an index of its own, which is flushed and takes the place of the other:
**
**    index.redo    is filled and flushed; then index -> index.old, index.redo -> index, and
**    index.old     is removed. If the power goes in between there is one of them or none, which
**                  is made from the log then
**
** OPENING keeps others from coming meanwhile, FOLDER from folding; who keeps bytes may write to
** the old one, and loses that, as with any index that is deleted. */
#ifndef RILLE_ANEW_H
#define RILLE_ANEW_H

#include "log.h"

struct anew {
  const uint64_t *lost; /* addresses of records whose ids are not known any more, ascending */
  size_t lost_count;
  int (*keeps)(void *context, rille_text key, rille_text value); /* NULL: nothing stays */
  void *context;
};

/* Folds to the end first, so that the names that have ended are not in it. */
INTERNAL int anew_make(struct log *log, const char *store, const struct anew *what,
                       rille_error *error);
/* What one has left who died. */
INTERNAL int anew_sweep(const char *store, rille_error *error);

#endif
