/* scavenge.c: the bytes of what is hidden go back to the disk. */
#include "scavenge.h"

#include "error.h"
#include "note.h"

/* ---- One at a time ---- */

static int take(struct log *l, rille_error *e) {
  int failed = log_refuse_failed(l, e);
  if (!failed && l->options.readonly)
    failed = error_set(e, RILLE_READONLY, "the store is open for reading only");
  if (!failed && atomic_load(&l->scavenges) && pthread_equal(l->scavenger, pthread_self()))
    failed = error_set(e, RILLE_BUSY, "the store is being verified, by who calls this");
  if (failed) return failed;
  pthread_mutex_lock(&l->scavenging);
  l->scavenger = pthread_self();
  atomic_store(&l->scavenges, true);
  (void)control_take(l->control, CONTROL_SCAVENGER, true, &failed, e);
  if (failed) scavenge_end(l);
  return failed;
}

int scavenge_begin(struct log *l, rille_error *e) {
  int failed = take(l, e);
  if (failed) return failed;
  failed = segments_sweep(&l->segments, false, e);
  if (failed) scavenge_end(l);
  return failed;
}

void scavenge_end(struct log *l) {
  control_free(l->control, CONTROL_SCAVENGER);
  atomic_store(&l->scavenges, false);
  pthread_mutex_unlock(&l->scavenging);
}

int scavenge_hold(struct log *l, rille_error *e) {
  bool ours = atomic_load(&l->scavenges) && pthread_equal(l->scavenger, pthread_self());
  int failed = ours && l->holds ? 0 : take(l, e);
  if (!failed) l->holds++;
  return failed;
}

void scavenge_let_go(struct log *l) {
  if (--l->holds == 0) scavenge_end(l);
}

/* ---- Files ---- */

static int note_file(void *context, uint64_t first, uint64_t end, bool last) {
  struct repair_segment file = {first, end, last};
  return buffer_add(context, &file, sizeof file) ? 0 : RILLE_MEMORY;
}

int scavenge_files(struct log *l, struct buffer *list, rille_error *e) {
  struct log_end end;
  int failed = log_look(l, true, &end, e);
  if (failed) return failed;
  if (segments_walk(&l->segments, note_file, list)) return error_memory(e);
  struct repair_segment *files = (struct repair_segment *)(void *)list->bytes;
  size_t n = list->length / sizeof *files;
  while (n > 1 && files[n - 1].first >= end.address) n--; /* begun since */
  struct repair_segment *f = &files[n - 1];
  f->end = f->last ? end.address : min_u64(f->end, end.address); /* others let it grow */
  list->length = n * sizeof *files;
  return 0;
}

int scavenge_close_last(struct log *l, uint64_t first, rille_error *e) {
  int failed = log_make_room(l, e);
  if (!failed) failed = log_enter_append(l, e);
  if (failed) return failed;
  if (segments_last_first(&l->segments) == first) failed = log_begin_segment(l, e);
  log_leave_append(l);
  return failed;
}

/* ---- What goes ---- */

int scavenge_is_over(struct log *l, const struct fact *fact, bool *over, rille_error *e) {
  struct chain_head head = {.count = 0};
  *over = false;
  if (fact->kind != FACT_PROMISED) return 0;
  pthread_mutex_lock(&l->lock);
  int failed = log_know_pending(l, e);
  if (!failed) failed = log_find_head(l, WORD_OUTCOME, fact->name, &head, e);
  if (!failed && head.count && !pending_find(&l->pending, fact->name))
    *over = frame_of(head.tower[0]) < log_durable(l).address;
  pthread_mutex_unlock(&l->lock);
  return failed;
}

struct scavenging {
  struct log *log;
  struct overlay cuts;
  bool dry;
  rille_scavenged *done;
};

static void take_hidden(void *context, const struct frame *frame, const struct record *r,
                        struct record_taking *what) {
  struct scavenging *s = context;
  (void)frame;
  if (r->flags & RECORD_TAKEN || record_lost(r, RECORD_STREAM)) return;
  const struct overlay_entry *cut = overlay_find(&s->cuts, WORD_CUT, r->stream);
  if (cut && r->version < cut->tower[0]) what->flags = RECORD_TAKEN;
}

static int take_over(void *context, const struct frame *frame, const struct fact *fact,
                     enum rewrite_fact *what, size_t *from, rille_error *e) {
  struct scavenging *s = context;
  bool over;
  (void)frame, (void)from;
  int failed = scavenge_is_over(s->log, fact, &over, e);
  if (!failed && over) *what = REWRITE_TAKE;
  return failed;
}

/* ---- Truncations ---- */

static int add_cut(void *context, unsigned kind, rille_text name, const struct chain_head *head) {
  struct scavenging *s = context;
  (void)kind;
  return overlay_set_word(&s->cuts, WORD_CUT, name, head->tower[0], 0) ? 0 : RILLE_MEMORY;
}

static int add_cuts_of(struct scavenging *s, const struct overlay *o) {
  const struct overlay_entry *entry = NULL;
  while ((entry = overlay_next(o, entry)) != NULL) {
    if (entry->kind != WORD_CUT) continue;
    uint64_t value = entry->count ? entry->tower[0] : 0; /* 0: its stream was redacted */
    rille_text name = {entry->name, entry->name_length};
    if (!overlay_set_word(&s->cuts, WORD_CUT, name, value, 0)) return RILLE_MEMORY;
  }
  return 0;
}

/* Those of now, durable. What is truncated later is taken the next time. */
static int know_cuts(struct scavenging *s, rille_error *e) {
  struct log *l = s->log;
  struct index_slice all = {.most = SIZE_MAX};
  struct index_each each = {.head = add_cut, .context = s};
  pthread_mutex_lock(&l->lock);
  struct log_end end = log_written(l);
  int failed = log_catch_up(l, &end, e);
  if (!failed) failed = index_begin(l->index, e);
  if (!failed) {
    failed = index_walk(l->index, WORD_CUT, &all, &each, e);
    index_end(l->index);
    if (!failed && l->has_old) failed = add_cuts_of(s, &l->old);
    if (!failed) failed = add_cuts_of(s, &l->fresh);
    if (failed == RILLE_MEMORY) error_memory(e);
  }
  pthread_mutex_unlock(&l->lock);
  return failed ? failed : log_flush(l, end.address, e);
}

/* ---- The whole ---- */

static int scavenge_file(struct scavenging *s, const struct repair_segment *file, rille_error *e) {
  struct rewriting w = {.log = s->log, .context = s, .record = take_hidden, .fact = take_over};
  struct rewritten found, done;
  if (file->first >= file->end) return 0;
  int failed = rewrite_survey(&w, file->first, file->end, &found, e);
  if (failed || found.records + found.facts == 0) return failed;
  s->done->segments++;
  s->done->events += found.records;
  s->done->bytes += found.bytes;
  if (s->dry) return 0;
  if (file->last) failed = scavenge_close_last(s->log, file->first, e);
  struct repair_segment now = segments_describe(&s->log->segments, file->first);
  if (!failed) failed = rewrite_file(&w, now.first, now.end, &done, e);
  if (!failed) log_raise(s->log);
  return failed;
}

static int scavenge_all(struct scavenging *s, rille_error *e) {
  struct buffer list;
  struct repair_segment file;
  buffer_init(&list, &s->log->memory);
  int failed = know_cuts(s, e);
  if (!failed) failed = scavenge_files(s->log, &list, e);
  for (size_t at = 0; at < list.length && !failed; at += sizeof file) {
    memcpy(&file, list.bytes + at, sizeof file);
    failed = scavenge_file(s, &file, e);
  }
  buffer_release(&list);
  return failed;
}

int scavenge_run(struct log *l, bool dry, rille_scavenged *done, rille_error *e) {
  struct scavenging s = {.log = l, .dry = dry, .done = done};
  int failed = scavenge_begin(l, e);
  if (failed) return failed;
  overlay_init(&s.cuts, &l->memory, l->identity.salt);
  failed = scavenge_all(&s, e);
  overlay_release(&s.cuts);
  scavenge_end(l);
  return failed;
}
