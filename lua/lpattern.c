/* lpattern.c: Lua's patterns, matched under a budget of steps.
**
** A pattern is a list of items, and matching one of them after the other is a search
** that goes back: a pattern of thirty bytes can keep Lua's own functions busy for
** years. Here each item tried, each byte of a set looked at and each byte compared
** counts as a step of the script, and what is spent stops it (lisolate.h).
**
**   item     = single | single ('*' | '+' | '-' | '?') | '%b' x y | '%f' set | '%' 1..9
**            | '(' | ')' | '()' | '$' at the end
**   single   = '.' | '%' class | set | any other byte
**
** Going back is recursion, at most DEPTH_MOST deep as in Lua: it comes with the C stack
** it needs whatever the script. Items that can't go back are a loop. */
#include "lpattern.h"

#include <ctype.h>

#include "lisolate.h"

#define DEPTH_MOST 200
#define CAPTURES_MOST 32
#define BYTES_A_STEP 16 /* of those that memcmp and its like look at */
#define STEPS_A_REPLACEMENT 4
#define ESCAPE '%'
#define SPECIALS "^$*+?.([%-"

enum { CAPTURE_OPEN = -1, CAPTURE_POSITION = -2 };

struct matching {
  lua_State *L;
  int64_t *left, room; /* steps; room serves where there is no budget */
  const char *subject, *subject_end, *pattern_end;
  int depth; /* that may still be gone down */
  int level; /* captures begun */
  struct {
    const char *start;
    ptrdiff_t length; /* or CAPTURE_OPEN, CAPTURE_POSITION */
  } captures[CAPTURES_MOST];
};

static void begin(struct matching *m, lua_State *L, const char *s, size_t n, const char *p,
                  size_t pattern_length) {
  m->L = L;
  m->room = INT64_MAX;
  m->left = isolate_steps(L, &m->room);
  m->subject = s;
  m->subject_end = s + n;
  m->pattern_end = p + pattern_length;
  m->depth = DEPTH_MOST;
  m->level = 0;
}

static void again(struct matching *m) {
  m->depth = DEPTH_MOST;
  m->level = 0;
}

static void spend(struct matching *m, size_t steps) {
  if ((*m->left -= (int64_t)steps) < 0) isolate_charge(m->L, 0);
}

/* ---- Singles ---- */

/* Behind the single at p. */
static const char *single_end(struct matching *m, const char *p) {
  char first = *p++;
  if (first == ESCAPE) {
    if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (ends with '%%')");
    return p + 1;
  }
  if (first != '[') return p;
  const char *start = p;
  if (p < m->pattern_end && *p == '^') p++;
  do { /* a ']' that comes first stands for itself */
    if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
    if (*p++ == ESCAPE) {
      if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
      p++;
    }
  } while (p == m->pattern_end || *p != ']');
  spend(m, (size_t)(p - start));
  return p + 1;
}

static bool in_class(int c, int class) {
  bool found;
  switch (tolower(class)) {
    case 'a': found = isalpha(c); break;
    case 'c': found = iscntrl(c); break;
    case 'd': found = isdigit(c); break;
    case 'g': found = isgraph(c); break;
    case 'l': found = islower(c); break;
    case 'p': found = ispunct(c); break;
    case 's': found = isspace(c); break;
    case 'u': found = isupper(c); break;
    case 'w': found = isalnum(c); break;
    case 'x': found = isxdigit(c); break;
    case 'z': found = c == 0; break; /* not in Lua's manual any more, but in Lua */
    default: return class == c;
  }
  return isupper(class) ? !found : found;
}

/* Whether c is in the set that begins at p and whose ']' is at `last`. */
static bool in_set(struct matching *m, int c, const char *p, const char *last) {
  const char *start = p;
  bool found = true;
  if (p[1] == '^') {
    found = false;
    p++;
  }
  while (++p < last) {
    int low = (unsigned char)*p;
    bool is_range = *p != ESCAPE && p[1] == '-' && p + 2 < last;
    if (*p == ESCAPE) {
      p++;
      if (!in_class(c, (unsigned char)*p)) continue;
    } else if (is_range) {
      p += 2;
      if (c < low || (unsigned char)*p < c) continue;
    } else if (low != c) {
      continue;
    }
    spend(m, (size_t)(p - start));
    return found;
  }
  spend(m, (size_t)(last - start));
  return !found;
}

/* Whether the byte at s is one that the single p .. end takes. */
static bool takes(struct matching *m, const char *s, const char *p, const char *end) {
  spend(m, 1);
  if (s >= m->subject_end) return false;
  int c = (unsigned char)*s;
  switch (*p) {
    case '.': return true;
    case ESCAPE: return in_class(c, (unsigned char)p[1]);
    case '[': return in_set(m, c, p, end - 1);
    default: return (unsigned char)*p == c;
  }
}

/* ---- Items ---- */

static const char *match(struct matching *m, const char *s, const char *p);

/* '%b' has been read; p is at x. */
static const char *match_balance(struct matching *m, const char *s, const char *p) {
  if (p >= m->pattern_end - 1) luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
  if (s == m->subject_end || *s != *p) return NULL;
  int open = 1;
  const char *start = s;
  while (++s < m->subject_end) {
    if (*s == p[1]) {
      if (--open == 0) break;
    } else if (*s == *p) {
      open++;
    }
  }
  spend(m, (size_t)(s - start));
  return s < m->subject_end ? s + 1 : NULL;
}

/* As many as there are, then one less, and so on. */
static const char *match_most(struct matching *m, const char *s, const char *p, const char *end) {
  ptrdiff_t n = 0;
  while (takes(m, s + n, p, end)) n++;
  for (; n >= 0; n--) {
    const char *found = match(m, s + n, end + 1);
    if (found) return found;
  }
  return NULL;
}

/* None, then one more, and so on. */
static const char *match_least(struct matching *m, const char *s, const char *p, const char *end) {
  for (;;) {
    const char *found = match(m, s, end + 1);
    if (found) return found;
    if (!takes(m, s, p, end)) return NULL;
    s++;
  }
}

static const char *open_capture(struct matching *m, const char *s, const char *p, int what) {
  if (m->level >= CAPTURES_MOST) luaL_error(m->L, "too many captures");
  m->captures[m->level].start = s;
  m->captures[m->level].length = what;
  m->level++;
  const char *found = match(m, s, p);
  if (!found) m->level--;
  return found;
}

static const char *close_capture(struct matching *m, const char *s, const char *p) {
  int i = m->level - 1;
  while (i >= 0 && m->captures[i].length != CAPTURE_OPEN) i--;
  if (i < 0) luaL_error(m->L, "invalid pattern capture");
  m->captures[i].length = s - m->captures[i].start;
  const char *found = match(m, s, p);
  if (!found) m->captures[i].length = CAPTURE_OPEN;
  return found;
}

/* '%1': what the capture holds once more. */
static const char *match_capture(struct matching *m, const char *s, int digit) {
  int i = digit - '1';
  if (i < 0 || i >= m->level || m->captures[i].length == CAPTURE_OPEN)
    luaL_error(m->L, "invalid capture index %%%d", i + 1);
  /* of a position Lua takes a length that no subject has */
  if (m->captures[i].length < 0) return NULL;
  size_t n = (size_t)m->captures[i].length;
  if ((size_t)(m->subject_end - s) < n) return NULL;
  spend(m, n / BYTES_A_STEP);
  return memcmp(m->captures[i].start, s, n) == 0 ? s + n : NULL;
}

/* '%f' has been read; p is at the set. Returns where the pattern goes on, or NULL. */
static const char *pass_frontier(struct matching *m, const char *s, const char *p) {
  if (p == m->pattern_end || *p != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
  const char *end = single_end(m, p);
  int before = s == m->subject ? '\0' : (unsigned char)s[-1];
  int here = s == m->subject_end ? '\0' : (unsigned char)*s;
  if (in_set(m, before, p, end - 1) || !in_set(m, here, p, end - 1)) return NULL;
  return end;
}

/* One single, with what may follow it. True: go on at *s and *p; false: *s is the
** answer. */
static bool match_single(struct matching *m, const char **s, const char **p) {
  const char *end = single_end(m, *p);
  char suffix = end < m->pattern_end ? *end : '\0';
  bool taken = false;
  switch (suffix) {
    case '*': *s = match_most(m, *s, *p, end); return false;
    case '-': *s = match_least(m, *s, *p, end); return false;
    case '+': *s = takes(m, *s, *p, end) ? match_most(m, *s + 1, *p, end) : NULL; return false;
    case '?': {
      const char *found = takes(m, *s, *p, end) ? match(m, *s + 1, end + 1) : NULL;
      if (found) {
        *s = found;
        return false;
      }
      *p = end + 1;
      return true;
    }
    default: taken = takes(m, *s, *p, end); break;
  }
  *p = end;
  *s = taken ? *s + 1 : NULL;
  return taken;
}

/* Escapes that are no singles: the same answers as match_single; *is_one tells whether it
** was one. */
static bool match_escape(struct matching *m, const char **s, const char **p, bool *is_one) {
  char what = *p + 1 < m->pattern_end ? (*p)[1] : '\0';
  *is_one = true;
  if (what == 'b') {
    *s = match_balance(m, *s, *p + 2);
    *p += 4;
  } else if (what == 'f') {
    *p = pass_frontier(m, *s, *p + 2);
    if (!*p) *s = NULL;
  } else if (what >= '0' && what <= '9') {
    *s = match_capture(m, *s, (unsigned char)what);
    *p += 2;
  } else {
    *is_one = false;
  }
  return *s != NULL;
}

static const char *match_items(struct matching *m, const char *s, const char *p) {
  while (p < m->pattern_end) {
    bool is_one = false, on = true;
    spend(m, 1);
    switch (*p) {
      case '(':
        if (p + 1 < m->pattern_end && p[1] == ')')
          return open_capture(m, s, p + 2, CAPTURE_POSITION);
        return open_capture(m, s, p + 1, CAPTURE_OPEN);
      case ')': return close_capture(m, s, p + 1);
      case '$':
        if (p + 1 == m->pattern_end) return s == m->subject_end ? s : NULL;
        break;
      case ESCAPE: on = match_escape(m, &s, &p, &is_one); break;
      default: break;
    }
    if (!is_one) on = match_single(m, &s, &p);
    if (!on) return s;
  }
  return s;
}

/* Where the match of p at s ends, or NULL. */
static const char *match(struct matching *m, const char *s, const char *p) {
  if (m->depth-- == 0) luaL_error(m->L, "pattern too complex");
  const char *found = match_items(m, s, p);
  m->depth++;
  return found;
}

/* ---- Captures, for Lua ---- */

/* Capture i, or the whole match s .. end where the pattern has none. */
static void push_capture(struct matching *m, int i, const char *s, const char *end) {
  if (i >= m->level) {
    if (i != 0) luaL_error(m->L, "invalid capture index %%%d", i + 1);
    lua_pushlstring(m->L, s, (size_t)(end - s));
    return;
  }
  ptrdiff_t n = m->captures[i].length;
  if (n == CAPTURE_OPEN) luaL_error(m->L, "unfinished capture");
  if (n == CAPTURE_POSITION)
    lua_pushinteger(m->L, (lua_Integer)(m->captures[i].start - m->subject) + 1);
  else lua_pushlstring(m->L, m->captures[i].start, (size_t)n);
}

/* All of them; of a pattern without captures the whole, where s is given. */
static int push_captures(struct matching *m, const char *s, const char *end) {
  int n = m->level == 0 && s ? 1 : m->level;
  luaL_checkstack(m->L, n, "too many captures");
  for (int i = 0; i < n; i++) push_capture(m, i, s, end);
  return n;
}

/* ---- find and match ---- */

/* The offset in a string of n bytes for a position that may be counted from its end. */
static size_t offset_of(lua_Integer position, size_t n) {
  if (position > 0) return (size_t)position - 1;
  if (position == 0 || position < -(lua_Integer)n) return 0;
  return n - (size_t)(-position);
}

/* How many bytes of a and b are the same. */
static size_t same_bytes(const char *a, const char *b, size_t n) {
  size_t i = 0;
  while (i < n && a[i] == b[i]) i++;
  return i;
}

static const char *find_plain(struct matching *m, const char *s, const char *p, size_t n) {
  if (n == 0) return s;
  while ((size_t)(m->subject_end - s) >= n) {
    const char *at = memchr(s, *p, (size_t)(m->subject_end - s) - n + 1);
    spend(m, 1 + (size_t)((at ? at : m->subject_end) - s) / BYTES_A_STEP);
    if (!at) return NULL;
    size_t same = same_bytes(at, p, n);
    if (same == n) return at;
    spend(m, same);
    s = at + 1;
  }
  return NULL;
}

static bool is_plain(struct matching *m, const char *p, size_t n) {
  spend(m, n / BYTES_A_STEP);
  for (size_t i = 0; i < n; i++)
    if (p[i] && strchr(SPECIALS, p[i])) return false;
  return true;
}

/* Searches from s on; the start of the match in *start. An anchor has been read. */
static const char *search(struct matching *m, const char **start, const char *p, bool anchored) {
  for (const char *s = *start;; s++) {
    again(m);
    const char *end = match(m, s, p);
    if (end) {
      *start = s;
      return end;
    }
    if (anchored || s == m->subject_end) return NULL;
  }
}

static int find_or_match(lua_State *L, bool find) {
  size_t n, pattern_length;
  const char *s = luaL_checklstring(L, 1, &n), *p = luaL_checklstring(L, 2, &pattern_length);
  size_t from = offset_of(luaL_optinteger(L, 3, 1), n);
  struct matching m;
  if (from > n) {
    luaL_pushfail(L);
    return 1;
  }
  begin(&m, L, s, n, p, pattern_length);
  if (find && (lua_toboolean(L, 4) || is_plain(&m, p, pattern_length))) {
    const char *at = find_plain(&m, s + from, p, pattern_length);
    lua_pushnil(L);
    if (!at) return 1;
    lua_pushinteger(L, (lua_Integer)(at - s) + 1);
    lua_pushinteger(L, (lua_Integer)(at - s) + (lua_Integer)pattern_length);
    return 2;
  }
  bool anchored = pattern_length > 0 && *p == '^';
  const char *start = s + from, *end = search(&m, &start, p + anchored, anchored);
  if (!end) {
    luaL_pushfail(L);
    return 1;
  }
  if (!find) return push_captures(&m, start, end);
  lua_pushinteger(L, (lua_Integer)(start - s) + 1);
  lua_pushinteger(L, (lua_Integer)(end - s));
  return 2 + push_captures(&m, NULL, NULL);
}

int pattern_find(lua_State *L) { return find_or_match(L, true); }
int pattern_match(lua_State *L) { return find_or_match(L, false); }

/* ---- gmatch ---- */

enum gmatch_upvalue {
  GMATCH_SUBJECT = 1,
  GMATCH_PATTERN,
  GMATCH_FROM,
  GMATCH_LAST,
  GMATCH_UPVALUES = 4
};

/* FROM: the offset at which to go on; LAST: the one at which the last match ended, -1
** before there is one. An empty match there would be the same once more. */
static int gmatch_next(lua_State *L) {
  size_t n, pattern_length;
  const char *s = lua_tolstring(L, lua_upvalueindex(GMATCH_SUBJECT), &n);
  const char *p = lua_tolstring(L, lua_upvalueindex(GMATCH_PATTERN), &pattern_length);
  lua_Integer last = lua_tointeger(L, lua_upvalueindex(GMATCH_LAST));
  const char *from = s + lua_tointeger(L, lua_upvalueindex(GMATCH_FROM));
  struct matching m;
  begin(&m, L, s, n, p, pattern_length);
  for (; from <= m.subject_end; from++) {
    again(&m);
    const char *end = match(&m, from, p);
    if (!end || end - s == last) continue;
    lua_pushinteger(L, (lua_Integer)(end - s));
    lua_copy(L, -1, lua_upvalueindex(GMATCH_FROM));
    lua_copy(L, -1, lua_upvalueindex(GMATCH_LAST));
    return push_captures(&m, from, end);
  }
  return 0;
}

int pattern_gmatch(lua_State *L) {
  size_t n;
  luaL_checklstring(L, 1, &n);
  luaL_checkstring(L, 2);
  size_t from = offset_of(luaL_optinteger(L, 3, 1), n);
  lua_settop(L, 2);
  lua_pushinteger(L, from > n ? (lua_Integer)n + 1 : (lua_Integer)from);
  lua_pushinteger(L, -1);
  lua_pushcclosure(L, gmatch_next, GMATCH_UPVALUES);
  return 1;
}

/* ---- gsub ---- */

/* A replacement that is a string, with its "%0" to "%9". */
static void add_text(struct matching *m, luaL_Buffer *b, const char *s, const char *end) {
  size_t n;
  lua_State *L = m->L;
  const char *text = lua_tolstring(L, 3, &n), *text_end = text + n;
  spend(m, n / BYTES_A_STEP);
  for (const char *p; (p = memchr(text, ESCAPE, (size_t)(text_end - text)));) {
    luaL_addlstring(b, text, (size_t)(p - text));
    spend(m, 1);
    p++;
    char what = p < text_end ? *p : '\0';
    if (what == ESCAPE) luaL_addchar(b, ESCAPE);
    else if (what == '0') luaL_addlstring(b, s, (size_t)(end - s));
    else if (what >= '1' && what <= '9') {
      push_capture(m, what - '1', s, end);
      luaL_tolstring(L, -1, NULL);
      lua_remove(L, -2);
      luaL_addvalue(b);
    } else {
      luaL_error(L, "invalid use of '%c' in replacement string", ESCAPE);
    }
    text = p + 1;
  }
  luaL_addlstring(b, text, (size_t)(text_end - text));
}

/* Adds what takes the place of the match s .. end; true where that is something else. */
static bool add_replacement(struct matching *m, luaL_Buffer *b, const char *s, const char *end) {
  lua_State *L = m->L;
  int kind = lua_type(L, 3);
  if (kind == LUA_TFUNCTION || kind == LUA_TTABLE) isolate_charge(L, 0); /* it may be C's */
  switch (kind) {
    case LUA_TFUNCTION:
      lua_pushvalue(L, 3);
      isolate_check_stack(L);
      lua_call(L, push_captures(m, s, end), 1);
      break;
    case LUA_TTABLE:
      push_capture(m, 0, s, end);
      lua_gettable(L, 3);
      break;
    default: add_text(m, b, s, end); return true;
  }
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    luaL_addlstring(b, s, (size_t)(end - s));
    return false;
  }
  if (!lua_isstring(L, -1)) luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
  luaL_addvalue(b);
  return true;
}

int pattern_gsub(lua_State *L) {
  size_t n, pattern_length;
  const char *s = luaL_checklstring(L, 1, &n), *p = luaL_checklstring(L, 2, &pattern_length);
  const char *last = NULL;
  int kind = lua_type(L, 3);
  lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)n + 1), done = 0;
  bool anchored = pattern_length > 0 && *p == '^', changed = false;
  luaL_argexpected(
      L, kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TFUNCTION || kind == LUA_TTABLE,
      3, "string/function/table");
  struct matching m;
  luaL_Buffer b;
  begin(&m, L, s, n, p, pattern_length);
  luaL_buffinit(L, &b);
  while (done < most) {
    again(&m);
    const char *end = match(&m, s, p + anchored);
    if (end && end != last) {
      done++;
      spend(&m, STEPS_A_REPLACEMENT);
      changed |= add_replacement(&m, &b, s, end);
      s = last = end;
    } else if (s < m.subject_end) {
      luaL_addchar(&b, *s++);
    } else {
      break;
    }
    if (anchored) break;
  }
  if (changed) {
    luaL_addlstring(&b, s, (size_t)(m.subject_end - s));
    luaL_pushresult(&b);
  } else {
    lua_pushvalue(L, 1);
  }
  lua_pushinteger(L, done);
  return 2;
}
