/* ltoken.c: a lexer of Lua 5.4 that knows where tokens end, and no more.
**
** A token is what was written: 16 and 0x10, "a" and 'a' are different tokens. So
** two texts of one sum mean the same, which is what matters; some that mean the
** same have different sums, and then a state is computed once more than needed.
** Only the ends of lines within a string are one, \n, \r\n or \r, as for Lua.
**
**   fed for a token:   kind, length (4 bytes), bytes
**   a string's lines:  each as a token; TOKEN_STRING_LINE but for the last one
**
** Invariant: it accepts every text that Lua compiles. What it accepts besides
** (bad escapes, malformed numbers) is never run. */
#include "ltoken.h"

struct lexer {
  const char *at, *end;
  token_take take;
  void *context;
};

/* ---- Bytes; like Lua's own, and unlike ctype.h, these know no locale ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool is_line_end(char c) { return c == '\n' || c == '\r'; }
static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\v' || c == '\f' || is_line_end(c);
}

/* The byte `ahead` of the current one; 0 behind the end, which begins no token. */
static char peek(const struct lexer *x, size_t ahead) {
  return (size_t)(x->end - x->at) > ahead ? x->at[ahead] : 0;
}

static void skip_line_end(struct lexer *x) {
  char first = *x->at++, second = peek(x, 0);
  if (is_line_end(second) && second != first) x->at++;
}

/* ---- Giving ---- */

static void give_part(struct lexer *x, enum token_kind kind, const char *from, const char *to) {
  x->take(x->context, kind, from, (size_t)(to - from));
}

static bool give(struct lexer *x, enum token_kind kind, const char *from) {
  give_part(x, kind, from, x->at);
  return true;
}

static bool give_string(struct lexer *x, const char *from) {
  struct lexer line = {from, x->at, x->take, x->context};
  while (line.at < line.end) {
    if (!is_line_end(*line.at)) {
      line.at++;
      continue;
    }
    give_part(x, TOKEN_STRING_LINE, from, line.at);
    skip_line_end(&line);
    from = line.at;
  }
  return give(x, TOKEN_STRING, from);
}

/* ---- Brackets, comments, strings ---- */

/* The = signs of a long bracket that opens or closes here, or -1. */
static long bracket_level(const struct lexer *x, char bracket) {
  size_t n = 1;
  if (peek(x, 0) != bracket) return -1;
  while (peek(x, n) == '=') n++;
  return peek(x, n) == bracket ? (long)n - 1 : -1;
}

/* To behind the bracket that closes the one here; false where there is none. */
static bool skip_long(struct lexer *x, long level) {
  for (x->at += level + 2; x->at < x->end; x->at++) {
    if (bracket_level(x, ']') != level) continue;
    x->at += level + 2;
    return true;
  }
  return false;
}

static bool skip_comment(struct lexer *x) {
  x->at += 2;
  long level = bracket_level(x, '[');
  if (level >= 0) return skip_long(x, level);
  while (x->at < x->end && !is_line_end(*x->at)) x->at++;
  return true;
}

/* What follows a backslash and may be a quote or a line's end. */
static void skip_escape(struct lexer *x) {
  x->at++;
  char c = peek(x, 0);
  if (x->at >= x->end) return;
  if (is_line_end(c)) skip_line_end(x);
  else x->at++;
  if (c != 'z') return;
  while (x->at < x->end && is_space(*x->at)) x->at++;
}

static bool take_short_string(struct lexer *x) {
  const char *from = x->at;
  char quote = *x->at++;
  while (x->at < x->end && *x->at != quote) {
    if (is_line_end(*x->at)) return false;
    if (*x->at == '\\') skip_escape(x);
    else x->at++;
  }
  if (x->at >= x->end) return false;
  x->at++;
  return give_string(x, from);
}

static bool take_long_string(struct lexer *x, long level) {
  const char *from = x->at;
  return skip_long(x, level) && give_string(x, from);
}

/* ---- The other tokens ---- */

static bool take_name(struct lexer *x) {
  const char *from = x->at;
  while (is_letter(peek(x, 0)) || is_digit(peek(x, 0))) x->at++;
  return give(x, TOKEN_NAME, from);
}

/* A sign belongs to a number where it follows the letter of its exponent. */
static bool take_number(struct lexer *x) {
  const char *from = x->at;
  bool hex = *from == '0' && (peek(x, 1) == 'x' || peek(x, 1) == 'X');
  for (;;) {
    char c = peek(x, 0), next = peek(x, 1);
    bool exponent = hex ? c == 'p' || c == 'P' : c == 'e' || c == 'E';
    if (exponent && (next == '+' || next == '-')) x->at += 2;
    else if (is_letter(c) || is_digit(c) || c == '.') x->at++;
    else return give(x, TOKEN_NUMBER, from);
  }
}

static bool take_symbol(struct lexer *x) {
  static const char *const symbols[] = {
      "...", "..", "==", "~=", "<=", ">=", "//", "::", "<<", ">>", NULL};
  const char *from = x->at;
  size_t left = (size_t)(x->end - from);
  for (size_t i = 0; symbols[i]; i++) {
    size_t n = strlen(symbols[i]);
    if (n > left || memcmp(from, symbols[i], n) != 0) continue;
    x->at += n;
    return give(x, TOKEN_SYMBOL, from);
  }
  if (!*from || !strchr("+-*/%^#&|~<>=(){}[];:,.", *from)) return false;
  x->at++;
  return give(x, TOKEN_SYMBOL, from);
}

static bool take(struct lexer *x) {
  char c = *x->at;
  long level = bracket_level(x, '[');
  if (is_space(c)) return x->at++, true;
  if (c == '-' && peek(x, 1) == '-') return skip_comment(x);
  if (is_letter(c)) return take_name(x);
  if (is_digit(c) || (c == '.' && is_digit(peek(x, 1)))) return take_number(x);
  if (c == '"' || c == '\'') return take_short_string(x);
  if (level >= 0) return take_long_string(x, level);
  return take_symbol(x);
}

/* Passes over what rille/sandbox.lua passes over: a byte order mark, and a first line
** that is for the system. */
static void skip_head(struct lexer *x) {
  if (x->end - x->at >= 3 && memcmp(x->at, "\xef\xbb\xbf", 3) == 0) x->at += 3;
  if (peek(x, 0) != '#') return;
  while (x->at < x->end && !is_line_end(*x->at)) x->at++;
}

bool token_each(const char *text, size_t n, token_take take_token, void *context) {
  struct lexer x = {text, text + n, take_token, context};
  skip_head(&x);
  while (x.at < x.end)
    if (!take(&x)) return false;
  return true;
}

static void feed(void *sum, enum token_kind kind, const char *from, size_t n) {
  uint8_t head[5] = {(uint8_t)kind};
  put32(head + 1, (uint32_t)n);
  sha256_feed(sum, head, sizeof head);
  sha256_feed(sum, from, n);
}

bool token_feed(struct sha256 *sum, const char *text, size_t n) {
  struct sha256 before = *sum;
  if (token_each(text, n, feed, sum)) return true;
  *sum = before;
  return false;
}
