/* ltoken.h: Lua source as the tokens it is made of: for a script's identity, and for what a
** function does with its event (lglance.c). */
#ifndef RILLE_LTOKEN_H
#define RILLE_LTOKEN_H

#include "../core/sha256.h"

/* What is fed for a token begins with its kind. */
enum token_kind {
  TOKEN_NAME = 'n', /* or a word of Lua's */
  TOKEN_NUMBER = '0',
  TOKEN_STRING = 's',
  TOKEN_STRING_LINE = 'l', /* a string's lines but for the last one, which is TOKEN_STRING */
  TOKEN_SYMBOL = '+'
};

/* Is given each token, in their order; `from` points into the text. */
typedef void (*token_take)(void *context, enum token_kind kind, const char *from, size_t n);

/* False where the text holds something that begins no token of Lua 5.4; what stands before
** that was given. */
INTERNAL bool token_each(const char *text, size_t n, token_take take, void *context);

/* Feeds the text's tokens to `sum`: comments and white space leave no trace, every
** token does, by its kind, its length and how it is spelled. False, and `sum` as it
** was, where the text holds something that begins no token of Lua 5.4. */
INTERNAL bool token_feed(struct sha256 *sum, const char *text, size_t n);

#endif
