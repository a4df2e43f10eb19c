/* lpattern.h: string.find, match, gmatch and gsub whose every step a script pays for.
** Lua functions; they return and raise what Lua 5.4's do. */
#ifndef RILLE_LPATTERN_H
#define RILLE_LPATTERN_H

#include "../core/base.h"
#include "lcompat.h"


INTERNAL int pattern_find(lua_State *L);
INTERNAL int pattern_match(lua_State *L);
INTERNAL int pattern_gmatch(lua_State *L);
INTERNAL int pattern_gsub(lua_State *L);

#endif
