/* llibrary.h: the parts of Lua 5.4's library that LuaJIT lacks. */
#ifndef RILLE_LLIBRARY_H
#define RILLE_LLIBRARY_H

#include "lcompat.h"

#ifdef RILLE_LUAJIT

/* Adds to the libraries that are the fields base, math, string and table of the table on top. */
INTERNAL void library_complete(lua_State *L);

/* Pushes the globals as scripts written for 5.4 expect them; what they lack is the host's. */
INTERNAL void library_push_environment(lua_State *L);

INTERNAL int luaopen_utf8(lua_State *L);    /* lutf8.c */
INTERNAL int string_pack(lua_State *L);     /* lpack.c */
INTERNAL int string_packsize(lua_State *L);
INTERNAL int string_unpack(lua_State *L);

#endif

#endif
