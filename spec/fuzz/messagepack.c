/* messagepack.c: bytes as Lua values: refused with a message, or read; then what is written of
** them is read as the same, also by way of JSON. */
#include "lua_fuzz.h"

static int body(lua_State *L) {
  const struct lua_input *input = lua_touserdata(L, 1);
  if (value_decode(L, (const char *)input->bytes, input->n)) fuzz_value(L, false);
  else MUST(lua_isstring(L, -1));
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  MUST(fuzz_call(body, bytes, n));
  return 0;
}
