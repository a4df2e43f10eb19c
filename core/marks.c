/* marks.c: where marks are, and which there are.
**
** A mark is a word: its name stands for one position, in the index or in an overlay that is
** newer. A walk holds nothing from step to step: each looks for the least name behind the
** last one, in the index by its order, in the overlays by looking at all there is. */
#include "store.h"

#include "error.h"

int rille_store_mark(rille_store *h, rille_text name, uint64_t *position, rille_error *e) {
  struct chain_head head = {.count = 0};
  *position = 0;
  if (name.length == 0 || name.length > RILLE_NAME_BYTES)
    return error_set(e, RILLE_INVALID, "the mark's name has %zu bytes: it needs 1 to 255",
                     name.length);
  int failed = store_usable(h, e);
  if (!failed) failed = log_head(&h->shared->log, WORD_MARK, name, &head, e);
  if (failed || head.count == 0) return failed;
  /* Heads are as of what is written, and this one may be of a frame that is not durable. */
  if (store_sees_durable(h) && head.touched >= log_durable(&h->shared->log).address)
    failed = rille_store_sync(h, e);
  if (!failed) *position = head.tower[0];
  return failed;
}

/* ---- Which there are ---- */

static bool is_behind(rille_text name, rille_text other) {
  size_t n = name.length < other.length ? name.length : other.length;
  int order = n ? memcmp(name.bytes, other.bytes, n) : 0;
  return order ? order > 0 : name.length > other.length;
}

/* The least one of an overlay behind `after` becomes `next`, where that is none or behind
** it. The text is the overlay's. */
static void look_in(const struct overlay *o, rille_text after, rille_text *next) {
  const struct overlay_entry *entry = NULL;
  while ((entry = overlay_next(o, entry)) != NULL) {
    if (entry->kind != WORD_MARK || entry->count == 0) continue;
    rille_text name = {entry->name, entry->name_length};
    if (is_behind(name, after) && (next->length == 0 || is_behind(*next, name))) *next = name;
  }
}

/* With `lock` held, which keeps the overlays as they are. */
static int find_next(struct log *l, rille_text after, rille_mark_found *found, rille_error *e) {
  rille_text next = {0};
  int failed = index_begin(l->index, e);
  if (!failed) failed = index_next_head(l->index, WORD_MARK, after, &next, e);
  if (failed == RILLE_NOTFOUND) failed = 0;
  if (!failed && l->has_old) look_in(&l->old, after, &next);
  if (!failed) look_in(&l->fresh, after, &next);
  if (!failed) {
    if (next.length) memcpy(found->name, next.bytes, next.length);
    found->name_length = next.length;
  }
  index_end(l->index);
  return failed;
}

int rille_store_mark_next(rille_store *h, rille_text after, rille_mark_found *found,
                          rille_error *e) {
  if (after.length > RILLE_NAME_BYTES)
    return error_set(e, RILLE_INVALID, "the mark's name has %zu bytes: at most 255 are possible",
                     after.length);
  int failed = store_usable(h, e);
  if (failed) return failed;
  struct log *l = &h->shared->log;
  pthread_mutex_lock(&l->lock);
  struct log_end end = log_written(l);
  failed = log_refuse_failed(l, e);
  if (!failed) failed = log_catch_up(l, &end, e);
  if (!failed) failed = find_next(l, after, found, e);
  pthread_mutex_unlock(&l->lock);
  if (failed) return failed;
  if (found->name_length == 0) return error_set(e, RILLE_NOTFOUND, "there is no further mark");
  return rille_store_mark(h, (rille_text){found->name, found->name_length}, &found->position, e);
}
