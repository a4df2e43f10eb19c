/* participant.h: a store's part in a transaction that is decided elsewhere.
**
**            log_prepare             log_commit
**    (none) ------------> PREPARED --------------> COMMITTED
**      |                     |  \                     ^
**      | log_abort           |   \ log_resolve        | home said the same: log_commit,
**      v (a tombstone)       |    \                   | log_abort note the end
**   ABORTED <----------------+     +-> BY_HAND -------+
**            log_abort                     |
**                                          +-> CONTRADICTED: home said otherwise
**
** D6  A prepare frame is flushed before it is a "yes", whatever `sync` says; commit and abort
**     frames are not flushed on anybody's path: lost in a power cut, the transaction is
**     prepared again, and settling it gives the same outcome (K4).
** K3  A prepare never waits for a lock. Versions are fixed by it, because the streams that it
**     writes are closed to others; positions by the commit frame. Space for all commit frames
**     is reserved (segment.h).
** K4  Locks end when the commit or abort frame is written. */
#ifndef RILLE_PARTICIPANT_H
#define RILLE_PARTICIPANT_H

#include "log.h"

/* Writes the promise, whose work is the caller's; not flushed. */
INTERNAL int log_prepare(struct log *log, const struct promise *promise, rille_prepared *prepared,
                         rille_error *error);
/* As rille_store_commit, rille_store_abort, rille_store_resolve say. */
INTERNAL int log_commit(struct log *log, rille_text id, rille_finished *finished,
                        rille_error *error);
INTERNAL int log_abort(struct log *log, rille_text id, rille_finished *finished,
                       rille_error *error);
INTERNAL int log_resolve(struct log *log, rille_text id, int outcome, rille_text reason,
                         rille_finished *finished, rille_error *error);

#endif
