/* lsandbox.h: what makes a script's Lua deterministic. */
#ifndef RILLE_LSANDBOX_H
#define RILLE_LSANDBOX_H

#include "../core/base.h"
#include "lcompat.h"

#include <stdint.h>

/* Pushes the table that sandbox.lua takes as its first argument: fresh copies of
** the standard libraries with the deterministic functions in place, and the
** means to guard them. Called once a lua_State. The chunk's name must begin with
** "=", so that messages speak of a script's files only. */
INTERNAL void sandbox_open(lua_State *L);

/* What math.random gives until the next call follows from `seed` alone: the generator is
** set up when a script asks for it. A loop finds the sandbox once. */
struct sandbox;
INTERNAL struct sandbox *sandbox_of(lua_State *L);
INTERNAL void sandbox_seed(struct sandbox *s, uint64_t seed);

/* Script code runs between sandbox_switch(L, 1) and sandbox_switch(L, 0): there
** ("x"):format() and its like are the scripts' functions, whatever the host did
** to its own, and the thread's locale is "C", so that < on strings is bytewise.
** Between the two nothing may raise past the caller, nor yield. Host functions
** that a script calls run under sandbox_switch(L, 0). Returns what it was, for
** switching back. Needs SANDBOX_SWITCH_SLOTS of stack, allocates nothing. */
#define SANDBOX_SWITCH_SLOTS 8
INTERNAL int sandbox_switch(lua_State *L, int inside);

/* A message handler for lua_pcall: turns any error value into a string that
** begins with the file and line of the script, unless a tail call has lost it. */
INTERNAL int sandbox_message(lua_State *L);

/* Raises an error about what the script's function at `function` gave: it begins with the
** file and line where that begins. Formats are lua_pushfstring's. */
INTERNAL int sandbox_refuse(lua_State *L, int function, const char *format, ...);

#endif
