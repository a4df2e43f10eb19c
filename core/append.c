/* append.c: appending. Everything is checked before anything changes; then the frame is
** built and written (build.h). */
#include "log.h"

#include "build.h"
#include "condition.h"
#include "error.h"
#include "input.h"
#include "locks.h"
#include "offer.h"

/* ---- Taking turns ---- */

/* A folder that could not be flushed fails the store for all: nobody can tell whether
** a file in it would outlive a power cut. */
static int tell_unflushed(struct log *l, int failed, const rille_error *why, rille_error *e) {
  bool asked = !system_is_scarce(why->system);
  if (failed == RILLE_IO && asked)
    atomic_store(&l->control->words->error, why->system ? (uint32_t)why->system : 1);
  if (failed && e) *e = *why;
  return failed;
}

/* A file that one began who died, or failed, before telling the others. */
static int adopt_segment(struct log *l, rille_error *e) {
  rille_error why = {0};
  uint64_t last = segments_last_first(&l->segments);
  if (last == atomic_load(&l->control->words->segment)) return 0;
  int failed = segments_flush_folder(&l->segments, &why);
  if (!failed) atomic_store(&l->control->words->segment, last);
  return tell_unflushed(l, failed, &why, e);
}

/* What the last one left who died while it wrote. */
static int clear_writing(struct log *l, const struct log_end *end, rille_error *e) {
  uint64_t to = atomic_load(&l->control->words->writing);
  if (to == 0) return 0;
  int failed = segments_refresh(&l->segments, e);
  if (!failed) failed = adopt_segment(l, e);
  if (!failed) failed = segments_zero(&l->segments, end->address, to, e);
  if (!failed) offers_take_back(l->control, end->address);
  if (!failed) atomic_store(&l->control->words->writing, 0);
  return failed;
}

/* Others may have begun a new file, also without writing to it; or written, and then the
** last one ends elsewhere. Having read what they wrote tells neither. */
static int follow_others(struct log *l, const struct log_end *end, rille_error *e) {
  int failed = 0;
  if (atomic_load(&l->control->words->segment) != segments_last_first(&l->segments))
    failed = segments_refresh(&l->segments, e);
  else if (end->address != l->measured) failed = segments_measure(&l->segments, e);
  if (!failed) l->measured = end->address;
  return failed;
}

static int catch_up_to_append(struct log *l, rille_error *e) {
  struct log_end end = log_written(l);
  int failed = clear_writing(l, &end, e);
  if (!failed) failed = follow_others(l, &end, e);
  return failed ? failed : log_catch_up(l, &end, e);
}

/* What others have written is read before they are kept waiting. A failure is met again. */
static void catch_up_beforehand(struct log *l) {
  pthread_mutex_lock(&l->lock);
  struct log_end end = log_written(l);
  if (!log_refuse_failed(l, NULL)) (void)log_catch_up(l, &end, NULL);
  pthread_mutex_unlock(&l->lock);
}

/* With `appending`. `unlocked`: why WRITER was not to be had, as `why` says. */
static int begin_append(struct log *l, int unlocked, const rille_error *why, rille_error *e) {
  pthread_mutex_lock(&l->lock);
  if (!unlocked) atomic_store(&l->control->words->appending, 1);
  int failed = log_refuse_failed(l, e);
  if (!failed && unlocked) {
    failed = unlocked;
    if (e) *e = *why;
  }
  if (!failed) failed = log_follow(l, e);
  if (!failed) failed = catch_up_to_append(l, e);
  if (failed) log_leave_append(l);
  return failed;
}

int log_enter_append(struct log *l, rille_error *e) {
  pthread_mutex_lock(&l->appending);
  catch_up_beforehand(l);
  rille_error why = {0};
  int unlocked;
  (void)control_take(l->control, CONTROL_WRITER, true, &unlocked, &why);
  return begin_append(l, unlocked, &why, e);
}

#define TURN_YIELDS 20 /* before the first nap: most turns are shorter than any nap */
#define TURN_NAP_US_LEAST 20
#define TURN_NAP_US_MOST 2000

/* Who waits for his turn with a deadline, of the monotonic clock. */
struct turn {
  int64_t late_us, nap_us;
  unsigned yields; /* left */
};

static struct turn begin_turn(int64_t deadline_us) {
  int64_t left = add_i64(deadline_us, -system_clock_us());
  return (struct turn){add_i64(system_monotonic_us(), left), TURN_NAP_US_LEAST, TURN_YIELDS};
}

/* Not late: has let others run, or has slept a little, each time a little longer. */
static bool nap(struct turn *t) {
  if (system_monotonic_us() >= t->late_us) return false;
  if (t->yields > 0) {
    t->yields--;
    system_yield();
    return true;
  }
  system_pause(t->nap_us);
  if (t->nap_us < TURN_NAP_US_MOST) t->nap_us *= 2;
  return true;
}

static int refuse_late(rille_error *e) {
  return error_set(e, RILLE_BUSY,
                   "another process or thread has kept the log until the deadline: it may be "
                   "stopped, or wait for its disk");
}

int log_enter_append_until(struct log *l, int64_t deadline_us, rille_error *e) {
  rille_error why = {0};
  int unlocked;
  if (!deadline_us) return log_enter_append(l, e);
  struct turn turn = begin_turn(deadline_us);
  while (pthread_mutex_trylock(&l->appending) != 0)
    if (!nap(&turn)) return refuse_late(e);
  catch_up_beforehand(l);
  while (!control_take(l->control, CONTROL_WRITER, false, &unlocked, &why) && !unlocked)
    if (!nap(&turn)) {
      pthread_mutex_unlock(&l->appending);
      return refuse_late(e);
    }
  return begin_append(l, unlocked, &why, e);
}

bool log_try_append(struct log *l) {
  int unlocked;
  if (pthread_mutex_trylock(&l->appending) != 0) return false;
  if (control_take(l->control, CONTROL_WRITER, false, &unlocked, NULL))
    return begin_append(l, 0, NULL, NULL) == 0;
  pthread_mutex_unlock(&l->appending);
  return false;
}

void log_leave_append(struct log *l) {
  pthread_mutex_unlock(&l->lock);
  atomic_store(&l->control->words->appending, 0);
  control_free(l->control, CONTROL_WRITER);
  pthread_mutex_unlock(&l->appending);
  offers_wake_heir(l->control); /* who has seen us append relies on us */
}

void log_start_flush(struct log *l) {
  if (l->undisturbed && !atomic_load(&l->control->words->leading))
    segments_start_writing(&l->segments, log_durable(l).address, l->seen.address);
}

/* ---- Segments ---- */

static int begin_segment(struct log *l, uint64_t end, rille_error *e) {
  struct control_words *w = l->control->words;
  rille_error why = {0};
  atomic_store(&w->writing, end); /* nothing is written, but a file may be left */
  int failed = segments_succeed(&l->segments, end, &why);
  if (!failed) atomic_store(&w->segment, end);
  if (!failed) atomic_store(&w->writing, 0);
  return tell_unflushed(l, failed, &why, e);
}

/* While something is prepared a file is not succeeded in a hurry: its space is reserved. */
bool log_is_full(struct log *l, uint64_t beyond) {
  if (l->pending.prepared) beyond = max_u64(beyond, LOG_UNFOLDED_BYTES_MOST);
  return l->seen.address - segments_last_first(&l->segments) >= l->options.segment_bytes + beyond;
}

int log_succeed(struct log *l, rille_error *e) {
  return log_is_full(l, 0) ? log_begin_segment(l, e) : 0;
}

/* `lock` is given up for the flush (R1); nobody appends, because WRITER is kept. */
int log_begin_segment(struct log *l, rille_error *e) {
  uint64_t end = l->seen.address;
  pthread_mutex_unlock(&l->lock);
  int failed = log_flush(l, end, e);
  pthread_mutex_lock(&l->lock);
  return failed ? failed : begin_segment(l, end, e);
}

/* Who does not want to wait for the disk leaves it to the thread, within bounds. */
static int succeed_if_full(struct log *l, bool relaxed, rille_error *e) {
  if (!relaxed || !l->work.started || log_is_full(l, LOG_UNFOLDED_BYTES_MOST))
    return log_succeed(l, e);
  if (log_is_full(l, 0)) {
    l->work.succeed = true;
    pthread_cond_signal(&l->work.wanted);
  }
  return 0;
}

/* ---- Appending ---- */

static size_t count_events(const rille_append *append) {
  size_t n = 0;
  for (size_t i = 0; i < append->part_count; i++) n += append->parts[i].event_count;
  return n;
}

static int write_events(struct log *l, const rille_append *append, uint16_t kind, rille_error *e) {
  struct building b;
  int64_t now = append->now_us ? append->now_us : l->options.clock(l->options.clock_context);
  int failed = build_begin(&b, l, kind, now, e);
  if (!failed) failed = build_work(&b, append, e);
  return build_finish(l, &b, failed, e);
}

/* Those that are only checked are brought into the overlay: once the frame is written, to
** report them must not fail. */
static int know_checked(struct log *l, const rille_append *append, rille_error *e) {
  struct overlay_entry *entry;
  int failed = 0;
  for (size_t i = 0; i < append->part_count && !failed; i++)
    if (append->parts[i].event_count == 0)
      failed = log_entry(l, CHAIN_STREAM, append->parts[i].stream, &entry, e);
  return failed;
}

static int report(struct log *l, const rille_append *append, uint64_t before, rille_appended *done,
                  rille_error *e) {
  int failed = 0;
  for (size_t i = 0; i < append->part_count && !failed; i++) {
    struct chain_head head;
    failed = log_find_head(l, CHAIN_STREAM, append->parts[i].stream, &head, e);
    done->version = head.count;
    if (append->versions) append->versions[i] = head.count;
  }
  if (l->seen.next_position == before) return failed;
  done->first = before;
  done->last = l->seen.next_position - 1;
  return failed;
}

static int append_locked(struct log *l, struct condition *c, enum rille_sync sync,
                         rille_appended *done, bool *again, rille_error *e) {
  const rille_append *append = c->append;
  size_t events = count_events(append);
  bool writes = events || append->mark.name.length;
  int result = writes ? succeed_if_full(l, sync == RILLE_SYNC_INTERVAL, e) : 0;
  if (!result) result = condition_check(c, l, done, again, e);
  if (result || *again) return result;
  uint64_t before = l->seen.next_position;
  if (writes) result = know_checked(l, append, e);
  if (writes && !result) result = write_events(l, append, events ? FRAME_EVENTS : FRAME_MARK, e);
  return result ? result : report(l, append, before, done, e);
}

/* Who is refused for another reason goes without a flush: those it served would wait for one. */
static bool is_flushed(int result) {
  return result >= 0 || result == RILLE_CONFLICT || result == RILLE_DUPLICATE;
}

static int append_checked(struct log *l, struct condition *c, enum rille_sync sync,
                          rille_appended *done, uint64_t *end, rille_error *e) {
  for (;;) {
    bool again = false;
    int result = log_make_room(l, e);
    if (!result) result = condition_walk(c, l, e);
    if (!result) result = log_enter_append(l, e);
    if (result) return result;
    result = append_locked(l, c, sync, done, &again, e);
    if (sync == RILLE_SYNC_ALWAYS && is_flushed(result)) log_serve(l);
    *end = l->seen.address; /* who was served relies on our flush */
    log_leave_append(l);
    if (result || !again) return result < 0 ? result : 0;
  }
}

int log_append(struct log *l, const rille_append *append, enum rille_sync sync,
               rille_appended *done, uint64_t *end, rille_error *e) {
  struct condition c;
  *done = (rille_appended){0};
  *end = 0;
  int failed = input_check(append, e);
  if (failed) return failed;
  if (l->options.readonly)
    return error_set(e, RILLE_READONLY, "the store is open for reading only");
  if (sync == RILLE_SYNC_ALWAYS && log_share(l, append, done, end, &failed, e)) return failed;
  if ((failed = condition_init(&c, l, append, e)) < 0) return failed;
  failed = append_checked(l, &c, sync, done, end, e);
  condition_release(&c);
  return failed;
}

/* ---- Truncating ---- */

static int check_cut(struct log *l, rille_text stream, uint64_t *before, rille_error *e) {
  struct chain_head head;
  char name[ERROR_NAME_BYTES];
  int failed = log_find_head(l, CHAIN_STREAM, stream, &head, e);
  if (failed) return failed;
  if (head.count == 0)
    return error_set(e, RILLE_NOTFOUND, "no event was ever written to stream \"%s\"",
                     error_name(stream, name));
  if (*before == UINT64_MAX) *before = head.count + 1;
  if (*before <= head.count + 1) return 0;
  return error_set(e, RILLE_INVALID,
                   "before = %llu: stream \"%s\" is at version %llu, so at most %llu can be given",
                   (unsigned long long)*before, error_name(stream, name),
                   (unsigned long long)head.count, (unsigned long long)head.count + 1);
}

static int write_cut(struct log *l, rille_text stream, uint64_t before, rille_error *e) {
  struct building b;
  struct fact cut = {.kind = FACT_CUT, .name = stream, .value = before};
  int failed = log_succeed(l, e);
  if (failed) return failed;
  failed = build_begin(&b, l, FRAME_STREAM, l->seen.time_us, e); /* whose clock, nobody says */
  if (!failed) failed = build_fact(&b, &cut, e);
  return build_finish(l, &b, failed, e);
}

int log_cut(struct log *l, rille_text stream, uint64_t before, uint64_t *end, rille_error *e) {
  struct chain_head now = {.count = 0};
  *end = 0;
  int failed = input_check_stream(stream, true, e);
  if (!failed && l->options.readonly)
    failed = error_set(e, RILLE_READONLY, "the store is open for reading only");
  if (!failed) failed = log_make_room(l, e);
  if (!failed) failed = log_enter_append(l, e);
  if (failed) return failed;
  failed = locks_check_cut(&l->pending, stream, log_now(l), e);
  if (!failed) failed = check_cut(l, stream, &before, e);
  if (!failed) failed = log_find_head(l, WORD_CUT, stream, &now, e);
  bool is_new = !failed && before > 1 && (now.count == 0 || before > now.tower[0]);
  if (is_new) failed = write_cut(l, stream, before, e);
  *end = l->seen.address;
  log_leave_append(l);
  return failed;
}
