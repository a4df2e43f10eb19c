/* audit.c: verify as a whole: the log is walked (verify.c), and the index held against what
** that has folded, head by head, word by word, place by place.
**
**      0 ........................ V ........... W ....... end
**      |  walked, nothing locked   | the same    | walked with nobody appending
**
** Appends go on meanwhile. What the index and the overlays have as of V is compared in slices,
** with `lock` held for each; a head that differs is doubtful: it may have changed since. So the
** log is walked on to W, which gives our own fold the changes, and compared again; and so for
** the little that came after W, with WRITER, which decides about what is doubtful then. Names
** and places that the index has are walked over last: one that our fold does not know may be
** new again, and is looked for once the log has been walked to its end of that moment, behind
** which the index has nothing (L9). */
#include "verify.h"

#include "error.h"
#include "scavenge.h"

#define SLICE_HEADS 256u
#define SLICE_NAMES 1024u

static int no_memory(struct verifying *v) { return error_memory(&v->error); }

/* ---- Slices ---- */

static void begin_slice(struct verifying *v) {
  if (v->alone) return;
  pthread_mutex_lock(&v->log->lock);
  v->locked = true;
}

static void end_slice(struct verifying *v) {
  if (v->alone) return;
  v->locked = false;
  pthread_mutex_unlock(&v->log->lock);
  verify_tell_kept(v);
}

/* ---- Heads and words ---- */

static bool same_head(const struct overlay_entry *a, const struct chain_head *b) {
  if (a->kind == WORD_PENDING && a->tower[0] == 0) return b->count == 0 || b->tower[0] == 0;
  return a->count == b->count &&
         memcmp(a->tower, b->tower, chain_levels(a->count) * sizeof *b->tower) == 0;
}

static void tell_head(struct verifying *v, const struct overlay_entry *entry) {
  char name[ERROR_NAME_BYTES];
  error_set(&v->error, 0,
            "the index does not fit the log for \"%s\": delete the folder index/, it is made again",
            error_name((rille_text){entry->name, entry->name_length}, name));
  verify_tell_error(v, "L5", 0);
}

/* With `lock`. One that is damaged is told at once. */
static int compare(struct verifying *v, const struct overlay_entry *entry, bool *differs) {
  struct chain_head head;
  rille_text name = {entry->name, entry->name_length};
  int failed = log_find_head(v->log, entry->kind, name, &head, &v->error);
  *differs = false;
  if (failed == RILLE_CORRUPT) tell_head(v, entry);
  else if (failed < 0) return failed;
  else if (!v->beside_writers || head.count < entry->count) *differs = !same_head(entry, &head);
  return 0;
}

/* Those of one stretch; who differs becomes doubtful. */
static int compare_heads(struct verifying *v, const struct overlay *o) {
  struct overlay_entry *entry = NULL;
  int failed = 0;
  do {
    begin_slice(v);
    for (unsigned n = 0; n < SLICE_HEADS && !failed && (entry = overlay_next(o, entry)); n++) {
      bool differs;
      failed = compare(v, entry, &differs);
      if (!failed && differs && !buffer_add(&v->doubtful, &entry, sizeof entry))
        failed = no_memory(v);
    }
    end_slice(v);
  } while (entry && !failed && !v->stopped);
  return failed;
}

/* Once more, by what our fold has by now. `decide`: nothing can have changed since. */
static int compare_doubtful(struct verifying *v, bool decide) {
  struct overlay_entry **list = (struct overlay_entry **)(void *)v->doubtful.bytes;
  size_t count = v->doubtful.length / sizeof *list, kept = 0, i = 0;
  int failed = 0;
  while (i < count && !failed && !v->stopped) {
    begin_slice(v);
    for (unsigned n = 0; n < SLICE_HEADS && i < count && !failed; n++, i++) {
      bool differs;
      rille_text name = {list[i]->name, list[i]->name_length};
      const struct overlay_entry *newest = verify_head(v, list[i]->kind, name);
      failed = compare(v, newest, &differs);
      if (!failed && differs && decide) tell_head(v, newest);
      else if (differs) list[kept++] = list[i];
    }
    end_slice(v);
  }
  v->doubtful.length = kept * sizeof *list;
  return failed;
}

/* ---- Names, places, and what is kept ---- */

static int note_unknown(void *context, unsigned kind, rille_text name,
                        const struct chain_head *head) {
  static const struct chain_head none;
  struct verifying *v = context;
  (void)head;
  if (verify_head(v, kind, name) || overlay_find(&v->unknown, kind, name)) return 0;
  return overlay_add(&v->unknown, kind, name, &none) ? 0 : no_memory(v);
}

static int note_place(void *context, const struct place *place) {
  struct verifying *v = context;
  return buffer_add(&v->places, place, sizeof *place) ? 0 : no_memory(v);
}

static int check_kept(void *context, rille_text key, bool sound) {
  struct verifying *v = context;
  char text[ERROR_NAME_BYTES];
  if (sound) return 0;
  error_set(&v->error, 0,
            "what is kept under \"%s\" is damaged: delete the folder index/, it is made again",
            error_name(key, text));
  verify_tell_error(v, "L5", 0);
  return 0;
}

static int walk_slice(struct verifying *v, unsigned table, struct index_slice *slice) {
  struct index *x = v->log->index;
  int result = index_begin(x, &v->error);
  if (result) return result;
  struct index_each each = {note_unknown, note_place, check_kept, v};
  result = index_walk(x, table, slice, &each, &v->error);
  index_end(x);
  return result;
}

static int walk_table(struct verifying *v, unsigned table) {
  struct index_slice slice = {.most = SLICE_NAMES};
  int result;
  do {
    begin_slice(v);
    result = walk_slice(v, table, &slice);
    end_slice(v);
  } while (result == RILLE_REMARK && !v->stopped);
  return result < 0 ? result : 0;
}

/* A chain that has ended stays in the index until its redaction is over: readers are told. */
static bool has_ended(struct verifying *v, unsigned kind, rille_text name) {
  struct chain_head head;
  if (kind >= CHAIN_KINDS || atomic_load(&v->log->pending.redactions) == 0) return false;
  begin_slice(v);
  int failed = log_find_head(v->log, kind, name, &head, &v->error);
  end_slice(v);
  return !failed && head.count == 0;
}

/* Only for who knows the log up to the end of now. */
static void tell_unknown(struct verifying *v) {
  char text[ERROR_NAME_BYTES];
  const struct overlay_entry *entry = NULL;
  while (!v->stopped && (entry = overlay_next(&v->unknown, entry)) != NULL) {
    rille_text name = {entry->name, entry->name_length};
    if (verify_head(v, entry->kind, name) || has_ended(v, entry->kind, name)) continue;
    error_set(&v->error, 0, "the index knows \"%s\", the log does not", error_name(name, text));
    verify_tell_error(v, "L5", 0);
  }
}

static int check_places(struct verifying *v) {
  const struct place *places = (const struct place *)(const void *)v->places.bytes;
  size_t count = v->places.length / sizeof *places;
  for (size_t i = 0; i < count && !v->stopped; i++) {
    struct record r;
    int failed = window_record(&v->scan.window, places[i].record, &r, &v->error);
    if (failed && failed != RILLE_CORRUPT) return failed;
    if (failed || r.position != places[i].position)
      verify_tell(v, "L5", places[i].record, places[i].position,
                  "the index has a position at a wrong place");
  }
  return 0;
}

/* ---- Both ---- */

/* Damage that opening met already lies behind what this handle sees. */
static int check_end(struct verifying *v, uint64_t end) {
  struct log *l = v->log;
  struct repair_segment last = segments_describe(&l->segments, end);
  bool known = last.last && end == l->segments.frontier && end >= l->reached;
  if (v->damaged || v->beside_writers || known) return 0;
  int failed = segments_refresh(&l->segments, &v->error);
  last = segments_describe(&l->segments, end);
  struct repair_finding f = {.end = l->seen, .evidence = l->reached};
  if (!failed) failed = repair_look(&l->source, &l->memory, &last, &f, &v->error);
  if (failed) return failed;
  if (f.verdict == REPAIR_CORRUPT || (l->options.readonly && f.verdict == REPAIR_TORN)) {
    v->error.address = end;
    error_corrupt(&v->error, end, "%s", f.reason);
    verify_damaged(v, f.end.next_position - 1);
    verify_tell_error(v, f.verdict == REPAIR_CORRUPT ? "L7" : "L4", f.end.next_position);
  }
  return 0;
}

/* The next stretch of our own fold. What was read ahead may have been zeros, which others
** were about to write over. */
static void begin_stretch(struct verifying *v) {
  overlay_split(&v->heads, &v->older[v->older_count++], NULL, v->scan.address);
  window_forget(&v->scan.window);
}

/* The end of now, with the overlays as far: heads are found up to there. */
static int catch_up(struct verifying *v, struct log_end *end) {
  struct log *l = v->log;
  int failed = log_look(l, false, end, &v->error);
  if (failed) return failed;
  pthread_mutex_lock(&l->lock);
  v->beside_writers = l->options.readonly && l->generation != 0;
  failed = log_refuse_failed(l, &v->error);
  if (!failed) failed = log_catch_up(l, end, &v->error);
  pthread_mutex_unlock(&l->lock);
  return failed;
}

/* Walks on, with nothing locked. */
static int walk_on(struct verifying *v) {
  struct log_end end;
  int failed = catch_up(v, &end);
  begin_stretch(v);
  return failed || v->stopped ? failed : verify_walk(v, end.address);
}

static bool goes_on(const struct verifying *v, int failed) {
  return !failed && !v->damaged && !v->stopped;
}

/* With nobody appending (a reader can't keep others from it: it looks at what it has seen). */
static int decide(struct verifying *v) {
  int failed = 0;
  v->locked = v->alone = true;
  begin_stretch(v);
  if (goes_on(v, failed)) failed = verify_walk(v, v->log->seen.address);
  if (goes_on(v, failed)) failed = compare_heads(v, &v->heads);
  if (goes_on(v, failed)) failed = compare_doubtful(v, true);
  if (!failed && !v->stopped) failed = check_end(v, v->scan.address);
  v->locked = v->alone = false;
  return failed;
}

static int decide_locked(struct verifying *v) {
  struct log *l = v->log;
  struct log_end end;
  int failed = l->options.readonly ? catch_up(v, &end) : log_enter_append(l, &v->error);
  if (failed) return failed;
  if (l->options.readonly) pthread_mutex_lock(&l->lock);
  failed = decide(v);
  if (l->options.readonly) pthread_mutex_unlock(&l->lock);
  else log_leave_append(l);
  verify_tell_kept(v);
  return failed;
}

/* What the index has that the log may not have. */
static int look_for_more(struct verifying *v) {
  int failed = 0;
  for (unsigned table = 0; table < INDEX_TABLES && !failed && !v->stopped; table++)
    failed = walk_table(v, table);
  if (goes_on(v, failed)) failed = walk_on(v);
  if (!goes_on(v, failed)) return failed;
  tell_unknown(v);
  return check_places(v);
}

static int audit(struct verifying *v) {
  struct log_end end;
  uint64_t before = v->result->problems;
  int failed = catch_up(v, &end);
  if (goes_on(v, failed)) failed = compare_heads(v, &v->heads);
  if (goes_on(v, failed)) failed = walk_on(v);
  if (goes_on(v, failed)) failed = compare_heads(v, &v->heads);
  if (goes_on(v, failed)) failed = compare_doubtful(v, false);
  if (!failed) failed = decide_locked(v);
  /* LMDB walks into damage with an assertion; heads that can't be found tell of it. */
  if (!goes_on(v, failed) || v->beside_writers || v->result->problems > before) return failed;
  return look_for_more(v);
}

static void begin(struct verifying *v, const struct memory *memory, uint64_t end) {
  uint64_t seed = v->log->identity.salt;
  buffer_init(&v->kept, memory);
  buffer_init(&v->doubtful, memory);
  buffer_init(&v->places, memory);
  overlay_init(&v->heads, memory, seed);
  overlay_init(&v->unknown, memory, seed);
  scan_init(&v->scan, &v->log->source, memory, 0, 1, end);
}

static void release(struct verifying *v) {
  while (v->older_count) overlay_release(&v->older[--v->older_count]);
  overlay_release(&v->heads);
  overlay_release(&v->unknown);
  buffer_release(&v->kept);
  buffer_release(&v->doubtful);
  buffer_release(&v->places);
  scan_release(&v->scan);
}

int rille_store_verify(rille_store *h, const rille_verify *options, rille_verified *result,
                       rille_error *e) {
  rille_verify known = {0};
  rille_verified ignored = {0};
  if (options && options->size == 0)
    return error_set(e, RILLE_INVALID, "options.size is 0: set it to sizeof options");
  if (options) memcpy(&known, options, min_u64(options->size, sizeof known));
  struct verifying v = {
      .log = &h->shared->log, .options = &known, .result = result ? result : &ignored};
  *v.result = (rille_verified){0};
  struct log_end end;
  bool writes = !v.log->options.readonly; /* nobody takes content out meanwhile */
  int failed = store_usable(h, e);
  if (!failed && writes) failed = scavenge_hold(v.log, e);
  if (failed) return failed;
  failed = log_look(v.log, false, &end, &v.error);
  begin(&v, &h->shared->memory, failed ? 0 : end.address);
  if (!failed) failed = verify_walk(&v, end.address);
  if (!failed) failed = audit(&v);
  if (!v.damaged) v.result->readable = v.result->events;
  release(&v);
  if (writes) scavenge_let_go(v.log);
  if (failed) return error_set(e, failed, "%s", v.error.message);
  return v.result->problems ? error_set(e, RILLE_REMARK, "%llu problems were found",
                                        (unsigned long long)v.result->problems)
                            : 0;
}
