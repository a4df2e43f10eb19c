/* drive.c: a whole transaction over stores: the loop around the machine of steps (steps.c).
**
** It does what comes next and tells what happened; what each step means stands in
** rille_transaction.h. All participants are required and prepare at once, so of policies there
** is only unanimity, which the machine keeps by itself. What is left after the answer, to
** watch and to note the end, is the caller's. */
#include "buffer.h"
#include "error.h"
#include "system.h"

struct drive {
  const rille_transact *t;
  rille_transacted *done;
  rille_steps *steps;
  int64_t late_us;     /* of the monotonic clock ... */
  int64_t deadline_us; /* ... and the same of the wall's, for promises */
  uint64_t flush;      /* of the member that is asked: nothing else is done in between */
  rille_error *why;
};

/* ---- Locks in the way ---- */

/* A lock whose holder is dead or late is settled on the spot. */
static bool settles_holder(rille_store *store, int code, const rille_error *e) {
  rille_settled settled = {0};
  const rille_settle settle = {.size = sizeof settle, .id = rille_text_of(e->transaction)};
  if (code != RILLE_LOCKED || !e->transaction[0]) return false;
  return rille_store_settle(store, &settle, &settled, NULL) == 0 &&
         settled.committed + settled.aborted > 0;
}

/* The first cause is the one that is told. */
static void blame(struct drive *d, const rille_error *cause) {
  if (d->why && d->why->code == 0) *d->why = *cause;
}

static bool is_late(const struct drive *d) { return system_monotonic_us() >= d->late_us; }

static void give_up_late(struct drive *d) {
  rille_error late;
  error_set(&late, RILLE_ABORTED, "not decided within %g s", (double)d->t->timeout_us / 1e6);
  blame(d, &late);
  rille_steps_timeout(d->steps);
}

/* ---- Promises ---- */

/* Where the disk failed its promise may be there all the same: who is asked in vain is told. */
static void refuse(struct drive *d, size_t i) {
  rille_member *m = &d->t->members[i];
  bool unsure = m->error.code == RILLE_IO || m->error.code == RILLE_UNKNOWN;
  m->vote = unsure ? RILLE_VOTE_NONE : RILLE_VOTE_NO;
  blame(d, &m->error);
  rille_steps_voted(d->steps, i, m->vote);
}

static void prepare(struct drive *d, size_t i) {
  const rille_transact *t = d->t;
  rille_member *m = &t->members[i];
  rille_prepared prepared;
  const rille_prepare p = {.size = sizeof p,
                           .id = t->id,
                           .name = m->name,
                           .home_kind = {"store", 5},
                           .home_path = t->home_path,
                           .home_end = t->home_end,
                           .coordinator = t->coordinator,
                           .client = t->client,
                           .deadline_us = d->deadline_us,
                           .detail = t->detail,
                           .work = m->work};
  if (is_late(d)) {
    give_up_late(d);
    return;
  }
  int failed = rille_store_prepare(m->store, &p, &prepared, &m->error);
  if (failed && settles_holder(m->store, failed, &m->error))
    failed = rille_store_prepare(m->store, &p, &prepared, &m->error);
  if (failed) {
    refuse(d, i);
    return;
  }
  m->error.code = 0;
  m->vote = prepared.flush ? RILLE_VOTE_NONE : RILLE_VOTE_READ;
  m->checks_only = prepared.checks_only;
  m->finished.end = prepared.flush;
  rille_steps_prepared(d->steps, i, prepared.flush != 0);
}

static void flush(struct drive *d, size_t i) {
  rille_member *m = &d->t->members[i];
  if (rille_store_flush(m->store, m->finished.end, &m->error) < 0) {
    refuse(d, i);
    return;
  }
  m->vote = RILLE_VOTE_YES;
  rille_steps_voted(d->steps, i, RILLE_VOTE_YES);
}

/* Unanimity: who said no has ended it already. */
static void ask(struct drive *d) {
  bool all = true;
  for (size_t i = 0; i < d->t->member_count; i++)
    if (d->t->members[i].vote == RILLE_VOTE_NONE) all = false;
  if (!all && is_late(d)) give_up_late(d);
  else
    rille_steps_verdict(d->steps, all ? RILLE_OUTCOME_COMMITTED : RILLE_OUTCOME_UNDECIDED, NULL, 0,
                        NULL);
}

/* ---- The decision ---- */

#define NAMES_ON_STACK 8u

static int decide_as(struct drive *d, const rille_text *names, rille_error *e) {
  const rille_transact *t = d->t;
  rille_decide decide = {.size = sizeof decide,
                         .id = t->id,
                         .client = t->client,
                         .home_end = t->home_end,
                         .outcome = RILLE_OUTCOME_COMMITTED,
                         .members = names,
                         .member_count = t->member_count,
                         .work = t->work,
                         .deadline_us = d->deadline_us};
  if (t->describe && t->describe(t->context, &decide)) return error_memory(e);
  int result = rille_store_decide(t->home, &decide, &d->done->decided, e);
  if (result < 0 && settles_holder(t->home, result, e))
    result = rille_store_decide(t->home, &decide, &d->done->decided, e);
  return result;
}

static int decide_with_names(struct drive *d, rille_error *e) {
  struct memory memory = memory_default();
  rille_text few[NAMES_ON_STACK], *names = few;
  size_t n = d->t->member_count;
  if (n > NAMES_ON_STACK) names = memory_get(&memory, n * sizeof *names);
  if (!names) return error_memory(e);
  for (size_t i = 0; i < n; i++) names[i] = d->t->members[i].name;
  int result = decide_as(d, names, e);
  if (names != few) memory_free(&memory, names, n * sizeof *names);
  return result;
}

static void decide(struct drive *d) {
  rille_error *e = &d->done->home_error;
  int result = decide_with_names(d, e);
  if (result >= 0) {
    e->code = 0;
    bool commits = d->done->decided.outcome == RILLE_OUTCOME_COMMITTED;
    if (!commits) {
      rille_error other;
      error_set(&other, RILLE_ABORTED, "it was aborted by who settled it");
      blame(d, &other);
    }
    rille_steps_decided(d->steps, commits ? RILLE_OUTCOME_COMMITTED : RILLE_OUTCOME_ABORTED);
    return;
  }
  blame(d, e);
  rille_steps_decided(d->steps,
                      result == RILLE_UNKNOWN ? RILLE_OUTCOME_UNKNOWN : RILLE_OUTCOME_ABORTED);
}

static void force(struct drive *d) {
  const rille_transact *t = d->t;
  rille_error why = {0};
  int failed = t->meanwhile ? t->meanwhile(t->context, d->done) : 0;
  if (failed) error_set(&why, RILLE_CLOSED, "a store of the transaction was closed before its end");
  else failed = rille_store_flush(t->home, d->done->decided.end, &why);
  if (failed) blame(d, &why);
  rille_steps_forced(d->steps, !failed);
}

/* ---- Telling ---- */

static void commit(struct drive *d, size_t i) {
  rille_member *m = &d->t->members[i];
  bool owes = m->vote == RILLE_VOTE_YES;
  m->reached = rille_store_commit(m->store, d->t->id, &m->finished, &m->error) >= 0;
  if (m->reached) m->error.code = 0;
  if (!m->reached || !owes) m->finished.end = 0;
  rille_steps_finished(d->steps, i, m->reached);
}

static void tell_abort(struct drive *d, size_t i) {
  rille_member *m = &d->t->members[i];
  m->reached = rille_store_abort(m->store, d->t->id, NULL, NULL) >= 0;
  rille_steps_finished(d->steps, i, m->reached);
}

/* ---- The whole ---- */

/* Home's own conditions, early: what fails now costs nobody anything. */
static bool home_agrees(struct drive *d) {
  const rille_transact *t = d->t;
  rille_error *e = &d->done->home_error;
  int failed = t->work ? rille_store_check(t->home, t->work, e) : 0;
  if (failed && settles_holder(t->home, failed, e)) failed = rille_store_check(t->home, t->work, e);
  if (failed) blame(d, e);
  else e->code = 0;
  return !failed;
}

/* To the answer. Nobody comes while it runs, so to wait is to wait in vain. */
static void run(struct drive *d) {
  size_t i;
  for (;;) switch (rille_steps_next(d->steps, &i)) {
      case RILLE_STEP_PREPARE: prepare(d, i); break;
      case RILLE_STEP_FLUSH: flush(d, i); break;
      case RILLE_STEP_ASK: ask(d); break;
      case RILLE_STEP_WAIT: give_up_late(d); break;
      case RILLE_STEP_DECIDE: decide(d); break;
      case RILLE_STEP_FORCE: force(d); break;
      case RILLE_STEP_COMMIT: commit(d, i); break;
      case RILLE_STEP_ABORT: tell_abort(d, i); break;
      case RILLE_STEP_ANSWER:
      case RILLE_STEP_WATCH:
      case RILLE_STEP_END:
      case RILLE_STEP_OVER: return;
    }
}

static int answer(struct drive *d, rille_error *e) {
  d->done->outcome = rille_steps_outcome(d->steps);
  if (d->done->outcome == RILLE_OUTCOME_COMMITTED) return 0;
  int code = d->done->outcome == RILLE_OUTCOME_UNKNOWN ? RILLE_UNKNOWN : RILLE_ABORTED;
  if (e) e->code = code;
  return code;
}

static rille_steps *new_steps(size_t count) {
  static const rille_steps_participant required[NAMES_ON_STACK];
  struct memory memory = memory_default();
  if (count <= NAMES_ON_STACK) return rille_steps_new(required, count);
  rille_steps_participant *list = memory_get_zeroed(&memory, count * sizeof *list);
  rille_steps *steps = list ? rille_steps_new(list, count) : NULL;
  memory_free(&memory, list, count * sizeof *list);
  return steps;
}

static void clear(const rille_transact *t, rille_transacted *done) {
  done->outcome = RILLE_OUTCOME_ABORTED;
  done->home_error.code = 0;
  done->decided = (rille_decided){0};
  for (size_t i = 0; i < t->member_count; i++) {
    rille_member *m = &t->members[i];
    m->vote = RILLE_VOTE_NONE;
    m->error.code = 0;
    m->reached = m->checks_only = 0;
    m->finished = (rille_finished){0};
  }
}

int rille_store_transact(const rille_transact *given, rille_transacted *done, rille_error *e) {
  rille_transact known = {0};
  const rille_transact *t = &known;
  if (given->size == 0)
    return error_set(e, RILLE_INVALID, "transact.size is 0: set it to sizeof transact");
  memcpy(&known, given, min_u64(given->size, sizeof known));
  if (t->member_count > RILLE_MEMBERS)
    return error_set(e, RILLE_INVALID, "a transaction has at most %d participants", RILLE_MEMBERS);
  clear(t, done);
  if (e) e->code = 0;
  struct drive d = {.t = t, .done = done, .why = e};
  int64_t left_us = add_i64(t->timeout_us, -t->elapsed_us);
  d.late_us = add_i64(system_monotonic_us(), left_us);
  d.deadline_us = add_i64(system_clock_us(), left_us > 0 ? left_us : 0);
  if (!home_agrees(&d)) {
    if (e) e->code = RILLE_ABORTED;
    return RILLE_ABORTED;
  }
  d.steps = new_steps(t->member_count);
  if (!d.steps) return error_memory(e);
  run(&d);
  int result = answer(&d, e);
  rille_steps_free(d.steps);
  return result;
}
