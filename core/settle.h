/* settle.h: what is prepared in a store and whose coordinator can't be asked, brought to its
** end by whoever meets it: who opens the store, wants a lock, or reads strongly.
**
** D2  He looks into the log of the transaction's home. Decided: that is done. Undecided, and
**     its coordinator is dead (its lock is free) or late (the deadline): he decides that it is
**     aborted, by a frame there; the first decision wins, so nothing that is done here can be
**     wrong. Undecided and alive: he leaves it.
** D7  No two stores' writer locks are held at once: home is asked before anything is locked
**     here, and its answer never changes.
**
** Home is searched among the stores open in this process, by uuid; where it was, seen from
** here and absolutely; among `peers`; and where the caller says. A copy of home answers
** "unknown" (D5), and the search goes on. */
#ifndef RILLE_SETTLE_H
#define RILLE_SETTLE_H

#include "doubts.h"
#include "home.h"

/* Decides at home what can be; `look`: only tells what is decided. */
INTERNAL int settle_at_home(rille_store *home, rille_text id, uint64_t home_end, bool look,
                            bool late, struct outcome *outcome, rille_error *error);

#endif
