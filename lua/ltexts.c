/* ltexts.c: short strings that were pushed lately.
**
** Lua has each short string once, and whoever pushes one pays for the search: a hash over
** all of its bytes, and a walk. But the names and the words in the data of events are the same few
** again and again. So they lie in a table, by a number that costs less than the hash:
**
**   bytes --> ends --> slot --> { ends, bytes, length, trust }     table[slot + 1] = the string
**
** Up to 16 bytes the ends, two words, say with the length all that there is to compare.
**
** A string is found where its bytes are those of its slot. One that is not takes the slot
** over once the other has lost its trust: that grows with each time it is found, and shrinks
** with each time it is not. So a name keeps its place among values that never come again.
**
** Invariant: a slot's bytes are those of the string that the table has there, and so live
** as long as it. */
#include "ltexts.h"

#include <string.h>

#define TEXTS_SLOTS_LOG2 8
#define TEXTS_SLOTS (1 << TEXTS_SLOTS_LOG2)
#define TEXTS_BYTES 40 /* a longer string is not one that Lua has only once */
#define TEXTS_TRUST 15

struct text_ends {
  uint64_t first, last;
};

struct texts {
  struct text_slot {
    struct text_ends ends;
    const char *bytes; /* NULL: none */
    uint8_t length, trust;
  } slots[TEXTS_SLOTS];
};

struct texts *texts_push(lua_State *L) {
  struct texts *t = lua_newuserdatauv(L, sizeof *t, 1);
  memset(t, 0, sizeof *t);
  lua_createtable(L, TEXTS_SLOTS, 0);
  for (int i = 1; i <= TEXTS_SLOTS; i++) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, i);
  }
  lua_setiuservalue(L, -2, 1);
  return t;
}

/* The first bytes and the last ones, which overlap where there are few. */
static struct text_ends ends_of(const char *bytes, size_t length) {
  struct text_ends ends = {0, 0};
  if (length >= 8) {
    memcpy(&ends.first, bytes, 8);
    memcpy(&ends.last, bytes + length - 8, 8);
  } else if (length >= 4) {
    memcpy(&ends.first, bytes, 4);
    memcpy(&ends.last, bytes + length - 4, 4);
  } else if (length > 0) {
    ends.first = (unsigned char)bytes[0];
    ends.last = (uint64_t)(unsigned char)bytes[length / 2] << 8 | (unsigned char)bytes[length - 1];
  }
  return ends;
}

static unsigned slot_of(struct text_ends ends, size_t length) {
  uint64_t mixed = ends.first ^ (ends.last << 7 | ends.last >> 57) ^ length;
  return (unsigned)(mixed * UINT64_C(0x9e3779b97f4a7c15) >> (64 - TEXTS_SLOTS_LOG2));
}

static bool is_it(const struct text_slot *s, struct text_ends ends, const char *bytes,
                  size_t length) {
  if (s->length != length || s->ends.first != ends.first || s->ends.last != ends.last) return false;
  return s->bytes && (length <= 16 || memcmp(s->bytes, bytes, length) == 0);
}

/* Makes the string, which may take the slot. */
static void miss(lua_State *L, struct texts *t, int held, unsigned slot, const char *bytes,
                 size_t length) {
  struct text_slot *s = &t->slots[slot];
  const char *own = lua_pushlstring(L, bytes, length);
  if (s->trust > 0) {
    s->trust--;
    return;
  }
  lua_pushvalue(L, -1);
  lua_rawseti(L, held, (lua_Integer)slot + 1);
  s->ends = ends_of(own, length);
  s->bytes = own;
  s->length = (uint8_t)length;
}

void texts_push_string(lua_State *L, struct texts *t, int held, const char *bytes, size_t length) {
  if (!t || length > TEXTS_BYTES) {
    lua_pushlstring(L, bytes, length);
    return;
  }
  struct text_ends ends = ends_of(bytes, length);
  unsigned slot = slot_of(ends, length);
  struct text_slot *s = &t->slots[slot];
  if (is_it(s, ends, bytes, length)) {
    if (s->trust < TEXTS_TRUST) s->trust++;
    lua_rawgeti(L, held, (lua_Integer)slot + 1);
  } else {
    miss(L, t, held, slot, bytes, length);
  }
}
