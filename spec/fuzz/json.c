/* json.c: text as Lua values: refused with a message, or read; then it is written, plain and
** pretty, and read again as the same. */
#include "lua_fuzz.h"

static void rewrite(lua_State *L, int index, int pretty, const struct buffer *bytes) {
  struct memory memory = memory_default();
  struct buffer text, again;
  buffer_init(&text, &memory);
  buffer_init(&again, &memory);
  MUST(json_encode(L, index, "value", pretty, &text));
  MUST(json_decode(L, (const char *)text.bytes, text.length));
  MUST(value_encode(L, -1, "value", &again));
  MUST(again.length == bytes->length && memcmp(again.bytes, bytes->bytes, again.length) == 0);
  lua_pop(L, 1);
  buffer_release(&text);
  buffer_release(&again);
}

static int body(lua_State *L) {
  const struct lua_input *input = lua_touserdata(L, 1);
  struct memory memory = memory_default();
  struct buffer first, second;
  if (!json_decode(L, (const char *)input->bytes, input->n)) {
    MUST(strncmp(lua_tostring(L, -1), "column ", 7) == 0);
    return 0;
  }
  int value = lua_gettop(L);
  buffer_init(&first, &memory);
  buffer_init(&second, &memory);
  fuzz_round(L, value, &first, &second);
  rewrite(L, value, 0, &first);
  rewrite(L, value, 1, &first);
  buffer_release(&first);
  buffer_release(&second);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  MUST(fuzz_call(body, bytes, n));
  return 0;
}
