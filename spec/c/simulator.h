/* simulator.h: a world for transactions: a home, stores and coordinators, each in memory, that a
** seed lets fail. A disk is a list of frames of which the first `durable` are safe: a power cut
** takes any number of the others, a kill takes none. What a store knows is folded from its frames
** whenever it is asked, so that coming back is what is written, and nothing else.
**
** A network between coordinators and stores loses, doubles, delays and reorders. A failed flush
** leaves a disk on which no flush counts until the tail is written again. */
#ifndef RILLE_SIMULATOR_H
#define RILLE_SIMULATOR_H

#include <stdarg.h>

#include "rille.h"

#include "test.h"

#define STORES 3u
#define TRANSACTIONS 3u
#define COORDINATORS 2u
#define INSTANCES_MOST 64u
#define FRAMES_MOST 256u
#define MESSAGES_MOST 64u
#define PATIENCE 12  /* turns that a coordinator waits for an answer before it asks again */
#define TRIES_MOST 4
#define LIFE 160     /* turns until a transaction's deadline, at most, and 10 */

/* Faults of whoever drives the machine, of stores and of homes: each must be found. */
enum mutant {
  SOUND = 0,
  M_SEND_BEFORE_FORCE,  /* commits go out while home's decision is only written */
  M_FORCE_FAIL_ABORT,   /* a failed flush of the decision is answered "aborted" */
  M_READBACK,           /* after a failed flush the next one counts without writing again */
  M_DECIDE_BLIND,       /* home does not look whether it was decided before */
  M_LATE_YES_COMMITS,   /* who voted too late is told to commit, too */
  M_VOTE_BEFORE_FLUSH,  /* a store says yes to what is only written */
  M_UNILATERAL_TIMEOUT, /* a store aborts by itself what it promised */
  M_SETTLE_NO_FRAME,    /* who settles aborts without writing that at home */
  M_SETTLE_NO_SYNC,     /* who settles believes what is only written at home */
  M_NO_LOCK,            /* a store that comes back has forgotten its locks */
  M_ACK_BEFORE_FLUSH,   /* a store acknowledges a commit that is only written */
  M_READ_ELSEWHERE,     /* conditions are not flushed, but do not lose power with home */
  M_NO_SETTLE,          /* nobody settles */
  MUTANTS
};

enum frame_kind { F_NONE = 0, F_PREPARE, F_COMMIT, F_ABORT, F_DECIDE, F_REFUSE, F_CLOSE, F_END };

struct frame {
  uint8_t kind, transaction, members; /* F_CLOSE: of the instance `transaction` */
};

struct disk {
  struct frame list[FRAMES_MOST];
  unsigned written, durable;
  bool poisoned; /* a flush failed */
};

struct store {
  struct disk disk;
  bool down, forgetful;
};

enum message_kind { PREPARE, FLUSH, COMMIT, ABORT, WATCH, ANSWER };

struct message {
  enum message_kind kind, to; /* ANSWER: to what */
  uint8_t transaction, store;
  int value;
};

struct transaction {
  bool begun;
  uint8_t enlisted, optional, reads; /* sets of stores */
  unsigned need;                     /* yes votes, for the policy */
  unsigned instance, deadline;
  int told;                          /* enum rille_outcome */
  bool committed;                    /* somebody has acted on it ... */
  uint8_t members;                   /* ... with these */
  uint8_t done[STORES];              /* what each has ever written: F_COMMIT or F_ABORT */
};

struct coordinator {
  bool alive, asked;
  unsigned instance, tries, since, store_count;
  uint8_t transaction, store_of[STORES]; /* by the machine's number */
  enum rille_step step;
  size_t participant;
  rille_steps *steps; /* NULL: idle */
};

/* How often things happened, over all runs: what never does is not tested. */
struct tally {
  unsigned committed, aborted, unknown, settled, refused, recovered, ended, cuts, excluded;
};

struct world {
  enum mutant mutant;
  bool same_box, calm, trace;
  unsigned clock, instances;
  struct disk home;
  bool home_down;
  bool alive[INSTANCES_MOST];
  struct store stores[STORES];
  struct transaction transactions[TRANSACTIONS];
  struct coordinator coordinators[COORDINATORS];
  struct message net[MESSAGES_MOST];
  unsigned in_flight;
  const char *broken; /* the first rule that was */
  struct tally *tally;
};

static inline void trace(const struct world *w, const char *format, ...) {
  if (!w->trace) return;
  va_list list;
  va_start(list, format);
  printf("%5u ", w->clock);
  vprintf(format, list);
  printf("\n");
  va_end(list);
}

static inline void broken(struct world *w, const char *rule) {
  trace(w, "BROKEN: %s", rule);
  if (!w->broken) w->broken = rule;
}

static inline bool chance(const struct world *w, uint32_t n) { return !w->calm && one_in(n); }
static inline bool in_set(uint8_t set, unsigned i) { return set >> i & 1; }

/* ---- Disks ------------------------------------------------------------------ */

static inline void disk_put(struct world *w, struct disk *d, unsigned kind, unsigned transaction,
                            unsigned members) {
  if (d->written == FRAMES_MOST) {
    broken(w, "a log grows without end");
    return;
  }
  d->list[d->written++] =
      (struct frame){(uint8_t)kind, (uint8_t)transaction, (uint8_t)members};
}

static inline bool disk_flush(struct world *w, struct disk *d) {
  if (d->poisoned && w->mutant == M_READBACK) return true;
  d->poisoned = false; /* the tail is written again */
  if (chance(w, 25)) {
    d->poisoned = true;
    trace(w, "a flush fails");
    return false;
  }
  d->durable = d->written;
  return true;
}

static inline void disk_cut(struct world *w, struct disk *d) {
  d->written = d->durable + random_below(d->written - d->durable + 1);
  d->durable = d->written;
  d->poisoned = false;
  w->tally->cuts++;
}

/* ---- Stores: a participant's state is its last frame -------------------------- */

static inline unsigned status(const struct disk *d, unsigned transaction) {
  for (unsigned i = d->written; i-- > 0;)
    if (d->list[i].transaction == transaction) return d->list[i].kind;
  return F_NONE;
}

static inline bool is_done_for_good(const struct disk *d, unsigned transaction) {
  for (unsigned i = 0; i < d->durable; i++)
    if (d->list[i].transaction == transaction && d->list[i].kind == F_COMMIT) return true;
  return false;
}

static inline bool is_locked(const struct store *s) {
  for (unsigned t = 0; t < TRANSACTIONS; t++)
    if (status(&s->disk, t) == F_PREPARE && !s->forgetful) return true;
  return false;
}

static inline bool is_read(const struct world *w, unsigned t, unsigned i) {
  return in_set(w->transactions[t].reads, i);
}

static inline void store_finish(struct world *w, unsigned i, unsigned t, unsigned kind) {
  struct store *s = &w->stores[i];
  unsigned now = status(&s->disk, t);
  struct transaction *x = &w->transactions[t];
  if (now == kind || (now == F_NONE && kind == F_COMMIT && is_read(w, t, i))) return;
  trace(w, "store %u: %s %u", i, kind == F_COMMIT ? "commit" : "abort", t);
  if (kind == F_COMMIT && now != F_PREPARE) broken(w, "a commit of what is not promised");
  if (x->done[i] && x->done[i] != kind) broken(w, "a store has done both");
  x->done[i] = (uint8_t)kind;
  disk_put(w, &s->disk, kind, t, 0);
}

/* RILLE_VOTE_NONE: written, its vote comes with the flush. */
static inline enum rille_vote store_prepare(struct world *w, unsigned i, unsigned t) {
  struct store *s = &w->stores[i];
  unsigned now = status(&s->disk, t);
  if (now == F_ABORT || now == F_COMMIT) return RILLE_VOTE_NO;
  if (now == F_NONE) {
    if (is_locked(s) || chance(w, 40)) return RILLE_VOTE_NO;
    for (unsigned other = 0; other < TRANSACTIONS; other++)
      if (status(&s->disk, other) == F_PREPARE) broken(w, "two promises that exclude each other");
    trace(w, "store %u: prepare %u", i, t);
    disk_put(w, &s->disk, F_PREPARE, t, 0);
  }
  return is_read(w, t, i) ? RILLE_VOTE_READ : RILLE_VOTE_NONE;
}

static inline enum rille_vote store_flush(struct world *w, unsigned i, unsigned t) {
  struct store *s = &w->stores[i];
  if (status(&s->disk, t) != F_PREPARE) return RILLE_VOTE_NO;
  if (w->mutant == M_VOTE_BEFORE_FLUSH) return RILLE_VOTE_YES;
  return disk_flush(w, &s->disk) ? RILLE_VOTE_YES : RILLE_VOTE_NO;
}

/* ---- Home: the first decision in its log wins --------------------------------- */

static inline int home_outcome(const struct world *w, unsigned t, uint8_t *members) {
  for (unsigned i = 0; i < w->home.written; i++) {
    const struct frame *f = &w->home.list[i];
    bool closes = f->kind == F_CLOSE && f->transaction == w->transactions[t].instance;
    if (f->kind == F_CLOSE ? closes : f->kind == F_REFUSE && f->transaction == t)
      return RILLE_OUTCOME_ABORTED;
    if (f->kind == F_DECIDE && f->transaction == t) {
      *members = f->members;
      return RILLE_OUTCOME_COMMITTED;
    }
  }
  return RILLE_OUTCOME_UNDECIDED;
}

static inline bool home_has_ended(const struct world *w, unsigned t) {
  for (unsigned i = 0; i < w->home.written; i++)
    if (w->home.list[i].kind == F_END && w->home.list[i].transaction == t) return true;
  return false;
}

/* Somebody acts on a commit: from now on it must hold, with these members. */
static inline void act_on_commit(struct world *w, unsigned t, uint8_t members) {
  struct transaction *x = &w->transactions[t];
  if (x->committed && x->members != members) broken(w, "a decision has changed");
  x->committed = true;
  x->members = members;
  if (x->told == RILLE_OUTCOME_ABORTED) broken(w, "the client was told that it is aborted");
}

static inline void home_end(struct world *w, unsigned t) {
  struct transaction *x = &w->transactions[t];
  for (unsigned i = 0; i < STORES; i++)
    if (in_set(x->members, i) && !is_read(w, t, i) && !is_done_for_good(&w->stores[i].disk, t))
      broken(w, "ended before a member's commit is durable");
  if (home_has_ended(w, t)) return;
  disk_put(w, &w->home, F_END, t, 0);
  w->tally->ended++;
}

/* Whoever finds something prepared. */
static inline void settle(struct world *w, unsigned i, unsigned t) {
  struct transaction *x = &w->transactions[t];
  uint8_t members = 0;
  bool late = w->clock > x->deadline, dead = !w->alive[x->instance];
  if (w->mutant == M_NO_SETTLE || w->home_down || status(&w->stores[i].disk, t) != F_PREPARE)
    return;
  if (w->mutant == M_UNILATERAL_TIMEOUT && late) {
    store_finish(w, i, t, F_ABORT);
    return;
  }
  if (w->mutant != M_SETTLE_NO_SYNC && !disk_flush(w, &w->home)) return;
  int outcome = home_outcome(w, t, &members);
  if (outcome == RILLE_OUTCOME_UNDECIDED && !late && !dead) return;
  w->tally->settled++;
  trace(w, "store %u settles %u", i, t);
  if (outcome == RILLE_OUTCOME_UNDECIDED && w->mutant != M_SETTLE_NO_FRAME) {
    disk_put(w, &w->home, F_REFUSE, t, 0);
    w->tally->refused++;
  }
  if (outcome == RILLE_OUTCOME_COMMITTED) act_on_commit(w, t, members);
  bool commit = outcome == RILLE_OUTCOME_COMMITTED && in_set(members, i);
  store_finish(w, i, t, commit ? F_COMMIT : F_ABORT);
}

#endif
