/* settle.c: settling, and the calls that settle what they meet: opening, appending,
** truncating, strong reads. */
#include "settle.h"

#include "error.h"
#include "input.h"
#include "instance.h"
#include "participant.h"
#include "query.h"
#include "recall.h"

#define LOCK_TRIES_MOST 8 /* whose time is up, but finds that what was in the way is over */
#define LOCK_NAP_US 50000 /* asleep before a lock, before one looks whether its holder lives */

/* ---- At home ---- */

static int close_dead(rille_store *home, rille_text id, rille_error *e) {
  struct transaction_id t;
  char nonce[17];
  if (!transaction_parse(id, &t)) return 0;
  memcpy(nonce, t.nonce.bytes, 16);
  nonce[16] = '\0';
  return log_close_epochs(&home->shared->log, nonce, NULL, NULL, e);
}

int settle_at_home(rille_store *home, rille_text id, uint64_t home_end, bool look, bool late,
                   struct outcome *o, rille_error *e) {
  struct log *l = &home->shared->log;
  struct transaction_id t;
  bool own = transaction_parse(id, &t);
  bool dead = own && !instance_lives(home->shared, t.epoch); /* before the log is looked at */
  int failed = log_outcome(l, id, home_end, o, e);
  if (failed) return failed;
  bool can = !look && !l->options.readonly && o->outcome == RILLE_OUTCOME_UNDECIDED;
  if (can && dead) failed = close_dead(home, id, e);
  else if (can && late) failed = log_fence(l, id, (rille_text){0}, home_end, o, e);
  if (!failed && can && (dead || late)) failed = log_outcome(l, id, home_end, o, e);
  if (failed || o->outcome != RILLE_OUTCOME_COMMITTED) return failed;
  if (!l->options.readonly) return log_flush(l, o->end, e); /* D6 */
  if (o->end > log_durable(l).address) *o = (struct outcome){.outcome = RILLE_OUTCOME_UNDECIDED};
  return 0;
}

/* ---- Asking the home of one ---- */

struct answer {
  int outcome;
  bool asked; /* home was found, and knew */
};

static int is_member(rille_store *home, const struct outcome *o, const rille_doubt *d, bool *member,
                     rille_error *e) {
  struct log *l = &home->shared->log;
  struct recalled r;
  struct fact fact;
  struct decision decision;
  int failed = recall_frame(&r, &l->source, &l->memory, o->decision, e);
  if (failed) return failed;
  bool found = recall_fact(&r, FACT_DECIDED, d->id, &fact);
  if (!found || !decision_unpack(&decision, fact.payload))
    failed = error_corrupt(e, o->decision, "the decision at byte %llu can't be read",
                           (unsigned long long)o->decision);
  else *member = decision_has_member(&decision, d->name);
  recall_release(&r);
  return failed;
}

static int ask(rille_store *home, const rille_doubt *d, struct answer *a, rille_error *e) {
  struct outcome o;
  bool late = d->deadline_us && system_clock_us() > d->deadline_us, member = true;
  int failed = settle_at_home(home, d->id, d->home_end, d->restored != 0, late, &o, e);
  if (!failed && o.outcome == RILLE_OUTCOME_COMMITTED) failed = is_member(home, &o, d, &member, e);
  if (failed) return failed;
  a->asked = o.outcome != RILLE_OUTCOME_UNKNOWN && o.outcome != RILLE_OUTCOME_NONE;
  a->outcome = member ? o.outcome : RILLE_OUTCOME_ABORTED; /* a yes that was not counted */
  if (a->asked) return 0;
  return error_set(e, RILLE_UNKNOWN,
                   "%s does not know transaction %.*s: it is a copy, or came out of a backup, or "
                   "has forgotten it",
                   home->shared->folder, (int)d->id.length, d->id.bytes);
}

static rille_text uuid_of(rille_text id) {
  struct transaction_id t;
  return transaction_parse(id, &t) ? t.uuid : (rille_text){0};
}

static bool has_uuid(const rille_store *h, rille_text uuid) {
  char text[37];
  identity_text(h->shared->log.identity.uuid, text);
  return text_equal(uuid, rille_text_of(text));
}

/* Opens what is at the path and asks it, if it is home. */
static int ask_at(const char *path, const rille_doubt *d, struct answer *a, rille_error *e) {
  const rille_options options = {.size = sizeof options, .no_create = 1};
  rille_store *home;
  int failed = store_open(path, &options, &home, e);
  if (failed < 0) return failed;
  failed = has_uuid(home, uuid_of(d->id))
               ? ask(home, d, a, e)
               : error_set(e, RILLE_NOTFOUND,
                           "%s is another store than the home of transaction "
                           "%.*s",
                           path, (int)d->id.length, d->id.bytes);
  int closed = rille_store_close(home);
  return failed ? failed : closed;
}

static int ask_text(const char *base, rille_text path, const rille_doubt *d, struct answer *a,
                    rille_error *e) {
  char text[SYSTEM_PATH_BYTES], joined[SYSTEM_PATH_BYTES];
  if (path.length == 0 || path.length >= sizeof text) return RILLE_NOTFOUND;
  memcpy(text, path.bytes, path.length);
  text[path.length] = '\0';
  if (!base) return ask_at(text, d, a, e);
  return system_join(joined, sizeof joined, base, text) ? ask_at(joined, d, a, e) : RILLE_NOTFOUND;
}

static int ask_in_process(const rille_doubt *d, struct answer *a, rille_error *e) {
  int failed = RILLE_NOTFOUND;
  rille_store *home;
  for (size_t i = 0; !a->asked && (home = store_of_uuid(uuid_of(d->id), i)) != NULL; i++) {
    failed = ask(home, d, a, e);
    (void)rille_store_close(home); /* others hold it too */
  }
  return failed;
}

/* Every place in turn until one knows; the error is of the last that was there. */
static int ask_everywhere(rille_store *h, const rille_doubt *d, rille_text given, struct answer *a,
                          rille_error *e) {
  const struct peers *peers = &h->shared->peers;
  *a = (struct answer){.asked = false};
  if (!text_equal(d->home_kind, rille_text_of("store")))
    return error_set(e, RILLE_NOTFOUND,
                     "the home of transaction %.*s is %.*s %.*s: only a coordinator that knows it "
                     "can ask it",
                     (int)d->id.length, d->id.bytes, (int)d->home_kind.length, d->home_kind.bytes,
                     (int)d->home_path.length, d->home_path.bytes);
  int failed = ask_in_process(d, a, e);
  if (!a->asked) failed = ask_text(h->shared->folder, d->home_relative, d, a, e);
  if (!a->asked) failed = ask_text(NULL, d->home_path, d, a, e);
  if (!a->asked && given.length) failed = ask_text(NULL, given, d, a, e);
  for (size_t i = 0; i < peers->count && !a->asked; i++) failed = ask_at(peers->paths[i], d, a, e);
  return a->asked ? 0 : failed;
}

/* ---- Doing what it says ---- */

/* A contradiction has been logged and is listed; it fails once, with ABORTED or CONFLICT. */
static int obey(rille_store *h, const rille_doubt *d, const struct answer *a, rille_settled *s,
                rille_error *e) {
  struct log *l = &h->shared->log;
  rille_finished done;
  if (a->outcome == RILLE_OUTCOME_UNDECIDED) {
    s->undecided++;
    return 0;
  }
  bool commits = a->outcome == RILLE_OUTCOME_COMMITTED;
  int result = commits ? log_commit(l, d->id, &done, e) : log_abort(l, d->id, &done, e);
  if (result >= 0 && commits) s->committed++;
  if (result >= 0 && !commits) s->aborted++;
  return result > 0 ? 0 : result;
}

/* Home that is not there is counted, and why is told last. */
static int settle_one(rille_store *h, const rille_doubt *d, rille_text given, rille_settled *s,
                      rille_error *e) {
  struct answer a;
  rille_error why = {0};
  if (d->contradicted) return 0;
  if (ask_everywhere(h, d, given, &a, &why) == 0) return obey(h, d, &a, s, e);
  s->unreachable++;
  if (e) {
    *e = why;
    e->code = RILLE_REMARK;
  }
  return 0;
}

static bool is_contradiction(int failed) {
  return failed == RILLE_ABORTED || failed == RILLE_CONFLICT;
}

/* A contradiction keeps no other transaction in doubt: it is told when all have been tried. */
static int settle_listed(rille_store *h, const rille_settle *o, rille_settled *s, rille_error *e) {
  rille_doubts doubts;
  rille_error why = {0};
  bool found = false;
  int failed = doubts_prepared(h, true, &doubts, e), contradicted = 0;
  for (size_t i = 0; i < doubts.count && !failed; i++) {
    const rille_doubt *d = &doubts.list[i];
    bool wanted = o->id.length == 0 || text_equal(o->id, d->id) || text_equal(o->id, d->client);
    found = found || wanted;
    if (wanted) failed = settle_one(h, d, o->home, s, e);
    if (!is_contradiction(failed)) continue;
    if (e) why = *e;
    contradicted = failed;
    failed = 0;
  }
  rille_doubts_free(&doubts);
  if (!failed && contradicted && e) *e = why;
  if (!failed) failed = contradicted;
  if (failed || found || o->id.length == 0) return failed;
  return error_set(e, RILLE_NOTFOUND, "transaction %.*s is not in doubt here", (int)o->id.length,
                   o->id.bytes);
}

int rille_store_settle(rille_store *h, const rille_settle *given, rille_settled *settled,
                       rille_error *e) {
  rille_settle o = {.size = sizeof o};
  rille_settled ignored = {0};
  rille_settled *s = settled ? settled : &ignored;
  *s = (rille_settled){0};
  if (given && given->size == 0)
    return error_set(e, RILLE_INVALID, "settle.size is 0: set it to sizeof settle");
  if (given) memcpy(&o, given, given->size < sizeof o ? given->size : sizeof o);
  int failed = store_usable(h, e);
  if (!failed && h->shared->log.options.readonly)
    failed = error_set(e, RILLE_READONLY, "the store is open for reading only");
  return failed ? failed : settle_listed(h, &o, s, e);
}

/* ---- Opening ---- */

/* What can't be settled now stays in doubt, is listed, and keeps nobody from opening. */
int rille_store_open(const char *path, const rille_options *options, rille_store **store,
                     rille_error *e) {
  int result = store_open(path, options, store, e);
  if (result < 0 || (*store)->shared->log.options.readonly) return result;
  if (atomic_load(&(*store)->shared->control.words->prepared))
    (void)rille_store_settle(*store, NULL, NULL, NULL);
  return result;
}

/* ---- Waiting for a lock ---- */

/* Whether the holder of a lock is gone, and the lock with it. */
static bool settle_holder(rille_store *h, const rille_error *locked) {
  const rille_settle o = {.size = sizeof o, .id = rille_text_of(locked->transaction)};
  rille_settled s;
  int result = rille_store_settle(h, &o, &s, NULL);
  return result == RILLE_NOTFOUND || s.committed || s.aborted;
}

static int64_t end_of_wait(int64_t wait_ms) {
  int64_t now = system_monotonic_us();
  return wait_ms < 0 || wait_ms > (INT64_MAX - now) / 1000 ? INT64_MAX : now + wait_ms * 1000;
}

int rille_store_append(rille_store *h, const rille_append *append, rille_appended *done,
                       rille_error *e) {
  bool knows_wait = append->size >= offsetof(rille_append, wait_ms) + sizeof append->wait_ms;
  int64_t wait_ms = knows_wait ? append->wait_ms : 0;
  int64_t end = wait_ms ? end_of_wait(wait_ms) : 0;
  struct control *c = &h->shared->control;
  bool listens = false;
  int result;
  for (unsigned late = 0;;) {
    rille_error why = {0};
    uint32_t sequence = h->shared->forked || !c->words ? 0 : atomic_load(&c->words->sequence);
    result = store_append_once(h, append, done, &why);
    if (e && result != 0) *e = why;
    if (result != RILLE_LOCKED) break;
    bool settled = settle_holder(h, &why);
    int64_t left = end - system_monotonic_us();
    if (left <= 0 && (!settled || ++late > LOCK_TRIES_MOST)) break;
    if (settled) continue;
    if (listens) (void)control_sleep(c, sequence, left < LOCK_NAP_US ? left : LOCK_NAP_US);
    else listens = control_listen(c); /* and look once more */
  }
  if (listens) control_listen_end(c);
  return result;
}

/* before = UINT64_MAX: all there is. `internal`: the name may begin with "$". */
static int cut(rille_store *h, rille_text stream, uint64_t before, bool internal, rille_error *e) {
  rille_error why = {0};
  int result = store_usable(h, &why);
  if (!result) result = input_check_stream(stream, internal, &why);
  if (!result) result = store_cut_once(h, stream, before, &why);
  if (result == RILLE_LOCKED && settle_holder(h, &why))
    result = store_cut_once(h, stream, before, &why);
  if (e && result != 0) *e = why;
  return result;
}

int rille_store_truncate(rille_store *h, rille_text stream, uint64_t before, rille_error *e) {
  return cut(h, stream, min_u64(before, INT64_MAX), false, e); /* which no stream reaches */
}

int rille_store_prune(rille_store *h, rille_text stream, uint64_t before, rille_error *e) {
  return cut(h, stream, min_u64(before, INT64_MAX), true, e);
}

int rille_store_delete(rille_store *h, rille_text stream, rille_error *e) {
  return cut(h, stream, UINT64_MAX, false, e);
}

/* ---- Strong reads (K5) ---- */

/* Whether a prepared transaction would add to what is read; a mark is read with everything. */
static bool adds(const struct promise *p, rille_text stream, const struct query *q) {
  if (p->work.mark.name.length && !stream.length && !q->count) return true;
  for (size_t i = 0; i < p->work.part_count; i++) {
    const rille_part *part = &p->work.parts[i];
    if (part->event_count && stream.length && text_equal(part->stream, stream)) return true;
    for (size_t j = 0; j < part->event_count && !stream.length; j++)
      if (query_match_input(q, part->stream, &part->events[j])) return true;
  }
  return false;
}

/* The ids of those that would. */
static int find_adding(struct log *l, rille_text stream, const struct query *q, struct pack *found,
                       rille_error *e) {
  pthread_mutex_lock(&l->lock);
  struct log_end end = log_written(l);
  int failed = log_refuse_failed(l, e);
  if (!failed) failed = log_catch_up(l, &end, e);
  for (const struct pending_entry *p = l->pending.first; p && !failed; p = p->next)
    if (p->kind == PENDING_PREPARED && adds(&p->promise, stream, q))
      pack_text(found, pending_name(p));
  pthread_mutex_unlock(&l->lock);
  return found->no_memory ? error_memory(e) : failed;
}

static int settle_found(rille_store *h, const struct pack *found, rille_error *e) {
  struct unpack u = {.at = found->bytes.bytes, .left = found->bytes.length};
  while (u.left) {
    const rille_settle o = {.size = sizeof o, .id = unpack_text(&u)};
    rille_settled s;
    rille_error why = {0};
    int failed = rille_store_settle(h, &o, &s, &why);
    if (failed && failed != RILLE_NOTFOUND) {
      if (e) *e = why;
      return failed;
    }
    if (!failed && s.unreachable)
      return error_set(e, RILLE_LOCKED,
                       "transaction %.*s is prepared here and its home can't be asked (%s): read "
                       "with consistency \"eventual\", or see `rille tx`",
                       (int)o.id.length, o.id.bytes, why.message);
  }
  return 0;
}

static int settle_before_reading(rille_store *h, const rille_query *query, rille_error *e) {
  rille_text stream = query ? query->stream : (rille_text){0};
  struct query q;
  struct pack found;
  int failed =
      query_init(&q, query ? query->items : NULL, query ? query->item_count : 0, &h->memory, e);
  if (failed) return failed;
  pack_init(&found, &h->memory);
  failed = find_adding(&h->shared->log, stream, &q, &found, e);
  if (!failed) failed = settle_found(h, &found, e);
  pack_release(&found);
  query_release(&q);
  return failed;
}

int rille_store_strong(rille_store *h, const rille_query *query, rille_error *e) {
  struct log *l = &h->shared->log;
  int failed = store_usable(h, e);
  if (failed || l->options.readonly) return failed;
  const struct control_words *w = h->shared->control.words;
  if (atomic_load(&w->prepared)) failed = settle_before_reading(h, query, e);
  if (failed || !store_sees_durable(h)) return failed;
  return log_flush_owed(l, e);
}
