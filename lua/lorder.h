/* lorder.h: pairs, next and table.sort as scripts have them: in an order that
** follows from the keys (or the values sorted) alone. Lua functions all three. */
#ifndef RILLE_LORDER_H
#define RILLE_LORDER_H

#include "../core/base.h"
#include "lcompat.h"


/* table.sort(t [, order]), stable. Whatever `order` answers, the result is a
** permutation of t; when it raises, t is as it was. */
INTERNAL int script_sort(lua_State *L);

/* pairs(t): false, true, numbers ascending, strings bytewise; raises where t has a
** key of another type. Walks the keys that t had at the start, less what has been
** cleared since. Upvalue 1 is a table, empty at first, in which iterators are kept. */
INTERNAL int script_pairs(lua_State *L);

/* next(t): the first key and value in that order; a second argument is refused. */
INTERNAL int script_next(lua_State *L);

#endif
