/* lsteps.h: the words of outcomes and votes, and what lsteps.c and ltransact.c add to the Lua
** half's functions. */
#ifndef RILLE_LSTEPS_H
#define RILLE_LSTEPS_H


#include "../core/base.h"
#include "lcompat.h"

/* "none", "undecided", "committed", "aborted", "unknown" */
INTERNAL const char *outcome_name(int outcome);
/* The outcome whose word is at index; raises on another. */
INTERNAL int outcome_check(lua_State *L, int index);

/* "none", "yes", "read", "no" */
INTERNAL const char *vote_word(enum rille_vote vote);

/* Adds `instance` and `steps` to the table on top of the stack. */
INTERNAL void steps_open(lua_State *L);

/* ltransact.c: adds `transact` to the table on top of the stack. */
INTERNAL void transact_push(lua_State *L);

#endif
