/* plan.h: the cheapest way to the events of a query: along the log, or along chains.
**
** Each item of a query has a driver: chains that hold all of its events and as few
** others as can be had. That is the rarest of its tags, or its stream, or all of its
** types together. The drivers of all items are walked as one (merge.h), and each
** record is still held against the whole query. An item of a category or prefix alone has no
** driver: then everything has to be looked at.
**
** Heads give the counts before anything is read, so the choice costs a look into the
** index for each name. A chain's member is read alone, at an address of its own; a
** scan passes over many records in one read. So chains are taken while they are the
** rarer by PLAN_SCAN_EVENTS.
**
** Invariant: whatever the plan, the events and their order are the same. */
#ifndef RILLE_PLAN_H
#define RILLE_PLAN_H

#include "merge.h"
#include "query.h"

/* A scan passes over so many records while one member of a chain is read. Measured with
** 1 M events of 260 bytes in the log: about 6 in memory (a member 0.7-1.3 us, an event passed
** over 0.14-0.2 us), 30 to 50 from a cloud disk of 450 MB/s. This is between. */
#define PLAN_SCAN_EVENTS 16u
/* A scan begins at a place (log.h), and passes over so many records on average before
** the first that is in its range. */
#define PLAN_PLACE_EVENTS 128u
/* More chains than this are not worth a head each. */
#define PLAN_CHAINS_MOST 256u

/* The other two are for tests: both ways must give the same. */
enum plan_choice { PLAN_CHEAPEST, PLAN_SCAN, PLAN_CHAINS };

struct plan {
  struct log *log;
  struct window *window;
  struct log_end end;      /* what is behind it is not seen */
  struct memory memory;
  enum plan_choice choice;
  bool scan;
  uint64_t low, high;      /* positions in the range, inclusive; a scan's */
  uint64_t limit;          /* UINT64_MAX: none */
  uint64_t events;         /* in the range: positions, or a stream's versions */
  uint64_t members;        /* of the chains, in the range or little before and behind it */
  uint64_t worth;          /* more members than these are not worth it: none counts further */
  struct cursor *cursors;  /* of the chains, not begun; also where a scan is cheaper */
  size_t count, capacity;
};

/* The caller has set all down to `choice`, low, high and limit: a query by positions. */
INTERNAL int plan_positions(struct plan *p, const struct query *query, rille_error *error);
/* ... but not low and high: `stream` has the versions to be read as its range. */
INTERNAL int plan_versions(struct plan *p, const struct query *query, const struct cursor *stream,
                           rille_error *error);
/* The cursors begin. */
INTERNAL void plan_begin(struct plan *p, bool backward);
INTERNAL void plan_release(struct plan *p);

#endif
