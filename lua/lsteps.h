/* lsteps.h: the words of outcomes, and what lsteps.c adds to the Lua half's functions. */
#ifndef RILLE_LSTEPS_H
#define RILLE_LSTEPS_H

#include <lua.h>

#include "../core/base.h"

/* "none", "undecided", "committed", "aborted", "unknown" */
INTERNAL const char *outcome_word(int outcome);
/* The outcome whose word is at index; raises on another. */
INTERNAL int outcome_check(lua_State *L, int index);

/* Adds `instance` and `steps` to the table on top of the stack. */
INTERNAL void steps_open(lua_State *L);

#endif
