/* verify.c: reads every byte of a store, folds the log once more in memory, and
** names each invariant that does not hold (docs/design.md has them by number).
**
** Damage does not end the walk: behind it the next valid header is looked for,
** so that one report names every place. What numbers and links should be can't
** be told any more from there on, so these are checked up to the first damage. */
#include "store.h"

#include <stdio.h>

#include "error.h"
#include "note.h"

#define PROGRESS_BYTES ((uint64_t)16 << 20)
#define KEPT_MOST 10000u /* problems found under the lock that are told; all are counted */

struct verifying {
  struct log *log;
  const rille_verify *options;
  rille_verified *result;
  struct overlay heads; /* our own fold of the log */
  struct id_run run;    /* in the current frame */
  bool beside_writers;  /* a reader's: the index may know more than we have read */
  struct scan scan;
  bool damaged, stopped;
  bool locked;        /* nobody may be called: they might use the store */
  struct buffer kept; /* struct kept_problem: what is to be told afterwards */
  uint64_t told;      /* progress has been told up to here */
  rille_error error;  /* of the last step that failed */
};

struct kept_problem {
  rille_problem problem;
  char message[256];
};

static void keep(struct verifying *v, const rille_problem *p) {
  struct kept_problem k = {.problem = *p};
  if (v->kept.length >= KEPT_MOST * sizeof k) return;
  size_t n = strlen(p->message);
  memcpy(k.message, p->message, n < sizeof k.message ? n : sizeof k.message - 1);
  if (!buffer_add(&v->kept, &k, sizeof k)) v->stopped = true;
}

static void tell_kept(struct verifying *v) {
  for (size_t at = 0; at < v->kept.length && !v->stopped; at += sizeof(struct kept_problem)) {
    struct kept_problem k;
    memcpy(&k, v->kept.bytes + at, sizeof k);
    k.problem.message = k.message;
    if (v->options->problem(v->options->context, &k.problem)) v->stopped = true;
  }
}

static void tell(struct verifying *v, const char *invariant, uint64_t address, uint64_t position,
                 const char *message) {
  rille_problem p = {invariant, address, position, message};
  v->result->problems++;
  if (v->locked && v->options->problem) keep(v, &p);
  else if (v->options->problem && v->options->problem(v->options->context, &p)) v->stopped = true;
}

/* What is wrong in the log is told with the file in which it stands. */
static void tell_error(struct verifying *v, const char *invariant, uint64_t position) {
  char message[sizeof v->error.message + 64];
  uint64_t address = v->error.address;
  uint64_t first = segments_describe(&v->log->segments, address).first;
  snprintf(message, sizeof message, "%s (%016llx.seg, byte %llu)", v->error.message,
           (unsigned long long)first, (unsigned long long)(address - first));
  tell(v, invariant, address, position, strcmp(invariant, "L5") ? message : v->error.message);
}

static void first_damage(struct verifying *v, uint64_t readable) {
  if (!v->damaged) v->result->readable = readable;
  v->damaged = true;
}

/* ---- The log ---- */

static struct overlay_entry *entry_of(struct verifying *v, enum chain_kind kind, rille_text name) {
  static const struct chain_head none;
  struct overlay_entry *entry = overlay_find(&v->heads, kind, name);
  return entry ? entry : overlay_add(&v->heads, kind, name, &none);
}

static int check_chain(struct verifying *v, const struct record *r, size_t chain,
                       const char *invariant, enum chain_kind kind, rille_text name) {
  char text[ERROR_NAME_BYTES];
  uint64_t links[LINKS_MOST], expected[LINKS_MOST], number = record_number(r, chain);
  struct overlay_entry *entry = entry_of(v, kind, name);
  if (!entry) return error_memory(&v->error);
  unsigned n = record_links(r, chain, links);
  if (number != entry->count + 1) {
    error_set(&v->error, 0, "\"%s\" goes from number %llu to %llu", error_name(name, text),
              (unsigned long long)entry->count, (unsigned long long)number);
    v->error.address = r->address;
    tell_error(v, invariant, r->position);
    first_damage(v, r->position - 1);
    return 0;
  }
  chain_next_links(entry->count, entry->tower, expected);
  if (memcmp(links, expected, n * sizeof *links) != 0)
    tell(v, "L5", r->address, r->position, "a link does not lead to the record it should");
  if (!overlay_advance(&v->heads, entry, number, r->address, v->scan.frame.address))
    return error_memory(&v->error);
  return 0;
}

static int check_chains(struct verifying *v, const struct record *r) {
  bool nameless = record_lost(r, RECORD_STREAM);
  int failed = nameless ? 0 : check_chain(v, r, RECORD_STREAM, "L6", CHAIN_STREAM, r->stream);
  if (!failed) failed = check_chain(v, r, RECORD_TYPE, "L5", CHAIN_TYPE, r->type);
  for (size_t i = 0; i < r->tag_count && !failed && !v->damaged; i++)
    if (!record_lost(r, RECORD_FIRST_TAG + i))
      failed = check_chain(v, r, RECORD_FIRST_TAG + i, "L5", CHAIN_TAG, record_tag(r, i));
  return failed;
}

static void progress(struct verifying *v, uint64_t all) {
  if (!v->options->progress || v->locked || v->scan.address - v->told < PROGRESS_BYTES) return;
  v->told = v->scan.address;
  v->options->progress(v->options->context, v->scan.address, all);
}

static int verify_record(struct verifying *v, const struct record *r) {
  v->result->events++;
  if (window_check_body(&v->scan.window, r, &v->error) < 0) {
    tell_error(v, "L7", r->position);
    first_damage(v, r->position - 1);
  }
  if (v->damaged) return 0;
  struct noted_id id = noted_id_of(r, v->scan.frame.address);
  int failed = note_id(&v->heads, &v->log->identity, &v->run, &id, &v->error);
  return failed ? failed : check_chains(v, r);
}

static int verify_prefix(struct verifying *v) {
  const uint8_t *prefix;
  const struct frame *f = &v->scan.frame;
  v->run = (struct id_run){.length = 0};
  if (f->prefix == 0 || v->damaged) return 0;
  int failed = scan_prefix(&v->scan, &prefix, &v->error);
  return failed ? failed : note_facts(&v->heads, prefix, f->prefix, f->address, &v->error);
}

/* Walks frames until the end or the first thing that is not sound. */
static int verify_frames(struct verifying *v, uint64_t end) {
  struct record r;
  int result = 0;
  v->scan.end = end;
  while (!v->stopped && result >= 0) {
    while (v->scan.inside && (result = scan_record(&v->scan, &r, &v->error)) == 1) {
      if ((result = verify_record(v, &r)) < 0) return result;
      progress(v, end);
      if (v->stopped) return 0;
    }
    if (result >= 0 && (result = scan_frame(&v->scan, &v->error)) == 0) return 0;
    if (result == 1) result = verify_prefix(v);
  }
  return result < 0 ? result : 0;
}

/* After damage: the next header that is sound, from behind `address`. */
static int resume(struct verifying *v, uint64_t address, uint64_t end) {
  struct scan *s = &v->scan;
  uint64_t at = address + 8;
  if (s->frame.address <= address && frame_end(&s->frame) > address && s->inside)
    at = frame_end(&s->frame); /* its header was sound, so it tells where the next one is */
  s->inside = false;
  s->next_position = 0;
  s->time_us = 0;
  for (; at < end; at += 8) {
    const uint8_t *b;
    size_t got;
    struct frame f;
    int failed = window_get(&s->window, at, FRAME_HEADER_BYTES, &b, &got, &v->error);
    if (failed) return failed;
    if (got >= FRAME_HEADER_BYTES && frame_get_header(b, at, s->window.source.salt, &f)) break;
  }
  s->address = at;
  return 0;
}

static int walk_all(struct verifying *v, uint64_t end) {
  int failed;
  while ((failed = verify_frames(v, end)) == RILLE_CORRUPT && !v->stopped) {
    uint64_t next = v->scan.next_position;
    uint64_t at = max_u64(v->error.address, v->scan.address);
    first_damage(v, next ? next - 1 : 0);
    tell_error(v, "L7", next);
    if ((failed = resume(v, at, end)) < 0) break;
  }
  v->result->bytes = v->scan.address;
  return failed;
}

/* ---- The index ---- */

static bool same_head(const struct overlay_entry *a, const struct chain_head *b) {
  if (a->kind == WORD_PENDING && a->tower[0] == 0) return b->count == 0 || b->tower[0] == 0;
  return a->count == b->count &&
         memcmp(a->tower, b->tower, chain_levels(a->count) * sizeof *b->tower) == 0;
}

static int check_head(struct verifying *v, const struct overlay_entry *entry) {
  char name[ERROR_NAME_BYTES];
  struct chain_head head;
  rille_text text = {entry->name, entry->name_length};
  int failed = log_find_head(v->log, entry->kind, text, &head, &v->error);
  if (failed < 0 && failed != RILLE_CORRUPT) return failed;
  if (!failed && v->beside_writers && head.count >= entry->count) return 0;
  if (failed || !same_head(entry, &head)) {
    error_set(&v->error, 0,
              "the index does not fit the log for \"%s\": delete the folder index/, "
              "it is made again",
              error_name(text, name));
    tell_error(v, "L5", 0);
  }
  return 0;
}

static int check_in_log(void *context, unsigned kind, rille_text name,
                        const struct chain_head *head) {
  struct verifying *v = context;
  char text[ERROR_NAME_BYTES];
  (void)head;
  if (overlay_find(&v->heads, kind, name)) return 0;
  error_set(&v->error, 0, "the index knows \"%s\", the log does not", error_name(name, text));
  tell_error(v, "L5", 0);
  return v->stopped;
}

static int check_place(void *context, const struct place *place) {
  struct verifying *v = context;
  struct record r;
  int failed = window_record(&v->scan.window, place->record, &r, &v->error);
  if (failed && failed != RILLE_CORRUPT) return failed;
  if (failed || r.position != place->position)
    tell(v, "L5", place->record, place->position, "the index has a position at a wrong place");
  return v->stopped;
}

static int check_kept(void *context, rille_text key, bool sound) {
  struct verifying *v = context;
  char text[ERROR_NAME_BYTES];
  if (sound) return 0;
  error_set(&v->error, 0,
            "what is kept under \"%s\" is damaged: delete the folder index/, it is made again",
            error_name(key, text));
  tell_error(v, "L5", 0);
  return v->stopped;
}

static int check_index(struct verifying *v) {
  struct log *l = v->log;
  uint64_t before = v->result->problems;
  int failed = 0;
  const struct overlay_entry *entry = NULL;
  while (!failed && !v->stopped && (entry = overlay_next(&v->heads, entry)) != NULL)
    failed = check_head(v, entry);
  /* LMDB walks into damage with an assertion; heads that can't be found tell of it. */
  if (failed || v->stopped || v->beside_writers || v->result->problems > before) return failed;
  failed = index_begin(l->index, &v->error);
  if (!failed) failed = index_walk_heads(l->index, check_in_log, v, &v->error);
  if (!failed && !v->stopped) failed = index_walk_places(l->index, check_place, v, &v->error);
  if (!failed && !v->stopped) failed = index_walk_kept(l->index, check_kept, v, &v->error);
  index_end(l->index);
  return failed < 0 ? failed : 0;
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
    first_damage(v, f.end.next_position - 1);
    tell_error(v, f.verdict == REPAIR_CORRUPT ? "L7" : "L4", f.end.next_position);
  }
  return 0;
}

/* What was appended meanwhile, and the index, with nobody appending. */
static int finish_locked(struct verifying *v) {
  struct log *l = v->log;
  v->locked = true;
  window_forget(&v->scan.window); /* it has read ahead, into what others were about to write */
  int failed = v->damaged ? 0 : walk_all(v, l->seen.address);
  if (!failed && !v->damaged && !v->stopped) failed = check_index(v);
  if (!failed && !v->stopped) failed = check_end(v, v->scan.address);
  v->locked = false;
  return failed;
}

/* A reader can't keep others from writing: it looks at what it has seen. */
static int finish_reading(struct verifying *v) {
  struct log *l = v->log;
  pthread_mutex_lock(&l->lock);
  v->beside_writers = l->generation != 0;
  struct log_end end = log_written(l);
  int failed = log_catch_up(l, &end, &v->error); /* heads are found up to where it has */
  if (!failed) failed = finish_locked(v);
  pthread_mutex_unlock(&l->lock);
  return failed;
}

static int finish(struct verifying *v) {
  struct log *l = v->log;
  int failed;
  if (l->options.readonly) {
    failed = finish_reading(v);
  } else if ((failed = log_enter_append(l, &v->error)) == 0) {
    failed = finish_locked(v);
    log_leave_append(l);
  }
  tell_kept(v);
  return failed;
}

int rille_store_verify(rille_store *h, const rille_verify *options, rille_verified *result,
                       rille_error *e) {
  static const rille_verify nothing;
  rille_verified ignored = {0};
  struct verifying v = {.log = &h->shared->log,
                        .options = options ? options : &nothing,
                        .result = result ? result : &ignored};
  *v.result = (rille_verified){0};
  struct log_end end;
  int failed = store_usable(h, e);
  if (!failed) failed = log_look(v.log, false, &end, e);
  if (failed) return failed;
  buffer_init(&v.kept, &h->shared->memory);
  overlay_init(&v.heads, &h->shared->memory, v.log->identity.salt);
  scan_init(&v.scan, &v.log->source, &h->shared->memory, 0, 1, end.address);
  failed = walk_all(&v, end.address);
  if (!failed) failed = finish(&v);
  if (!v.damaged) v.result->readable = v.result->events;
  overlay_release(&v.heads);
  buffer_release(&v.kept);
  scan_release(&v.scan);
  if (failed) return error_set(e, failed, "%s", v.error.message);
  return v.result->problems ? error_set(e, RILLE_REMARK, "%llu problems were found",
                                        (unsigned long long)v.result->problems)
                            : 0;
}
