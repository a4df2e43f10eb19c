/* kept.c: bytes that scripts keep in the index: states, snapshots, how far they came.
**
** They are a fold of the log as all of the index is, but by somebody else's rules, which
** rille does not know: it can only forget them. So nothing may be kept that the log could
** still lose (L9): the log is flushed before the transaction begins. Whatever the values
** follow from was written before the call.
**
** Content that is redacted must not come back by what was computed from it before (R1, redact.h).
** Who keeps such values says at which generation (follow.c) they were begun, and that is compared
** within the write transaction. Who redacts raises it, then waits for LMDB's writer once: each
** write is committed by then, and is among what is asked about and dropped, or it sees the new
** generation. That is raised once more before anybody can use the index that was made anew: so
** what was begun before is not written there, whoever is stopped in between.
**
** Locks. Reading holds `lock`, as for a head, and copies out what it finds, so that no
** transaction outlives a call. Writing waits for LMDB's writer, who may be a fold of ours
** or of another process, for as long as that takes to commit: so it holds none of the log's
** locks, and who appends never waits for it. Nor can anybody wait in a circle: within a
** write transaction nobody takes a lock of the log's, nor waits for a flush. What a writer
** holds while it waits is index.c's `map`, shared; alone `map` is taken only to let it grow,
** which waits for the writers of this process, and they wait for nobody but LMDB's. That may
** also be done by the background thread (fold.c), for who must not wait for the disk. */
#include "store.h"

#include <stdlib.h>

#include "error.h"
#include "system.h"

#define KEEPING_LOOK_US 1000000 /* between two looks whether a write is over: it is signalled */

/* ---- What can't be ---- */

static int check_key(rille_text key, rille_error *e) {
  if (key.length && key.length <= RILLE_KEPT_KEY_BYTES) return 0;
  return error_set(e, RILLE_INVALID, "a kept key has %zu bytes: it needs 1 to %d", key.length,
                   RILLE_KEPT_KEY_BYTES);
}

/* A bound of a walk or a prefix: it may be empty. */
static int check_bound(rille_text bound, rille_error *e) {
  return bound.length ? check_key(bound, e) : 0;
}

static int check_puts(const rille_kept_write *w, rille_error *e) {
  size_t left = RILLE_KEPT_WRITE_BYTES;
  int failed = check_bound(w->expect_key, e);
  for (size_t i = 0; i < w->put_count && !failed; i++) {
    const rille_kept_put *p = &w->puts[i];
    size_t n = p->remove ? 0 : p->value.length;
    failed = check_key(p->key, e);
    if (failed) break;
    if (p->key.length > left || n > left - p->key.length)
      failed = error_set(e, RILLE_INVALID, "a write of kept values has more than %zu MiB",
                         RILLE_KEPT_WRITE_BYTES / MIB);
    else left -= p->key.length + n;
  }
  return failed;
}

static int check_writable(rille_store *h, rille_error *e) {
  struct log *l = &h->shared->log;
  int failed = store_usable(h, e);
  if (!failed) failed = log_refuse_failed(l, e);
  if (!failed && l->options.readonly)
    failed = error_set(e, RILLE_READONLY, "the store is open for reading only: nothing is kept");
  return failed;
}

/* ---- Reading ---- */

/* RILLE_REMARK where it has no room. */
static int copy_value(rille_kept *kept, rille_text value, rille_error *e) {
  kept->length = value.length;
  if (value.length > kept->room_bytes)
    return error_set(e, RILLE_REMARK, "the value has %zu bytes, the room %zu", value.length,
                     kept->room_bytes);
  if (value.length) memcpy(kept->room, value.bytes, value.length);
  return 0;
}

static int begin(rille_store *h, rille_error *e) {
  struct log *l = &h->shared->log;
  int failed = store_usable(h, e);
  if (!failed) failed = log_refuse_failed(l, e);
  if (failed) return failed;
  pthread_mutex_lock(&l->lock);
  failed = log_follow(l, e); /* an index that was replaced may have what was redacted */
  if (!failed) failed = index_begin(l->index, e);
  if (failed) pthread_mutex_unlock(&l->lock);
  return failed;
}

static void end(rille_store *h) {
  struct log *l = &h->shared->log;
  index_end(l->index);
  pthread_mutex_unlock(&l->lock);
}

int rille_store_kept_get(rille_store *h, rille_text key, rille_kept *kept, rille_error *e) {
  char name[ERROR_NAME_BYTES];
  rille_text value;
  int result = check_key(key, e);
  if (!result) result = begin(h, e);
  if (result) return result;
  result = index_kept(h->shared->log.index, key, &value, e);
  if (!result) result = copy_value(kept, value, e);
  end(h);
  if (result != RILLE_NOTFOUND) return result;
  return error_set(e, RILLE_NOTFOUND, "nothing is kept under \"%s\"", error_name(key, name));
}

int rille_store_kept_next(rille_store *h, rille_text after, rille_text prefix, rille_kept *kept,
                          rille_error *e) {
  rille_text key, value;
  int result = check_bound(after, e);
  if (!result) result = check_bound(prefix, e);
  if (!result) result = begin(h, e);
  if (result) return result;
  result = index_kept_next(h->shared->log.index, after, prefix, &key, &value, e);
  if (!result) {
    memcpy(kept->key, key.bytes, key.length);
    kept->key_length = key.length;
    result = copy_value(kept, value, e);
  }
  end(h);
  if (result != RILLE_NOTFOUND) return result;
  return error_set(e, RILLE_NOTFOUND, "there is no further key");
}

/* ---- Writing ---- */

/* Makes durable what the values follow from; where that fails nothing has been kept. */
static int flush_to(struct log *l, uint64_t position, rille_error *e) {
  struct log_end written = log_written(l);
  if (position >= written.next_position)
    return error_set(e, RILLE_INVALID, "position %llu is beyond the end: the last one is %llu",
                     (unsigned long long)position, (unsigned long long)(written.next_position - 1));
  if (position && position < log_durable(l).next_position) return 0;
  int failed = log_flush(l, written.address, e);
  if (failed != RILLE_UNKNOWN) return failed;
  if (e) e->code = RILLE_IO;
  return RILLE_IO;
}

/* What there is to say without looking at the disk; *w is the whole of the write. */
static int read_write(rille_store *h, const rille_kept_write *write, rille_kept_write *w,
                      rille_error *e) {
  *w = (rille_kept_write){0};
  if (write->size == 0)
    return error_set(e, RILLE_INVALID, "write.size is 0: set it to sizeof write");
  memcpy(w, write, write->size < sizeof *w ? write->size : sizeof *w);
  int failed = check_puts(w, e);
  return failed ? failed : check_writable(h, e);
}

static int tell_conflict(struct log *l, const rille_kept_write *w, rille_error *e) {
  char name[ERROR_NAME_BYTES];
  if (w->expect_generation && log_shown(l) != w->generation)
    return error_set(e, RILLE_CONFLICT,
                     "content was redacted, or log files were replaced, since the values were "
                     "computed");
  return error_set(e, RILLE_CONFLICT, "another value is kept under \"%s\" than expected",
                   error_name(w->expect_key, name));
}

static int keep(struct log *l, const rille_kept_write *w, rille_error *e) {
  struct system_held held;
  const _Atomic uint64_t *word = w->expect_generation ? &l->control->words->log_generation : NULL;
  int failed = flush_to(l, w->position, e);
  index_clean(l->index); /* pages of who died reading are used again */
  system_hold_signal(&held);
  if (!failed) failed = index_keep(l->index, w, word, e);
  system_free_signal(&held);
  return failed == RILLE_CONFLICT ? tell_conflict(l, w, e) : failed;
}

int rille_store_kept_write(rille_store *h, const rille_kept_write *write, rille_error *e) {
  rille_kept_write w;
  int failed = read_write(h, write, &w, e);
  return failed ? failed : keep(&h->shared->log, &w, e);
}

/* ---- Writing in the background ---- */

/* A write with all of its bytes behind it. Two use it, who began it and the thread; the last
** one frees it. It may outlive the store. */
struct rille_keeping {
  struct log_task task;
  rille_kept_write write;
  struct memory memory;
  size_t bytes; /* of all of it */
  _Atomic int users;
  pthread_mutex_t lock; /* what follows */
  pthread_cond_t over;
  bool is_over;
  int result;
  rille_error error;
};

static void drop(struct rille_keeping *k) {
  if (atomic_fetch_sub(&k->users, 1) != 1) return;
  pthread_cond_destroy(&k->over);
  pthread_mutex_destroy(&k->lock);
  struct memory memory = k->memory;
  memory_free(&memory, k, k->bytes);
}

/* By key, so that neighbours on a page are written one after another; a key that comes twice
** in the order in which it was given, which is that of the bytes. */
static int compare_puts(const void *left, const void *right) {
  rille_text a = ((const rille_kept_put *)left)->key, b = ((const rille_kept_put *)right)->key;
  int order = memcmp(a.bytes, b.bytes, a.length < b.length ? a.length : b.length);
  if (order) return order;
  if (a.length != b.length) return a.length < b.length ? -1 : 1;
  return a.bytes < b.bytes ? -1 : a.bytes > b.bytes;
}

static void run_keeping(struct log *l, struct log_task *task) {
  struct rille_keeping *k = (struct rille_keeping *)task; /* its first member */
  rille_kept_put *puts = (rille_kept_put *)(uintptr_t)k->write.puts;
  rille_error why = {0};
  qsort(puts, k->write.put_count, sizeof *puts, compare_puts);
  int result = keep(l, &k->write, &why);
  pthread_mutex_lock(&k->lock);
  k->result = result;
  k->error = why;
  k->is_over = true;
  pthread_cond_signal(&k->over);
  pthread_mutex_unlock(&k->lock);
  drop(k);
}

static rille_text copy_text(char **at, rille_text text) {
  rille_text copy = {*at, text.length};
  if (text.length) memcpy(*at, text.bytes, text.length);
  *at += text.length;
  return copy;
}

static size_t size_of(const rille_kept_write *w) {
  size_t n = sizeof(struct rille_keeping) + w->put_count * sizeof *w->puts;
  n += w->expect_key.length + w->expect_value.length;
  for (size_t i = 0; i < w->put_count; i++)
    n += w->puts[i].key.length + (w->puts[i].remove ? 0 : w->puts[i].value.length);
  return n;
}

/* NULL for want of memory. */
static struct rille_keeping *copy_write(const rille_kept_write *w, const struct memory *memory) {
  size_t bytes = size_of(w);
  struct rille_keeping *k = memory_get_zeroed(memory, bytes);
  if (!k) return NULL;
  rille_kept_put *puts = (rille_kept_put *)(k + 1);
  char *at = (char *)(puts + w->put_count);
  *k = (struct rille_keeping){.task.run = run_keeping, .write = *w, .memory = *memory};
  k->bytes = bytes;
  k->write.puts = puts;
  k->write.expect_key = copy_text(&at, w->expect_key);
  k->write.expect_value = copy_text(&at, w->expect_value);
  for (size_t i = 0; i < w->put_count; i++) {
    puts[i] = (rille_kept_put){.key = copy_text(&at, w->puts[i].key), .remove = w->puts[i].remove};
    if (!puts[i].remove) puts[i].value = copy_text(&at, w->puts[i].value);
  }
  bool made = pthread_mutex_init(&k->lock, NULL) == 0;
  if (made && system_condition_init(&k->over) == 0) return k;
  if (made) pthread_mutex_destroy(&k->lock);
  memory_free(memory, k, bytes);
  return NULL;
}

int rille_store_kept_begin(rille_store *h, const rille_kept_write *write, rille_keeping **keeping,
                           rille_error *e) {
  rille_kept_write w;
  int failed = read_write(h, write, &w, e);
  if (failed) return failed;
  struct log *l = &h->shared->log;
  if (!l->options.background) return error_set(e, RILLE_REMARK, "there is no background thread");
  struct rille_keeping *k = copy_write(&w, &l->memory);
  if (!k) return error_memory(e);
  atomic_init(&k->users, 2);
  if (log_give_task(l, &k->task)) {
    *keeping = k;
    return 0;
  }
  atomic_init(&k->users, 1);
  drop(k);
  return error_set(e, RILLE_REMARK, "there is no background thread");
}

int rille_store_kept_result(rille_store *h, rille_keeping *k, int wait, rille_error *e) {
  int failed = store_usable(h, e);
  if (failed) return failed; /* in a forked child there is nobody to wait for */
  pthread_mutex_lock(&k->lock);
  while (wait && !k->is_over) system_condition_wait(&k->over, &k->lock, KEEPING_LOOK_US);
  bool is_over = k->is_over;
  int result = k->result;
  if (is_over && result && e) *e = k->error;
  pthread_mutex_unlock(&k->lock);
  return is_over ? result : error_set(e, RILLE_REMARK, "the write is not over");
}

void rille_keeping_free(rille_keeping *k) {
  if (k) drop(k);
}

int rille_store_kept_erase(rille_store *h, rille_text prefix, uint64_t most, uint64_t *erased,
                           rille_error *e) {
  uint64_t ignored;
  if (!erased) erased = &ignored;
  *erased = 0;
  int failed = check_bound(prefix, e);
  if (!failed) failed = check_writable(h, e);
  struct system_held held;
  system_hold_signal(&held);
  if (!failed) failed = index_kept_erase(h->shared->log.index, prefix, most, erased, e);
  system_free_signal(&held);
  return failed;
}
