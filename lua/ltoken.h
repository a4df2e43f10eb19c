/* ltoken.h: Lua source as the tokens it is made of, for a script's identity. */
#ifndef RILLE_LTOKEN_H
#define RILLE_LTOKEN_H

#include "../core/sha256.h"

/* Feeds the text's tokens to `sum`: comments and white space leave no trace, every
** token does, by its kind, its length and how it is spelled. False, and `sum` as it
** was, where the text holds something that begins no token of Lua 5.4. */
INTERNAL bool token_feed(struct sha256 *sum, const char *text, size_t n);

#endif
