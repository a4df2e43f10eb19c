/* home.c: decisions, epochs, the watermark. */
#include "home.h"

#include <assert.h>
#include <stdio.h>

#include "build.h"
#include "condition.h"
#include "error.h"
#include "input.h"
#include "recall.h"

/* ---- Ids ---- */

/* Cuts the text behind the last dot off. */
static rille_text cut_last(rille_text *from) {
  size_t n = from->length;
  while (n && from->bytes[n - 1] != '.') n--;
  rille_text last = {from->bytes + n, from->length - n};
  from->length = n ? n - 1 : 0;
  return last;
}

static bool parse_number(rille_text text, uint64_t *number) {
  *number = 0;
  for (size_t i = 0; i < text.length; i++) {
    if (text.bytes[i] < '0' || text.bytes[i] > '9' || *number > UINT64_MAX / 10 - 9) return false;
    *number = *number * 10 + (uint64_t)(text.bytes[i] - '0');
  }
  return text.length > 0;
}

bool transaction_parse(rille_text id, struct transaction_id *t) {
  if (!parse_number(cut_last(&id), &t->number)) return false;
  t->nonce = cut_last(&id);
  if (!parse_number(cut_last(&id), &t->epoch)) return false;
  t->uuid = id;
  return t->nonce.length == 16 && t->uuid.length == 36;
}

/* ---- Words ---- */

/* The value of a word; 0: there is none. */
static int word(struct log *l, enum word_kind kind, rille_text name, uint64_t *value,
                rille_error *e) {
  struct chain_head head;
  int failed = log_find_head(l, kind, name, &head, e);
  *value = !failed && head.count ? head.tower[0] : 0;
  return failed;
}

/* One of those that stand for the whole store: from then on it is in the overlay. */
static int epoch_word(struct log *l, const char *name, uint64_t *value, rille_error *e) {
  struct chain_head head;
  int failed = log_find_head(l, WORD_EPOCH, rille_text_of(name), &head, e);
  *value = !failed && head.count ? head.tower[0] : 0;
  return failed ? failed : log_keep(l, WORD_EPOCH, rille_text_of(name), &head, e);
}

static int closed_word(struct log *l, rille_text nonce, uint64_t *frame, rille_error *e) {
  char name[sizeof EPOCH_CLOSED + 16];
  int n = snprintf(name, sizeof name, EPOCH_CLOSED "%.*s", (int)nonce.length, nonce.bytes);
  return word(l, WORD_EPOCH, (rille_text){name, (size_t)n}, frame, e);
}

/* ---- What is known ---- */

/* The epoch while it is open: then the table has it, and nothing need be looked up. */
static const struct pending_entry *open_epoch(const struct log *l, rille_text nonce) {
  const struct pending_entry *open = pending_find(&l->pending, nonce);
  return open && open->kind == PENDING_EPOCH ? open : NULL;
}

/* Of one that no frame decides: by its epoch (D5). */
static int judge_epoch(struct log *l, const struct transaction_id *t,
                       const struct pending_entry *open, uint64_t home_end, struct outcome *o,
                       rille_error *e) {
  uint64_t epoch = open ? frame_word(open->frame) : 0, closed = 0, restored, watermark;
  o->outcome = RILLE_OUTCOME_UNKNOWN;
  int failed = open ? 0 : word(l, WORD_EPOCH, t->nonce, &epoch, e);
  if (!failed && !open) failed = closed_word(l, t->nonce, &closed, e);
  if (!failed) failed = epoch_word(l, EPOCH_RESTORED, &restored, e);
  if (!failed) failed = epoch_word(l, EPOCH_WATERMARK, &watermark, e);
  if (failed || epoch == 0) return failed;
  if (open && open->value != t->epoch) return 0; /* an id that nobody was given */
  if (restored > epoch || home_end > l->seen.address) return 0;
  if (closed && frame_of(closed) < max_u64(home_end, watermark)) return 0;
  o->outcome = closed ? RILLE_OUTCOME_ABORTED : RILLE_OUTCOME_UNDECIDED;
  o->epoch = t->epoch;
  return 0;
}

/* The word of its decision; 0: there is none. That stands behind the epoch's frame, so where the
** overlays begin before that, they alone have it. */
static int decision_word(struct log *l, rille_text id, const struct pending_entry *open,
                         uint64_t *value, rille_error *e) {
  const struct overlay *first = l->has_old ? &l->old : &l->fresh;
  if (!open || open->frame < first->start) return word(l, WORD_OUTCOME, id, value, e);
  const struct overlay_entry *entry = overlay_find(&l->fresh, WORD_OUTCOME, id);
  if (!entry && l->has_old) entry = overlay_find(&l->old, WORD_OUTCOME, id);
  *value = entry && entry->count ? entry->tower[0] : 0;
  return 0;
}

static int frame_end_of(struct log *l, uint64_t address, uint64_t *end, rille_error *e) {
  struct recalled r;
  int failed = recall_frame(&r, &l->source, &l->memory, address, e);
  if (failed) return failed;
  *end = frame_end(&r.frame);
  recall_release(&r);
  return 0;
}

bool log_is_home(const struct log *l, rille_text id, struct transaction_id *t) {
  char uuid[37];
  identity_text(l->identity.uuid, uuid);
  return transaction_parse(id, t) && text_equal(t->uuid, rille_text_of(uuid));
}

/* With `lock`, caught up. */
static int judge(struct log *l, rille_text id, uint64_t home_end, struct outcome *o,
                 rille_error *e) {
  struct transaction_id t;
  uint64_t decided, watermark;
  *o = (struct outcome){.outcome = RILLE_OUTCOME_NONE, .end = l->seen.address};
  if (!log_is_home(l, id, &t)) return 0;
  int failed = log_know_pending(l, e);
  const struct pending_entry *open = failed ? NULL : open_epoch(l, t.nonce);
  if (!failed) failed = decision_word(l, id, open, &decided, e);
  if (!failed && !decided) return judge_epoch(l, &t, open, home_end, o, e);
  if (!failed) failed = epoch_word(l, EPOCH_WATERMARK, &watermark, e);
  if (failed) return failed;
  const struct pending_entry *entry = pending_find(&l->pending, id);
  o->ended = !entry;
  o->outcome =
      !entry && frame_of(decided) < watermark ? RILLE_OUTCOME_UNKNOWN : (int)outcome_of(decided);
  o->decision = frame_of(decided);
  return frame_end_of(l, o->decision, &o->end, e);
}

static int enter_reading(struct log *l, rille_error *e) {
  pthread_mutex_lock(&l->lock);
  struct log_end end = log_written(l);
  int failed = log_refuse_failed(l, e);
  if (!failed) failed = log_catch_up(l, &end, e);
  if (failed) pthread_mutex_unlock(&l->lock);
  return failed;
}

int log_outcome(struct log *l, rille_text id, uint64_t home_end, struct outcome *o,
                rille_error *e) {
  int failed = enter_reading(l, e);
  if (failed) return failed;
  failed = judge(l, id, home_end, o, e);
  pthread_mutex_unlock(&l->lock);
  return failed;
}

/* The transaction that a decision's frame is about. */
static int decided_id(struct log *l, uint64_t address, char id[RILLE_TRANSACTION_BYTES],
                      rille_error *e) {
  struct recalled r;
  struct fact f;
  int failed = recall_frame(&r, &l->source, &l->memory, address, e);
  if (failed) return failed;
  size_t n = 0;
  for (size_t at = 0, used; (used = fact_get(r.prefix.bytes + at, r.prefix.length - at, &f)) != 0;
       at += used)
    if (f.kind == FACT_DECIDED && f.name.length < RILLE_TRANSACTION_BYTES)
      memcpy(id, f.name.bytes, n = f.name.length);
  id[n] = '\0';
  recall_release(&r);
  return 0;
}

int log_client(struct log *l, rille_text client, char id[RILLE_TRANSACTION_BYTES], int *outcome,
               uint64_t *frame, rille_error *e) {
  uint64_t decided = 0;
  id[0] = '\0';
  *outcome = RILLE_OUTCOME_NONE;
  *frame = 0;
  if (client.length == 0 || client.length > RILLE_NAME_BYTES) return 0;
  int failed = enter_reading(l, e);
  if (failed) return failed;
  failed = word(l, WORD_CLIENT, client, &decided, e);
  if (!failed && decided) failed = decided_id(l, frame_of(decided), id, e);
  pthread_mutex_unlock(&l->lock);
  if (failed || !decided) return failed;
  *outcome = (int)outcome_of(decided);
  *frame = frame_of(decided);
  return 0;
}

/* ---- Deciding ---- */

/* Ends of others, on the way. */
static int build_ended(struct building *b, const rille_decide *d, rille_error *e) {
  int failed = 0;
  for (size_t i = 0; i < d->ended_count && !failed; i++) {
    const struct fact ended = {.kind = FACT_ENDED, .name = d->ended[i]};
    const struct pending_entry *entry = pending_find(&b->log->pending, ended.name);
    if (entry && entry->kind == PENDING_DECIDED) failed = build_fact(b, &ended, e);
  }
  return failed;
}

static int write_decision(struct log *l, const rille_decide *d, rille_error *e) {
  struct building b;
  struct pack bytes;
  const struct decision decision = {d->client, d->detail, d->members, d->member_count, {0}};
  pack_init(&bytes, &l->memory);
  decision_pack(&decision, &bytes);
  struct fact decided = {.kind = FACT_DECIDED,
                         .name = d->id,
                         .value = (uint64_t)d->outcome,
                         .payload = pack_all(&bytes)};
  bool commits = d->outcome == RILLE_OUTCOME_COMMITTED;
  int64_t now = d->work && d->work->now_us ? d->work->now_us : log_now(l);
  int failed = bytes.no_memory ? error_memory(e) : 0;
  if (!failed) {
    failed = build_begin(&b, l, FRAME_DECISION, now, e);
    if (!failed) failed = build_fact(&b, &decided, e);
    if (!failed) failed = build_ended(&b, d, e);
    if (!failed && commits && d->work) failed = build_work(&b, d->work, e);
    failed = build_finish(l, &b, failed, e);
  }
  pack_release(&bytes);
  return failed;
}

/* D1: whether the client's id leaves it free. */
static int check_client(struct log *l, const rille_decide *d, bool *fenced, rille_error *e) {
  uint64_t decided;
  *fenced = false;
  if (d->client.length == 0 || d->outcome != RILLE_OUTCOME_COMMITTED) return 0;
  int failed = word(l, WORD_CLIENT, d->client, &decided, e);
  if (failed || !decided) return failed;
  if (outcome_of(decided) == RILLE_OUTCOME_COMMITTED)
    return error_set(e, RILLE_DUPLICATE,
                     "the id \"%.*s\" is that of a transaction that has been "
                     "committed",
                     (int)d->client.length, d->client.bytes);
  *fenced = frame_of(decided) >= d->home_end;
  return 0;
}

/* 0: nothing is decided; RILLE_REMARK with the winner. */
static int check_undecided(struct log *l, const rille_decide *d, rille_decided *done,
                           rille_error *e) {
  struct outcome o;
  bool fenced = false;
  int failed = judge(l, d->id, d->home_end, &o, e);
  if (!failed && o.outcome == RILLE_OUTCOME_UNDECIDED) failed = check_client(l, d, &fenced, e);
  if (failed || (o.outcome == RILLE_OUTCOME_UNDECIDED && !fenced)) return failed;
  if (o.outcome == RILLE_OUTCOME_NONE || o.outcome == RILLE_OUTCOME_UNKNOWN)
    return error_set(e, RILLE_INVALID, "transaction %.*s did not begin in this store",
                     (int)d->id.length, d->id.bytes);
  done->outcome = fenced ? RILLE_OUTCOME_ABORTED : o.outcome;
  done->end = o.end;
  return RILLE_REMARK;
}

/* Streams that are only checked are brought into the overlay: once the frame is written, to tell
** their versions must not fail. */
static int know_streams(struct log *l, const rille_append *work, rille_error *e) {
  struct overlay_entry *entry;
  int failed = 0;
  for (size_t i = 0; work && work->versions && i < work->part_count && !failed; i++)
    failed = log_entry(l, CHAIN_STREAM, work->parts[i].stream, &entry, e);
  return failed;
}

static void fill_versions(struct log *l, const rille_append *work) {
  for (size_t i = 0; work && work->versions && i < work->part_count; i++)
    work->versions[i] = overlay_find(&l->fresh, CHAIN_STREAM, work->parts[i].stream)->count;
}

/* D6: where the disk failed the frame may be in the file, and may come back whole. A full disk
** leaves no whole frame (segment.c), and whatever fails before it is written leaves nothing. */
static int tell_unknown(int failed, rille_error *e) {
  if (failed != RILLE_IO) return failed;
  if (e) e->code = RILLE_UNKNOWN;
  return RILLE_UNKNOWN;
}

static int decide_locked(struct log *l, struct condition *c, const rille_decide *d,
                         rille_decided *done, bool *again, rille_error *e) {
  rille_appended before;
  bool commits = d->outcome == RILLE_OUTCOME_COMMITTED, conditions = d->work && commits;
  rille_decide aborts = *d;
  if (!commits) aborts.client = (rille_text){0}; /* what else its client does is not decided */
  int result = check_undecided(l, d, done, e);
  if (!result) result = log_succeed(l, e);
  if (!result && conditions) result = condition_check(c, l, &before, again, e);
  if (result == RILLE_REMARK && !done->outcome)
    return error_set(e, RILLE_DUPLICATE,
                     "the ids of home's events were used before, at position "
                     "%llu",
                     (unsigned long long)before.first);
  if (!result && !*again) result = know_streams(l, d->work, e);
  if (result || *again) return result;
  uint64_t next = l->seen.next_position;
  result = tell_unknown(write_decision(l, commits ? d : &aborts, e), e);
  if (result) return result;
  if (commits) log_start_flush(l);
  fill_versions(l, d->work);
  done->outcome = d->outcome;
  done->end = l->seen.address;
  if (l->seen.next_position == next) return 0;
  done->first = next;
  done->last = l->seen.next_position - 1;
  return 0;
}

static int check_decide(struct log *l, const rille_decide *d, rille_error *e) {
  if (d->outcome != RILLE_OUTCOME_COMMITTED && d->outcome != RILLE_OUTCOME_ABORTED)
    return error_set(e, RILLE_INVALID, "a decision is to commit or to abort");
  if (d->client.length > RILLE_NAME_BYTES)
    return error_set(e, RILLE_INVALID, "the id has %zu bytes: at most %d are allowed",
                     d->client.length, RILLE_NAME_BYTES);
  if (d->member_count > RILLE_MEMBERS || d->detail.length > RILLE_EVENT_BYTES)
    return error_set(e, RILLE_INVALID, "the decision is too large: at most %d members and 16 MiB",
                     RILLE_MEMBERS);
  if (l->options.readonly)
    return error_set(e, RILLE_READONLY, "the store is open for reading only");
  return d->work ? input_check(d->work, e) : 0;
}

int log_decide(struct log *l, const rille_decide *d, rille_decided *done, rille_error *e) {
  static const rille_append nothing = {.size = sizeof nothing};
  struct condition c;
  bool again = true;
  *done = (rille_decided){0};
  int failed = check_decide(l, d, e);
  if (!failed) failed = condition_init(&c, l, d->work ? d->work : &nothing, e);
  if (failed) return failed;
  while (!failed && again) {
    again = false;
    failed = log_make_room(l, e);
    if (!failed) failed = condition_walk(&c, l, e);
    if (!failed) failed = log_enter_append_until(l, d->deadline_us, e);
    if (failed) break;
    failed = decide_locked(l, &c, d, done, &again, e);
    log_leave_append(l);
  }
  condition_release(&c);
  return failed;
}

int log_check(struct log *l, const rille_append *work, rille_error *e) {
  struct condition c;
  rille_appended before;
  bool again = true;
  int failed = input_check(work, e);
  if (failed || (failed = condition_init(&c, l, work, e)) < 0) return failed;
  while (!failed && again) {
    failed = condition_walk(&c, l, e);
    if (!failed) failed = enter_reading(l, e);
    if (failed) break;
    failed = condition_check(&c, l, &before, &again, e);
    pthread_mutex_unlock(&l->lock);
  }
  condition_release(&c);
  return failed < 0 ? failed : 0;
}

/* ---- Fencing, ending ---- */

int log_fence(struct log *l, rille_text id, rille_text client, uint64_t home_end, struct outcome *o,
              rille_error *e) {
  int failed = log_make_room(l, e);
  if (!failed) failed = log_enter_append(l, e);
  if (failed) return failed;
  failed = id.length ? judge(l, id, home_end, o, e) : 0;
  bool free = id.length ? o->outcome == RILLE_OUTCOME_UNDECIDED : true;
  uint64_t decided = 0;
  if (!failed && !id.length) failed = word(l, WORD_CLIENT, client, &decided, e);
  if (outcome_of(decided) == RILLE_OUTCOME_COMMITTED) free = false;
  if (!failed && free) {
    const rille_decide d = {.id = id.length ? id : rille_text_of("?"),
                            .client = client,
                            .outcome = RILLE_OUTCOME_ABORTED};
    failed = write_decision(l, &d, e);
    *o = (struct outcome){.outcome = RILLE_OUTCOME_ABORTED, .end = l->seen.address};
  }
  log_leave_append(l);
  control_wake(l->control);
  return failed;
}

int log_end_transaction(struct log *l, rille_text id, rille_error *e) {
  const struct fact ended = {.kind = FACT_ENDED, .name = id};
  int failed = log_make_room(l, e);
  if (!failed) failed = log_enter_append(l, e);
  if (failed) return failed;
  const struct pending_entry *entry = pending_find(&l->pending, id);
  if (entry && entry->kind == PENDING_DECIDED) failed = build_note(l, &ended, FRAME_END, e);
  else if (entry)
    failed = error_set(e, RILLE_INVALID, "transaction %.*s was not decided here", (int)id.length,
                       id.bytes);
  log_leave_append(l);
  return failed;
}

/* ---- Epochs ---- */

/* Facts that close those whose instance is dead; or the one with this nonce. */
static int add_closed(struct log *l, struct building *b, const char *nonce, epoch_lives lives,
                      void *context, size_t *count, rille_error *e) {
  int failed = 0;
  *count = 0;
  for (const struct pending_entry *p = l->pending.first, *next; p && !failed; p = next) {
    next = p->next;
    if (p->kind != PENDING_EPOCH) continue;
    bool closes =
        nonce ? text_equal(pending_name(p), rille_text_of(nonce)) : !lives(context, p->value);
    const struct fact closed = {.kind = FACT_CLOSED, .name = pending_name(p)};
    if (!closes) continue;
    ++*count;
    if (b) failed = build_fact(b, &closed, e);
  }
  return failed;
}

static int build_epoch(struct log *l, const char *nonce, epoch_lives lives, void *context,
                       struct epoch *epoch, rille_error *e) {
  struct building b;
  size_t closed;
  const struct fact begun = {
      .kind = FACT_EPOCH, .name = rille_text_of(nonce), .value = epoch->number};
  pending_keep(&l->pending);
  int failed = build_begin(&b, l, FRAME_EPOCH, log_now(l), e);
  if (!failed) failed = add_closed(l, &b, NULL, lives, context, &closed, e);
  if (!failed) failed = build_fact(&b, &begun, e);
  failed = build_finish(l, &b, failed, e);
  pending_keep_end(&l->pending);
  return failed;
}

int log_begin_epoch(struct log *l, const char *nonce, epoch_lives lives,
                    bool (*claim)(void *context, uint64_t epoch), void *context,
                    struct epoch *epoch, rille_error *e) {
  int failed = log_make_room(l, e);
  if (!failed) failed = log_enter_append(l, e);
  if (failed) return failed;
  failed = epoch_word(l, EPOCH_LAST, &epoch->number, e);
  epoch->number++;
  snprintf(epoch->nonce, sizeof epoch->nonce, "%s", nonce);
  if (!failed && !claim(context, epoch->number))
    failed = error_set(e, RILLE_IO, "can't lock the file `store` for a coordinator");
  if (!failed) failed = build_epoch(l, nonce, lives, context, epoch, e);
  log_leave_append(l);
  return failed;
}

int log_close_epochs(struct log *l, const char *nonce, epoch_lives lives, void *context,
                     rille_error *e) {
  struct building b;
  size_t count;
  int failed = log_make_room(l, e);
  if (!failed) failed = log_enter_append(l, e);
  if (failed) return failed;
  failed = add_closed(l, NULL, nonce, lives, context, &count, e);
  if (!failed && count) {
    pending_keep(&l->pending);
    failed = build_begin(&b, l, FRAME_CLOSED, log_now(l), e);
    if (!failed) failed = add_closed(l, &b, nonce, lives, context, &count, e);
    failed = build_finish(l, &b, failed, e);
    pending_keep_end(&l->pending);
  }
  log_leave_append(l);
  control_wake(l->control);
  return failed;
}

/* ---- Copies, and forgetting ---- */

static int write_alone(struct log *l, const struct fact *fact, uint16_t kind, rille_error *e) {
  int failed = log_enter_append(l, e);
  if (failed) return failed;
  failed = build_note(l, fact, kind, e);
  log_leave_append(l);
  return failed;
}

int log_mark_restored(struct log *l, rille_error *e) {
  const struct fact restored = {.kind = FACT_RESTORED, .name = rille_text_of(EPOCH_RESTORED)};
  return write_alone(l, &restored, FRAME_RESTORED, e);
}

/* The frame of the last event before a time, by halving; frames' times never go back. */
static int frame_before(struct log *l, int64_t time_us, uint64_t *address, rille_error *e) {
  uint64_t low = 0, high = l->seen.next_position;
  *address = 0;
  while (high - low > 1) {
    uint64_t middle = low + (high - low) / 2;
    struct place place;
    struct recalled r;
    int failed = log_find_place(l, middle, &place, e);
    if (failed) return failed;
    if (place.position == 0) {
      low = middle;
      continue;
    }
    if ((failed = recall_frame(&r, &l->source, &l->memory, place.frame, e)) < 0) return failed;
    bool before = r.frame.time_us < time_us;
    recall_release(&r);
    if (before) {
      low = middle;
      *address = place.frame;
    } else {
      high = middle;
    }
  }
  return 0;
}

int log_watermark(struct log *l, int64_t before_us, rille_error *e) {
  struct fact mark = {.kind = FACT_WATERMARK, .name = rille_text_of(EPOCH_WATERMARK)};
  uint64_t now;
  int failed = log_make_room(l, e);
  if (!failed) failed = log_enter_append(l, e);
  if (failed) return failed;
  failed = frame_before(l, before_us, &mark.value, e);
  for (const struct pending_entry *p = l->pending.first; p; p = p->next)
    if (p->kind == PENDING_DECIDED) mark.value = min_u64(mark.value, p->frame);
  if (!failed) failed = epoch_word(l, EPOCH_WATERMARK, &now, e);
  if (!failed && mark.value > now) failed = build_note(l, &mark, FRAME_WATERMARK, e);
  log_leave_append(l);
  return failed;
}
