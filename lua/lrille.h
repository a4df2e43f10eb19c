/* lrille.h: what the files of the binding share: how a failure is returned, how
** options are read, and what a store handle is.
**
** A handle is a userdata that is created closed and then acquires; one function
** that may be called twice serves close, __close and __gc. Misuse raises; what
** the world can do is nil, message, code, detail. */
#ifndef RILLE_LRILLE_H
#define RILLE_LRILLE_H

#include "../core/buffer.h"
#include "../core/error.h"
#include "lcompat.h"


/* A Lua number says where code this binding belongs to. */
#define STORE_HANDLE "rille.store"
#define ITERATOR_HANDLE "rille.iterator"
#define EVENT_HANDLE "rille.event"
#define MICROSECONDS 1e6 /* in a second, which is what Lua gets */
#define KEY_BYTES_MOST 255 /* of a state's key, as of a stream's name */
#define KEY_NO_LIST \
  "key returned a table that is no list: a key is a string, an integer, a list, or nil"

/* User values of a store's handle. */
enum {
  STORE_ROOM = 1,    /* of lappend.c */
  STORE_PATH,        /* as a string, absolute */
  STORE_ON_INDOUBT,  /* options of rille.open */
  STORE_INDOUBT_AGE,
  STORE_VALUES = STORE_INDOUBT_AGE
};

struct iterator;

/* A store as Lua holds it. */
struct store_handle {
  rille_store *store;                    /* NULL: closed */
  struct iterator *iterators;            /* those that read it; closing ends them */
  int clock;                             /* reference of the function clock, or LUA_NOREF */
  int load;                              /* ... of the function load */
  int readonly;
  uint64_t last;                         /* position of its last append; 0: none */
  int users;                             /* calls within which Lua runs and it must not go */
  rille_store *leaving;                  /* closed by such a call, gone after it */
  int borrowed;                          /* an isolate's: the store is the host's to close */
};

/* ---- lrille.c ---- */

INTERNAL void buffer_push(lua_State *L);            /* a userdata that is a struct buffer */

/* ---- lerror.c: failures ---- */

/* nil, message, code, detail; returns 4. RILLE_MEMORY is raised. */
INTERNAL int error_push(lua_State *L, const rille_error *e);

/* Raises { message, code, detail }: for what our own scripts catch, and return. */
INTERNAL int error_raise(lua_State *L, const rille_error *e);
/* nil, message, "invalid" and so on; the message is on top of the stack. */
INTERNAL int error_push_message(lua_State *L, const char *code);
/* nil, "the store is closed", "closed" */
#define RESULTS_CLOSED 3
INTERNAL int error_push_closed(lua_State *L, const char *what);
/* Pushes the name nearest to `word` among `names` (NULL at the end) or nil. */
INTERNAL const char *error_nearest(const char *word, const char *const *names);

/* Sets a field of the table on top of the stack. */
INTERNAL void set_integer(lua_State *L, const char *name, uint64_t value);

/* ---- loptions.c: option tables ---- */

/* Raises unless the table at index (or none, or nil) has only string keys among
** `names`; `array` allows 1..n besides. */
INTERNAL void options_check(lua_State *L, int index, const char *const *names, int array,
                   const char *what);
/* Raises where the table at index (no negative one) has anything but the entries 1, 2, 3 ... */
INTERNAL void options_check_list(lua_State *L, int index, const char *name, const char *what);
/* Raises where the option that is on the top is none. */
INTERNAL void options_check_function(lua_State *L, const char *name);
/* The field as a number of its kind; false where it is nil; raises on another type. */
INTERNAL int options_integer(lua_State *L, int index, const char *name, lua_Integer *value);
INTERNAL int options_boolean(lua_State *L, int index, const char *name, int *value);
INTERNAL int options_number(lua_State *L, int index, const char *name, lua_Number *value);
/* Strings only, never numbers. */
INTERNAL int options_text(lua_State *L, int index, const char *name, rille_text *value);
/* An argument that is a string, which numbers are not; raises on another type. */
INTERNAL rille_text argument_text(lua_State *L, int index);
/* The same, or an empty one where there is none. */
INTERNAL rille_text argument_text_or_none(lua_State *L, int index);

/* ---- lstore.c, lupkeep.c, lwait.c ---- */

INTERNAL void store_open_library(lua_State *L);     /* registers the handle's metatable */
INTERNAL int store_open_handle(lua_State *L);       /* rille.open */
INTERNAL struct store_handle *store_check(lua_State *L, int index); /* raises if it is no store */
/* The store of the handle at index; NULL with RESULTS_CLOSED results pushed where it
** is closed. Raises if it is no store. */
INTERNAL rille_store *store_open_at(lua_State *L, int index);
/* true, or nil, message, code, detail */
INTERNAL int store_push_done(lua_State *L, int result, const rille_error *e);
/* Strong reads begin with it: see rille_store_strong. */
INTERNAL int store_strong(const struct store_handle *s, const rille_query *q, rille_error *e);
/* seen_head(store) --> head, as store:head() but nothing in doubt is settled for it (K5) */
INTERNAL int store_push_seen_head(lua_State *L);
/* Pushes a handle for a store that is lent to it (lisolate.h), none yet. */
INTERNAL struct store_handle *store_push_borrowed(lua_State *L);
/* A call within which Lua runs and may close the store: it goes when it is left. */
INTERNAL void store_enter(struct store_handle *s);
INTERNAL void store_leave(struct store_handle *s);

/* The option `progress` of a table of options: a function that the core is to call. */
struct progress {
  lua_State *L;
  int function; /* its index, or 0 */
  int failed;   /* it raised: the error is on top of the stack */
};
/* Leaves the function on the stack. Raises where it is none. */
INTERNAL struct progress progress_of(lua_State *L, int options);
/* A rille_progress for a struct progress: what the function raises gives the work up. */
INTERNAL int progress_tell(void *context, uint64_t done, uint64_t all);

INTERNAL int store_wait(lua_State *L);              /* store:wait */
INTERNAL int store_stats(lua_State *L);             /* store:stats */
INTERNAL int store_verify(lua_State *L);            /* store:verify */
INTERNAL int store_backup(lua_State *L);            /* store:backup */

/* ---- literator.c, levent.c, lappend.c, lfold.c, lquery.c ---- */

INTERNAL void iterator_open_library(lua_State *L);
INTERNAL int store_read(lua_State *L);              /* store:read */
INTERNAL int store_all(lua_State *L);               /* store:all */
/* Sets core.read and core.all: the same for our own scripts (rille/failure.lua): where those raise
** a message, these call error_raise. */
INTERNAL void iterator_push_telling(lua_State *L);
INTERNAL void iterator_end_all(struct store_handle *store);
/* Pushes an iterator's userdata with a reader for the query, on the store at
** store_index, and returns the reader; NULL where reading can't begin. Whatever
** happens then, collection ends it; iterator_close does at once. */
INTERNAL rille_reader *iterator_push(lua_State *L, int store_index, const rille_query *q,
                                     rille_error *e);
INTERNAL int iterator_close(lua_State *L);
/* While an iterator is busy, closing it or its store leaves the reader alive. */
INTERNAL void iterator_use(lua_State *L, int index, int busy);

INTERNAL int append_events(lua_State *L);            /* store:append */
/* The option `clock`, in microseconds; 0 where there is none. Raises what it raises. */
INTERNAL int64_t clock_ask(lua_State *L, const struct store_handle *s);
/* The same for the embedded scripts: names of streams and types may begin with "$". */
INTERNAL int append_internal(lua_State *L);
INTERNAL int store_prune(lua_State *L); /* store:truncate for those */

/* What is to be appended, as read from Lua. */
struct work {
  rille_append append;
  rille_query unless; /* that `append` points to, if there is one */
};
/* Reads arguments of store:append, whose store is at 1; `internal`: names may begin with "$".
** False with a message pushed where a value can't be. It lives as long as what that left on the
** stack, and the tables that it was read from, till the room is given back. */
INTERNAL int append_read(lua_State *L, int internal, struct work *work, int *room);
INTERNAL void append_give_back(lua_State *L, int room);
INTERNAL int append_push_result(lua_State *L, const rille_append *append,
                                const rille_appended *done, int several);
/* { stream = version }, as filled in */
INTERNAL void work_push_versions(lua_State *L, const rille_append *append);
/* nil, message, code, detail */
INTERNAL int work_push_failure(lua_State *L, const rille_append *append, const rille_error *e);

/* ---- lwork.c: the work of a transaction in one store ---- */

/* Of the userdata at index, or of nil, with the time by the handle's clock; which may raise. */
INTERNAL const rille_append *work_at(lua_State *L, int index, const struct store_handle *handle);
/* Adds functions to the table on top of the stack. */
INTERNAL void work_push_library(lua_State *L);

INTERNAL void event_open_library(lua_State *L);
/* Pushes a plain table with everything of the event. */
INTERNAL void event_push(lua_State *L, const rille_event *event);
/* A view that is used again for event after event. */
struct event_view {
  const void *self;         /* what tells it from other userdata */
  const rille_event *event; /* NULL: not inside a call */
  int decoded;              /* data is kept in the user value */
  struct texts *texts;      /* whose strings are its other user value */
  struct picks *picks;      /* those that show its events, one after another (lpick.h) */
};
INTERNAL struct event_view *event_push_view(lua_State *L);
/* Pushes what handler number `handler`, or with 0 the key's function, is to get as its event:
** the view at `view`, or a stand-in. At `picks` is what lpick.h has of these functions, or nil. */
INTERNAL void event_push_for(lua_State *L, int view, int picks, int handler);
/* Pushes the data that the event of the view at `view` has by now, if the script has looked at it:
** it may have changed it. Otherwise 0, and nil is pushed. */
INTERNAL int event_push_touched(lua_State *L, int view);
/* A string out of an event's data, as one that may come again. */
INTERNAL void event_push_string(lua_State *L, int view, const char *bytes, size_t length);
/* Pushes the metatable of the stand-ins of the picks at `picks`: they have `data` alone. */
INTERNAL void event_push_stand_in(lua_State *L, int picks);
/* No event is shown any more. */
INTERNAL void event_over(struct event_view *view);

/* Reads the bounds and items of the table at `index` into q, for one stream or
** for all. Texts belong to strings that the table holds; a userdata left on the
** stack holds the rest. 0, with a message pushed, where a value can't be; a wrong type raises. */
INTERNAL int query_read(lua_State *L, int index, int one_stream, rille_query *q);
/* The same, and raises that message. */
INTERNAL void query_check(lua_State *L, int index, int one_stream, rille_query *q);

INTERNAL void transaction_push(lua_State *L);       /* ltransaction.c: a table of functions */
INTERNAL void retention_push(lua_State *L);         /* lretention.c: adds its functions */
INTERNAL void means_push(lua_State *L);             /* lmeans.c: small things for the Lua half */

INTERNAL int fold_run(lua_State *L);                /* the loop of store:fold */
INTERNAL int project_run(lua_State *L);             /* the loop of projections */
INTERNAL int project_share_of(lua_State *L);

INTERNAL void script_open_library(lua_State *L);    /* the Lua half: package.preload["rille...."] */
INTERNAL int module_is_another(lua_State *L);       /* whether L uses another copy of the library */

#endif
