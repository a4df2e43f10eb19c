/* locks.h: what a prepared transaction keeps others from doing.
**
** K1  R(x) are the streams with an expectation, the items of `unless`, the mark that is moved;
**     W(x) are the stream, type and tags of each event, streams that are truncated, the mark.
**     A prepared transaction holds both from its prepare frame to its commit or abort frame.
** K2  x is locked if and only if for some prepared t: they share a stream that at least one
**     of them writes; or an event of x matches an item of t; or an event of t an item of x; or
**     they move the same mark. Sharing a type or a tag alone never locks; two checks never do.
**
** That these two are enough for strict serializability, and not less, is checked
** exhaustively (spec/model). */
#ifndef RILLE_LOCKS_H
#define RILLE_LOCKS_H

#include "pending.h"

/* RILLE_LOCKED, naming the one that is in the way of x; `now_us` gives its age. */
INTERNAL int locks_check(const struct pending *pending, const rille_append *x, int64_t now_us,
                         rille_error *error);
/* The same for truncating a stream. */
INTERNAL int locks_check_cut(const struct pending *pending, rille_text stream, int64_t now_us,
                             rille_error *error);

#endif
