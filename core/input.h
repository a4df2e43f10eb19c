/* input.h: whether an append can be accepted: names, counts and sizes. A refusal names
** the field and its limit. */
#ifndef RILLE_INPUT_H
#define RILLE_INPUT_H

#include "base.h"

INTERNAL int input_check(const rille_append *append, rille_error *error);
/* A name of a stream that a caller may write to; `internal`: also one of rille's own. */
INTERNAL int input_check_stream(rille_text stream, bool internal, rille_error *error);

#endif
