/* json.c: text as Lua values: refused with a message, or read; then it is written, plain and
** pretty, and read again as the same. */
#include "lua_fuzz.h"

static int body(lua_State *L) {
  const struct lua_input *input = lua_touserdata(L, 1);
  if (json_decode(L, (const char *)input->bytes, input->n)) fuzz_value(L, true);
  else MUST(strncmp(lua_tostring(L, -1), "column ", 7) == 0);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  MUST(fuzz_call(body, bytes, n));
  return 0;
}
