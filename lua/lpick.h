/* lpick.h: the fields that a script's functions look at, out of an event's data, where that
** is all they do with it. */
#ifndef RILLE_LPICK_H
#define RILLE_LPICK_H

#include "lrille.h"
#include "ltexts.h"

struct picks; /* of a reducer's functions */

/* core.picks(handlers, key or nil, files) --> a userdata for a reducer's functions, or nil where
** none of them has anything to pick. files: { { name =, text = } ... }, as they were loaded. */
INTERNAL int pick_push_all(lua_State *L);

/* Pushes what stands for the view's event in handler number `handler`, or with 0 in the key's
** function, of the userdata at `picks`: it is the same table each time, and nobody may keep it.
** False, and nothing pushed, where there is nil at `picks`, where more of the event is looked at,
** or its data is not a small map of plain values: then all of it is to be made. */
INTERNAL bool pick_push(lua_State *L, int picks, int handler, int view);

/* The view whose events they show; NULL: none, now. */
INTERNAL const struct event_view *picks_view(const struct picks *all);

/* The view's pass is over. */
INTERNAL void picks_leave(struct event_view *view);

#endif
