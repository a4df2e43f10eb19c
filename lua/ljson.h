/* ljson.h: JSON text (RFC 8259, UTF-8, strictly) as Lua values, and back.
**
** All that value_encode takes survives the way to JSON and back. What JSON can't
** hold is an object of one key, and no other object of that one key is read:
**
**   { "$bytes": "base64" }         a string that is not UTF-8
**   { "$float": "inf" }            also "-inf", "nan"
**   { "$pairs": [[key, value]] }   a map with integer keys, or with a key that is
**                                  not UTF-8, or whose only key is one of these
**
** A number without fraction and exponent is an integer and must fit in int64
** ("-0" is 0); any other is a float, and a float is written so that it is one.
** Digits beyond a float's are rounded; 1e400 is refused, 1e-400 is 0.0. null is
** rille.null; [] is a marked array, {} an empty table.
** Refused: a key that comes twice, lone surrogates, a byte order mark, what is not
** UTF-8, tables more than VALUE_DEPTH deep. */
#ifndef RILLE_LJSON_H
#define RILLE_LJSON_H


#include "../core/buffer.h"
#include "lcompat.h"

/* One text that is written. The data of any event fit: nothing takes more than 9
** times its bytes in MessagePack, but for indentation. */
#define JSON_BYTES (16 * RILLE_EVENT_BYTES)

/* Pushes the value of the text and returns true; false with a message pushed,
** "column 7: ...", where columns are bytes of the text and the first is 1. Raises
** only for want of memory. */
INTERNAL int json_decode(lua_State *L, const char *text, size_t length);

/* Appends the value at `index` as JSON to `out`, object keys sorted bytewise, on
** one line or `pretty`, indented by two spaces. False, `out` as it was, and a
** message pushed where value_encode refuses (`field` is its first word) or the
** text is too long. Raises only for want of memory; `out` must be anchored. */
INTERNAL int json_encode(lua_State *L, int index, const char *field, int pretty,
                         struct buffer *out);

/* Pushes { decode = , encode = }: decode(text) gives the value, encode(value,
** { pretty = boolean }) the text; or nil, message, "invalid". After value_open. */
INTERNAL void json_open(lua_State *L);

#endif
