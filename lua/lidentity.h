/* lidentity.h: who a script is, and whether a file has changed, for rille/script.lua. */
#ifndef RILLE_LIDENTITY_H
#define RILLE_LIDENTITY_H

#include "../core/base.h"
#include "lcompat.h"


/* Adds script_identity, file_stamp and pause to the table on top of the stack. */
INTERNAL void identity_push(lua_State *L);

#endif
