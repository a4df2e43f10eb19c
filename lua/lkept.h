/* lkept.h: kept bytes, for the embedded scripts. */
#ifndef RILLE_LKEPT_H
#define RILLE_LKEPT_H


#include "../core/base.h"
#include "lcompat.h"

/* Adds to the table on top of the stack:
**   kept_get(store, key) -> bytes | nil
**   kept_next(store, after, prefix) -> key, bytes | nil      the first key behind `after`
**   kept_write(store, { { key, bytes|false } ... } [, expect_key, expect_bytes|false [, position
**     [, generation]]])
**     -> true | false (the expectation is not met, and nothing is written)
**   kept_erase(store, prefix, most) -> how many
** Each can also give nil, message, code, detail. The first two give nil alone where there is
** nothing; false for bytes is: nothing is there, or is to be. `position` and `generation` are as
** in rille.h. */
INTERNAL void kept_open(lua_State *L);

#endif
