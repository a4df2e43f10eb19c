/* lpick.h: the fields that a script's functions look at, out of an event's data, where that
** is all they do with it. */
#ifndef RILLE_LPICK_H
#define RILLE_LPICK_H

#include "lrille.h"
#include "ltexts.h"

struct picks; /* of a reducer's functions */
struct pick;  /* of one */

/* core.picks(handlers, key or nil, files) --> a userdata for a reducer's functions, or nil where
** none of them has anything to pick. files: { { name =, text = } ... }, as they were loaded. */
INTERNAL int pick_push_all(lua_State *L);

/* Of handler number `handler`, or with 0 of the key's function, in that userdata; NULL where all
** of the data is to be made. */
INTERNAL const struct pick *pick_at(const struct picks *all, int handler);

/* Pushes a table with the fields, of those that the data has. It is the same table each time:
** nobody may keep it. False, and nothing pushed, where the data is not a small map of plain
** values: then all of it is to be made. `held`: a table that a struct pick's userdata has as
** its user value. */
INTERNAL bool pick_push(lua_State *L, const struct pick *pick, int held, rille_text data,
                        int texts);

#endif
