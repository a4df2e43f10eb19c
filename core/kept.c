/* kept.c: bytes that scripts keep in the index: states, snapshots, how far they came.
**
** They are a fold of the log as all of the index is, but by somebody else's rules, which
** rille does not know: it can only forget them. So nothing may be kept that the log could
** still lose (L9): the log is flushed before the transaction begins. Whatever the values
** follow from was written before the call.
**
** Locks. Reading holds `lock`, as for a head, and copies out what it finds, so that no
** transaction outlives a call. Writing waits for LMDB's writer, who may be a fold of ours
** or of another process, for as long as that takes to commit: so it holds none of the log's
** locks, and who appends never waits for it. Nor can anybody wait in a circle: within a
** write transaction nobody takes a lock of the log's, nor waits for a flush. What a writer
** holds while it waits is index.c's `map`, shared; alone `map` is taken only to let it grow,
** which waits for the writers of this process, and they wait for nobody but LMDB's. */
#include "store.h"

#include "error.h"

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
  failed = index_begin(l->index, e);
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

int rille_store_kept_write(rille_store *h, const rille_kept_write *write, rille_error *e) {
  char name[ERROR_NAME_BYTES];
  rille_kept_write w = {0};
  if (write->size == 0)
    return error_set(e, RILLE_INVALID, "write.size is 0: set it to sizeof write");
  memcpy(&w, write, write->size < sizeof w ? write->size : sizeof w);
  int failed = check_puts(&w, e);
  if (!failed) failed = check_writable(h, e);
  if (!failed) failed = flush_to(&h->shared->log, w.position, e);
  struct system_held held;
  system_hold_signal(&held);
  if (!failed) failed = index_keep(h->shared->log.index, &w, e);
  system_free_signal(&held);
  if (failed != RILLE_CONFLICT) return failed;
  return error_set(e, RILLE_CONFLICT, "another value is kept under \"%s\" than expected",
                   error_name(w.expect_key, name));
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
