/* lglance.c: what a handler looks at in the data of its event.
**
** Most handlers name the fields that they want: event.data.amount. Where a function does
** nothing else with its event, only these fields need to be made of the data, into a table
** that serves the next event as well (lpick.c). Its source tells, token by token, and what
** is allowed is so little that no grammar is needed:
**
**    function ( state , EVENT , key )        the head, wherever it stands
**      EVENT . field                         any but data: a value of its own
**      EVENT . data . FIELD
**      local DATA = EVENT . data             the end of a statement
**      DATA . FIELD
**    end                                     no function within, and no ...
**
** A name that stands behind a dot or a colon is a field's. At any other place EVENT and DATA
** stand only like that: so they are never passed on, stored, compared, called, indexed by
** what is computed, or given another value. A name that is declared anew means something
** else from there on, and then too much is taken for a use, never too little.
**
** Lua says of a function in which line its parameters begin, so it must be the only one
** there. */
#include "lglance.h"

#include <string.h>

#include "ltoken.h"

#define ALIASES 4 /* names for the data, in one function */

struct token {
  rille_text text;
  int line;
  enum token_kind kind;
};

/* ---- Tokens ---- */

struct lexing {
  struct buffer *tokens;
  const char *at, *end; /* lines are counted up to here */
  int line;
  bool full;
};

/* As Lua counts: \r\n and \n\r are one end. */
static void count_lines(struct lexing *x, const char *to) {
  while (x->at < to) {
    char c = *x->at++;
    if (c != '\n' && c != '\r') continue;
    if (x->at < x->end && (*x->at == '\n' || *x->at == '\r') && *x->at != c) x->at++;
    x->line++;
  }
}

static void take(void *context, enum token_kind kind, const char *from, size_t n) {
  struct lexing *x = context;
  count_lines(x, from);
  struct token t = {{from, n}, x->line, kind};
  if (!buffer_add(x->tokens, &t, sizeof t)) x->full = true;
}

bool glance_read(struct buffer *tokens, rille_text source) {
  struct lexing x = {tokens, source.bytes, source.bytes + source.length, 1, false};
  return token_each(source.bytes, source.length, take, &x) && !x.full;
}

/* ---- A function's body ---- */

struct body {
  const struct token *tokens;
  size_t count;
  size_t from, to; /* its tokens; at `to` is its `end` */
  rille_text event;
  rille_text aliases[ALIASES];
  size_t alias_count;
  struct glance *glance;
};

static const struct token *token(const struct body *b, size_t i) {
  static const struct token none = {{"", 0}, 0, TOKEN_SYMBOL};
  return i < b->count ? &b->tokens[i] : &none;
}

static bool is_word(const struct body *b, size_t i, const char *word) {
  const struct token *t = token(b, i);
  return t->kind != TOKEN_STRING && t->kind != TOKEN_STRING_LINE &&
         t->text.length == strlen(word) && memcmp(t->text.bytes, word, t->text.length) == 0;
}

static bool is_name(const struct body *b, size_t i) { return token(b, i)->kind == TOKEN_NAME; }

/* A name that is no field's. */
static bool is_variable(const struct body *b, size_t i, rille_text name) {
  return is_name(b, i) && text_equal(token(b, i)->text, name) && !is_word(b, i - 1, ".") &&
         !is_word(b, i - 1, ":");
}

/* Whether what stands before i is the end of a statement: a name begins the next one, unless
** it goes on with the expression. */
static bool begins_statement(const struct body *b, size_t i) {
  if (is_word(b, i, ";")) return true;
  return is_name(b, i) && !is_word(b, i, "and") && !is_word(b, i, "or");
}

/* local DATA = EVENT . data */
static bool is_alias(const struct body *b, size_t local) {
  return is_word(b, local, "local") && is_name(b, local + 1) && is_word(b, local + 2, "=") &&
         is_variable(b, local + 3, b->event) && is_word(b, local + 4, ".") &&
         is_word(b, local + 5, "data") && begins_statement(b, local + 6);
}

static bool is_alias_name(const struct body *b, size_t i) {
  for (size_t k = 0; k < b->alias_count; k++)
    if (is_variable(b, i, b->aliases[k])) return true;
  return false;
}

static bool find_aliases(struct body *b) {
  for (size_t i = b->from; i < b->to; i++) {
    if (!is_alias(b, i)) continue;
    if (b->alias_count == ALIASES) return false;
    b->aliases[b->alias_count++] = token(b, i + 1)->text;
  }
  return true;
}

static bool add_field(struct body *b, size_t i) {
  struct glance *g = b->glance;
  rille_text name = token(b, i)->text;
  if (!is_name(b, i) || name.length > GLANCE_NAME_BYTES) return false;
  for (size_t k = 0; k < g->count; k++)
    if (text_equal(g->fields[k], name)) return true;
  if (g->count == GLANCE_FIELDS) return false;
  g->fields[g->count++] = name;
  return true;
}

/* The event's name at i, used as it may be. */
static bool check_event(struct body *b, size_t i) {
  if (!is_word(b, i + 1, ".") || !is_name(b, i + 2)) return false;
  if (!is_word(b, i + 2, "data")) return true;
  if (is_word(b, i + 3, ".")) return add_field(b, i + 4);
  return i >= b->from + 3 && is_alias(b, i - 3);
}

static bool check_alias(struct body *b, size_t i) {
  if (i > b->from && is_alias(b, i - 1)) return true;
  return is_word(b, i + 1, ".") && add_field(b, i + 2);
}

/* With `reads`, what is set are new variables only. */
static bool check_uses(struct body *b, bool reads) {
  for (size_t i = b->from; i < b->to; i++) {
    if (is_word(b, i, "function") || is_word(b, i, "...")) return false;
    if (reads && is_word(b, i, "=") && !(i >= b->from + 2 && is_word(b, i - 2, "local")))
      return false;
    if (is_variable(b, i, b->event) && !check_event(b, i)) return false;
    if (is_alias_name(b, i) && !check_alias(b, i)) return false;
  }
  return b->glance->count > 0;
}

/* ---- Finding it ---- */

/* Where the parameters of the function at i begin. */
static size_t parameters_of(const struct body *b, size_t i) {
  do i++;
  while (i < b->count && !is_word(b, i, "("));
  return i;
}

/* The only function of a line, its parameters in it as well; else the count of tokens. */
static size_t find_function(const struct body *b, int line) {
  size_t found = b->count;
  for (size_t i = 0; i < b->count && token(b, i)->line <= line; i++) {
    if (!is_word(b, i, "function")) continue;
    int begins = token(b, i)->line, opens = token(b, parameters_of(b, i))->line;
    if (begins != line && opens != line) continue;
    if (begins != opens || found != b->count) return b->count;
    found = i;
  }
  return found;
}

/* Reads ( name , name ... ): `from` is behind it. A method has a parameter that is not
** written down. */
static bool read_parameters(struct body *b, size_t function, int event) {
  size_t at = parameters_of(b, function);
  if (at > function + 2) return false;
  for (int n = 1; !is_word(b, at, ")"); n++) {
    if (!is_name(b, ++at)) return false;
    if (n == event) b->event = token(b, at)->text;
    if (!is_word(b, ++at, ",") && !is_word(b, at, ")")) return false;
  }
  b->from = at + 1;
  return b->event.length > 0;
}

static bool find_end(struct body *b) {
  static const char *const openers[] = {"if", "do", "function"};
  size_t depth = 1;
  for (b->to = b->from; b->to < b->count; b->to++) {
    for (size_t k = 0; k < sizeof openers / sizeof *openers; k++)
      depth += is_word(b, b->to, openers[k]);
    if (is_word(b, b->to, "end") && --depth == 0) return true;
  }
  return false;
}

bool glance_at(const struct buffer *tokens, int line, int event, bool reads,
               struct glance *glance) {
  struct body b = {.tokens = (const struct token *)(const void *)tokens->bytes,
                   .count = tokens->length / sizeof(struct token),
                   .glance = glance};
  size_t function = find_function(&b, line);
  glance->count = 0;
  return function < b.count && read_parameters(&b, function, event) && find_end(&b) &&
         find_aliases(&b) && check_uses(&b, reads);
}
