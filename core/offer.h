/* offer.h: an append that its owner leaves to the process that has WRITER or FLUSHER just
** then. One writes, one flushes, for all who come meanwhile; they sleep once, until their
** events are durable, instead of first waiting for their turn to write.
**
**            make                  take (WRITER)               end
**    NONE -----------> MADE ---------------------> TAKEN --------------> DONE
**     ^                 |                            |  \--------------> DECLINED
**     |    withdraw     |                            |                     |
**     <-----------------/    settle (WRITER; the one who took it is dead)  |
**     <----------------------------------------------/---------------------/
**
** It lies in `control`, one for each process. Its byte lock tells whether the owner lives:
** what the dead have offered is not written.
**
** Who takes one tells the owner nothing but success; whatever else comes of it, the owner is
** to find out by appending for itself. So no error crosses from one process to another.
**
** Invariant: O1 an offer that is TAKEN has been written if its `end` is set and not beyond
** `written`; otherwise it has not, and nobody is going to. For that, `end` is set after
** `writing` and before `written`; and who finds `writing` set, because one died or failed
** there, takes `end` back from all offers that were not written, before anything else is. */
#ifndef RILLE_OFFER_H
#define RILLE_OFFER_H

#include "buffer.h"
#include "control.h"

#define OFFER_EVENTS_MOST 16u
#define OFFER_TAGS_MOST 64u /* of all its events */

enum offer_state { OFFER_NONE, OFFER_MADE, OFFER_TAKEN, OFFER_DONE, OFFER_DECLINED };

/* What was offered, unpacked; its texts lie in the offer. */
struct offered {
  rille_append append;
  rille_part part;
  rille_event_input events[OFFER_EVENTS_MOST];
  rille_text tags[OFFER_TAGS_MOST];
};

/* What is kept of an append that succeeded. */
struct offer_result {
  uint64_t first, last, version, end;
};

/* ---- The owner ---- */

/* Whether it is worth offering: somebody writes or flushes. */
static inline bool offer_is_wanted(const struct control_words *w) {
  return atomic_load(&w->leading) || atomic_load(&w->appending);
}
/* Packs an append into our offer, which is NONE; false: it is not one that can be offered. */
INTERNAL bool offer_fill(struct offer *offer, const rille_append *append, int64_t now_us,
                         const struct memory *memory);
INTERNAL void offer_make(struct control *control);
/* Ours; false: somebody has taken it. */
INTERNAL bool offer_withdraw(struct control *control);
INTERNAL enum offer_state offer_state(const struct control *control);
/* Whether it is the first of all that are MADE. */
INTERNAL bool offer_is_first(const struct control *control);
/* Ours again, DONE or DECLINED until now. */
INTERNAL void offer_clear(struct control *control);
/* With WRITER: ours is TAKEN, DONE, or DECLINED, and becomes NONE; whether it was written. */
INTERNAL bool offer_settle(struct control *control);
INTERNAL struct offer_result offer_result(const struct control *control);
/* Looks for one that nobody owns. False: all are in use. Where we have WRITER it may also be one
** that is TAKEN, and whose owner died. */
INTERNAL bool offer_claim(struct control *control, bool writer);

/* ---- Who has WRITER ---- */

/* The first that is MADE, from `from` on, and whose owner lives, is TAKEN; OFFERS_MOST: none. */
INTERNAL unsigned offer_take(struct control *control, unsigned from);
/* False: it is none that this version knows. */
INTERNAL bool offer_open(const struct control *control, unsigned which, struct offered *offered);
/* It is about to be written: `writing` is set. */
INTERNAL void offer_promise(struct control *control, unsigned which,
                            const struct offer_result *result);
INTERNAL void offer_end(struct control *control, unsigned which, bool done);
/* What was not written, because somebody died or failed while `writing` was set. */
INTERNAL void offers_take_back(struct control *control, uint64_t written);

/* Zeroes the bytes of those whose owner is dead; who lives has done it. */
INTERNAL void offers_wipe(struct control *control);

/* ---- Who has flushed ---- */

INTERNAL bool offers_are_made(const struct control *control);
/* Whether others have a part in what is being flushed. */
INTERNAL bool offers_are_done(const struct control *control);
/* Wakes the owners of what is durable, and of one that is not written yet: it goes on. */
INTERNAL void offers_wake(struct control *control);
/* Only the one, unless somebody is there who will look after it. */
INTERNAL void offers_wake_heir(struct control *control);

#endif
