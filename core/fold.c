/* fold.c: what has been seen of the log goes into the index; and the one thread of a
** process that does so, and flushes for sync "interval", behind everybody's back, and does
** what it is given (kept.c).
**
** When the fresh overlay has grown to its bound it becomes the old one, which nobody
** changes any more, and a new one starts. Then, without the lock: the log is flushed
** up to the old one's end (L9), the heads are sorted, and committed chunk by chunk. Last,
** the old overlay is dropped. While there is one, a fresh one that is full makes appends
** wait. An append's flush waits for the same disk, behind all of a commit: so the chunks
** are small, with a pause after each, until the fresh overlay is half full; then large,
** because by now the fold's end is what matters.
**
** FOLDER lets one process fold at a time; who comes after finds a newer A and has
** little or nothing left to do. Who only reads, and has no thread, drops its old overlay
** when the others' A has passed it. */
#include "log.h"

#include "error.h"

#define FOLD_GENTLE_HEADS 512u /* a commit, at most: so many pages and those above them */
#define FOLD_PAUSE_US 1000     /* after it */
#define FOLD_PATIENCE_US 20000 /* before trying again where another process folds */
#define FOLD_RETRY_US 1000000  /* after a failed one */
#define WORK_NAP_US 3600000000 /* with nothing to do */

/* Whether the fresh overlay has come to a part of its bound. */
static bool is_full(const struct log *l, unsigned parts) {
  return l->fresh.bytes >= OVERLAY_BYTES_MOST / parts ||
         l->seen.address - l->fresh.start >= LOG_FRESH_BYTES_MOST / parts;
}

bool log_is_due(const struct log *l) { return is_full(l, 1); }

/* ---- Old and fresh ---- */

static void split(struct log *l) {
  overlay_split(&l->fresh, &l->old, &l->spare, l->seen.address);
  l->has_old = true;
  l->old_end = l->seen;
}

/* With `lock` held. The memory is the caller's to release, without it. */
static struct overlay drop_old(struct log *l) {
  struct overlay old = l->old;
  l->has_old = false;
  pthread_cond_broadcast(&l->work.room);
  return old;
}

/* Without `lock`. */
static void recycle(struct log *l, struct overlay *old) {
  overlay_clear(old);
  pthread_mutex_lock(&l->lock);
  bool spare = !l->spare.parts;
  if (spare) l->spare = *old;
  pthread_mutex_unlock(&l->lock);
  if (!spare) overlay_release(old);
}

/* ---- Folding the old overlay ---- */

/* Its heads, but for those that were only looked at or that the index has already. */
static size_t pick_heads(const struct overlay *o, uint64_t a, struct overlay_entry **sorted,
                         struct folded_head *heads) {
  size_t n = 0;
  uint64_t from = max_u64(a, o->start);
  for (size_t i = 0; i < o->count; i++) {
    struct overlay_entry *entry = sorted[i];
    bool only_seen = entry->count == 0 && entry->touched == 0;
    if (only_seen || entry->touched < from) continue;
    heads[n++] = (struct folded_head){.kind = entry->kind,
                                      .name = {entry->name, entry->name_length},
                                      .count = entry->count,
                                      .touched = entry->touched,
                                      .tower = entry->tower};
  }
  return n;
}

static bool is_half_full(struct log *l) {
  pthread_mutex_lock(&l->lock);
  bool half = is_full(l, 2);
  pthread_mutex_unlock(&l->lock);
  return half;
}

/* Not gently: at once, and `lock` may be held. */
static int store_chunks(struct log *l, struct fold *f, bool gently, rille_error *e) {
  for (;;) {
    bool small = gently && !is_half_full(l);
    struct system_held held;
    system_hold_signal(&held);
    int result = index_fold(l->index, f, small ? FOLD_GENTLE_HEADS : INDEX_CHUNK_HEADS, e);
    system_free_signal(&held);
    if (result != RILLE_REMARK) return result;
    if (small) system_pause(FOLD_PAUSE_US);
  }
}

static int store_old(struct log *l, uint64_t a, bool gently, rille_error *e) {
  const struct overlay *o = &l->old;
  size_t bytes = (o->count + 1) * sizeof(struct folded_head);
  struct folded_head *heads = memory_get(&l->memory, bytes);
  struct overlay_entry **sorted = overlay_sorted(o);
  int failed = heads && sorted ? 0 : error_memory(e);
  if (!failed) {
    struct fold f = {.heads = heads,
                     .head_count = pick_heads(o, a, sorted, heads),
                     .places = o->places,
                     .place_count = o->place_count,
                     .end = l->old_end};
    index_clean(l->index);
    failed = store_chunks(l, &f, gently, e);
    if (!failed && !l->scratch) atomic_fetch_add(&l->control->words->folds, 1);
  }
  memory_free(&l->memory, heads, bytes);
  memory_free(&l->memory, sorted, (o->count + 1) * sizeof *sorted);
  return failed;
}

/* With FOLDER, and without `lock`: nobody changes the old overlay, or A. Where another has come
** into its place meanwhile, which may not be durable yet (L9), that is for the next time. */
static int fold_old(struct log *l, bool gently, rille_error *e) {
  pthread_mutex_lock(&l->lock);
  uint64_t end = l->old_end.address;
  pthread_mutex_unlock(&l->lock);
  int failed = log_flush(l, end, e);
  if (failed) return failed;
  pthread_mutex_lock(&l->lock);
  failed = log_follow(l, e); /* who makes the index anew has FOLDER, as this one */
  if (!failed) failed = index_look(l->index, e);
  uint64_t a = index_folded(l->index).address;
  bool has = l->has_old && l->old_end.address <= end;
  pthread_mutex_unlock(&l->lock);
  if (!has) return failed;
  if (!failed && a < l->old_end.address) failed = store_old(l, a, gently, e);
  if (failed) return failed;
  pthread_mutex_lock(&l->lock);
  failed = index_look(l->index, e);
  struct overlay old = drop_old(l);
  pthread_mutex_unlock(&l->lock);
  recycle(l, &old);
  return failed;
}

/* Splits off what there is; false where that is nothing. */
static bool has_work(struct log *l) {
  pthread_mutex_lock(&l->lock);
  if (!l->has_old && l->seen.address > l->fresh.start) split(l);
  bool has = l->has_old;
  pthread_mutex_unlock(&l->lock);
  return has;
}

int log_fold(struct log *l, rille_error *e) {
  int failed = 0;
  pthread_mutex_lock(&l->folding);
  bool shared = !l->options.readonly;
  bool taken = shared && control_take(l->control, CONTROL_FOLDER, true, &failed, e);
  while (!failed && has_work(l)) failed = fold_old(l, false, e);
  if (taken) control_free(l->control, CONTROL_FOLDER);
  pthread_mutex_unlock(&l->folding);
  return failed;
}

/* ---- The overlays of who only reads ---- */

static int drop_folded(struct log *l, rille_error *e) {
  int failed = index_look(l->index, e);
  uint64_t a = index_folded(l->index).address;
  if (!failed && l->scratch) failed = store_old(l, a, false, e);
  if (failed || (!l->scratch && a < l->old_end.address)) return failed;
  struct overlay old = drop_old(l);
  overlay_release(&old);
  return 0;
}

/* The thread, where there is one, takes care of the old overlay; else it may be that a
** fold of another caller's is under way. */
int log_shed(struct log *l, rille_error *e) {
  int failed = 0;
  if (l->has_old && !l->work.started && pthread_mutex_trylock(&l->folding) == 0) {
    failed = drop_folded(l, e);
    pthread_mutex_unlock(&l->folding);
  }
  if (failed || l->has_old) return failed;
  split(l);
  if (l->work.started) pthread_cond_signal(&l->work.wanted);
  return 0;
}

/* ---- The thread ---- */

/* False: another process folds just now. */
static bool fold_in_turn(struct log *l, int *failed, rille_error *e) {
  pthread_mutex_lock(&l->folding);
  bool mine = control_take(l->control, CONTROL_FOLDER, false, failed, e);
  if (mine) {
    *failed = fold_old(l, true, e);
    control_free(l->control, CONTROL_FOLDER);
  }
  pthread_mutex_unlock(&l->folding);
  return mine || *failed;
}

/* With `lock` held before and after. What fails is told to the next append, which also
** wakes this thread to try again. */
static void work_on_fold(struct log *l) {
  rille_error why = {0};
  int failed;
  pthread_mutex_unlock(&l->lock);
  bool mine = fold_in_turn(l, &failed, &why);
  pthread_mutex_lock(&l->lock);
  if (failed) {
    l->work.fold_failed = failed;
    l->work.fold_error = why;
    pthread_cond_broadcast(&l->work.room);
  }
  if (l->work.stop || (mine && !failed)) return;
  system_condition_wait(&l->work.wanted, &l->lock, mine ? FOLD_RETRY_US : FOLD_PATIENCE_US);
}

/* A failure of the disk's is told to all who ask; after any other it is tried again. */
static void work_on_flush(struct log *l) {
  l->work.flush_at_us = 0;
  pthread_mutex_unlock(&l->lock);
  int failed = log_flush(l, log_written(l).address, NULL);
  pthread_mutex_lock(&l->lock);
  if (failed && failed != RILLE_UNKNOWN && !l->work.flush_at_us)
    l->work.flush_at_us = system_monotonic_us() + FOLD_RETRY_US;
}

/* Nearly all is flushed before others are kept waiting for the rest. A failure is met
** again by the next append. */
static void work_on_succession(struct log *l) {
  l->work.succeed = false;
  pthread_mutex_unlock(&l->lock);
  if (log_flush(l, log_written(l).address, NULL) == 0 && log_enter_append(l, NULL) == 0) {
    (void)log_succeed(l, NULL);
    log_leave_append(l);
  }
  pthread_mutex_lock(&l->lock);
}

static void work_on_task(struct log *l) {
  struct log_task *task = l->work.first;
  l->work.first = task->next;
  pthread_mutex_unlock(&l->lock);
  task->run(l, task);
  pthread_mutex_lock(&l->lock);
}

/* Tasks and folds take turns: appends may wait for a fold. */
static void *run(void *context) {
  struct log *l = context;
  pthread_mutex_lock(&l->lock);
  while (!l->work.stop) {
    int64_t now = system_monotonic_us(), due = l->work.flush_at_us;
    bool task = l->work.first && !(l->has_old && l->work.task_was_last);
    l->work.task_was_last = task;
    if (due && due <= now) work_on_flush(l);
    else if (l->work.succeed) work_on_succession(l);
    else if (task) work_on_task(l);
    else if (l->has_old) work_on_fold(l);
    else system_condition_wait(&l->work.wanted, &l->lock, due ? due - now : WORK_NAP_US);
  }
  while (l->work.first) work_on_task(l);
  pthread_mutex_unlock(&l->lock);
  return NULL;
}

int log_start_work(struct log *l, rille_error *e) {
  if (l->options.readonly || !l->options.background) return 0;
  int number = system_start_thread(&l->work.thread, run, l);
  l->work.started = number == 0;
  return number ? error_system(e, number,
                               "can't start the background thread; open with background "
                               "= false to do without")
                : 0;
}

void log_stop_work(struct log *l) {
  if (!l->work.started) return;
  pthread_mutex_lock(&l->lock);
  l->work.stop = true;
  pthread_cond_signal(&l->work.wanted);
  pthread_mutex_unlock(&l->lock);
  pthread_join(l->work.thread, NULL);
  l->work.started = false;
}

/* ---- Asking for it ---- */

/* With `lock` held: the thread's failure, once; it tries again. */
static int take_failure(struct log *l, rille_error *e) {
  int failed = l->work.fold_failed;
  if (!failed) return 0;
  if (e) *e = l->work.fold_error;
  l->work.fold_failed = 0;
  pthread_cond_signal(&l->work.wanted);
  return failed;
}

static int wait_for_room(struct log *l, rille_error *e) {
  int failed = 0;
  while (l->has_old && log_is_due(l) && !failed && !(failed = take_failure(l, e)))
    if ((failed = log_refuse_failed(l, e)) == 0)
      system_condition_wait(&l->work.room, &l->lock, FOLD_RETRY_US);
  return failed;
}

int log_make_room(struct log *l, rille_error *e) {
  int failed = 0;
  pthread_mutex_lock(&l->lock);
  bool due = log_is_due(l);
  if (due && l->work.started) {
    failed = wait_for_room(l, e);
    if (!failed && log_is_due(l) && !l->has_old) split(l);
    pthread_cond_signal(&l->work.wanted);
  }
  pthread_mutex_unlock(&l->lock);
  return due && !l->work.started ? log_fold(l, e) : failed;
}

bool log_give_task(struct log *l, struct log_task *task) {
  task->next = NULL;
  pthread_mutex_lock(&l->lock);
  bool given = l->work.started && !l->work.stop;
  if (given) {
    if (l->work.first) l->work.last->next = task;
    else l->work.first = task;
    l->work.last = task;
    pthread_cond_signal(&l->work.wanted);
  }
  pthread_mutex_unlock(&l->lock);
  return given;
}

void log_want_flush(struct log *l, int64_t interval_us) {
  pthread_mutex_lock(&l->lock);
  int64_t at = system_monotonic_us() + interval_us;
  if (!l->work.flush_at_us || at < l->work.flush_at_us) {
    l->work.flush_at_us = at;
    pthread_cond_signal(&l->work.wanted);
  }
  pthread_mutex_unlock(&l->lock);
}

int log_poll_flush(struct log *l, rille_error *e) {
  if (l->options.readonly || l->work.started) return 0;
  pthread_mutex_lock(&l->lock);
  bool due = l->work.flush_at_us && l->work.flush_at_us <= system_monotonic_us();
  if (due) l->work.flush_at_us = 0;
  pthread_mutex_unlock(&l->lock);
  int failed = due ? log_flush(l, log_written(l).address, e) : 0;
  if (failed && failed != RILLE_UNKNOWN) log_want_flush(l, 0);
  return failed;
}

int log_poll(struct log *l, rille_error *e) {
  int failed = log_poll_flush(l, e);
  if (failed || l->options.readonly || l->work.started) return failed;
  pthread_mutex_lock(&l->lock);
  bool due = log_is_due(l) || l->has_old;
  pthread_mutex_unlock(&l->lock);
  return due ? log_fold(l, e) : 0;
}
