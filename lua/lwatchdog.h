/* lwatchdog.h: one thread that notices scripts that run too long. */
#ifndef RILLE_LWATCHDOG_H
#define RILLE_LWATCHDOG_H

#include "../core/base.h"

#include <stdatomic.h>

/* A script as the watchdog sees it. The thread that runs it moves `turn` on whenever a
** new deadline begins; the watchdog writes into `expired` the turn that took too long.
** So a deadline costs the script's thread one addition, and a verdict that comes late
** is about a turn that is over. */
struct watched {
  struct watched *next, *previous; /* among those that run */
  unsigned generation;             /* of the list it is in; 0: in none */
  int64_t ms;                      /* 0: not watched */
  _Atomic uint32_t turn, expired;
  uint32_t seen;       /* the watchdog's: the turn it saw last, and for how long */
  int64_t seen_ms;
  int64_t spent_ms; /* of the turn, when it was last left */
};

/* The thread lives while somebody needs it. 0, or the errno of what kept it from
** being started. */
INTERNAL int watchdog_need(void);
INTERNAL void watchdog_release(void);

/* Between the two, w is watched. */
INTERNAL void watchdog_begin(struct watched *w);
INTERNAL void watchdog_end(struct watched *w);
/* As watchdog_begin, but the turn that was left goes on: what it had spent is spent. */
INTERNAL void watchdog_resume(struct watched *w);

static inline void watched_turn(struct watched *w) {
  uint32_t turn = atomic_load_explicit(&w->turn, memory_order_relaxed) + 1;
  atomic_store_explicit(&w->turn, turn ? turn : 1, memory_order_relaxed);
}

static inline bool watched_expired(struct watched *w) {
  return atomic_load_explicit(&w->expired, memory_order_relaxed) ==
         atomic_load_explicit(&w->turn, memory_order_relaxed);
}

#endif
