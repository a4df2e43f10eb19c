/* lguard.h: library functions that charge a script for the work C does for it. */
#ifndef RILLE_LGUARD_H
#define RILLE_LGUARD_H

#include "../core/base.h"
#include "lcompat.h"

/* Takes from the budget for the arguments that are texts: they are scanned. */
INTERNAL void guard_charge_texts(lua_State *L);

/* Replaces functions in the tables base, string, table, math and utf8 that the table at the
** index has. What they return is what Lua's own would. Only in an isolate. */
INTERNAL void guard_libraries(lua_State *L, int libraries);

/* Gives the strings of the isolate's own side the functions of `libraries` as methods. */
INTERNAL void guard_methods(lua_State *L, int libraries);

#endif
