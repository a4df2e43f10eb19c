/* trim.c: for Lua: the C library gives back to the system what it keeps of freed memory, so that
** what a process has is what it uses. */
#include <lua.h>
#include <malloc.h>

int trim(lua_State *L) {
  (void)L;
  malloc_trim(0);
  return 0;
}
