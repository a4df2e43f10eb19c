/* ltexts.h: short strings that were pushed lately, to be pushed again without a search. */
#ifndef RILLE_LTEXTS_H
#define RILLE_LTEXTS_H


#include "../core/buffer.h"
#include "lcompat.h"

struct texts;

/* Pushes a userdata that is an empty struct texts, with a table as its user value, in which
** the strings are. */
INTERNAL struct texts *texts_push(lua_State *L);

/* Pushes the string of these bytes; `held` is the index of the table. With t NULL it is
** made in any case. Raises only for want of memory. */
INTERNAL void texts_push_string(lua_State *L, struct texts *t, int held, const char *bytes,
                                size_t length);

#endif
