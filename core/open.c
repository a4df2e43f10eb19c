/* open.c: opening a log: find where it ends, and make everything agree with that.
**
** Who is alone, or only reads while nobody writes, does it in this order, so that a store
** which is refused has not been changed: open the index if it can be used; look for the
** log's end from A, or from the beginning; decide. Only then cut and flush (repair.h),
** make a new index if need be, and read what is behind A into the overlay. Who comes
** later believes the words of control, and catches up when it needs to. */
#include "log.h"

#include <stdio.h>

#include "error.h"

struct opening {
  struct log *log;
  char log_folder[SYSTEM_PATH_BYTES], index_folder[SYSTEM_PATH_BYTES];
  enum index_state index;
  bool fits; /* the log has the frame that the index says it ends with */
  struct repair_finding found;
};

/* ---- Looking ---- */

static int check_fit(struct opening *o, rille_error *e) {
  struct log *l = o->log;
  struct log_end a = index_folded(l->index);
  uint8_t b[FRAME_HEADER_BYTES];
  size_t got;
  struct frame f;
  o->fits = a.address == 0;
  if (o->fits || a.address > l->segments.frontier || a.last_frame >= a.address) return 0;
  int failed = segments_read(&l->segments, a.last_frame, b, sizeof b, &got, e);
  if (failed) return failed;
  bool packed; /* then its frames may have other checksums than when they were folded */
  uint64_t stored;
  failed = segments_look(&l->segments, a.last_frame, &packed, &stored, e);
  o->fits = got == sizeof b && frame_get_header(b, a.last_frame, l->identity.salt, &f) &&
            (packed || f.header_checksum == a.last_checksum) && frame_end(&f) == a.address;
  return failed;
}

/* Rule R3, segment by segment. */
static int look(struct opening *o, rille_error *e) {
  struct log *l = o->log;
  struct repair_finding *f = &o->found;
  for (;;) {
    struct repair_segment segment = segments_describe(&l->segments, f->end.address);
    int failed = repair_look(&l->source, &l->memory, &segment, f, e);
    if (failed || segment.last || f->verdict != REPAIR_CLEAN) return failed;
    if (f->end.address != segment.end) return 0;
  }
}

/* Nothing in the log is sound, and the index is another store's: it is more likely
** that the file `store` was exchanged than that the first append was torn. */
static void suspect_identity(struct opening *o) {
  struct repair_finding *f = &o->found;
  if (o->index != INDEX_FOREIGN || f->verdict != REPAIR_TORN || f->end.address != 0) return;
  f->verdict = REPAIR_CORRUPT;
  f->evidence = o->log->segments.frontier;
  snprintf(f->reason, sizeof f->reason, "%s",
           "the file `store` does not belong to this log: it or the log comes from another store");
}

static int find_end(struct opening *o, rille_error *e) {
  o->found = (struct repair_finding){.end = {.next_position = 1}};
  if (o->log->index) {
    struct log_end a = index_folded(o->log->index);
    int failed = check_fit(o, e);
    if (failed) return failed;
    o->found.evidence = a.address;
    if (o->fits) o->found.end = a, o->found.durable = a.address;
  }
  int failed = look(o, e);
  if (!failed) suspect_identity(o);
  return failed;
}

/* ---- Telling ---- */

static int tell_corrupt(const struct repair_finding *f, rille_error *e) {
  unsigned long long readable = f->end.next_position - 1;
  int code = error_corrupt(e, f->end.address,
                           "%s; %llu bytes behind it had reached the disk. Nothing was changed. "
                           "Readable up to position %llu: open it with readonly, or use a backup",
                           f->reason, (unsigned long long)(f->evidence - f->end.address), readable);
  if (e) e->position = readable;
  return code;
}

static int tell_torn(const struct opening *o, rille_error *e) {
  const struct repair_finding *f = &o->found;
  bool readonly = o->log->options.readonly;
  return error_set(e, RILLE_REMARK,
                   "the last append was not finished when the power or the process ended: the log "
                   "%s at byte %llu, behind position %llu%s",
                   readonly ? "ends" : "was cut", (unsigned long long)f->end.address,
                   (unsigned long long)(f->end.next_position - 1),
                   o->log->segments.saved ? "; what was cut is kept beside it" : "");
}

static int tell(const struct opening *o, rille_error *e) {
  if (o->found.verdict == REPAIR_TORN) return tell_torn(o, e);
  if (o->found.verdict == REPAIR_CORRUPT) {
    tell_corrupt(&o->found, e);
    if (e) e->code = RILLE_REMARK_CORRUPT;
    return RILLE_REMARK_CORRUPT;
  }
  if (o->index == INDEX_REFUSED)
    return error_set(
        e, RILLE_REMARK,
        "the index can't be used by who may not write to it: this opening has made one "
        "of its own");
  if (o->index == INDEX_UNUSABLE || o->index == INDEX_FOREIGN || !o->fits)
    return error_set(e, RILLE_REMARK, "the index was damaged or not this log's and was made anew");
  return 0;
}

/* ---- Making everything agree ---- */

/* Also the name of the last file: who began it may have died before it was durable. */
static int mend(struct opening *o, rille_error *e) {
  struct log *l = o->log;
  struct repair_disk disk = segments_disk(&l->segments);
  if (l->options.readonly) return 0;
  int failed = segments_sweep(&l->segments, false, e);
  /* who made the last file may have died before its name was durable */
  if (!failed) failed = segments_flush_folder(&l->segments, e);
  return failed ? failed : repair_mend(&l->source, &disk, &l->memory, &o->found, e);
}

/* For a reader of a store whose index it may not write: one of its own. */
static int make_scratch_index(struct log *l, rille_error *e) {
  char base[SYSTEM_PATH_BYTES], path[SYSTEM_PATH_BYTES];
  int number = system_scratch_folder(base, sizeof base);
  if (number) return error_system(e, number, "can't make a temporary folder for an index");
  l->scratch = memory_copy_text(&l->memory, base);
  if (!l->scratch) {
    system_remove(base);
    return error_memory(e);
  }
  if (!system_join(path, sizeof path, base, "index"))
    return error_set(e, RILLE_INVALID, "the path is too long");
  struct index_use use = {.folder = path, .uuid = l->identity.uuid, .alone = true};
  return index_make(&l->index, &use, &l->memory, e);
}

static struct index_use use_of(const struct opening *o) {
  const struct log *l = o->log;
  return (struct index_use){.folder = o->index_folder,
                            .uuid = l->identity.uuid,
                            .readonly = l->options.readonly,
                            .alone = l->options.readonly ? !l->generation : l->control->alone};
}

static int provide_index(struct opening *o, rille_error *e) {
  struct log *l = o->log;
  struct index_use use = use_of(o);
  bool near = o->found.end.address - (l->index ? index_folded(l->index).address : 0) <
              LOG_UNFOLDED_BYTES_MOST;
  if (l->index && o->fits && !l->options.rebuild && (near || !l->options.readonly)) return 0;
  index_close(l->index, false);
  l->index = NULL;
  return l->options.readonly ? make_scratch_index(l, e)
                             : index_make(&l->index, &use, &l->memory, e);
}

/* What has been found becomes what all who come later believe. */
static void announce(struct log *l, const struct repair_finding *f) {
  l->reached = f->evidence;
  if (l->options.readonly) {
    l->still = f->end;
    return;
  }
  shared_end_set(&l->control->words->written, &f->end);
  shared_end_set(&l->control->words->durable, &f->end);
  atomic_store(&l->control->words->segment, segments_last_first(&l->segments));
}

static void start_at(struct log *l, const struct log_end *a) {
  overlay_restart(&l->fresh, a->address);
  l->seen = *a;
}

static int catch_up_first(struct log *l, const struct log_end *end, rille_error *e) {
  l->opening = true;
  l->opening_end = end->address;
  l->told = l->seen.address;
  int failed = log_catch_up(l, end, e);
  l->opening = false;
  return failed;
}

/* From the index on. Names that a redaction has taken were never in an index before they left
** the log: one that does not know of them yet is of an older day, and holds them. */
static int catch_up(struct opening *o, rille_error *e) {
  struct log *l = o->log;
  struct log_end a = index_folded(l->index);
  l->late = false;
  start_at(l, &a);
  int failed = catch_up_first(l, &o->found.end, e);
  if (!l->late || a.address == 0) return failed;
  o->fits = false;
  failed = provide_index(o, e);
  if (failed) return failed;
  pending_clear(&l->pending);
  l->pending_loaded = false;
  l->place_cell = UINT64_MAX;
  overlay_restart(&l->old, 0);
  l->has_old = false;
  return catch_up(o, e);
}

static int agree(struct opening *o, rille_error *e) {
  struct log *l = o->log;
  int failed = mend(o, e);
  if (!failed) failed = provide_index(o, e);
  if (failed) return failed;
  announce(l, &o->found);
  failed = catch_up(o, e);
  if (!l->options.readonly) atomic_store(&l->control->words->prepared, l->pending.prepared);
  return failed;
}

static int open_index(struct opening *o, rille_error *e) {
  struct log *l = o->log;
  struct index_use use = use_of(o);
  return index_open(&l->index, &use, &l->memory, &o->index, e);
}

static int open_first(struct opening *o, rille_error *e) {
  struct log *l = o->log;
  int failed = open_index(o, e);
  if (!failed) failed = find_end(o, e);
  if (failed) return failed;
  if (o->found.verdict == REPAIR_CORRUPT && !l->options.readonly) return tell_corrupt(&o->found, e);
  failed = agree(o, e);
  return failed ? failed : tell(o, e);
}

/* ---- Beside others ---- */

static int refuse_index(const struct opening *o, rille_error *e) {
  return error_set(e, RILLE_CORRUPT,
                   "%s was deleted or damaged while other processes have the store open: close it "
                   "in all of them, then it is made again",
                   o->index_folder);
}

/* A reader that can't use the index, or that is not allowed to, makes one of its own. */
static int open_beside(struct opening *o, rille_error *e) {
  struct log *l = o->log;
  if (l->options.rebuild)
    return error_set(e, RILLE_BUSY, "other processes have the store open: close it in all of them");
  int failed = open_index(o, e);
  if (failed) return failed;
  if (!l->index && !l->options.readonly) return refuse_index(o, e);
  if (!l->index && (failed = make_scratch_index(l, e)) < 0) return failed;
  struct log_end a = index_folded(l->index), end = log_durable(l);
  start_at(l, &a);
  if (!l->scratch) return 0;
  return catch_up_first(l, &end, e);
}

static int open_all(struct opening *o, rille_error *e) {
  struct log *l = o->log;
  bool readonly = l->options.readonly;
  l->generation = readonly ? control_generation(l->control) : 0;
  bool follows = !readonly || l->generation;
  l->followed = follows ? atomic_load(&l->control->words->log_generation) : 0;
  struct segments_use use = {o->log_folder, l->identity.salt, readonly};
  int failed = segments_open(&l->segments, &use, &l->memory, e);
  if (failed) return failed;
  bool first = readonly ? l->generation == 0 : l->control->alone;
  return first ? open_first(o, e) : open_beside(o, e);
}

/* ---- The log ---- */

static bool init_locks(struct log *l) {
  pthread_mutex_t *const locks[] = {&l->scavenging, &l->appending, &l->folding, &l->flushing,
                                    &l->lock};
  const size_t all = sizeof locks / sizeof *locks;
  size_t n = 0;
  while (n < all && pthread_mutex_init(locks[n], NULL) == 0) n++;
  bool wanted = n == all && system_condition_init(&l->work.wanted) == 0;
  if (wanted && system_condition_init(&l->work.room) == 0) return true;
  if (wanted) pthread_cond_destroy(&l->work.wanted);
  while (n) pthread_mutex_destroy(locks[--n]);
  return false;
}

static int log_init(struct log *l, const struct identity *identity, struct control *control,
                    const struct log_options *options, const struct memory *memory,
                    rille_error *e) {
  *l = (struct log){.memory = *memory,
                    .options = *options,
                    .identity = *identity,
                    .control = control,
                    .place_cell = UINT64_MAX};
  if (!init_locks(l)) return error_memory(e);
  l->live = true;
  buffer_init(&l->frame, memory);
  pending_init(&l->pending, memory);
  overlay_init(&l->fresh, memory, identity->salt);
  l->source = (struct source){segments_read, &l->segments, identity->salt};
  return 0;
}

int log_open(struct log *l, const char *folder, const struct identity *identity,
             struct control *control, const struct log_options *options,
             const struct memory *memory, rille_error *e) {
  struct opening o = {.log = l, .fits = true};
  if (!system_join(o.log_folder, sizeof o.log_folder, folder, "log") ||
      !system_join(o.index_folder, sizeof o.index_folder, folder, "index"))
    return error_set(e, RILLE_INVALID, "the path is too long");
  int result = log_init(l, identity, control, options, memory, e);
  if (result < 0) return result;
  struct system_held held;
  system_hold_signal(&held);
  result = open_all(&o, e);
  system_free_signal(&held);
  l->started = l->seen.address;
  if (result >= 0) {
    int failed = log_start_work(l, e);
    if (failed) result = failed;
  }
  if (result < 0) log_release(l);
  return result;
}
