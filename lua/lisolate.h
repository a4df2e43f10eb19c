/* lisolate.h: a lua_State of its own for scripts that nobody has read: with a limit on
** memory, a budget of instructions, and a clock that watches.
**
** Code that handles scripts runs in either tier and calls isolate_charge and its like
** in both: in a state that is no isolate they cost a look at its allocator. */
#ifndef RILLE_LISOLATE_H
#define RILLE_LISOLATE_H

#include "lwatchdog.h"
#include "lrille.h"

#define ISOLATE_HANDLE "rille.isolate"
#define ISOLATE_STORES 8 /* that one isolate may borrow */

/* What a script has exceeded. Once it is not NONE the state is only fit to be closed. */
enum isolate_limit { LIMIT_NONE, LIMIT_INSTRUCTIONS, LIMIT_MEMORY, LIMIT_TIME };

/* The handle in S of a store that is the host's: it has the host's store while the
** isolate runs, and none between. */
struct borrowed {
  struct store_handle *host, *mine;
};

struct isolate {
  lua_State *state; /* S; NULL: closed or dead */
  lua_State *host;  /* that which runs it now */
  uintptr_t stack; /* where C's stack was when the run began */
  bool running, closing, watching;
  bool held; /* calls into scripts share the budget at hand */
  bool suspended; /* what runs is rille's own and touches no code of a script's */
  size_t used, most;       /* bytes */
  size_t least; /* were used at some time since isolate_has_grown said so */
  size_t refused; /* what was asked for last, if it was refused */
  size_t longest; /* text, in bytes, that may still be there */
  int interval;   /* instructions between two calls of the hook */
  bool host_full; /* it was the host that had no more */
  int64_t allocations_left; /* before all fail; < 0: no such limit. For tests. */
  int64_t left, granted, instructions; /* of the budget; at its start; for a script */
  struct watched watched;
  enum isolate_limit exceeded;
  uint64_t position; /* of the event being handled, or 0 */
  char where[96];    /* "file:line: " of the script when it was stopped */
  struct buffer crossing; /* values on their way between the states */
  struct borrowed stores[ISOLATE_STORES];
  size_t store_count;
};

/* The isolate whose state this is, or NULL. */
INTERNAL struct isolate *isolate_of(lua_State *L);

/* Takes steps from the budget of the script that runs in L. Where it is spent, or time
** is up, raises the error that nothing in L can catch. */
INTERNAL void isolate_charge(lua_State *L, uint64_t steps);
/* Raises that error if a limit was exceeded, by whatever hid it. */
INTERNAL void isolate_check(lua_State *L, int status);
/* Of what has crossed to the host, the last value has this many bytes. The host keeps all of
** it at once, so it may have no more than the script may have memory. */
INTERNAL void isolate_charge_crossing(lua_State *L, size_t all, size_t last);
INTERNAL bool isolate_is_stopped(lua_State *L);
/* The budget itself, for loops that count down; `room` where L is no isolate. When it
** is below zero: isolate_charge(L, 0). */
INTERNAL int64_t *isolate_steps(lua_State *L, int64_t *room);

/* A new budget and a new deadline; raises where the script is stopped already. Called
** before each event; `position` is told with what it exceeds. */
INTERNAL void isolate_begin_event(lua_State *L, uint64_t position);
INTERNAL void isolate_budget_reset(lua_State *L);
/* What is called next of a script is about the event at this position; until it was left. */
INTERNAL void isolate_at(lua_State *L, uint64_t position);
/* The same where nothing may be raised: a stopped script stays so. */
INTERNAL void isolate_enter(lua_State *L);
/* Of rille's own code that looks at what a script made, whose metamethods may run. */
INTERNAL void isolate_enter_look(lua_State *L);
/* Notes that a limit was exceeded without raising, for who has something to put back before
** isolate_check. One instruction of Lua's may take long, and be the last: whoever calls a script
** looks behind it. */
INTERNAL void isolate_note(lua_State *L);
/* A script was left: rille's own code in S has another budget, which the limit that the
** user gave does not concern. What it calls of a script by metamethods shares it. */
INTERNAL void isolate_leave(lua_State *L);

/* From here on calls into scripts share one budget and one deadline; until the next call with
** false. For the many that one event may cause. */
INTERNAL void isolate_hold(lua_State *L, bool held);

/* Before C calls back a function of the script's: raises where that has nested too deeply.
** Lua 5.4 counts such calls itself, LuaJIT does not. */
INTERNAL void isolate_check_stack(lua_State *L);

/* core.isolate(store or nil, { memory_bytes=, instructions=, ms=, fail_after= })
**   -> isolate | nil, message, code */
INTERNAL int isolate_open(lua_State *L);
/* core.budget_reset(): for loops of rille's own in S, a new budget for them */
INTERNAL int isolate_reset_budget(lua_State *L);
/* core.budget_suspend(): no budget and no deadline until a script is entered or the budget
** is reset. For work of rille's own over plain data that runs no metamethod: memory still
** bounds it. */
INTERNAL int isolate_suspend_budget(lua_State *L);
/* Whether L is an isolate that has come to use much more memory since this was last true: then
** whoever keeps values for a script, in its memory, lets them go. */
INTERNAL bool isolate_has_grown(lua_State *L);
/* core.has_grown() */
INTERNAL int isolate_tell_growth(lua_State *L);

/* ---- lcrossing.c: values between the two states ---- */

/* Where functions and stores that were passed are kept while the isolate runs: a table
** in the host's registry under the isolate's address. */

/* Writes the values first .. top of the host's stack into iso->crossing, which is
** emptied. False with a message pushed where one can't cross. May raise in L. `anchors`:
** the index of that table. */
INTERNAL bool crossing_write(lua_State *L, struct isolate *iso, int first, int anchors);
/* The same in S (or of results in the host): plain data only. */
INTERNAL bool crossing_write_plain(lua_State *L, struct buffer *out, int first);
/* Pushes what iso->crossing holds; returns how many. In S only. */
INTERNAL int crossing_read(lua_State *S, struct isolate *iso);
/* Gives S's handle the host's store, which stays for as long as the run. */
INTERNAL void crossing_lend(struct borrowed *b);
/* The same for plain data, in either state. */
INTERNAL int crossing_read_plain(lua_State *L, const struct buffer *in);

#endif
