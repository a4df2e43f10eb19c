/* flush.c: one flush for everybody who waits for one.
**
** Who wants the log durable up to an address looks, in this order: durable far enough?
** done. Has a flush failed? unknown. Is nobody flushing? flush, for all that is
** written by now. Else sleep until `sequence` moves, and look again. `sequence` is read
** before all this, so that nothing that happens meanwhile is slept through; and the
** sleep is timed, so that nobody waits for a flusher that was killed.
**
** Before it reads how much there is to flush, a flusher yields while more is being
** written: those who would have come a moment too late are taken along.
**
** A failed flush is told by the kernel once. So `error` is set before FLUSHER is freed,
** and a `flushing` that was left by the dead is taken for a failure that can still be
** mended: what it may have lost is written again (R4). */
#include "log.h"

#include <assert.h>

#include "error.h"
#include "offer.h"

#define FLUSH_NAP_US 10000 /* asleep beside a flusher, before one looks whether it lives */
#define FLUSH_YIELDS_MOST 16u
#define READER_NAP_US 10000
#define WAIT_NAP_US 250000 /* a writer may be killed between writing and waking */

/* ---- Being the flusher ---- */

/* One thread of a process, one process of all. False: another's, or *failed. */
static bool take_turn(struct log *l, int *failed, rille_error *e) {
  *failed = 0;
  if (pthread_mutex_trylock(&l->flushing) != 0) return false;
  if (control_take(l->control, CONTROL_FLUSHER, false, failed, e)) {
    atomic_store(&l->control->words->leading, 1);
    return true;
  }
  pthread_mutex_unlock(&l->flushing);
  return false;
}

static void end_turn(struct log *l) {
  atomic_store(&l->control->words->leading, 0);
  control_free(l->control, CONTROL_FLUSHER);
  pthread_mutex_unlock(&l->flushing);
}

/* Grows with what is written, and with what is offered to be. */
static uint64_t count_others(struct log *l) {
  struct control_words *w = l->control->words;
  return atomic_load(&w->written.turn) + atomic_load(&w->offered);
}

static void let_others_write(struct log *l) {
  for (unsigned i = 0; i < FLUSH_YIELDS_MOST; i++) {
    uint64_t before = count_others(l);
    if (offers_are_made(l->control)) log_serve_late(l);
    else system_yield();
    if (count_others(l) == before) break;
  }
}

/* The bytes are in a file that may be newer than what this process knows. */
static int know_last_file(struct log *l, rille_error *e) {
  if (atomic_load(&l->control->words->segment) == segments_last_first(&l->segments)) return 0;
  pthread_mutex_lock(&l->lock);
  int failed = segments_refresh(&l->segments, e);
  pthread_mutex_unlock(&l->lock);
  return failed;
}

/* With `lock`, because repair notes where the file ends, and so does who appends. */
static int mend_dead_flush(struct log *l, const struct log_end *target, rille_error *e) {
  struct repair_disk disk = segments_disk(&l->segments);
  uint64_t from = max_u64(log_durable(l).address, segments_last_first(&l->segments));
  pthread_mutex_lock(&l->lock);
  int failed = repair_rewrite(&l->source, &disk, &l->memory, from, target->address, e);
  pthread_mutex_unlock(&l->lock);
  return failed;
}

/* 0; RILLE_UNKNOWN where the disk failed; another failure left everything as it was. */
static int flush_group(struct log *l, rille_error *e) {
  struct control_words *w = l->control->words;
  let_others_write(l);
  struct log_end target = log_written(l);
  int failed = know_last_file(l, e);
  if (!failed && atomic_load(&w->flushing)) failed = mend_dead_flush(l, &target, e);
  if (failed) return failed;
  rille_error why = {0};
  atomic_store(&w->flushing, 1);
  failed = segments_flush(&l->segments, &why);
  atomic_fetch_add(&w->flushes, 1);
  if (failed) {
    atomic_store(&w->error, why.system ? (uint32_t)why.system : 1);
    (void)error_set(e, RILLE_UNKNOWN, "%s", why.message);
    if (e) e->system = why.system;
    return RILLE_UNKNOWN;
  }
  shared_end_set(&w->durable, &target);
  atomic_store(&w->flushing, 0);
  return 0;
}

/* ---- Wanting one ---- */

static int tell_unknown(struct log *l, rille_error *e) {
  int number;
  const char *what = control_failure(l->control, &number);
  return error_system(e, number,
                      "%s: the disk may have lost what was written last; close the store in all "
                      "processes and open it again to repair it",
                      what);
}

static bool has_failed(struct log *l) { return atomic_load(&l->control->words->error) != 0; }

/* What there is to say without waiting; RILLE_REMARK: nothing yet. */
static int look(struct log *l, uint64_t address, rille_error *e) {
  if (log_durable(l).address >= address) return 0;
  if (!has_failed(l)) return RILLE_REMARK;
  (void)tell_unknown(l, e);
  if (e) e->code = RILLE_UNKNOWN;
  return RILLE_UNKNOWN;
}

int log_flush(struct log *l, uint64_t address, rille_error *e) {
  if (l->options.readonly) return 0;
  assert(address <= log_written(l).address); /* L10: or it would never be reached */
  for (;;) {
    uint32_t sequence = atomic_load(&l->control->words->sequence);
    int failed, result = look(l, address, e);
    if (result != RILLE_REMARK) return result;
    if (!take_turn(l, &failed, e)) {
      if (failed) return failed;
      control_sleep(l->control, sequence, FLUSH_NAP_US);
      continue;
    }
    result = look(l, address, e); /* whoever had the turn before may have done it */
    if (result == RILLE_REMARK) result = flush_group(l, e);
    if (result >= 0) log_end_lead(l);
    end_turn(l);
    if (result < 0) control_wake(l->control);
    else offers_wake(l->control);
    if (result < 0) return result;
  }
}

/* ---- Waiting for others ---- */

/* A reader can't say that it listens: it looks more often. */
static bool nap(struct log *l, uint32_t sequence, int64_t us, bool durable_only) {
  static _Atomic uint32_t nothing; /* nobody writes, and nobody will wake us */
  int64_t most = l->control->readonly && !durable_only ? READER_NAP_US : WAIT_NAP_US;
  if (us > most) us = most;
  return l->control->words ? control_sleep(l->control, sequence, us)
                           : system_sleep_on(&nothing, 0, SYSTEM_ANYBODY, us);
}

static uint32_t sequence_of(struct log *l) {
  return l->control->words ? atomic_load(&l->control->words->sequence) : 0;
}

/* What is owed by who died before it was written is owed by nobody. */
int log_flush_owed(struct log *l, rille_error *e) {
  if (l->options.readonly) return 0;
  uint64_t owed = min_u64(atomic_load(&l->control->words->owed), log_written(l).address);
  return owed > log_durable(l).address ? log_flush(l, owed, e) : 0;
}

static int wait(struct log *l, uint64_t position, bool durable_only, int64_t end, rille_error *e) {
  for (;;) {
    struct log_end seen;
    uint32_t sequence = sequence_of(l);
    int failed = log_look(l, durable_only, &seen, e); /* a reader may begin to follow */
    if (failed) return failed;
    if (position < seen.next_position) return 0;
    if ((failed = log_refuse_failed(l, e)) < 0) return failed;
    (void)log_poll_flush(l, NULL); /* nobody else may flush; a failure of the disk's is met next */
    int64_t now = system_monotonic_us();
    if (now >= end || !nap(l, sequence, end - now, durable_only)) return RILLE_REMARK;
    bool slept = system_monotonic_us() - now >= WAIT_NAP_US;
    if (durable_only && slept) (void)log_flush_owed(l, NULL); /* a failure is met next */
  }
}

int log_wait(struct log *l, uint64_t position, bool durable_only, int64_t timeout_ms,
             rille_error *e) {
  int64_t now = system_monotonic_us();
  int64_t end =
      timeout_ms < 0 || timeout_ms > (INT64_MAX - now) / 1000 ? INT64_MAX : now + timeout_ms * 1000;
  bool listens = !durable_only && control_listen(l->control);
  int result = wait(l, position, durable_only, end, e);
  if (listens) control_listen_end(l->control);
  return result;
}
