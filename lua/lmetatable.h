/* lmetatable.h: metatables as scripts have them, and read-only views of tables.
** Lua functions, all but the last: script_x is a script's x, means_x the host's. */
#ifndef RILLE_LMETATABLE_H
#define RILLE_LMETATABLE_H

#include "../core/base.h"
#include "lcompat.h"

#include <stdbool.h>

/* getmetatable(value): what the script gave to setmetatable, or its __metatable;
** false where the metatable is the host's. */
INTERNAL int script_getmetatable(lua_State *L);

/* rawset(t, key, value); refused where t's metatable is the host's, as a view's is. */
INTERNAL int script_rawset(lua_State *L);

/* metatables() --> setmetatable for one script, settle to be called when it has
** loaded. */
INTERNAL int means_metatables(lua_State *L);

/* metatable(value) --> the real one, or nil; for the host's side only. */
INTERNAL int means_metatable(lua_State *L);

/* view(contents, refuse) --> a table that reads as `contents`; each write calls
** refuse(view, key, value), which is to raise. */
INTERNAL int means_view(lua_State *L);

/* Where the value at index is a read-only view: pushes its contents, which no
** script may be given. */
INTERNAL bool metatable_push_contents(lua_State *L, int index);

#endif
