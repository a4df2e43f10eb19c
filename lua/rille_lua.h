/* rille_lua.h: what a host that has a lua_State of its own calls, beside rille.h. Of the
** library with the Lua half in it: librille_lua.a, or rille.c of `make amalgamation`.
**
**   luaL_requiref(L, "rille", luaopen_rille, 0);    scripts may say require "rille"
**   lua_pop(L, 1);
**   if (rille_push(L, store) < 0) return complain();
**   lua_setglobal(L, "store");                      ... and have the host's store
**
** The Lua half is text inside the library: nothing is read from the disk. It wants Lua's own
** libraries to be open (luaL_openlibs), as scripts get theirs from copies of these. No function
** here keeps anything outside of the lua_State it is given, so there may be any number. */
#ifndef RILLE_LUA_H
#define RILLE_LUA_H

#include "rille.h"

#ifdef __cplusplus
extern "C" {
#endif

#include <lua.h>

/* The module, a lua_CFunction: pushes the table that require "rille" gives. */
RILLE_API int luaopen_rille(lua_State *L);
/* rille.testkit, for programs that say require "rille.testkit" before anything else. */
RILLE_API int luaopen_rille_testkit(lua_State *L);

/* Pushes a handle of the host's store, like those of rille.open, and returns 0. It is another
** handle on what is open: it may be closed, or collected, before the host's or after. Loads the
** module first where that was not done. Returns < 0, and pushes nothing, for a store of the
** process that forked this one, and where the lua_State uses another copy of the library
** (RILLE_BUSY); raises what Lua raises, and where there is no memory. */
RILLE_API int rille_push(lua_State *L, rille_store *store);

/* The same with a table of options at `index`, those of rille.open that are not the store's but
** the handle's: `load` (where scripts come from; else files) and `clock` (else the store's). */
RILLE_API int rille_push_with(lua_State *L, rille_store *store, int index);

#ifdef __cplusplus
}
#endif
#endif
