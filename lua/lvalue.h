/* lvalue.h: Lua values as MessagePack bytes, and back.
**
**   Lua                              MessagePack
**   integer                          the shortest of its integers; all 64 bits
**   float                            float 64, always: 1.0 stays a float
**   string                           str, any bytes; bin is read as a string too
**   boolean, rille.null              true, false, nil
**   table with the keys 1..n, n > 0  array
**   table with string keys, with     map, keys sorted: strings bytewise,
**     integer keys, or empty           integers by number
**   table marked with rille.array    array, also when it is empty
**
** Reading also takes float 32, and unsigned integers beyond 63 bits: they become
** floats, the one place where digits are lost. Of a key that comes twice the last
** value counts. An empty array comes back marked, any other as a plain table. All
** that can be read can be written again, so what has no place in that table is
** refused in both directions: other types, keys of both kinds or of another
** kind, extension types, tables more than VALUE_DEPTH deep.
**
** LuaJIT's int64_t is an integer, and so is its uint64_t up to 2^63 - 1 (lcompat.h). One that is
** small enough for a number is written in 8 bytes, as no number of its size is, and is an int64_t
** again when it is read; but between -2^53 and -2^31 a number's bytes are as many. As a key it
** must not be small enough: it would be another key than the number.
**
** Metatables are ignored and no metamethod runs. A table that occurs twice is
** written twice, unless it is its own ancestor. Every NaN has the same bytes. */
#ifndef RILLE_LVALUE_H
#define RILLE_LVALUE_H


#include "../core/buffer.h"
#include "lcompat.h"

#define VALUE_DEPTH 128                 /* tables within tables; also for JSON */
#define VALUE_BYTES RILLE_APPEND_BYTES  /* one encoded value */

/* Encodes the value at `index` behind what `out` holds. True when done. On a
** value that can't be stored: false, `out` as it was, and a message pushed that
** names the place, such as "data.items[3] is a function". `field` is the
** message's first word. Raises only for want of memory; `out` must therefore be
** anchored by the caller, and may then hold a part of the value. Same value, same
** bytes: map keys are sorted. */
INTERNAL int value_encode(lua_State *L, int index, const char *field, struct buffer *out);

/* The same for a state, which is a tree: a table in two places is refused, too. */
INTERNAL int value_encode_state(lua_State *L, int index, struct buffer *out);

/* Pushes the value that the bytes hold and returns true; false with a message
** pushed ("byte 7: ...", the first is 1) where they are no MessagePack, end
** early, or go on after the value. Raises only for want of memory, and takes of
** it no more than a constant times `length`, whatever the bytes claim. */
INTERNAL int value_decode(lua_State *L, const char *bytes, size_t length);

/* The same, faster where the same short strings come again: `texts` is the index of a struct
** texts (ltexts.h), a userdata. */
INTERNAL int value_decode_with(lua_State *L, const char *bytes, size_t length, int texts);

/* Pushes the null of this lua_State: a userdata, true in a condition. */
INTERNAL void value_push_null(lua_State *L);

/* True when the value at index is that null. */
INTERNAL int value_is_null(lua_State *L, int index);

/* Registers null and the array mark; sets the fields `null` and `array` in the
** table on top of the stack. Called once a lua_State. */
INTERNAL void value_open(lua_State *L);

/* Whether the table at index carries the array mark. */
INTERNAL int value_is_marked_array(lua_State *L, int index);

/* Gives the table on top of the stack the array mark. */
INTERNAL void value_mark_array(lua_State *L);

/* One item of MessagePack: a scalar, a string, or the head of an array or map
** whose parts are the items that follow. */
enum value_kind {
  VALUE_NIL, VALUE_FALSE, VALUE_TRUE,
  VALUE_INTEGER,  /* .integer */
  VALUE_FLOAT,    /* .number */
  VALUE_STRING,   /* .bytes and .count of them */
  VALUE_ARRAY,    /* .count items follow */
  VALUE_MAP,      /* .count keys follow, each with its value */
  VALUE_EXTENSION,
  VALUE_UNUSED,   /* the byte 0xc1, which MessagePack never uses */
  VALUE_SHORT     /* the bytes end before the item does */
};

struct value_item {
  enum value_kind kind;
  int64_t integer;
  double number;
  const uint8_t *bytes;
  uint64_t count;
  bool boxed; /* an integer written as one that is no number: see write_boxed */
};

/* Pushes the integer of an item. */
static inline void value_push_integer(lua_State *L, const struct value_item *item) {
  if (item->boxed) compat_push_boxed(L, item->integer);
  else lua_pushinteger(L, (lua_Integer)item->integer);
}

/* Reads the item at `at`; returns where the next one begins, or `at` itself when
** there is none (the last three kinds). Reads nothing at or behind `end`. */
INTERNAL const uint8_t *value_item(const uint8_t *at, const uint8_t *end, struct value_item *item);

#endif
