/* lupcast.h: old events as a script would have them: reducer.upcast. */
#ifndef RILLE_LUPCAST_H
#define RILLE_LUPCAST_H

#include "lrille.h"

#define UPCAST_STEPS 16 /* an event may become another, and that one another, so often */

/* What a loop over events has for it; the indices are those of the loop's stack. */
struct upcast {
  struct event_view *view;
  int view_index;
  int functions; /* of the table type -> function */
  int handlers;  /* of what upcast_push_handlers made */
  int every;     /* the number of the handler for all other types; 0: none */
  struct buffer *room;
  /* Called for each event that has a handler; the view shows it. */
  void (*take)(lua_State *L, void *context, int handler);
  void *context;
};

/* Pushes a table: name of a type -> number of its handler, from the list at `types`. */
INTERNAL void upcast_push_handlers(lua_State *L, int types);

/* Has the script say what the event is, and takes what comes of it. The view is left at
** the event. Raises what is wrong. */
INTERNAL void upcast_event(lua_State *L, const struct upcast *u, const rille_event *event);

#endif
