/* rewrite.c: one log file made again. */
#include "rewrite.h"

#include <errno.h>

#include "checksum.h"
#include "error.h"
#include "packed.h"

#define RAW_BYTES ((size_t)64 << 10)

/* One way through a file. */
struct passage {
  const struct rewriting *w;
  struct packing *to; /* NULL: a survey */
  struct scan scan;
  struct buffer prefix, skips, head; /* skips: struct stretch, of the prefix */
  struct rewritten *done;
};

struct stretch {
  size_t from, to;
};

static void keep(const struct passage *p, const void *bytes, size_t n) {
  if (p->to) packing_keep(p->to, bytes, n);
}

static void skip(const struct passage *p, uint64_t n) {
  if (p->to) packing_skip(p->to, n);
}

/* ---- Facts ---- */

static bool add_skip(struct passage *p, size_t from, size_t to) {
  struct stretch s = {from, to};
  return from == to || buffer_add(&p->skips, &s, sizeof s);
}

/* The fact at `at` of the prefix is changed in place. */
static int take_fact(struct passage *p, size_t at, const struct fact *fact, rille_error *e) {
  enum rewrite_fact what = REWRITE_KEEP;
  size_t from = 0, payload = at + FACT_FIXED_BYTES + (size_t)align8(fact->name.length);
  size_t end = at + fact_bytes(fact);
  if (fact->kind == FACT_TAKEN) return add_skip(p, payload, end) ? 0 : error_memory(e);
  int failed = p->w->fact(p->w->context, &p->scan.frame, fact, &what, &from, e);
  if (failed || what == REWRITE_KEEP) return failed;
  uint8_t *b = p->prefix.bytes;
  if (what == REWRITE_TAKE_TAIL) payload += from;
  else b[at] = FACT_TAKEN;
  if (what == REWRITE_TAKE_NAMED) memset(b + at + FACT_FIXED_BYTES, 0, fact->name.length);
  memset(b + payload, 0, end - payload);
  p->done->facts++;
  p->done->bytes += end - align8(payload);
  return add_skip(p, (size_t)align8(payload), end) ? 0 : error_memory(e);
}

static int take_prefix(struct passage *p, uint32_t *content, rille_error *e) {
  const uint8_t *bytes;
  struct fact fact;
  size_t n = p->scan.frame.prefix, used;
  buffer_clear(&p->prefix, MIB);
  buffer_clear(&p->skips, MIB);
  if (n == 0) return 0;
  int failed = scan_prefix(&p->scan, &bytes, e);
  if (!failed && !buffer_add(&p->prefix, bytes, n)) failed = error_memory(e);
  for (size_t at = 0; !failed && (used = fact_get(p->prefix.bytes + at, n - at, &fact)) != 0;
       at += used)
    failed = take_fact(p, at, &fact, e);
  if (!failed) *content = checksum(*content, p->prefix.bytes, n);
  return failed;
}

static void put_prefix(const struct passage *p) {
  size_t at = 0;
  for (size_t i = 0; i < p->skips.length; i += sizeof(struct stretch)) {
    struct stretch s;
    memcpy(&s, p->skips.bytes + i, sizeof s);
    keep(p, p->prefix.bytes + at, s.from - at);
    skip(p, s.to - s.from);
    at = s.to;
  }
  keep(p, p->prefix.bytes + at, p->prefix.length - at);
}

/* ---- Records ---- */

static int take_record(struct passage *p, const struct record *r, uint32_t *content,
                       rille_error *e) {
  struct record_taking what = {0};
  size_t body = (size_t)align8(record_body_bytes(r));
  uint32_t head = r->head_checksum;
  p->w->record(p->w->context, &p->scan.frame, r, &what);
  bool goes = what.flags & (RECORD_TAKEN | RECORD_REDACTED);
  if (!goes && !record_is_gone(r)) {
    int failed = window_check_body(&p->scan.window, r, e); /* no damage gets a new checksum */
    if (failed) return failed;
  }
  buffer_clear(&p->head, MIB);
  if (!buffer_add(&p->head, r->bytes, r->head_length)) return error_memory(e);
  if (what.flags || what.tags) {
    head = record_take(p->head.bytes, r, &what, p->w->log->identity.salt);
    p->done->records++;
    if (goes && !record_is_gone(r)) p->done->bytes += body;
  }
  keep(p, p->head.bytes, p->head.length);
  if (goes || record_is_gone(r)) skip(p, body);
  else keep(p, r->bytes + r->head_length, body);
  *content = frame_content_add(*content, head);
  return 0;
}

/* ---- Frames ---- */

/* A frame of a newer version, which may be passed over: as it is. */
static int copy_raw(struct passage *p, rille_error *e) {
  const struct frame *f = &p->scan.frame;
  for (uint64_t at = f->address; at < frame_end(f);) {
    const uint8_t *bytes;
    size_t got, n = (size_t)min_u64(frame_end(f) - at, RAW_BYTES);
    int failed = window_get(&p->scan.window, at, n, &bytes, &got, e);
    if (failed) return failed;
    if (got < n) return error_corrupt(e, at, "the log ends inside a frame");
    keep(p, bytes, n);
    at += n;
  }
  return 0;
}

static int take_frame(struct passage *p, rille_error *e) {
  struct frame f = p->scan.frame;
  struct record r;
  uint8_t header[FRAME_HEADER_BYTES] = {0};
  uint64_t salt = p->w->log->identity.salt;
  uint32_t content = checksum_seed(salt, f.address);
  size_t at = p->to ? p->to->bytes.length : 0;
  if (p->scan.partial) return copy_raw(p, e);
  keep(p, header, sizeof header);
  int result = take_prefix(p, &content, e);
  if (result) return result;
  put_prefix(p);
  while ((result = scan_record(&p->scan, &r, e)) == 1)
    if ((result = take_record(p, &r, &content, e)) < 0) return result;
  if (result < 0) return result;
  f.content_checksum = content;
  frame_put_header(header, &f, salt);
  if (p->to && !p->to->failed) memcpy(p->to->bytes.bytes + at, header, sizeof header);
  return 0;
}

/* A frame that was left out half-way is not gone on with: scan_record ends it. */
static int end_frame(struct passage *p, rille_error *e) {
  struct record r;
  return p->scan.inside ? scan_record(&p->scan, &r, e) : 0;
}

static int go_through(struct passage *p, uint64_t first, uint64_t end, rille_error *e) {
  struct log *l = p->w->log;
  int result;
  *p->done = (struct rewritten){0};
  buffer_init(&p->prefix, &l->memory);
  buffer_init(&p->skips, &l->memory);
  buffer_init(&p->head, &l->memory);
  scan_init(&p->scan, &l->source, &l->memory, first, 0, end);
  while ((result = scan_frame(&p->scan, e)) == 1) {
    if ((result = take_frame(p, e)) < 0 || (result = end_frame(p, e)) < 0) break;
    int number = p->to ? packing_write(p->to, false) : 0;
    if (number == 0) continue;
    result = number == ENOMEM ? error_memory(e) : error_system(e, number, "can't write a log file");
    break;
  }
  scan_release(&p->scan);
  buffer_release(&p->head);
  buffer_release(&p->skips);
  buffer_release(&p->prefix);
  return result;
}

int rewrite_survey(const struct rewriting *w, uint64_t first, uint64_t end, struct rewritten *found,
                   rille_error *e) {
  struct passage p = {.w = w, .done = found};
  return go_through(&p, first, end, e);
}

static int write_new(const struct rewriting *w, int fd, uint64_t first, uint64_t end,
                     struct rewritten *done, rille_error *e) {
  struct log *l = w->log;
  struct packing to;
  struct passage p = {.w = w, .to = &to, .done = done};
  packing_begin(&to, fd, first, l->identity.salt, &l->memory);
  int failed = go_through(&p, first, end, e);
  int number = failed ? 0 : packing_finish(&to);
  if (number == ENOMEM) failed = error_memory(e);
  else if (number) failed = error_system(e, number, "can't write a log file");
  packing_release(&to);
  return failed;
}

int rewrite_file(const struct rewriting *w, uint64_t first, uint64_t end, struct rewritten *done,
                 rille_error *e) {
  char path[SYSTEM_PATH_BYTES];
  struct segments *s = &w->log->segments;
  int fd;
  *done = (struct rewritten){0};
  if (end - first > PACKED_LOG_BYTES_MOST) return 0;
  int moved = segments_check_place(s, e);
  if (moved) return moved;
  if (!segments_new_path(path, s->folder, first))
    return error_set(e, RILLE_INVALID, "the path %.200s is too long", s->folder);
  int number = system_kind(path) == SYSTEM_ABSENT ? 0 : system_remove(path); /* a dead one's */
  if (!number) number = system_open(path, SYSTEM_CREATE, &fd);
  if (number) return error_system(e, number, "can't create %s", path);
  int failed = write_new(w, fd, first, end, done, e);
  system_close(fd);
  if (!failed) failed = segments_replace(s, first, e);
  if (failed) (void)system_remove(path);
  else segments_reopen(s);
  return failed;
}
