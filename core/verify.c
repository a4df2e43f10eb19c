/* verify.c: reads every byte of a store's log, folds it once more in memory, and names
** each invariant that does not hold (docs/design.md has them by number). Whether the index
** is the same fold is audit.c's.
**
** Damage does not end the walk: behind it the next valid header is looked for,
** so that one report names every place. What numbers and links should be can't
** be told any more from there on, so these are checked up to the first damage. */
#include "verify.h"

#include <stdio.h>

#include "error.h"

#define PROGRESS_BYTES ((uint64_t)16 << 20)
#define KEPT_MOST 10000u /* problems found under the lock that are told; all are counted */

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

void verify_tell_kept(struct verifying *v) {
  for (size_t at = 0; at < v->kept.length && !v->stopped; at += sizeof(struct kept_problem)) {
    struct kept_problem k;
    memcpy(&k, v->kept.bytes + at, sizeof k);
    k.problem.message = k.message;
    if (v->options->problem(v->options->context, &k.problem)) v->stopped = true;
  }
  buffer_clear(&v->kept, sizeof(struct kept_problem));
}

void verify_tell(struct verifying *v, const char *invariant, uint64_t address, uint64_t position,
                 const char *message) {
  rille_problem p = {invariant, address, position, message};
  v->result->problems++;
  if (v->locked && v->options->problem) keep(v, &p);
  else if (v->options->problem && v->options->problem(v->options->context, &p)) v->stopped = true;
}

/* What is wrong in the log is told with the file in which it stands. */
void verify_tell_error(struct verifying *v, const char *invariant, uint64_t position) {
  char message[sizeof v->error.message + 64];
  uint64_t address = v->error.address;
  uint64_t first = segments_describe(&v->log->segments, address).first;
  snprintf(message, sizeof message, "%s (%016llx.seg, byte %llu)", v->error.message,
           (unsigned long long)first, (unsigned long long)(address - first));
  verify_tell(v, invariant, address, position,
              strcmp(invariant, "L5") ? message : v->error.message);
}

void verify_damaged(struct verifying *v, uint64_t readable) {
  if (!v->damaged) v->result->readable = readable;
  v->damaged = true;
}

/* ---- The log ---- */

struct overlay_entry *verify_head(const struct verifying *v, unsigned kind, rille_text name) {
  struct overlay_entry *entry = overlay_find(&v->heads, kind, name);
  for (unsigned i = v->older_count; !entry && i-- > 0;)
    entry = overlay_find(&v->older[i], kind, name);
  return entry;
}

static struct overlay_entry *entry_of(struct verifying *v, enum chain_kind kind, rille_text name) {
  static const struct chain_head none;
  struct chain_head head;
  struct overlay_entry *entry = overlay_find(&v->heads, kind, name);
  if (entry) return entry;
  if (!(entry = verify_head(v, kind, name))) return overlay_add(&v->heads, kind, name, &none);
  overlay_get(entry, &head);
  return overlay_add(&v->heads, kind, name, &head);
}

static int check_chain(struct verifying *v, const struct record *r, size_t chain,
                       const char *invariant, enum chain_kind kind, rille_text name) {
  char text[ERROR_NAME_BYTES];
  uint64_t links[LINKS_MOST], expected[LINKS_MOST], number = record_number(r, chain);
  struct overlay_entry *entry = entry_of(v, kind, name);
  if (!entry) return error_memory(&v->error);
  unsigned n = record_links(r, chain, links);
  bool under_way = number > entry->count + 1 && atomic_load(&v->log->pending.redactions) > 0;
  if (under_way) return 0; /* a redaction whose process died has taken the name out of some */
  if (number != entry->count + 1) {
    error_set(&v->error, 0, "\"%s\" goes from number %llu to %llu", error_name(name, text),
              (unsigned long long)entry->count, (unsigned long long)number);
    v->error.address = r->address;
    verify_tell_error(v, invariant, r->position);
    verify_damaged(v, r->position - 1);
    return 0;
  }
  chain_next_links(entry->count, entry->tower, expected);
  if (memcmp(links, expected, n * sizeof *links) != 0)
    verify_tell(v, "L5", r->address, r->position, "a link does not lead to the record it should");
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
    verify_tell_error(v, "L7", r->position);
    verify_damaged(v, r->position - 1);
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

/* The last place in the file that holds `address`: no header is found in one that can't be read. */
static uint64_t last_of_file(const struct verifying *v, uint64_t address, uint64_t end) {
  struct repair_segment file = segments_describe(&v->log->segments, address);
  return (file.last ? end : min_u64(end, file.end)) - 8;
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
    if (failed == RILLE_CORRUPT) at = max_u64(at, last_of_file(v, at, end));
    else if (failed) return failed;
    if (failed) continue;
    if (got >= FRAME_HEADER_BYTES && frame_get_header(b, at, s->window.source.salt, &f)) break;
  }
  s->address = at;
  return 0;
}

int verify_walk(struct verifying *v, uint64_t end) {
  int failed;
  while ((failed = verify_frames(v, end)) == RILLE_CORRUPT && !v->stopped) {
    uint64_t next = v->scan.next_position;
    uint64_t at = max_u64(v->error.address, v->scan.address);
    verify_damaged(v, next ? next - 1 : 0);
    verify_tell_error(v, "L7", next);
    if ((failed = resume(v, at, end)) < 0) break;
  }
  v->result->bytes = v->scan.address;
  return failed;
}
