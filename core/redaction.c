/* redaction.c: redactions carried out. */
#include "redaction.h"

#include <stdlib.h>

#include "anew.h"
#include "build.h"
#include "error.h"
#include "offer.h"
#include "redact.h"
#include "scavenge.h"

/* One that is noted, on its way. */
struct finishing {
  struct log *log;
  const char *store;
  const rille_redact *asked; /* NULL: by one who died */
  rille_redacted *done;
  char name[REDACT_NAME_BYTES];
  uint64_t frame;
  struct buffer payload; /* of its fact */
  struct redaction redaction;
  struct buffer lost; /* u64: records whose ids are not known any more */
  bool failed;        /* no memory for one of them */
  bool names_too;     /* what is noted goes, too: nothing is left to be found by it */
};

/* ---- Asking for one ---- */

static int by_number(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static int check_names(const rille_text *names, size_t n, const char *what, rille_error *e) {
  for (size_t i = 0; i < n; i++)
    if (names[i].length == 0 || names[i].length > RILLE_NAME_BYTES)
      return error_set(e, RILLE_INVALID, "%s has %zu bytes: it needs 1 to %d", what,
                       names[i].length, RILLE_NAME_BYTES);
  return 0;
}

static int check(const rille_redact *r, rille_error *e) {
  if (r->position_count + r->tag_count + r->stream_count == 0)
    return error_set(e, RILLE_INVALID, "nothing is named: give positions, tags or streams");
  if (r->position_count > REDACT_POSITIONS_MOST)
    return error_set(e, RILLE_INVALID, "%zu positions: at most %zu at a time", r->position_count,
                     REDACT_POSITIONS_MOST);
  if (r->tag_count > REDACT_NAMES_MOST || r->stream_count > REDACT_NAMES_MOST)
    return error_set(e, RILLE_INVALID, "more than %u names at a time", REDACT_NAMES_MOST);
  if (r->reason.length > REDACT_REASON_BYTES)
    return error_set(e, RILLE_INVALID, "the reason has more than %u bytes", REDACT_REASON_BYTES);
  int failed = check_names(r->tags, r->tag_count, "a tag", e);
  return failed ? failed : check_names(r->streams, r->stream_count, "a stream", e);
}

/* Sorted, each once. */
static int copy_positions(const rille_redact *r, struct buffer *positions, size_t *count,
                          rille_error *e) {
  size_t n = 0;
  if (!buffer_add(positions, r->positions, r->position_count * sizeof *r->positions))
    return error_memory(e);
  uint64_t *list = (uint64_t *)(void *)positions->bytes;
  if (r->position_count) qsort(list, r->position_count, sizeof *list, by_number);
  for (size_t i = 0; i < r->position_count; i++)
    if (n == 0 || list[n - 1] != list[i]) list[n++] = list[i];
  *count = n;
  return 0;
}

static int check_positions(const uint64_t *list, size_t n, uint64_t last, rille_error *e) {
  if (n == 0 || (list[0] > 0 && list[n - 1] <= last)) return 0;
  return error_set(e, RILLE_INVALID, "position %llu is not there: positions are 1 to %llu",
                   (unsigned long long)(list[0] == 0 ? 0 : list[n - 1]), (unsigned long long)last);
}

/* With log_enter_append. */
static int write_note(struct log *l, rille_text payload, rille_error *e) {
  struct building b;
  char name[REDACT_NAME_BYTES];
  redact_name_of(l->seen.address, name);
  struct fact fact = {.kind = FACT_REDACTION, .name = {name, sizeof name}, .payload = payload};
  int failed = build_begin(&b, l, FRAME_REDACT, log_now(l), e);
  if (!failed) failed = build_fact(&b, &fact, e);
  failed = build_finish(l, &b, failed, e);
  if (!failed) failed = log_begin_segment(l, e); /* flushes it first */
  if (!failed) log_raise(l);
  return failed;
}

/* Appends that follow know it, because they have read it: whoever appends looks at the
** generation first, with WRITER. */
static int note(struct log *l, const rille_redact *r, rille_error *e) {
  struct buffer positions;
  struct pack bytes;
  size_t n = 0;
  buffer_init(&positions, &l->memory);
  pack_init(&bytes, &l->memory);
  int failed = copy_positions(r, &positions, &n, e);
  const uint64_t *list = (const uint64_t *)(const void *)positions.bytes;
  if (!failed) redact_pack(r, list, n, &bytes);
  if (!failed && bytes.no_memory) failed = error_memory(e);
  if (!failed) failed = log_make_room(l, e);
  if (!failed) failed = log_enter_append(l, e);
  if (!failed) {
    failed = check_positions(list, n, l->seen.next_position - 1, e);
    if (!failed) failed = log_succeed(l, e);
    if (!failed) failed = write_note(l, pack_all(&bytes), e);
    log_leave_append(l);
  }
  pack_release(&bytes);
  buffer_release(&positions);
  return failed;
}

/* ---- Replacing files ---- */

static void take_record(void *context, const struct frame *frame, const struct record *r,
                        struct record_taking *what) {
  struct finishing *f = context;
  if (frame->address < f->frame) *what = redact_taking(&f->redaction, r);
  bool lost = (r->flags | what->flags) & (RECORD_ID_TAKEN | RECORD_STREAM_TAKEN);
  if (lost && !buffer_add(&f->lost, &r->address, sizeof r->address)) f->failed = true;
}

static bool is_named(const struct finishing *f, enum chain_kind kind, rille_text name) {
  struct redaction r = f->redaction;
  enum chain_kind k;
  rille_text n;
  while (redact_next_name(&r, &k, &n))
    if (k == kind && text_equal(n, name)) return true;
  return false;
}

/* The names in the redaction's own frame, last of all; truncations of its streams, and the work
** of transactions that are over. */
static int take_fact(void *context, const struct frame *frame, const struct fact *fact,
                     enum rewrite_fact *what, size_t *from, rille_error *e) {
  struct finishing *f = context;
  struct redaction own;
  bool over;
  if (f->names_too && fact->kind == FACT_REDACTION && frame->address == f->frame &&
      redact_unpack(&own, fact->payload) && own.name_count) {
    *what = REWRITE_TAKE_TAIL;
    *from = own.names_at;
  }
  if (fact->kind == FACT_CUT && frame->address < f->frame && is_named(f, CHAIN_STREAM, fact->name))
    *what = REWRITE_TAKE_NAMED;
  if (frame->address > f->frame) return 0;
  int failed = scavenge_is_over(f->log, fact, &over, e);
  if (!failed && over) *what = REWRITE_TAKE;
  return failed;
}

/* The position of the first record in a file, or of the next in the log. */
static int first_position(struct log *l, uint64_t first, uint64_t *position, rille_error *e) {
  uint8_t b[FRAME_HEADER_BYTES];
  struct frame f;
  size_t got;
  int failed = segments_read(&l->segments, first, b, sizeof b, &got, e);
  if (failed) return failed;
  if (got < sizeof b || !frame_get_header(b, first, l->identity.salt, &f))
    return error_corrupt(e, first, "damage at byte %llu of the log: no frame begins there",
                         (unsigned long long)first);
  *position = f.first_position;
  return 0;
}

/* Whether a file may hold something: names may be anywhere, positions are where they are, and the
** promise of a committed event is before it. One who died may have had names that are gone. */
static int concerns(struct finishing *f, const struct repair_segment *file, bool *yes,
                    rille_error *e) {
  uint64_t from = 0, last;
  *yes =
      !f->asked || f->redaction.name_count > 0 || (f->frame >= file->first && f->frame < file->end);
  if (*yes || f->redaction.count == 0) return 0;
  int failed = first_position(f->log, file->first, &from, e);
  last = get64(f->redaction.positions + 8 * (f->redaction.count - 1));
  *yes = !failed && from <= last;
  return failed;
}

static int replace_file(struct finishing *f, const struct repair_segment *file, rille_error *e) {
  struct rewriting w = {.log = f->log, .context = f, .record = take_record, .fact = take_fact};
  struct rewritten found, done;
  bool yes = false;
  if (file->first >= file->end || file->first > f->frame) return 0;
  int failed = concerns(f, file, &yes, e);
  if (failed || !yes) return failed;
  size_t lost = f->lost.length;
  failed = rewrite_survey(&w, file->first, file->end, &found, e);
  if (failed || found.records + found.facts == 0) return failed;
  f->lost.length = lost; /* they are met again */
  if (file->last) failed = scavenge_close_last(f->log, file->first, e);
  struct repair_segment now = segments_describe(&f->log->segments, file->first);
  if (!failed) failed = rewrite_file(&w, now.first, now.end, &done, e);
  f->done->segments++;
  f->done->events += found.records;
  return failed;
}

static int replace_files(struct finishing *f, rille_error *e) {
  struct buffer list;
  struct repair_segment file;
  buffer_init(&list, &f->log->memory);
  int failed = scavenge_files(f->log, &list, e);
  for (size_t at = 0; at < list.length && !failed; at += sizeof file) {
    memcpy(&file, list.bytes + at, sizeof file);
    failed = replace_file(f, &file, e);
  }
  buffer_release(&list);
  if (!failed && f->failed) failed = error_memory(e);
  return failed ? failed : segments_sweep(&f->log->segments, true, e);
}

/* ---- The rest ---- */

static int make_index(struct finishing *f, rille_error *e) {
  struct anew what = {.lost = (const uint64_t *)(const void *)f->lost.bytes,
                      .lost_count = f->lost.length / sizeof(uint64_t),
                      .keeps = f->asked ? f->asked->keeps : NULL,
                      .context = f->asked ? f->asked->context : NULL};
  return anew_make(f->log, f->store, &what, e);
}

/* Names that are noted go when the index has ended their chains, durably: it may have been folded
** up to before the frame, which then is what ends them. That is told before the redaction's end is
** written: or who has the old file open would scavenge that one, and bring the names back, if this
** process died in between. */
static int take_names(struct finishing *f, rille_error *e) {
  struct repair_segment file = segments_describe(&f->log->segments, f->frame);
  if (f->redaction.name_count == 0) return 0;
  if (file.last) file.end = log_durable(f->log).address; /* one died before it began the next */
  uint64_t segments = f->done->segments;                 /* it is counted already */
  f->names_too = true;
  int failed = replace_file(f, &file, e);
  f->done->segments = segments;
  if (!failed) log_raise(f->log);
  return failed;
}

static int write_end(struct finishing *f, rille_error *e) {
  struct log *l = f->log;
  struct fact fact = {.kind = FACT_REDACTED, .name = {f->name, sizeof f->name}};
  int failed = log_make_room(l, e);
  if (!failed) failed = log_enter_append(l, e);
  if (failed) return failed;
  failed = build_note(l, &fact, FRAME_REDACT, e);
  uint64_t end = l->seen.address;
  log_leave_append(l);
  if (!failed) failed = log_flush(l, end, e);
  if (!failed) log_raise(l);
  return failed;
}

static int unreadable(const struct finishing *f, rille_error *e) {
  return error_corrupt(e, f->frame, "the redaction at byte %llu of the log can't be read",
                       (unsigned long long)f->frame);
}

static int finish(struct finishing *f, rille_error *e) {
  rille_text payload = {(const char *)f->payload.bytes, f->payload.length};
  if (!redact_unpack(&f->redaction, payload)) return unreadable(f, e);
  f->names_too = false;
  int failed = replace_files(f, e);
  if (!failed) log_raise(f->log); /* the files before the index, which is made of them */
  if (!failed) failed = make_index(f, e);
  if (!failed) failed = take_names(f, e);
  if (failed) return failed;
  offers_wipe(f->log->control);
  return write_end(f, e);
}

/* The first that is noted; frame 0: there is none. */
static int find_noted(struct finishing *f, rille_error *e) {
  struct log *l = f->log;
  f->frame = 0;
  pthread_mutex_lock(&l->lock);
  struct log_end end = log_written(l);
  int failed = log_follow(l, e);
  if (!failed) failed = log_catch_up(l, &end, e);
  if (!failed) failed = log_know_pending(l, e);
  for (const struct pending_entry *p = l->pending.first; p && !failed && !f->frame; p = p->next) {
    if (p->kind != PENDING_REDACTION) continue;
    f->frame = p->frame;
    memcpy(f->name, p->name, sizeof f->name);
    buffer_clear(&f->payload, 0);
    if (!buffer_add(&f->payload, p->redaction.bytes, p->redaction.length)) failed = error_memory(e);
  }
  pthread_mutex_unlock(&l->lock);
  return failed;
}

/* Finishes all that are noted. */
static int finish_all(struct log *l, const char *store, const rille_redact *asked,
                      rille_redacted *done, rille_error *e) {
  struct finishing f = {.log = l, .store = store, .asked = asked, .done = done};
  buffer_init(&f.payload, &l->memory);
  buffer_init(&f.lost, &l->memory);
  int failed;
  while ((failed = find_noted(&f, e)) == 0 && f.frame) {
    buffer_clear(&f.lost, 0);
    if ((failed = finish(&f, e)) < 0) break;
  }
  buffer_release(&f.lost);
  buffer_release(&f.payload);
  return failed;
}

int redaction_resume(struct log *l, const char *store, rille_error *e) {
  rille_redacted ignored = {0};
  int failed = anew_sweep(store, e);
  if (failed || atomic_load(&l->pending.redactions) == 0) return failed;
  failed = scavenge_begin(l, e);
  if (failed) return failed;
  failed = finish_all(l, store, NULL, &ignored, e);
  scavenge_end(l);
  return failed;
}

/* Who keeps values sees the new generation, or was before: then `noted` finds what it has kept. */
static int tell_noted(struct log *l, const rille_redact *redact, rille_error *e) {
  const rille_kept_write nothing = {.size = sizeof nothing};
  int failed = index_keep(l->index, &nothing, NULL, e);
  if (!failed && redact->noted) redact->noted(redact->context);
  return failed;
}

int redaction_make(struct log *l, const char *store, const rille_redact *redact,
                   rille_redacted *done, rille_error *e) {
  rille_redacted earlier = {0};
  int failed = check(redact, e);
  if (!failed) failed = scavenge_begin(l, e);
  if (failed) return failed;
  failed = finish_all(l, store, NULL, &earlier, e);
  if (!failed) failed = note(l, redact, e);
  if (!failed) failed = tell_noted(l, redact, e);
  if (!failed) failed = finish_all(l, store, redact, done, e);
  scavenge_end(l);
  return failed;
}
