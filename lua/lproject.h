/* lproject.h: a run of events through many passes: lproject.c is the loop, lpasses.c what
** the passes want to read. */
#ifndef RILLE_LPROJECT_H
#define RILLE_LPROJECT_H

#include "lrille.h"

#define PASSES_MOST 64
#define IS_OLD (-1) /* in place of a handler: the type is to be upcast */

/* What the loop has of a pass on its stack, from pass.base on. */
enum {
  OF_HANDLERS,
  OF_STATES,
  OF_DIRTY,
  OF_FIND,
  OF_FRESH,
  OF_KEY,
  OF_ONLY,
  OF_UPCAST,
  OF_PICKS,
  OF_NUMBERS,
  OF_SLOTS
};

struct pass {
  int base;  /* stack index of the first of these */
  int table; /* ... of the pass itself, outside the loop */
  int by_stream, check, every;
  int redacted;  /* its handlers take events whose data is gone */
  size_t types;
  size_t old;    /* types to be upcast */
  int *handlers; /* by item of the query: which of the handlers; 0: none; or IS_OLD */
  uint64_t after;
  lua_Integer most, put;
  lua_Integer share, shares; /* it takes the keys of this one of so many; 0: all */
  int failed;
};

struct run {
  rille_reader *reader;
  struct event_view *view;
  struct sandbox *sandbox;
  struct pass *passes;
  size_t count;
  uint64_t before;  /* 0: none */
  int64_t until_us; /* 0: without end */
  rille_event event;
  struct pass *at;  /* whose handler is called */
  int found_failed; /* `find` raised: its error is in the registry, under this struct */
  int failed, done;
  int crowded; /* it stopped because the isolate has grown */
  int shared; /* the query leaves out what is of other shares */
  rille_error error;
  struct buffer *room; /* for checking */
  struct buffer *old;  /* for upcasting */
};

/* Pushes the passes of the table at 2 and reads them; what C has of them is in a userdata
** on the stack. Raises where there are none, or too many. */
INTERNAL void passes_read(lua_State *L, struct run *r);
/* The query of all passes, in a userdata that is left on the stack; sets the handlers of
** each. */
INTERNAL void passes_query(lua_State *L, struct run *r, rille_query *q);

#endif
