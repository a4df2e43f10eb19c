/* steps.c: which step of a two-phase commit comes next. A machine is told what happened and
** tells what to do; it does nothing, waits for nothing and knows no clock, so whatever drives
** it (a loop that blocks, callbacks, a simulator) commits by the same rules.
**
**   PREPARING ---prepared, voted: all are written---> VOTING <-.
**       |                                             |  |     | voted, verdict "wait": FLUSH, ASK
**       | a required no, timeout       verdict abort, |  '-----'
**       |                        a no, timeout        | verdict commit
**       |<--------------------------------------------+
**       |<---------- decided: aborted, home's no --- DECIDING --decided: unknown--.
**       |                                             | decided: committed        |
**       |                                           FORCING --forced: failed----->|
**       v                                             | forced                    |
**    ABORTING                                     COMMITTING                      |
**       | finished: all are told                      | finished: all are told    |
**       '------------------------------------------>ANSWERING<--------------------'
**                                                     | answered
**          not committed, or somebody is out of reach |
**         .-------------------------------------------+
**         |                                       WATCHING
**         |                    somebody out of reach  | acknowledged: all are durable
**         |<------------------------------------------+
**         |                                         ENDING
**         v                                           | ended
**       OVER<-----------------------------------------'
**
** Who is told what in the end: a participant is HELD from the moment in which it may have
** promised something. PREPARE was to be done and its answer never came: held. An answer "no" to
** it: not held. A promise that could not be flushed: held, for it may be on the disk. Whoever is
** held is told once, COMMIT or ABORT. A voter never is. A read-only one that answered so at once
** isn't either; a store that has only conditions is, because it has locks.
**
**   S1 Nobody is told COMMIT before home's decision is durable; nobody is told anything where
**      its flush failed, for nobody knows it then.
**   S2 Members have voted yes or read, and every required participant is one.
**   S3 The client is answered once, after everybody within reach was told.
**   S4 The end is noted only when every member has acknowledged.
**   S5 What is over stays over.
**   S6 Nothing aborts between DECIDE and its answer: not even the deadline.
**
** What comes late is no mistake and changes nothing: a vote after the verdict (who voted too late
** is no member), the timeout after it. What was never asked for is a mistake of who drives the
** machine: it is ignored, and a library built with -DRILLE_DEBUG stops there. */
#include <assert.h>

#include "buffer.h"
#include "error.h"

enum state {
  PREPARING = 0,
  VOTING,
  DECIDING,
  FORCING,
  COMMITTING,
  ABORTING,
  ANSWERING,
  WATCHING,
  ENDING,
  OVER,
  STATES
};

static const char *const NAMES[STATES] = {
    "preparing", "voting",    "deciding", "forcing", "committing",
    "aborting",  "answering", "watching", "ending",  "over",
};

struct one {
  enum rille_vote vote;
  uint8_t optional, voter, prepares_later; /* as enlisted */
  uint8_t written;                         /* its frame is, and its vote is not known yet */
  uint8_t assumed;                         /* its vote was not told, and may still be */
  uint8_t answered;                        /* PREPARE, in whatever way */
  uint8_t held;                            /* it may have promised something */
  uint8_t member;                          /* it is to commit */
  uint8_t told;                            /* COMMIT or ABORT was tried ... */
  uint8_t reached;                         /* ... and it is done */
  uint8_t acknowledged;                    /* its commit is durable */
};

struct rille_steps {
  enum state state;
  int outcome;   /* enum rille_outcome; UNDECIDED until it is known */
  bool must_ask; /* a vote came that the policy has not seen */
  bool forced;   /* home's decision is durable */
  size_t count;
  struct one list[];
};

/* ---- Looking at participants --------------------------------------------- */

typedef bool test_of_one(const struct one *p);

static bool is_unasked(const struct one *p) { return !p->answered; }
static bool is_unflushed(const struct one *p) { return p->written; }
static bool is_untold(const struct one *p) { return p->held && !p->told; }
static bool is_untold_member(const struct one *p) { return is_untold(p) && p->member; }
static bool is_watched(const struct one *p) { return p->reached && p->member && !p->acknowledged; }
static bool is_pending(const struct one *p) { return p->member && p->held && !p->acknowledged; }

/* The first for which it is true; `count` where there is none. */
static size_t first_that(const rille_steps *s, test_of_one *test) {
  size_t i = 0;
  while (i < s->count && !test(&s->list[i])) i++;
  return i;
}

static bool is_any(const rille_steps *s, test_of_one *test) {
  return first_that(s, test) < s->count;
}

static bool has_agreed(const struct one *p) {
  return p->vote == RILLE_VOTE_YES || p->vote == RILLE_VOTE_READ;
}

static bool is_required(const struct one *p) { return !p->optional && !p->voter; }
static bool is_left_out(const struct one *p) {
  return is_required(p) && !(p->member && has_agreed(p));
}
static bool is_wrong_member(const struct one *p) {
  return p->member && (p->voter || !has_agreed(p));
}

/* ---- Invariants ---------------------------------------------------------- */

static void check(const rille_steps *s) {
  bool after = s->state >= COMMITTING;
  assert(s->state != COMMITTING || (s->forced && s->outcome == RILLE_OUTCOME_COMMITTED)); /* S1 */
  assert(s->state != ABORTING || (!s->forced && s->outcome == RILLE_OUTCOME_ABORTED));
  assert(after == (s->outcome != RILLE_OUTCOME_UNDECIDED));
  if (s->state >= DECIDING && s->outcome != RILLE_OUTCOME_ABORTED)
    assert(!is_any(s, is_left_out) && !is_any(s, is_wrong_member)); /* S2 */
  if (s->state >= ANSWERING && s->outcome != RILLE_OUTCOME_UNKNOWN)
    assert(!is_any(s, is_untold)); /* S3 */
  if (s->state == ENDING)
    assert(s->outcome == RILLE_OUTCOME_COMMITTED && !is_any(s, is_pending)); /* S4 */
  (void)after;
}

/* ---- Moving on ----------------------------------------------------------- */

static void know(rille_steps *s, int outcome, enum state state) {
  s->outcome = outcome;
  s->state = state;
}

static void give_up(rille_steps *s) {
  for (size_t i = 0; i < s->count; i++) s->list[i].member = 0;
  know(s, RILLE_OUTCOME_ABORTED, ABORTING);
}

/* As far as it goes without being told anything. */
static void advance(rille_steps *s) {
  if (s->state == PREPARING && !is_any(s, is_unasked)) s->state = VOTING;
  if ((s->state == COMMITTING || s->state == ABORTING) && !is_any(s, is_untold))
    s->state = ANSWERING;
  if (s->state == WATCHING && !is_any(s, is_watched))
    s->state = is_any(s, is_pending) ? OVER : ENDING;
  check(s);
}

rille_steps *rille_steps_new(const rille_steps_participant *participants, size_t count) {
  struct memory m = memory_default();
  if (count > RILLE_MEMBERS) return NULL;
  rille_steps *s = memory_get_zeroed(&m, sizeof *s + count * sizeof s->list[0]);
  if (!s) return NULL;
  s->count = count;
  s->outcome = RILLE_OUTCOME_UNDECIDED;
  s->must_ask = true;
  for (size_t i = 0; i < count; i++) {
    s->list[i].optional = participants[i].optional != 0;
    s->list[i].voter = participants[i].voter != 0;
    s->list[i].prepares_later = participants[i].prepares_later != 0;
  }
  advance(s);
  return s;
}

void rille_steps_free(rille_steps *s) {
  struct memory m = memory_default();
  if (s) memory_free(&m, s, sizeof *s + s->count * sizeof s->list[0]);
}

/* ---- What is to be done -------------------------------------------------- */

static enum rille_step step_of_voting(const rille_steps *s, size_t *participant) {
  if (s->must_ask) return RILLE_STEP_ASK;
  *participant = first_that(s, is_unflushed);
  return *participant < s->count ? RILLE_STEP_FLUSH : RILLE_STEP_WAIT;
}

static enum rille_step step_of_committing(const rille_steps *s, size_t *participant) {
  *participant = first_that(s, is_untold_member);
  if (*participant < s->count) return RILLE_STEP_COMMIT;
  *participant = first_that(s, is_untold);
  return RILLE_STEP_ABORT;
}

static enum rille_step step_of(const rille_steps *s, test_of_one *test, enum rille_step step,
                               size_t *participant) {
  *participant = first_that(s, test);
  assert(*participant < s->count);
  return step;
}

enum rille_step rille_steps_next(const rille_steps *s, size_t *participant) {
  size_t unused;
  if (!participant) participant = &unused;
  *participant = 0;
  check(s);
  switch (s->state) {
    case PREPARING: return step_of(s, is_unasked, RILLE_STEP_PREPARE, participant);
    case VOTING: return step_of_voting(s, participant);
    case DECIDING: return RILLE_STEP_DECIDE;
    case FORCING: return RILLE_STEP_FORCE;
    case COMMITTING: return step_of_committing(s, participant);
    case ABORTING: return step_of(s, is_untold, RILLE_STEP_ABORT, participant);
    case ANSWERING: return RILLE_STEP_ANSWER;
    case WATCHING: return step_of(s, is_watched, RILLE_STEP_WATCH, participant);
    case ENDING: return RILLE_STEP_END;
    case OVER:
    case STATES: break;
  }
  return RILLE_STEP_OVER;
}

/* ---- Being told: votes --------------------------------------------------- */

/* What was not asked for, where it can't be something late. Nothing is changed by it. */
static void out_of_turn(void) {
#ifdef RILLE_DEBUG
  assert(!"rille_steps was told what it had not asked for");
#endif
}

/* The participant, if votes still count and it is or was the one that PREPARE named. */
static struct one *who_votes(rille_steps *s, size_t participant) {
  if (participant >= s->count ||
      (s->state == PREPARING && participant > first_that(s, is_unasked))) {
    out_of_turn();
    return NULL;
  }
  bool open = s->state == PREPARING || s->state == VOTING;
  return open ? &s->list[participant] : NULL;
}

static void take_vote(rille_steps *s, struct one *p, enum rille_vote vote) {
  p->answered = 1;
  p->written = 0;
  p->vote = vote;
  s->must_ask = true;
  if (!has_agreed(p) && is_required(p)) give_up(s);
  advance(s);
}

/* Without a flush its frame is a vote already: of a store, that it has only conditions. Who
** knows better may tell by rille_steps_voted. */
void rille_steps_prepared(rille_steps *s, size_t participant, int needs_flush) {
  struct one *p = who_votes(s, participant);
  if (!p || p->answered) return;
  p->answered = 1;
  p->held = !p->voter;
  p->written = needs_flush && !p->prepares_later && !p->voter;
  p->assumed = !p->written;
  if (p->written) advance(s);
  else take_vote(s, p, p->prepares_later || p->voter ? RILLE_VOTE_YES : RILLE_VOTE_READ);
}

/* A vote is told once. */
void rille_steps_voted(rille_steps *s, size_t participant, enum rille_vote vote) {
  struct one *p = who_votes(s, participant);
  if (!p || (p->answered && !p->written && !p->assumed)) return;
  if (!p->answered) p->held = !p->voter && (vote == RILLE_VOTE_YES || vote == RILLE_VOTE_NONE);
  p->assumed = 0;
  take_vote(s, p, vote);
}

static bool name_members(rille_steps *s, const size_t *members, size_t count) {
  for (size_t i = 0; i < s->count; i++) {
    struct one *p = &s->list[i];
    p->member = !members && !p->voter && has_agreed(p);
  }
  for (size_t i = 0; members && i < count; i++) {
    if (members[i] >= s->count || !has_agreed(&s->list[members[i]])) return false;
    s->list[members[i]].member = !s->list[members[i]].voter;
  }
  return !is_any(s, is_left_out);
}

/* Of the votes as they are now. */
int rille_steps_verdict(rille_steps *s, int outcome, const size_t *members, size_t count,
                        rille_error *e) {
  if (s->state != VOTING) {
    if (s->state == PREPARING) out_of_turn();
    return 0;
  }
  s->must_ask = false;
  int refused = 0;
  if (outcome == RILLE_OUTCOME_COMMITTED && !name_members(s, members, count)) {
    refused = error_set(e, RILLE_INVALID,
                        "the policy would commit with participants that have "
                        "not voted yes, or without one that is required: aborted; let it name "
                        "those that voted yes, with every required one");
    outcome = RILLE_OUTCOME_ABORTED;
  }
  if (outcome == RILLE_OUTCOME_COMMITTED) s->state = DECIDING;
  else if (outcome != RILLE_OUTCOME_UNDECIDED) give_up(s);
  advance(s);
  return refused;
}

/* A participant that was asked to prepare and has not answered may have done so. */
void rille_steps_timeout(rille_steps *s) {
  if (s->state != PREPARING && s->state != VOTING) return; /* S6 */
  size_t asked = first_that(s, is_unasked);
  if (asked < s->count) s->list[asked].held = !s->list[asked].voter;
  give_up(s);
  advance(s);
}

/* ---- Being told: the decision -------------------------------------------- */

/* Whether the machine is in that state; if not, what was told is out of turn. */
static bool expects(const rille_steps *s, enum state state) {
  if (s->state != state) out_of_turn();
  return s->state == state;
}

/* RILLE_OUTCOME_UNKNOWN: home can't tell whether its frame is written. */
void rille_steps_decided(rille_steps *s, int outcome) {
  if (!expects(s, DECIDING)) return;
  if (outcome == RILLE_OUTCOME_COMMITTED) s->state = FORCING;
  else if (outcome == RILLE_OUTCOME_UNKNOWN) know(s, RILLE_OUTCOME_UNKNOWN, ANSWERING);
  else give_up(s);
  advance(s);
}

void rille_steps_forced(rille_steps *s, int flushed) {
  if (!expects(s, FORCING)) return;
  s->forced = flushed != 0;
  if (s->forced) know(s, RILLE_OUTCOME_COMMITTED, COMMITTING);
  else know(s, RILLE_OUTCOME_UNKNOWN, ANSWERING);
  advance(s);
}

/* ---- Being told: the rest ------------------------------------------------ */

/* The locks of a read-only member are free once it is told: no disk need know. */
void rille_steps_finished(rille_steps *s, size_t participant, int reached) {
  bool telling = s->state == COMMITTING || s->state == ABORTING;
  if (!telling || participant >= s->count || !is_untold(&s->list[participant])) {
    out_of_turn();
    return;
  }
  struct one *p = &s->list[participant];
  p->told = 1;
  p->reached = reached != 0;
  p->acknowledged = p->reached && p->vote == RILLE_VOTE_READ;
  advance(s);
}

void rille_steps_answered(rille_steps *s) {
  if (!expects(s, ANSWERING)) return;
  s->state = s->outcome == RILLE_OUTCOME_COMMITTED ? WATCHING : OVER;
  advance(s);
}

/* Also before WATCH asks for it, and again. */
void rille_steps_acknowledged(rille_steps *s, size_t participant) {
  if (participant < s->count && s->list[participant].member && s->list[participant].reached)
    s->list[participant].acknowledged = 1;
  else out_of_turn();
  advance(s);
}

void rille_steps_ended(rille_steps *s) {
  if (!expects(s, ENDING)) return;
  s->state = OVER;
  advance(s);
}

/* ---- Looking at it ------------------------------------------------------- */

int rille_steps_outcome(const rille_steps *s) { return s->outcome; }

enum rille_vote rille_steps_vote(const rille_steps *s, size_t participant) {
  return participant < s->count ? s->list[participant].vote : RILLE_VOTE_NONE;
}

int rille_steps_is_member(const rille_steps *s, size_t participant) {
  return participant < s->count && s->list[participant].member;
}

const char *rille_steps_state(const rille_steps *s) { return NAMES[s->state]; }
