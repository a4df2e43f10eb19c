/* log.c: heads, folding, flushing, closing. Opening is in open.c, appending in
** append.c. */
#include "log.h"

#include <assert.h>
#include <stdio.h>

#include "checksum.h"
#include "error.h"

int log_fail(struct log *l, int code, const char *why) {
  size_t n = strlen(why);
  l->failed = code;
  if (n > sizeof l->why - 1) n = sizeof l->why - 1;
  memcpy(l->why, why, n);
  l->why[n] = '\0';
  return code;
}

int log_refuse_failed(const struct log *l, rille_error *e) {
  return l->failed
             ? error_set(e, RILLE_IO, "the store failed before and must be closed: %s", l->why)
             : 0;
}

/* ---- Heads and places ---- */

/* The two places a head can be. The overlay is complete from its start, and the
** index is a fold up to there, so who is in the overlay is newer (protocol F). */
static int head_of(struct log *l, enum chain_kind kind, rille_text name, struct chain_head *head,
                   rille_error *e) {
  const struct overlay_entry *entry = overlay_find(&l->overlay, kind, name);
  if (entry) {
    overlay_get(entry, head);
    return 0;
  }
  assert(index_folded(l->index).address >= l->overlay.start);
  int failed = index_begin(l->index, e);
  if (!failed) failed = index_head(l->index, kind, name, head, e);
  index_end(l->index);
  return failed;
}

int log_head(struct log *l, enum chain_kind kind, rille_text name, struct chain_head *head,
             rille_error *e) {
  pthread_mutex_lock(&l->lock);
  int failed = log_refuse_failed(l, e);
  if (!failed) failed = head_of(l, kind, name, head, e);
  pthread_mutex_unlock(&l->lock);
  return failed;
}

int log_entry(struct log *l, enum chain_kind kind, rille_text name, struct overlay_entry **entry,
              rille_error *e) {
  *entry = overlay_find(&l->overlay, kind, name);
  if (*entry) return 0;
  struct chain_head head;
  int failed = head_of(l, kind, name, &head, e);
  if (failed) return failed;
  *entry = overlay_add(&l->overlay, kind, name, &head);
  return *entry ? 0 : error_memory(e);
}

int log_place(struct log *l, uint64_t position, struct place *place, rille_error *e) {
  int failed = 0;
  pthread_mutex_lock(&l->lock);
  const struct place *found = overlay_find_place(&l->overlay, position);
  if (found) {
    *place = *found;
  } else {
    failed = index_begin(l->index, e);
    if (!failed) failed = index_place(l->index, position, place, e);
    index_end(l->index);
  }
  pthread_mutex_unlock(&l->lock);
  return failed;
}

int log_note_place(struct log *l, struct place place, rille_error *e) {
  uint64_t cell = place.record / INDEX_PLACE_BYTES;
  if (cell == l->place_cell) return 0;
  if (!overlay_add_place(&l->overlay, place)) return error_memory(e);
  l->place_cell = cell;
  return 0;
}

/* ---- Folding ---- */

int log_flush_all(struct log *l, rille_error *e) {
  if (l->durable.address >= l->written.address) return 0;
  rille_error why = {0};
  if (segments_flush(&l->segments, &why) < 0) {
    log_fail(l, RILLE_IO, why.message);
    return error_set(e, RILLE_UNKNOWN, "%s", why.message);
  }
  l->durable = l->written;
  l->flushes++;
  return 0;
}

static int fold_entries(struct log *l, struct overlay_entry **sorted, struct folded_head *heads,
                        rille_error *e) {
  size_t n = 0;
  for (size_t i = 0; i < l->overlay.count; i++) {
    struct overlay_entry *o = sorted[i];
    if (o->count == 0 || o->touched < l->overlay.start) continue; /* only looked at */
    heads[n++] = (struct folded_head){.kind = (enum chain_kind)o->kind,
                                      .name = {o->name, o->name_length},
                                      .count = o->count,
                                      .touched = o->touched,
                                      .tower = o->tower};
  }
  struct fold f = {.heads = heads,
                   .head_count = n,
                   .places = l->overlay.places,
                   .place_count = l->overlay.place_count,
                   .end = l->written};
  int failed = index_fold(l->index, &f, e);
  if (failed) return failed;
  overlay_restart(&l->overlay, l->written.address);
  l->folds++;
  return 0;
}

int log_fold(struct log *l, rille_error *e) {
  if (index_folded(l->index).address == l->written.address) return 0;
  int failed = l->scratch ? 0 : log_flush_all(l, e); /* L9; an index of our own depends on nobody */
  if (failed) return failed;
  size_t bytes = (l->overlay.count + 1) * sizeof(struct folded_head), n = l->overlay.count;
  struct folded_head *heads = memory_get(&l->memory, bytes);
  struct overlay_entry **sorted = overlay_sorted(&l->overlay);
  failed = heads && sorted ? fold_entries(l, sorted, heads, e) : error_memory(e);
  memory_free(&l->memory, heads, bytes);
  memory_free(&l->memory, sorted, (n + 1) * sizeof *sorted);
  return failed;
}

int log_fold_if_due(struct log *l, rille_error *e) {
  uint64_t unfolded = l->written.address - l->overlay.start;
  if (l->options.readonly && !l->scratch) return 0; /* open.c has seen that it is little */
  if (l->overlay.bytes < OVERLAY_BYTES_MOST && unfolded < LOG_UNFOLDED_BYTES_MOST) return 0;
  return log_fold(l, e);
}

/* ---- Catching up: the log between A and its end goes into the overlay ---- */

static rille_text chain_name(const struct record *r, size_t chain) {
  return chain == RECORD_STREAM ? r->stream
         : chain == RECORD_TYPE ? r->type
                                : record_tag(r, chain - RECORD_FIRST_TAG);
}

static int take_chain(struct log *l, const struct record *r, size_t chain, uint64_t frame,
                      rille_error *e) {
  struct overlay_entry *entry;
  enum chain_kind kind = chain < RECORD_FIRST_TAG ? (enum chain_kind)chain : CHAIN_TAG;
  int failed = log_entry(l, kind, chain_name(r, chain), &entry, e);
  if (failed) return failed;
  uint64_t number = record_number(r, chain);
  if (number <= entry->count) return 0; /* folded before a crash between two chunks */
  if (number != entry->count + 1)
    return error_corrupt(e, r->address,
                         "the index does not fit the log at byte %llu: delete the folder index/, "
                         "it is made again",
                         (unsigned long long)r->address);
  return overlay_advance(&l->overlay, entry, number, r->address, frame) ? 0 : error_memory(e);
}

static int take_record(struct log *l, const struct record *r, uint64_t frame, rille_error *e) {
  int failed = log_note_place(l, (struct place){r->position, frame, r->address}, e);
  for (size_t c = 0; c < record_chains(r) && !failed; c++) failed = take_chain(l, r, c, frame, e);
  return failed;
}

static int take_frames(struct log *l, struct scan *s, rille_error *e) {
  struct record r;
  int result;
  while ((result = scan_frame(s, e)) == 1) {
    while ((result = scan_record(s, &r, e)) == 1)
      if ((result = take_record(l, &r, s->frame.address, e)) < 0) return result;
    if (result < 0) return result;
    l->written = (struct log_end){s->address, s->next_position, s->time_us, s->frame.address,
                                  s->frame.header_checksum};
    if ((result = log_fold_if_due(l, e)) < 0) return result;
  }
  return result;
}

int log_catch_up(struct log *l, const struct log_end *end, rille_error *e) {
  struct scan s;
  l->written = index_folded(l->index);
  scan_init(&s, &l->source, &l->memory, l->written.address, l->written.next_position, end->address);
  s.time_us = l->written.time_us;
  int failed = take_frames(l, &s, e);
  scan_release(&s);
  assert(failed || l->written.next_position == end->next_position);
  return failed;
}

int log_reload(struct log *l, rille_error *e) {
  struct log_end end = l->written;
  overlay_restart(&l->overlay, index_folded(l->index).address);
  l->place_cell = UINT64_MAX;
  rille_error why = {0};
  int failed = log_catch_up(l, &end, &why);
  l->written = end;
  if (!failed) return 0;
  log_fail(l, failed, why.message);
  return error_set(e, failed, "%s", why.message);
}

/* ---- Closing ---- */

void log_release(struct log *l) {
  if (!l->live) return;
  index_close(l->index);
  if (l->scratch) {
    system_remove_tree(l->scratch);
    memory_free_text(&l->memory, l->scratch);
  }
  segments_close(&l->segments);
  overlay_release(&l->overlay);
  buffer_release(&l->frame);
  pthread_mutex_destroy(&l->lock);
  pthread_mutex_destroy(&l->flushing);
  *l = (struct log){0};
}

int log_close(struct log *l, rille_error *e) {
  if (!l->live) return 0;
  int failed = log_refuse_failed(l, e);
  if (!failed && !l->options.readonly) failed = log_fold(l, e);
  log_release(l);
  return failed;
}

/* ---- Flushing ---- */

/* What is written now; *failed is a remark where `address` is durable already. */
static struct log_end flush_target(struct log *l, uint64_t address, int *failed, rille_error *e) {
  pthread_mutex_lock(&l->lock);
  struct log_end target = l->written;
  *failed = l->durable.address >= address ? RILLE_REMARK : 0;
  if (!*failed && l->failed) *failed = error_set(e, RILLE_UNKNOWN, "%s", l->why);
  pthread_mutex_unlock(&l->lock);
  return target;
}

static int finish_flush(struct log *l, const struct log_end *target, int failed,
                        const rille_error *why, rille_error *e) {
  pthread_mutex_lock(&l->lock);
  if (failed) log_fail(l, RILLE_IO, why->message);
  else if (l->failed) failed = l->failed; /* another one's flush: the kernel told it alone */
  else if (l->durable.address < target->address) l->durable = *target;
  l->flushes++;
  pthread_mutex_unlock(&l->lock);
  return failed ? error_set(e, RILLE_UNKNOWN, "%s", l->why) : 0;
}

int log_flush(struct log *l, uint64_t address, rille_error *e) {
  rille_error why = {0};
  int failed;
  pthread_mutex_lock(&l->flushing);
  struct log_end target = flush_target(l, address, &failed, e);
  if (!failed) failed = finish_flush(l, &target, segments_flush(&l->segments, &why), &why, e);
  pthread_mutex_unlock(&l->flushing);
  return failed < 0 ? failed : 0;
}

struct log_end log_visible(struct log *l, bool durable_only) {
  pthread_mutex_lock(&l->lock);
  struct log_end end = durable_only ? l->durable : l->written;
  pthread_mutex_unlock(&l->lock);
  return end;
}
