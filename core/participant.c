/* participant.c: preparing, committing, aborting; and by hand. */
#include "participant.h"

#include <assert.h>

#include "build.h"
#include "condition.h"
#include "error.h"
#include "input.h"
#include "recall.h"

#define OWED_FLUSH_US 1000000
#define FINISH_US_LEAST 1000000 /* beyond the deadline, too */

static int refuse_readonly(const struct log *l, rille_error *e) {
  return l->options.readonly ? error_set(e, RILLE_READONLY, "the store is open for reading only")
                             : 0;
}

/* What is known here of how a transaction ended; outcome 0: nothing. */
static int find_outcome(struct log *l, rille_text id, uint64_t *frame, unsigned *outcome,
                        rille_error *e) {
  struct chain_head head;
  int failed = log_find_head(l, WORD_OUTCOME, id, &head, e);
  uint64_t word = !failed && head.count ? head.tower[0] : 0;
  *frame = frame_of(word);
  *outcome = outcome_of(word);
  return failed;
}

/* ---- Preparing ---- */

static int check_new(struct log *l, rille_text id, rille_error *e) {
  uint64_t frame;
  unsigned outcome;
  if (pending_find(&l->pending, id))
    return error_set(e, RILLE_DUPLICATE, "transaction %.*s is prepared here already",
                     (int)id.length, id.bytes);
  int failed = find_outcome(l, id, &frame, &outcome, e);
  if (failed || outcome == RILLE_OUTCOME_NONE) return failed;
  if (outcome == RILLE_OUTCOME_ABORTED)
    return error_set(e, RILLE_ABORTED, "transaction %.*s was aborted here before it was prepared",
                     (int)id.length, id.bytes);
  return error_set(e, RILLE_DUPLICATE, "transaction %.*s is committed here already", (int)id.length,
                   id.bytes);
}

/* Of few parts those before it are looked at; of many their streams are kept in a table. */
#define FEW_PARTS 8u

static int count_part(struct log *l, struct overlay *streams, const rille_part *part,
                      uint64_t *version, rille_error *e) {
  struct chain_head head;
  struct overlay_entry *entry = overlay_find(streams, CHAIN_STREAM, part->stream);
  int failed = entry ? 0 : log_find_head(l, CHAIN_STREAM, part->stream, &head, e);
  if (failed) return failed;
  if (!entry) entry = overlay_add(streams, CHAIN_STREAM, part->stream, &head);
  if (!entry) return error_memory(e);
  *version = entry->count += part->event_count;
  return 0;
}

static int fix_many(struct log *l, const rille_append *work, rille_error *e) {
  struct overlay streams;
  int failed = 0;
  overlay_init(&streams, &l->memory, l->identity.salt);
  for (size_t i = 0; i < work->part_count && !failed; i++)
    failed = count_part(l, &streams, &work->parts[i], &work->versions[i], e);
  overlay_release(&streams);
  return failed;
}

static int fix_version(struct log *l, const rille_append *work, size_t i, rille_error *e) {
  const rille_part *part = &work->parts[i];
  struct chain_head head;
  size_t before = i;
  while (before && !text_equal(work->parts[before - 1].stream, part->stream)) before--;
  int failed = before ? 0 : log_find_head(l, CHAIN_STREAM, part->stream, &head, e);
  if (failed) return failed;
  work->versions[i] = (before ? work->versions[before - 1] : head.count) + part->event_count;
  return 0;
}

/* What each part's stream will be at: nobody else writes to it until then. */
static int fix_versions(struct log *l, const rille_append *work, rille_error *e) {
  int failed = 0;
  if (!work->versions) return 0;
  if (work->part_count > FEW_PARTS) return fix_many(l, work, e);
  for (size_t i = 0; i < work->part_count && !failed; i++) failed = fix_version(l, work, i, e);
  return failed;
}

static int write_promise(struct log *l, const struct promise *p, bool checks_only, rille_error *e) {
  struct building b;
  struct pack bytes;
  pack_init(&bytes, &l->memory);
  promise_pack(p, &bytes);
  struct fact promised = {.kind = FACT_PROMISED, .name = p->id, .payload = pack_all(&bytes)};
  int failed = bytes.no_memory ? error_memory(e) : 0;
  if (!failed && bytes.bytes.length > RILLE_APPEND_BYTES + MIB)
    failed = error_set(e, RILLE_INVALID, "the work of the transaction has more than 64 MiB");
  if (!failed) {
    failed = build_begin(&b, l, FRAME_PREPARE, p->now_us, e);
    b.checks_only = checks_only;
    if (!failed) failed = build_fact(&b, &promised, e);
    failed = build_finish(l, &b, failed, e);
  }
  pack_release(&bytes);
  return failed;
}

/* Of a promise of conditions only the frame need not be durable: whoever loses it has lost
** its coordinator with it, and its decision with that, or has the decision, which was made
** while it held. What the conditions were checked against must be. */
static uint64_t flush_of(struct log *l, uint64_t weighty, bool checks_only) {
  if (!checks_only) return l->seen.address;
  return weighty > log_durable(l).address ? weighty : 0;
}

static int prepare_locked(struct log *l, struct condition *c, const struct promise *p,
                          rille_prepared *done, bool *again, rille_error *e) {
  rille_appended before;
  int result = check_new(l, p->id, e);
  if (!result) result = log_succeed(l, e);
  if (!result) result = condition_check(c, l, &before, again, e);
  if (result == RILLE_REMARK)
    return error_set(e, RILLE_DUPLICATE,
                     "the ids of these events were used before, at position "
                     "%llu",
                     (unsigned long long)before.first);
  if (!result && !*again) result = fix_versions(l, &p->work, e);
  if (result || *again) return result;
  uint64_t weighty = min_u64(atomic_load(&l->control->words->weighty), l->seen.address);
  done->checks_only = promise_checks_only(p);
  result = write_promise(l, p, done->checks_only, e);
  if (!result) done->flush = flush_of(l, weighty, done->checks_only);
  if (!result && !done->checks_only) log_start_flush(l);
  assert(result || pending_find(&l->pending, p->id)); /* K1: it holds its locks */
  return result;
}

int log_prepare(struct log *l, const struct promise *p, rille_prepared *done, rille_error *e) {
  struct condition c;
  bool again = true;
  *done = (rille_prepared){0};
  int failed = input_check(&p->work, e);
  if (!failed) failed = refuse_readonly(l, e);
  if (failed || (failed = condition_init(&c, l, &p->work, e)) < 0) return failed;
  while (!failed && again) {
    failed = log_make_room(l, e);
    if (!failed) failed = condition_walk(&c, l, e);
    if (!failed) failed = log_enter_append_until(l, p->deadline_us, e);
    if (failed) break;
    failed = prepare_locked(l, &c, p, done, &again, e);
    log_leave_append(l);
  }
  condition_release(&c);
  return failed;
}

/* ---- Finishing ---- */

/* One frame with the outcome, and the work where that is to be done. `by_hand`: an
** operator's, with the reason. */
static int write_outcome(struct log *l, const struct pending_entry *entry, int outcome,
                         const struct fact *by_hand, rille_error *e) {
  struct building b;
  bool commits = outcome == RILLE_OUTCOME_COMMITTED;
  const struct promise *p = &entry->promise;
  struct fact done = {.kind = commits ? FACT_COMMITTED : FACT_ABORTED,
                      .name = pending_name(entry),
                      .value = entry->frame};
  assert(entry->kind == PENDING_PREPARED);
  pending_keep(&l->pending); /* the fact ends the entry, which is still to be read */
  int failed = build_begin(&b, l, commits ? FRAME_COMMIT : FRAME_ABORT, p->now_us, e);
  b.checks_only = promise_checks_only(p) && !by_hand;
  b.owes = commits && !promise_checks_only(p);
  if (!failed) failed = build_fact(&b, &done, e);
  if (!failed && by_hand) failed = build_fact(&b, by_hand, e);
  if (!failed && commits) failed = build_work(&b, &p->work, e);
  failed = build_finish(l, &b, failed, e);
  pending_keep_end(&l->pending);
  return failed;
}

/* How it ended before: positions and end of that frame. */
static int tell_frame(struct log *l, uint64_t address, rille_finished *done, rille_error *e) {
  struct recalled r;
  int failed = recall_frame(&r, &l->source, &l->memory, address, e);
  if (failed) return failed;
  *done = (rille_finished){r.first, r.last, frame_end(&r.frame)};
  recall_release(&r);
  return 0;
}

/* What an operator did is compared with what home says. */
static int compare(struct log *l, rille_text id, const struct pending_entry *entry, int outcome,
                   rille_error *e) {
  struct fact fact = {.kind = FACT_ENDED, .name = id}; /* the entry's own goes with the entry */
  int by_hand = (int)entry->value;
  if (entry->kind == PENDING_BY_HAND && by_hand == outcome)
    return build_note(l, &fact, FRAME_RESOLVE, e);
  struct pack bytes;
  pack_init(&bytes, &l->memory);
  promise_pack(&entry->promise, &bytes);
  fact.kind = FACT_CONTRADICTED;
  fact.value = (uint64_t)outcome;
  fact.payload = pack_all(&bytes);
  bool new = entry->kind == PENDING_BY_HAND;
  int failed = bytes.no_memory ? error_memory(e) : new ? build_note(l, &fact, FRAME_RESOLVE, e) : 0;
  pack_release(&bytes);
  if (failed) return failed;
  return error_set(e, outcome == RILLE_OUTCOME_COMMITTED ? RILLE_ABORTED : RILLE_CONFLICT,
                   "transaction %.*s was resolved here by hand, and home has decided otherwise: "
                   "the stores disagree; see `rille tx show`, and append what is missing",
                   (int)id.length, id.bytes);
}

/* What there is to do for a transaction that is not prepared any more. */
static int finish_known(struct log *l, rille_text id, int outcome, rille_finished *done,
                        rille_error *e) {
  uint64_t frame;
  unsigned was;
  const struct pending_entry *entry = pending_find(&l->pending, id);
  int failed = find_outcome(l, id, &frame, &was, e);
  if (!failed && entry) failed = compare(l, id, entry, outcome, e);
  if (failed) return failed;
  if (was == (unsigned)outcome) {
    failed = tell_frame(l, frame, done, e);
    return failed ? failed : RILLE_REMARK;
  }
  if (was == RILLE_OUTCOME_COMMITTED)
    return error_set(e, RILLE_CONFLICT, "transaction %.*s is committed here", (int)id.length,
                     id.bytes);
  if (was == RILLE_OUTCOME_ABORTED)
    return error_set(e, RILLE_ABORTED, "transaction %.*s is aborted here", (int)id.length,
                     id.bytes);
  if (outcome == RILLE_OUTCOME_COMMITTED)
    return error_set(e, RILLE_NOTFOUND, "transaction %.*s was never prepared here", (int)id.length,
                     id.bytes);
  struct fact tombstone = {.kind = FACT_ABORTED, .name = id};
  return build_note(l, &tombstone, FRAME_ABORT, e);
}

/* Until when it waits for who keeps the log: what is decided can be told later, too. 0: as long as
** it takes, where nobody gave a deadline. */
static int64_t patience_of(struct log *l, rille_text id) {
  pthread_mutex_lock(&l->lock);
  const struct pending_entry *entry = pending_find(&l->pending, id);
  int64_t deadline = entry ? entry->promise.deadline_us : 0;
  pthread_mutex_unlock(&l->lock);
  int64_t least = system_clock_us() + FINISH_US_LEAST;
  return deadline && deadline < least ? least : deadline;
}

static int finish(struct log *l, rille_text id, int outcome, rille_finished *done, rille_error *e) {
  *done = (rille_finished){0};
  if (id.length == 0 || id.length >= RILLE_TRANSACTION_BYTES)
    return error_set(e, RILLE_INVALID, "the transaction's id has %zu bytes", id.length);
  int failed = refuse_readonly(l, e);
  if (!failed) failed = log_make_room(l, e);
  if (!failed) failed = log_enter_append_until(l, patience_of(l, id), e);
  if (failed) return failed;
  const struct pending_entry *entry = pending_find(&l->pending, id);
  uint64_t next = l->seen.next_position;
  if (entry && entry->kind == PENDING_PREPARED) failed = write_outcome(l, entry, outcome, NULL, e);
  else failed = finish_known(l, id, outcome, done, e);
  if (!failed) done->end = l->seen.address;
  if (!failed && l->seen.next_position > next) {
    done->first = next;
    done->last = l->seen.next_position - 1;
  }
  log_leave_append(l);
  control_tell(l->control); /* who waits for the lock */
  return failed;
}

/* The background thread makes it durable soon, if nobody else flushes before. */
int log_commit(struct log *l, rille_text id, rille_finished *done, rille_error *e) {
  int result = finish(l, id, RILLE_OUTCOME_COMMITTED, done, e);
  if (result == 0) log_want_flush(l, OWED_FLUSH_US);
  return result;
}

int log_abort(struct log *l, rille_text id, rille_finished *done, rille_error *e) {
  return finish(l, id, RILLE_OUTCOME_ABORTED, done, e);
}

/* ---- By hand ---- */

static int write_by_hand(struct log *l, const struct pending_entry *entry, int outcome,
                         rille_text reason, rille_error *e) {
  struct promise kept = entry->promise; /* all but the work, to find home by later */
  struct pack bytes;
  kept.work = (rille_append){.size = sizeof kept.work};
  kept.detail = reason;
  pack_init(&bytes, &l->memory);
  promise_pack(&kept, &bytes);
  struct fact by_hand = {.kind = FACT_BY_HAND,
                         .name = pending_name(entry),
                         .value = (uint64_t)outcome,
                         .payload = pack_all(&bytes)};
  int failed = bytes.no_memory ? error_memory(e) : write_outcome(l, entry, outcome, &by_hand, e);
  pack_release(&bytes);
  return failed;
}

int log_resolve(struct log *l, rille_text id, int outcome, rille_text reason, rille_finished *done,
                rille_error *e) {
  *done = (rille_finished){0};
  if (outcome != RILLE_OUTCOME_COMMITTED && outcome != RILLE_OUTCOME_ABORTED)
    return error_set(e, RILLE_INVALID, "a transaction is resolved to commit or to abort");
  if (reason.length > PROMISE_DETAIL_BYTES)
    return error_set(e, RILLE_INVALID, "the reason has more than 64 KiB");
  int failed = refuse_readonly(l, e);
  if (!failed) failed = log_make_room(l, e);
  if (!failed) failed = log_enter_append(l, e);
  if (failed) return failed;
  const struct pending_entry *entry = pending_find(&l->pending, id);
  uint64_t next = l->seen.next_position;
  bool prepared = entry && entry->kind == PENDING_PREPARED;
  failed = prepared ? write_by_hand(l, entry, outcome, reason, e)
                    : error_set(e, RILLE_NOTFOUND, "transaction %.*s is not in doubt here",
                                (int)id.length, id.bytes);
  if (!failed) done->end = l->seen.address;
  if (!failed && l->seen.next_position > next) {
    done->first = next;
    done->last = l->seen.next_position - 1;
  }
  log_leave_append(l);
  control_wake(l->control);
  return failed;
}
