/* log.c: ends, heads, and catching up with what others have written. Opening is in
** open.c, appending in append.c, flushing in flush.c, folding in fold.c. */
#include "log.h"

#include <assert.h>
#include <stdio.h>

#include "error.h"
#include "note.h"
#include "recall.h"

/* ---- Failing ---- */

int log_fail(struct log *l, int code, const char *why) {
  size_t n = strlen(why);
  if (n > sizeof l->why - 1) n = sizeof l->why - 1;
  memcpy(l->why, why, n);
  l->why[n] = '\0';
  l->failed = code;
  return code;
}

int log_refuse_unflushed(struct log *l, rille_error *e) {
  int number;
  const char *what = l->control->readonly ? NULL : control_failure(l->control, &number);
  if (!what) return 0;
  (void)error_system(
      e, number,
      "the store failed before and must be closed, in all processes, the disk mended, "
      "and the store opened again, which repairs it: %s",
      what);
  if (e) e->code = RILLE_IO; /* whatever the errno */
  return RILLE_IO;
}

int log_refuse_failed(struct log *l, rille_error *e) {
  if (l->segments.forgotten) return segments_refuse_fork(e);
  if (l->failed)
    return error_set(e, RILLE_IO, "the store failed before and must be closed: %s", l->why);
  return log_refuse_unflushed(l, e);
}

/* ---- Ends ---- */

static bool is_following(const struct log *l) { return !l->options.readonly || l->generation; }

struct log_end log_written(struct log *l) {
  return is_following(l) ? shared_end_get(&l->control->words->written) : l->still;
}

struct log_end log_durable(struct log *l) {
  return is_following(l) ? shared_end_get(&l->control->words->durable) : l->still;
}

/* With `lock`: knows the files that others have begun. */
static int know_files(struct log *l, rille_error *e) {
  if (!is_following(l)) return 0;
  uint64_t last = atomic_load(&l->control->words->segment);
  return last == segments_last_first(&l->segments) ? 0 : segments_refresh(&l->segments, e);
}

static void restart(struct log *l, const struct log_end *a) {
  overlay_restart(&l->fresh, a->address);
  l->seen = *a;
  l->place_cell = UINT64_MAX;
  l->pending_loaded = false;
}

void log_restart(struct log *l) {
  struct log_end a = index_folded(l->index);
  if (l->has_old) overlay_release(&l->old);
  l->has_old = false;
  pthread_cond_broadcast(&l->work.room);
  restart(l, &a);
}

int log_look(struct log *l, bool durable_only, struct log_end *end, rille_error *e) {
  pthread_mutex_lock(&l->lock);
  if (l->options.readonly) (void)control_generation(l->control); /* there may be words by now */
  int failed = log_follow(l, e);
  *end = durable_only ? log_durable(l) : log_written(l);
  if (!failed) failed = know_files(l, e);
  pthread_mutex_unlock(&l->lock);
  return failed;
}

/* ---- Heads and places ---- */

int log_find_head(struct log *l, unsigned kind, rille_text name, struct chain_head *head,
                  rille_error *e) {
  const struct overlay_entry *entry = overlay_find(&l->fresh, kind, name);
  if (!entry && l->has_old) entry = overlay_find(&l->old, kind, name);
  if (entry) {
    overlay_get(entry, head);
    return 0;
  }
  int failed = index_begin(l->index, e);
  if (!failed) failed = index_head(l->index, kind, name, head, e);
  index_end(l->index);
  bool newer = !failed && kind < CHAIN_KINDS && head->count && head->tower[0] >= l->seen.address;
  return newer ? know_files(l, e) : failed; /* it may lead to files that are new */
}

int log_head(struct log *l, unsigned kind, rille_text name, struct chain_head *head,
             rille_error *e) {
  pthread_mutex_lock(&l->lock);
  struct log_end end = log_written(l);
  int failed = log_refuse_failed(l, e);
  if (!failed) failed = log_catch_up(l, &end, e);
  if (!failed) failed = log_find_head(l, kind, name, head, e);
  pthread_mutex_unlock(&l->lock);
  return failed;
}

int log_entry(struct log *l, enum chain_kind kind, rille_text name, struct overlay_entry **entry,
              rille_error *e) {
  *entry = overlay_find(&l->fresh, kind, name);
  if (*entry) return 0;
  struct chain_head head;
  int failed = log_find_head(l, kind, name, &head, e);
  if (failed) return failed;
  *entry = overlay_add(&l->fresh, kind, name, &head);
  return *entry ? 0 : error_memory(e);
}

int log_keep(struct log *l, unsigned kind, rille_text name, const struct chain_head *head,
             rille_error *e) {
  if (log_is_due(l) || overlay_find(&l->fresh, kind, name)) return 0;
  return overlay_add(&l->fresh, kind, name, head) ? 0 : error_memory(e);
}

int log_find_place(struct log *l, uint64_t position, struct place *place, rille_error *e) {
  const struct place *found = overlay_find_place(&l->fresh, position);
  if (!found && l->has_old) found = overlay_find_place(&l->old, position);
  if (found) {
    *place = *found;
    return 0;
  }
  int failed = index_begin(l->index, e);
  if (!failed) failed = index_place(l->index, position, place, e);
  index_end(l->index);
  return failed;
}

int log_place(struct log *l, uint64_t position, struct place *place, rille_error *e) {
  pthread_mutex_lock(&l->lock);
  struct log_end end = log_written(l);
  int failed = position < l->seen.next_position ? 0 : log_catch_up(l, &end, e);
  if (!failed) failed = log_find_place(l, position, place, e);
  pthread_mutex_unlock(&l->lock);
  return failed;
}

/* ---- What a frame changes ---- */

int log_note_place(struct log *l, struct place place, rille_error *e) {
  uint64_t cell = place.record / INDEX_PLACE_BYTES;
  if (cell == l->place_cell) return 0;
  if (!overlay_add_place(&l->fresh, place)) return error_memory(e);
  l->place_cell = cell;
  return 0;
}

int log_note_facts(struct log *l, const uint8_t *prefix, size_t n, uint64_t frame, int64_t time_us,
                   rille_error *e) {
  struct fact fact;
  int failed = note_facts(&l->fresh, prefix, n, frame, e);
  l->late |= l->fresh.late;
  for (size_t at = 0, used; !failed && (used = fact_get(prefix + at, n - at, &fact)) != 0;
       at += used)
    failed = pending_note(&l->pending, &fact, frame, time_us, e);
  return failed;
}

/* ---- What is not over, from the index ---- */

struct loading {
  struct log *log;
  struct pack found; /* names and words, the newer ones last */
};

static int find_pending(void *context, unsigned kind, rille_text name,
                        const struct chain_head *head) {
  struct loading *g = context;
  (void)kind;
  pack_text(&g->found, name);
  pack_u64(&g->found, head->tower[0]);
  return 0;
}

static int load_entry(struct log *l, rille_text name, uint64_t address, rille_error *e) {
  struct recalled r;
  struct fact fact;
  size_t used;
  int failed = recall_frame(&r, &l->source, &l->memory, address, e);
  if (failed) return failed;
  for (size_t at = 0; !failed; at += used) {
    if ((used = fact_get(r.prefix.bytes + at, r.prefix.length - at, &fact)) == 0) break;
    if (pending_effect(&fact) > 0 && text_equal(fact.name, name))
      failed = pending_note(&l->pending, &fact, address, r.frame.time_us, e);
  }
  recall_release(&r);
  return failed;
}

/* What is split off and not folded yet is newer than the index. */
static void find_pending_in_old(struct loading *g) {
  struct log *l = g->log;
  const struct overlay_entry *entry = NULL;
  while (l->has_old && (entry = overlay_next(&l->old, entry)) != NULL) {
    if (entry->kind != WORD_PENDING || entry->count == 0) continue;
    pack_text(&g->found, (rille_text){entry->name, entry->name_length});
    pack_u64(&g->found, entry->tower[0]);
  }
}

static int load_found(struct loading *g, rille_error *e) {
  struct unpack u = {.at = g->found.bytes.bytes, .left = g->found.bytes.length};
  int failed = g->found.no_memory ? error_memory(e) : 0;
  if (!failed && u.left) failed = know_files(g->log, e);
  while (u.left && !failed) {
    rille_text name = unpack_text(&u);
    uint64_t word = unpack_u64(&u);
    if (word) failed = load_entry(g->log, name, frame_of(word), e);
    else pending_forget(&g->log->pending, name);
  }
  return failed;
}

static int load_pending(struct log *l, rille_error *e) {
  struct loading g = {.log = l};
  struct index_slice all = {.most = SIZE_MAX};
  struct index_each each = {.head = find_pending, .context = &g};
  pack_init(&g.found, &l->memory);
  pending_clear(&l->pending);
  int failed = index_begin(l->index, e);
  if (!failed) failed = index_walk(l->index, WORD_PENDING, &all, &each, e);
  index_end(l->index);
  find_pending_in_old(&g);
  if (!failed) failed = load_found(&g, e);
  pack_release(&g.found);
  l->pending_loaded = !failed;
  return failed;
}

/* A reader needs none of it to read: damage there is told to who asks for it. */
static int load_for_catching_up(struct log *l, rille_error *e) {
  rille_error why = {0};
  int failed = l->pending_loaded ? 0 : load_pending(l, &why);
  if (failed == RILLE_CORRUPT && l->options.readonly) return 0;
  if (failed && e) *e = why;
  return failed;
}

/* ---- Catching up: the log between `seen` and its end goes into the overlay ---- */

static rille_text chain_name(const struct record *r, size_t chain) {
  return chain == RECORD_STREAM ? r->stream
         : chain == RECORD_TYPE ? r->type
                                : record_tag(r, chain - RECORD_FIRST_TAG);
}

/* The chain of a first record was empty before it: the index need not be asked. What it may
** have by now, folded by others, is read next. */
static int begin_chain(struct log *l, enum chain_kind kind, rille_text name,
                       struct overlay_entry **entry, rille_error *e) {
  static const struct chain_head empty;
  *entry = overlay_find(&l->fresh, kind, name);
  if (!*entry && l->has_old && overlay_find(&l->old, kind, name))
    return log_entry(l, kind, name, entry, e);
  if (!*entry) *entry = overlay_add(&l->fresh, kind, name, &empty);
  return *entry ? 0 : error_memory(e);
}

/* The chain of `other` that the record is the next member of. */
static size_t chain_before(const struct record *other, uint64_t number, rille_text name) {
  for (size_t c = 0; c < record_chains(other); c++)
    if (record_number(other, c) == number &&
        (record_lost(other, c) || text_equal(chain_name(other, c), name)))
      return c;
  return SIZE_MAX;
}

/* Whether a record of the chain between the last that is known and this one has lost its name: then
** a redaction that takes the name out of all of them is under way, and its frame ends the chain.
** Files are replaced one after another: the records right before this one may have it still. */
static bool follows_lost(struct log *l, const struct record *r, size_t chain, uint64_t known) {
  uint64_t links[LINKS_MOST];
  rille_text name = chain_name(r, chain);
  struct window w;
  struct record other = *r;
  bool lost = false;
  window_init(&w, &l->source, &l->memory, SCAN_WINDOW_SMALL);
  while (chain != SIZE_MAX && !lost && record_number(&other, chain) > known + 1) {
    uint64_t before = record_number(&other, chain) - 1;
    if (record_links(&other, chain, links) == 0) break;
    if (window_record(&w, links[0], &other, NULL) != 0) break;
    chain = chain_before(&other, before, name);
    lost = chain != SIZE_MAX && record_lost(&other, chain);
  }
  window_release(&w);
  return lost;
}

static int take_chain(struct log *l, const struct record *r, size_t chain, uint64_t frame,
                      rille_error *e) {
  struct overlay_entry *entry;
  enum chain_kind kind = chain < RECORD_FIRST_TAG ? (enum chain_kind)chain : CHAIN_TAG;
  rille_text name = chain_name(r, chain);
  uint64_t number = record_number(r, chain);
  int failed =
      number == 1 ? begin_chain(l, kind, name, &entry, e) : log_entry(l, kind, name, &entry, e);
  if (failed) return failed;
  if (entry->touched > frame) return 0; /* folded by others, or before a crash */
  if (number <= entry->count) return 0; /* the same */
  if (number != entry->count + 1)
    return follows_lost(l, r, chain, entry->count)
               ? 0
               : error_corrupt(
                     e, r->address,
                     "the index does not fit the log at byte %llu: delete the folder index/, "
                     "it is made again",
                     (unsigned long long)r->address);
  return overlay_advance(&l->fresh, entry, number, r->address, frame) ? 0 : error_memory(e);
}

static int take_record(struct log *l, struct id_run *run, const struct record *r, uint64_t frame,
                       rille_error *e) {
  int failed = log_note_place(l, (struct place){r->position, frame, r->address}, e);
  for (size_t c = 0; c < record_chains(r) && !failed; c++)
    if (!record_lost(r, c)) failed = take_chain(l, r, c, frame, e);
  struct noted_id id = noted_id_of(r, frame);
  return failed ? failed : note_id(&l->fresh, &l->identity, run, &id, e);
}

static int take_frame(struct log *l, struct scan *s, rille_error *e) {
  struct record r;
  struct id_run run = {.length = 0};
  const uint8_t *prefix;
  int result = s->frame.prefix ? scan_prefix(s, &prefix, e) : 0;
  if (result == 0 && s->frame.prefix)
    result = log_note_facts(l, prefix, s->frame.prefix, s->frame.address, s->frame.time_us, e);
  if (result < 0) return result;
  while ((result = scan_record(s, &r, e)) == 1)
    if ((result = take_record(l, &run, &r, s->frame.address, e)) < 0) return result;
  return result;
}

static int tell_progress(struct log *l, rille_error *e) {
  const struct log_options *o = &l->options;
  if (!l->opening || !o->progress || l->seen.address - l->told < LOG_PROGRESS_BYTES) return 0;
  l->told = l->seen.address;
  if (o->progress(o->progress_context, l->told, l->opening_end) == 0) return 0;
  return error_set(e, RILLE_REFUSED, "opening the store was given up");
}

static int take_frames(struct log *l, struct scan *s, rille_error *e) {
  int result;
  while ((result = scan_frame(s, e)) == 1) {
    if ((result = take_frame(l, s, e)) < 0) return result;
    l->seen = (struct log_end){s->address, s->next_position, s->time_us, s->frame.address,
                               s->frame.header_checksum};
    bool folds = l->opening && (!l->options.readonly || l->scratch);
    if (folds && log_is_due(l) && (result = log_fold(l, e)) < 0) return result;
    if ((result = tell_progress(l, e)) < 0) return result;
  }
  return result;
}

/* Another process may have folded meanwhile much of what is to be read. */
static int skip_folded(struct log *l, const struct log_end *end, rille_error *e) {
  if (l->has_old || l->opening || end->address - l->seen.address < LOG_SKIP_BYTES) return 0;
  int failed = index_look(l->index, e);
  struct log_end a = index_folded(l->index);
  if (!failed && a.address > l->seen.address) restart(l, &a);
  return failed;
}

static int read_on(struct log *l, const struct log_end *end, rille_error *e) {
  struct scan s;
  scan_init(&s, &l->source, &l->memory, l->seen.address, l->seen.next_position, end->address);
  s.time_us = l->seen.time_us;
  window_expect(&s.window, end->address - l->seen.address);
  int failed = take_frames(l, &s, e);
  scan_release(&s);
  assert(failed || l->seen.next_position == end->next_position);
  return failed;
}

/* Where it fails it can be called again: what was taken of a frame is recognised. */
int log_catch_up(struct log *l, const struct log_end *end, rille_error *e) {
  if (l->seen.address >= end->address && l->pending_loaded) return 0;
  int failed = load_for_catching_up(l, e);
  if (!failed) failed = know_files(l, e);
  if (!failed) failed = skip_folded(l, end, e);
  if (!failed) failed = load_for_catching_up(l, e);
  if (!failed && l->seen.address < end->address) failed = read_on(l, end, e);
  if (!failed && !l->opening && log_is_due(l)) failed = log_shed(l, e);
  return failed;
}

int log_reload(struct log *l, rille_error *e) {
  struct log_end end = l->seen, a = l->has_old ? l->old_end : (struct log_end){0};
  rille_error why = {0};
  int failed = l->has_old ? 0 : index_look(l->index, &why);
  if (!l->has_old) a = index_folded(l->index);
  if (!failed) {
    restart(l, &a);
    failed = log_catch_up(l, &end, &why);
  }
  if (!failed) return 0;
  log_fail(l, failed, why.message);
  return error_set(e, failed, "%s", why.message);
}

int log_know_pending(struct log *l, rille_error *e) {
  if (l->pending_loaded) return 0;
  int failed = load_pending(l, e);
  return failed ? failed : log_reload(l, e); /* what was read behind A goes on top of it */
}

/* ---- Closing ---- */

void log_release(struct log *l) {
  if (!l->live) return;
  index_close(l->index, l->control->alone);
  if (l->scratch) {
    system_remove_tree(l->scratch);
    memory_free_text(&l->memory, l->scratch);
  }
  segments_close(&l->segments);
  overlay_release(&l->fresh);
  if (l->has_old) overlay_release(&l->old);
  overlay_release(&l->spare);
  buffer_release(&l->frame);
  pending_clear(&l->pending);
  pthread_mutex_destroy(&l->lock);
  pthread_mutex_destroy(&l->flushing);
  pthread_mutex_destroy(&l->folding);
  pthread_mutex_destroy(&l->appending);
  pthread_mutex_destroy(&l->scavenging);
  pthread_cond_destroy(&l->work.wanted);
  pthread_cond_destroy(&l->work.room);
  *l = (struct log){0};
}

/* The last one leaves an index that has everything, so that opening is quick. */
static int fold_to_end(struct log *l, rille_error *e) {
  struct log_end end = log_written(l);
  int failed = log_flush(l, end.address, e);
  pthread_mutex_lock(&l->lock);
  if (!failed) failed = log_catch_up(l, &end, e);
  pthread_mutex_unlock(&l->lock);
  return failed ? failed : log_fold(l, e);
}

int log_close(struct log *l, rille_error *e) {
  if (!l->live) return 0;
  log_stop_work(l);
  int failed = log_refuse_failed(l, e);
  if (!failed && l->control->alone) failed = fold_to_end(l, e);
  log_release(l);
  return failed;
}

void log_forget(struct log *l) { segments_forget(&l->segments); }

void log_keep_still(struct log *l) { segments_keep_still(&l->segments); }

void log_go_on(struct log *l) { segments_go_on(&l->segments); }
