/* transaction.c: the calls of rille_transaction.h that are steps of a transaction. */
#include "base.h"
#include "error.h"
#include "instance.h"
#include "participant.h"
#include "recall.h"
#include "settle.h"

/* ---- Counting ---- */

/* How long a step took is told by rille_store_stats. */
static void count_step(struct step_words *step, int64_t began_us) {
  atomic_fetch_add(&step->count, 1);
  atomic_fetch_add(&step->time_us, (uint64_t)(system_monotonic_us() - began_us));
}

/* ---- The way home ---- */

/* How to get from the folder `from` to `to`, both absolute; empty: not at all. */
static void relative_path(const char *from, rille_text to, char room[SYSTEM_PATH_BYTES]) {
  size_t common = 0, used = 0;
  room[0] = '\0';
  if (to.length == 0 || to.bytes[0] != '/' || from[0] != '/') return;
  for (size_t i = 0;; i++) {
    bool from_ends = from[i] == '\0' || from[i] == '/';
    bool to_ends = i >= to.length || to.bytes[i] == '/';
    if (from_ends && to_ends) common = i;
    if (from[i] == '\0' || i >= to.length || from[i] != to.bytes[i]) break;
  }
  for (const char *at = from + common; *at; at++)
    if (*at == '/' && used + 3 < SYSTEM_PATH_BYTES) {
      memcpy(room + used, "../", 3);
      used += 3;
    }
  const char *rest = to.bytes + common;
  size_t n = to.length - common;
  if (n && *rest == '/') rest++, n--;
  if (used + n >= SYSTEM_PATH_BYTES) used = n = 0;
  memcpy(room + used, rest, n);
  room[used + n] = '\0';
}

/* ---- Preparing ---- */

/* What the caller gives, as far as he knows it. */
static int know_prepare(const rille_prepare *given, rille_prepare *p, struct known_append *work,
                        rille_error *e) {
  *p = (rille_prepare){0};
  if (given->size == 0)
    return error_set(e, RILLE_INVALID, "prepare.size is 0: set it to sizeof prepare");
  memcpy(p, given, min_u64(given->size, sizeof *p));
  if (!p->work)
    return error_set(e, RILLE_INVALID, "a transaction needs work: prepare.work is NULL");
  return store_know_append(p->work, work, e);
}

static int check_prepare(const rille_prepare *p, rille_error *e) {
  if (p->id.length == 0 || p->id.length >= RILLE_TRANSACTION_BYTES)
    return error_set(e, RILLE_INVALID, "the transaction's id has %zu bytes", p->id.length);
  if (p->detail.length > PROMISE_DETAIL_BYTES)
    return error_set(e, RILLE_INVALID, "the detail has more than 64 KiB");
  return 0;
}

/* Home never prepares: its decision would take the promise's place. Where a store of the same
** uuid is meant, a copy, that log doesn't know the transaction. */
static int refuse_home(struct log *l, const rille_prepare *p, rille_error *e) {
  struct outcome o;
  struct transaction_id t;
  if (!text_equal(p->home_kind, rille_text_of("store"))) return 0; /* it is decided elsewhere */
  if (!log_is_home(l, p->id, &t)) return 0;
  int failed = log_outcome(l, p->id, p->home_end, &o, e);
  if (failed || o.outcome == RILLE_OUTCOME_NONE || o.outcome == RILLE_OUTCOME_UNKNOWN)
    return failed;
  return error_set(e, RILLE_INVALID,
                   "transaction %.*s is decided in this store, which can't promise it: is it open "
                   "under another path?",
                   (int)p->id.length, p->id.bytes);
}

static int prepare(rille_store *h, const rille_prepare *p, const rille_append *work,
                   rille_prepared *prepared, rille_error *e) {
  char relative[SYSTEM_PATH_BYTES];
  struct log *l = &h->shared->log;
  int64_t began = system_monotonic_us();
  relative_path(h->shared->folder, p->home_path, relative);
  struct promise promise = {.memory = h->memory,
                            .id = p->id,
                            .name = p->name,
                            .home_kind = p->home_kind,
                            .home_path = p->home_path,
                            .home_relative = rille_text_of(relative),
                            .coordinator = p->coordinator,
                            .client = p->client,
                            .detail = p->detail,
                            .home_end = p->home_end,
                            .deadline_us = p->deadline_us,
                            .now_us = work->now_us ? work->now_us : log_now(l),
                            .work = *work};
  int failed = log_prepare(l, &promise, prepared, e);
  if (!failed) count_step(&h->shared->control.words->prepares, began);
  return failed;
}

int rille_store_prepare(rille_store *h, const rille_prepare *given, rille_prepared *prepared,
                        rille_error *e) {
  rille_prepare p;
  struct known_append work = {0};
  rille_prepared ignored;
  int failed = store_usable(h, e);
  if (!failed) failed = know_prepare(given, &p, &work, e);
  if (!failed) failed = check_prepare(&p, e);
  if (!failed) failed = refuse_home(&h->shared->log, &p, e);
  return failed ? failed : prepare(h, &p, &work.append, prepared ? prepared : &ignored, e);
}

int rille_store_flush(rille_store *h, uint64_t end, rille_error *e) {
  int failed = store_usable(h, e);
  if (failed || rille_store_is_flushed(h, end)) return failed;
  if (end > log_written(&h->shared->log).address)
    return error_set(e, RILLE_INVALID, "the log has not come to byte %llu",
                     (unsigned long long)end);
  int64_t began = system_monotonic_us();
  failed = log_flush(&h->shared->log, end, e);
  if (!failed) count_step(&h->shared->control.words->forces, began);
  return failed;
}

int rille_store_is_flushed(rille_store *h, uint64_t end) {
  return !h->shared->forked && log_durable(&h->shared->log).address >= end;
}

/* ---- Finishing ---- */

int rille_store_commit(rille_store *h, rille_text id, rille_finished *finished, rille_error *e) {
  rille_finished ignored;
  int result = store_usable(h, e);
  if (result) return result;
  int64_t began = system_monotonic_us();
  result = log_commit(&h->shared->log, id, finished ? finished : &ignored, e);
  if (result < 0) return result;
  count_step(&h->shared->control.words->commits, began);
  return result;
}

int rille_store_abort(rille_store *h, rille_text id, rille_finished *finished, rille_error *e) {
  rille_finished ignored;
  int failed = store_usable(h, e);
  return failed ? failed : log_abort(&h->shared->log, id, finished ? finished : &ignored, e);
}

int rille_store_resolve(rille_store *h, rille_text id, int outcome, rille_text reason,
                        rille_error *e) {
  rille_finished done;
  int failed = store_usable(h, e);
  if (!failed) failed = log_resolve(&h->shared->log, id, outcome, reason, &done, e);
  return failed ? failed : log_flush(&h->shared->log, done.end, e);
}

/* ---- Home ---- */

static int know_decide(const rille_decide *given, rille_decide *d, struct known_append *work,
                       rille_error *e) {
  *d = (rille_decide){0};
  if (given->size == 0)
    return error_set(e, RILLE_INVALID, "decide.size is 0: set it to sizeof decide");
  memcpy(d, given, min_u64(given->size, sizeof *d));
  int failed = d->work ? store_know_append(d->work, work, e) : 0;
  if (d->work) d->work = &work->append;
  return failed;
}

int rille_store_decide(rille_store *h, const rille_decide *given, rille_decided *decided,
                       rille_error *e) {
  rille_decide decide;
  struct known_append work = {0};
  rille_decided ignored;
  int failed = store_usable(h, e);
  if (!failed) failed = know_decide(given, &decide, &work, e);
  if (failed) return failed;
  int64_t began = system_monotonic_us();
  int result = log_decide(&h->shared->log, &decide, decided ? decided : &ignored, e);
  if (result == 0) count_step(&h->shared->control.words->decisions, began);
  return result;
}

int rille_store_check(rille_store *h, const rille_append *work, rille_error *e) {
  struct known_append known = {0};
  int failed = store_usable(h, e);
  if (!failed) failed = store_know_append(work, &known, e);
  return failed ? failed : log_check(&h->shared->log, &known.append, e);
}

static void set_id(rille_told *told, rille_text id) {
  size_t n = id.length < sizeof told->id ? id.length : sizeof told->id - 1;
  if (n) memcpy(told->id, id.bytes, n);
  told->id[n] = '\0';
}

/* The rest of what a decision's frame tells. */
static int tell_decision(rille_store *h, uint64_t frame, rille_told *told, rille_error *e) {
  struct log *l = &h->shared->log;
  struct recalled r;
  struct fact fact;
  struct decision decision;
  int failed = recall_frame(&r, &l->source, &l->memory, frame, e);
  if (failed) return failed;
  told->first = r.first;
  told->last = r.last;
  told->time_us = r.frame.time_us;
  if (recall_fact(&r, FACT_DECIDED, rille_text_of(told->id), &fact) &&
      decision_unpack(&decision, fact.payload)) {
    told->length = decision.detail.length;
    if (told->length <= told->room_bytes && told->length)
      memcpy(told->room, decision.detail.bytes, told->length);
  }
  recall_release(&r);
  return told->length > told->room_bytes ? RILLE_REMARK : 0;
}

static void clear(rille_told *told) {
  void *room = told->room;
  *told = (rille_told){.room = room, .room_bytes = told->room_bytes};
}

static int tell(rille_store *h, rille_text id, const struct outcome *o, rille_told *told,
                rille_error *e) {
  set_id(told, id);
  told->outcome = o->outcome;
  told->ended = o->ended;
  told->end = o->end;
  return o->decision ? tell_decision(h, o->decision, told, e) : 0;
}

static int look(rille_store *h, rille_text id, bool settle, bool force, rille_told *told,
                rille_error *e) {
  struct outcome o;
  int failed = settle_at_home(h, id, 0, !settle, force, &o, e);
  if (!failed) failed = tell(h, id, &o, told, e);
  return failed;
}

/* Nothing is decided about a client's id, and never will be for whoever has begun by now. */
static int fence_client(rille_store *h, rille_text client, rille_told *told, rille_error *e) {
  struct outcome o = {.outcome = RILLE_OUTCOME_NONE};
  struct log *l = &h->shared->log;
  int failed = log_fence(l, (rille_text){0}, client, 0, &o, e);
  if (!failed) failed = log_flush(l, log_written(l).address, e);
  told->outcome = o.outcome;
  told->end = o.end;
  return failed;
}

/* A client's id comes first: it may look like a transaction's. What was aborted may have been
** begun anew, so it is fenced again; what has been committed meanwhile is looked at again. */
static int outcome(rille_store *h, rille_text id, bool settle, bool force, rille_told *told,
                   rille_error *e) {
  char client_of[RILLE_TRANSACTION_BYTES];
  struct transaction_id t;
  uint64_t frame;
  int last;
  clear(told);
  int failed = store_usable(h, e);
  if (!failed) failed = log_client(&h->shared->log, id, client_of, &last, &frame, e);
  if (failed) return failed;
  if (last == RILLE_OUTCOME_COMMITTED)
    return look(h, rille_text_of(client_of), settle, force, told, e);
  if (last == RILLE_OUTCOME_NONE && transaction_parse(id, &t))
    return look(h, id, settle, force, told, e);
  told->outcome = last;
  told->aborted_at = last == RILLE_OUTCOME_ABORTED ? frame : 0;
  if (!settle || !force) return 0;
  if (id.length == 0 || id.length > RILLE_NAME_BYTES)
    return error_set(e, RILLE_INVALID, "the id has %zu bytes: it needs 1 to 255", id.length);
  failed = fence_client(h, id, told, e);
  if (failed || told->outcome != RILLE_OUTCOME_NONE) return failed;
  return outcome(h, id, settle, force, told, e);
}

int rille_store_outcome(rille_store *h, rille_text id, rille_told *told, rille_error *e) {
  return outcome(h, id, false, false, told, e);
}

int rille_store_outcome_settle(rille_store *h, rille_text id, int force, rille_told *told,
                               rille_error *e) {
  if (h->shared->log.options.readonly)
    return error_set(e, RILLE_READONLY, "the store is open for reading only");
  return outcome(h, id, true, force != 0, told, e);
}

int rille_store_end(rille_store *h, rille_text id, rille_error *e) {
  int failed = store_usable(h, e);
  return failed ? failed : log_end_transaction(&h->shared->log, id, e);
}

int rille_store_forget(rille_store *h, int64_t before_us, rille_error *e) {
  int failed = store_usable(h, e);
  if (!failed && h->shared->log.options.readonly)
    failed = error_set(e, RILLE_READONLY, "the store is open for reading only");
  if (!failed) failed = log_watermark(&h->shared->log, before_us, e);
  return failed ? failed : log_flush(&h->shared->log, log_written(&h->shared->log).address, e);
}
