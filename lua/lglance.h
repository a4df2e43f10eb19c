/* lglance.h: what a handler looks at in the data of its event, as its source tells. Knows
** nothing of Lua's API. */
#ifndef RILLE_LGLANCE_H
#define RILLE_LGLANCE_H

#include "../core/buffer.h"

#define GLANCE_FIELDS 8      /* more are not counted up: all of the data is made */
#define GLANCE_NAME_BYTES 31 /* of a field, which is as long as a short string of MessagePack */

struct glance {
  size_t count;
  rille_text fields[GLANCE_FIELDS]; /* each once; they point into the source */
};

/* Appends the text's tokens to a buffer that is empty. False where they can't be told, or
** for want of memory. */
INTERNAL bool glance_read(struct buffer *tokens, rille_text source);

/* What the function that begins in this line looks at; `event` says which of its parameters
** is the event, from 1. False unless it is certain that it
**   - is the only function that begins there,
**   - has no use for the event but to read a field of it, and none for the event's data but
**     to read or write fields of that, by their names;
** then neither the event's data nor the event itself can be kept, handed on or listed by it,
** and a table that has these fields and no others will do. With `reads`: it writes none. */
INTERNAL bool glance_at(const struct buffer *tokens, int line, int event, bool reads,
                        struct glance *glance);

#endif
