/* query.h: which records somebody wants, decided on their heads alone, so that
** what nobody asked for is neither decoded nor given to a script.
**
** A query is a list of items, ORed. An item of nothing but types is put into a
** hash table, because a reducer asks for a dozen types and a scan asks for each
** record; the others are tried one by one.
**
** Events whose type begins with "$" are rille's own: only an item finds them that names
** types or the stream, so that who reads everything reads what users wrote. */
#ifndef RILLE_QUERY_H
#define RILLE_QUERY_H

#include "buffer.h"
#include "frame.h"

struct query_slot {
  rille_text type;
  size_t item; /* 1 + its number; 0: the slot is free */
};

struct query {
  struct memory memory;
  struct buffer texts;      /* every name, so that the caller's need not last */
  rille_item *items;
  size_t count;
  rille_text *names;        /* the items' types and tags */
  size_t name_count;
  struct query_slot *slots;
  size_t slot_count;        /* a power of two, or 0 */
  size_t *others;           /* the items that are not in the table, in order */
  size_t other_count;
  bool own_too;             /* all records are of a stream that was named: set after query_init */
  bool taken_too;           /* also what a scavenge has taken: set after query_init */
};

/* Copies the items. RILLE_MEMORY on failure, and it needs no release. */
INTERNAL int query_init(struct query *q, const rille_item *items, size_t count,
                        const struct memory *memory, rille_error *error);
INTERNAL void query_release(struct query *q);

/* The number of the first item that the record matches, or -1. A query of no
** items matches everything (but what is rille's own), as item 0. A name that was
** redacted matches nothing, whatever bytes stand in its place; `hidden` (or NULL) has
** those of a redaction that is not over. */
INTERNAL ptrdiff_t query_match(const struct query *q, const struct record *record,
                               const struct record_taking *hidden);
/* Whether an event that is going to be written, behind all that is, would match. */
INTERNAL bool query_match_input(const struct query *q, rille_text stream,
                                const rille_event_input *event);

#endif
