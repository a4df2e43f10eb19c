/* messagepack.c: bytes as Lua values: refused with a message, or read; then what is written of
** them is read as the same, also by way of JSON. */
#include "lua_fuzz.h"

static void by_json(lua_State *L, int index, const struct buffer *bytes) {
  struct memory memory = memory_default();
  struct buffer text, again;
  buffer_init(&text, &memory);
  buffer_init(&again, &memory);
  MUST(json_encode(L, index, "value", 0, &text));
  MUST(json_decode(L, (const char *)text.bytes, text.length));
  MUST(value_encode(L, -1, "value", &again));
  MUST(again.length == bytes->length && memcmp(again.bytes, bytes->bytes, again.length) == 0);
  buffer_release(&text);
  buffer_release(&again);
}

static int body(lua_State *L) {
  const struct lua_input *input = lua_touserdata(L, 1);
  struct memory memory = memory_default();
  struct buffer first, second;
  if (!value_decode(L, (const char *)input->bytes, input->n)) {
    MUST(lua_isstring(L, -1));
    return 0;
  }
  int value = lua_gettop(L);
  buffer_init(&first, &memory);
  buffer_init(&second, &memory);
  fuzz_round(L, value, &first, &second);
  by_json(L, value, &first);
  buffer_release(&first);
  buffer_release(&second);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  MUST(fuzz_call(body, bytes, n));
  return 0;
}
