/* condition.h: whether an append may happen.
**
** The verdict is about the moment of the append, exactly, whoever else appends: it is
** found within log_enter_append, with the overlays caught up. What takes long, walking
** back for `unless`, is done before that, as of an end that is remembered; within it
** only what has come since is looked at, and if that is much, all is done again.
**
** Order of verdicts: duplicate, locked (locks.h), conflict of a version, of the mark, of
** `unless`. */
#ifndef RILLE_CONDITION_H
#define RILLE_CONDITION_H

#include "log.h"
#include "query.h"

#define CONDITION_DELTA_MOST 4096u /* records matched while others wait */

struct condition {
  const rille_append *append;
  struct query query;    /* of `unless` */
  struct log_end walked; /* up to here `found` is right */
  uint64_t found;        /* an event that `unless` forbids; 0: none */
};

INTERNAL int condition_init(struct condition *c, struct log *log, const rille_append *append,
                            rille_error *error);
INTERNAL void condition_release(struct condition *c);
/* Outside of the lock: walks up to what is written by now. */
INTERNAL int condition_walk(struct condition *c, struct log *log, rille_error *error);
/* Within it: 0, RILLE_CONFLICT, RILLE_DUPLICATE; or RILLE_REMARK with *done filled in
** where the append has happened before. *again: too much has come since the walk. */
INTERNAL int condition_check(struct condition *c, struct log *log, rille_appended *done,
                             bool *again, rille_error *error);

#endif
