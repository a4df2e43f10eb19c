/* share.c: appends that processes make for each other (offer.h). Who appends while another
** process writes or flushes leaves its append to that one, and sleeps until it is durable: one
** sleep, no turn of its own, and nothing to be read of what the others have written.
**
** Whoever ends a flush, or an append, without having written all that was offered, wakes one of
** the owners, who withdraws what it has offered and goes on by itself: it is the next to write,
** and to flush, for the others.
**
** Who was offered an append may be killed at any moment. Sleeps are timed; who finds its offer
** not done after one withdraws it, or, where it was taken, looks with WRITER what became of it
** (O1). */
#include "log.h"

#include "build.h"
#include "condition.h"
#include "error.h"
#include "offer.h"

#define SHARE_NAP_US 10000 /* asleep beside who leads, before one looks whether it lives */
#define SHARE_BACK_US 100  /* who was away for no longer leads again */
#define SHARE_BEHIND_BYTES ((uint64_t)32 << 10) /* behind by more, one catches up */

/* ---- Leaving it to others ---- */

/* WRITER alone, with nothing caught up. */
static bool enter(struct log *l, rille_error *e) {
  int failed;
  pthread_mutex_lock(&l->appending);
  if (control_take(l->control, CONTROL_WRITER, true, &failed, e)) return true;
  pthread_mutex_unlock(&l->appending);
  return false;
}

static void leave(struct log *l) {
  control_free(l->control, CONTROL_WRITER);
  pthread_mutex_unlock(&l->appending);
  offers_wake_heir(l->control);
}

/* An offer of ours that is NONE. The last one may be none where WRITER could not be had to settle
** it: then who took it may still read it. */
static bool claim(struct log *l) {
  struct control *c = l->control;
  bool ours = c->offer >= 0;
  if (ours ? offer_state(c) == OFFER_NONE : offer_claim(c, false)) return true;
  if (!enter(l, NULL)) return false;
  if (ours) (void)offer_settle(c);
  bool claimed = ours || offer_claim(c, true);
  leave(l);
  return claimed;
}

/* Who never writes reads nothing either; not to have it all to do one day, a bit now and then. */
static void keep_up(struct log *l) {
  pthread_mutex_lock(&l->lock);
  struct log_end end = log_written(l);
  if (end.address - l->seen.address > SHARE_BEHIND_BYTES && !log_refuse_failed(l, NULL))
    (void)log_catch_up(l, &end, NULL); /* a failure is met again */
  pthread_mutex_unlock(&l->lock);
}

static bool offer(struct log *l, const rille_append *append) {
  struct control *c = l->control;
  int64_t now = append->now_us ? append->now_us : log_now(l);
  if (!claim(l) || !offer_fill(&c->offers[c->offer], append, now, &l->memory)) return false;
  offer_make(c);
  keep_up(l); /* while others write, or the disk does */
  return true;
}

/* Whether it was written; RILLE_UNKNOWN: that can't be told. */
static int settle(struct log *l, rille_error *e) {
  if (!enter(l, e)) {
    if (e) e->code = RILLE_UNKNOWN;
    return RILLE_UNKNOWN;
  }
  bool done = offer_settle(l->control);
  leave(l);
  return done;
}

/* Who has led last, and will be back soon. */
static bool is_back_soon(const struct control *c, int64_t now) {
  return now < atomic_load(&c->words->back_us);
}

static int look_again(struct log *l, bool late, int64_t now, int64_t *wait_us, rille_error *e) {
  struct control *c = l->control;
  bool led = offer_is_wanted(c->words), soon = !led && is_back_soon(c, now);
  bool mine = late || (!led && !soon) || atomic_load(&c->words->error);
  if (mine && offer_withdraw(c)) return 0;
  if (late && offer_state(c) == OFFER_TAKEN) return settle(l, e);
  *wait_us = soon && offer_is_first(c) ? SHARE_BACK_US : SHARE_NAP_US; /* one is enough */
  return 0;
}

/* Whether it was written, as of settle, and the offer is ours again; or there is more to wait
** for. `late`: who leads may be dead. */
static int look(struct log *l, bool late, int64_t now, int64_t *wait_us, rille_error *e) {
  struct control *c = l->control;
  enum offer_state state = offer_state(c);
  *wait_us = 0;
  if (state == OFFER_DONE) {
    bool durable = log_durable(l).address >= offer_result(c).end;
    if (!durable && !late && atomic_load(&c->words->leading)) *wait_us = SHARE_NAP_US;
    else offer_clear(c);
    return 1;
  }
  if (state == OFFER_DECLINED) offer_clear(c);
  if (state == OFFER_DECLINED || state == OFFER_NONE) return 0;
  return look_again(l, late, now, wait_us, e);
}

static int wait_for_others(struct log *l, rille_error *e) {
  struct control *c = l->control;
  uint32_t mask = (uint32_t)1 << c->offer;
  int64_t deadline = system_monotonic_us() + SHARE_NAP_US;
  for (;;) {
    int64_t wait_us, now = system_monotonic_us();
    uint32_t sequence = atomic_load(&c->words->sequence);
    int result = look(l, now >= deadline, now, &wait_us, e);
    if (!wait_us) return result;
    control_sleep_as(c, sequence, mask, wait_us);
  }
}

static bool share(struct log *l, const rille_append *append, rille_appended *done, uint64_t *end,
                  int *result, rille_error *e) {
  if (!offer(l, append)) return false;
  int written = wait_for_others(l, e);
  struct offer_result r = offer_result(l->control);
  *result = written < 0 ? written : 0;
  if (written <= 0) return written < 0;
  *done = (rille_appended){.first = r.first, .last = r.last, .version = r.version};
  if (append->versions) append->versions[0] = r.version;
  *end = r.end;
  return true;
}

/* How long ago the last one was. */
static bool is_wanted(struct log *l) {
  const struct control_words *w = l->control->words;
  int64_t answered = l->answered_us, back = atomic_load(&w->back_us), now;
  if (answered == 0 && back == 0) return offer_is_wanted(w);
  now = system_monotonic_us();
  l->hurries = now - answered < SHARE_BACK_US;
  return offer_is_wanted(w) || (now < back && back != l->back_us);
}

bool log_share(struct log *l, const rille_append *append, rille_appended *done, uint64_t *end,
               int *result, rille_error *e) {
  struct control *c = l->control;
  if (l->failed || !is_wanted(l) || atomic_exchange(&c->offering, true)) return false;
  bool shared = share(l, append, done, end, result, e);
  atomic_store(&c->offering, false);
  if (shared) l->answered_us = system_monotonic_us();
  return shared;
}

void log_end_lead(struct log *l) {
  struct control_words *w = l->control->words;
  if (!offers_are_done(l->control)) return;
  l->answered_us = system_monotonic_us();
  l->back_us = l->hurries ? l->answered_us + SHARE_BACK_US : 0;
  atomic_store(&w->back_us, l->back_us);
}

/* ---- Being the one ---- */

static int write_offered(struct log *l, unsigned which, const rille_append *append) {
  struct building b;
  struct chain_head head = {.count = 0};
  int failed = build_begin(&b, l, FRAME_EVENTS, append->now_us, NULL);
  if (!failed) failed = build_work(&b, append, NULL);
  if (!failed) failed = log_find_head(l, CHAIN_STREAM, append->parts->stream, &head, NULL);
  if (!failed) {
    struct offer_result r = {l->seen.next_position, b.position - 1, head.count,
                             b.address + l->frame.length};
    atomic_store(&l->control->words->writing, r.end);
    offer_promise(l->control, which, &r);
  }
  return build_finish(l, &b, failed, NULL);
}

/* What its owner would find out: it is accepted, or it is not for us to say. */
static bool is_accepted(struct log *l, const rille_append *append) {
  struct condition c;
  rille_appended done;
  bool again;
  if (condition_init(&c, l, append, NULL) < 0) return false;
  int result = condition_check(&c, l, &done, &again, NULL);
  condition_release(&c);
  return result == 0 && !again;
}

/* Whether to go on: what fails here, disk or memory, fails for the next one, too. */
static bool serve(struct log *l, unsigned which) {
  struct offered offered;
  bool accepted = offer_open(l->control, which, &offered) && is_accepted(l, &offered.append);
  int failed = accepted ? write_offered(l, which, &offered.append) : 0;
  if (failed && l->segments.torn) return false; /* its owner can't know whether it is there */
  offer_end(l->control, which, accepted && !failed);
  return !failed;
}

void log_serve(struct log *l) {
  unsigned which = 0;
  if (l->failed || atomic_load(&l->control->words->writing)) return;
  while (!log_is_due(l) && !log_is_full(l, 0)) {
    which = offer_take(l->control, which);
    if (which == OFFERS_MOST || !serve(l, which)) return;
    which++;
  }
}

void log_serve_late(struct log *l) {
  if (!log_try_append(l)) return;
  log_serve(l);
  log_leave_append(l);
}
