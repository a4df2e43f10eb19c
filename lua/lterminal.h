/* lterminal.h: what the command `rille` asks of the system that Lua can't tell. */
#ifndef RILLE_LTERMINAL_H
#define RILLE_LTERMINAL_H

#include "../core/base.h"
#include "lcompat.h"


/* Pushes { is = , width = , seconds = , prepare = , end_on_interrupt = ,
** hold_interrupt = , interrupted = , end_quietly = }. */
INTERNAL void terminal_push(lua_State *L);

#endif
