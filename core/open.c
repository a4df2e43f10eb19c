/* open.c: opening a log: find where it ends, and make everything agree with that.
**
** In this order, so that a store which is refused has not been changed: open the
** index if it can be used; look for the log's end from A, or from the beginning;
** decide. Only then cut and flush (repair.h), make a new index if need be, and
** read what is behind A into the overlay. */
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
  o->fits = got == sizeof b && frame_get_header(b, a.last_frame, l->identity.salt, &f) &&
            f.header_checksum == a.last_checksum && frame_end(&f) == a.address;
  return 0;
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
    if (e) e->code = RILLE_REMARK;
    return RILLE_REMARK;
  }
  if (o->index == INDEX_UNUSABLE || o->index == INDEX_FOREIGN || !o->fits)
    return error_set(e, RILLE_REMARK, "the index was damaged or not this log's and was made anew");
  return 0;
}

/* ---- Making everything agree ---- */

static int mend(struct opening *o, rille_error *e) {
  struct log *l = o->log;
  struct repair_disk disk = segments_disk(&l->segments);
  return l->options.readonly ? 0 : repair_mend(&l->source, &disk, &l->memory, &o->found, e);
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
  return index_make(&l->index, path, l->identity.uuid, &l->memory, e);
}

static int provide_index(struct opening *o, rille_error *e) {
  struct log *l = o->log;
  bool near = o->found.end.address - (l->index ? index_folded(l->index).address : 0) <
              LOG_UNFOLDED_BYTES_MOST;
  if (l->index && o->fits && (near || !l->options.readonly)) return 0;
  index_close(l->index);
  l->index = NULL;
  return l->options.readonly
             ? make_scratch_index(l, e)
             : index_make(&l->index, o->index_folder, l->identity.uuid, &l->memory, e);
}

static int agree(struct opening *o, rille_error *e) {
  struct log *l = o->log;
  int failed = mend(o, e);
  if (!failed) failed = provide_index(o, e);
  if (failed) return failed;
  l->durable = o->found.end;
  overlay_restart(&l->overlay, index_folded(l->index).address);
  failed = log_catch_up(l, &o->found.end, e);
  l->durable = l->written = o->found.end;
  return failed;
}

static int open_all(struct opening *o, rille_error *e) {
  struct log *l = o->log;
  bool readonly = l->options.readonly;
  int failed = segments_open(&l->segments, o->log_folder, readonly, &l->memory, e);
  if (!failed)
    failed = index_open(&l->index, o->index_folder, l->identity.uuid, readonly, &l->memory,
                        &o->index, e);
  if (!failed) failed = find_end(o, e);
  if (failed) return failed;
  if (o->found.verdict == REPAIR_CORRUPT && !readonly) return tell_corrupt(&o->found, e);
  failed = agree(o, e);
  return failed ? failed : tell(o, e);
}

/* ---- The log ---- */

static int log_init(struct log *l, const struct identity *identity,
                    const struct log_options *options, const struct memory *memory,
                    rille_error *e) {
  *l = (struct log){
      .memory = *memory, .options = *options, .identity = *identity, .place_cell = UINT64_MAX};
  if (pthread_mutex_init(&l->flushing, NULL) != 0) return error_memory(e);
  if (pthread_mutex_init(&l->lock, NULL) != 0) {
    pthread_mutex_destroy(&l->flushing);
    return error_memory(e);
  }
  l->live = true;
  buffer_init(&l->frame, memory);
  overlay_init(&l->overlay, memory, identity->salt);
  l->source = (struct source){segments_read, &l->segments, identity->salt};
  return 0;
}

int log_open(struct log *l, const char *folder, const struct identity *identity,
             const struct log_options *options, const struct memory *memory, rille_error *e) {
  struct opening o = {.log = l, .fits = true};
  if (!system_join(o.log_folder, sizeof o.log_folder, folder, "log") ||
      !system_join(o.index_folder, sizeof o.index_folder, folder, "index"))
    return error_set(e, RILLE_INVALID, "the path is too long");
  int result = log_init(l, identity, options, memory, e);
  if (result < 0) return result;
  result = open_all(&o, e);
  l->started = l->written.address;
  if (result < 0) log_release(l);
  return result;
}
