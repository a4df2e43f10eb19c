/* scan.c: a window over the log, and a walk through it. */
#include "scan.h"

#include "checksum.h"
#include "error.h"

#define WINDOW_KEEP_BYTES ((size_t)1 << 20)

void window_init(struct window *w, const struct source *source, const struct memory *memory,
                 size_t ahead_most) {
  *w = (struct window){.source = *source, .ahead = SCAN_WINDOW_SMALL, .ahead_most = ahead_most};
  buffer_init(&w->bytes, memory);
}

void window_release(struct window *w) { buffer_release(&w->bytes); }

void window_forget(struct window *w) { w->bytes.length = 0; }

void window_expect(struct window *w, uint64_t n) {
  w->ahead = n < w->ahead_most ? (size_t)n : w->ahead_most;
}

static int refill(struct window *w, uint64_t address, size_t n, rille_error *e) {
  size_t want = n > w->ahead ? n : w->ahead, got;
  w->ahead = 2 * w->ahead < w->ahead_most ? 2 * w->ahead : w->ahead_most;
  buffer_clear(&w->bytes, n > WINDOW_KEEP_BYTES ? n : WINDOW_KEEP_BYTES);
  uint8_t *room = buffer_reserve(&w->bytes, want);
  if (!room) return error_memory(e);
  int failed = w->source.read(w->source.context, address, room, want, &got, e);
  if (failed) return failed;
  w->start = address;
  w->bytes.length = got;
  return 0;
}

int window_get(struct window *w, uint64_t address, size_t n, const uint8_t **bytes, size_t *got,
               rille_error *e) {
  uint64_t skip = address - w->start;
  if (address < w->start || skip > w->bytes.length || w->bytes.length - skip < n) {
    int failed = refill(w, address, n, e);
    if (failed) return failed;
    skip = 0;
  }
  *bytes = w->bytes.bytes + skip;
  *got = w->bytes.length - (size_t)skip;
  return 0;
}

static int bad_record(uint64_t address, rille_error *e) {
  return error_corrupt(
      e, address, "damage at byte %llu of the log: the head of a record is not what was written",
      (unsigned long long)address);
}

int window_record(struct window *w, uint64_t address, struct record *r, rille_error *e) {
  const uint8_t *b;
  size_t got, need = RECORD_FIXED_BYTES;
  for (;;) {
    int failed = window_get(w, address, need, &b, &got, e);
    if (failed) return failed;
    enum record_result result = record_get(b, got, address, w->source.salt, r);
    if (result == RECORD_BAD || (result == RECORD_SHORT && got < need))
      return bad_record(address, e);
    if (result == RECORD_OK && got >= record_bytes(r)) return 0;
    if (result == RECORD_OK && got < need) return bad_record(address, e);
    need = result == RECORD_OK ? (size_t)record_bytes(r) : record_needs(b, got);
    if (need > RECORD_HEAD_MOST + RILLE_EVENT_BYTES + 8) return bad_record(address, e);
  }
}

int window_check_body(const struct window *w, const struct record *r, rille_error *e) {
  if (record_body_is_sound(r, r->bytes + r->head_length, w->source.salt)) return 0;
  int code = error_corrupt(e, r->address,
                           "damage at byte %llu of the log: the data of the event at position %llu "
                           "is not what was written",
                           (unsigned long long)r->address, (unsigned long long)r->position);
  if (e) e->position = r->position;
  return code;
}

void scan_init(struct scan *s, const struct source *source, const struct memory *memory,
               uint64_t address, uint64_t next_position, uint64_t end) {
  *s = (struct scan){.address = address, .end = end, .next_position = next_position};
  window_init(&s->window, source, memory, SCAN_WINDOW_BYTES);
}

void scan_release(struct scan *s) { window_release(&s->window); }

static int bad_frame(uint64_t address, const char *what, rille_error *e) {
  return error_corrupt(e, address, "damage at byte %llu of the log: %s",
                       (unsigned long long)address, what);
}

static int get_header(struct scan *s, uint64_t address, rille_error *e) {
  const uint8_t *b;
  size_t got;
  int failed = window_get(&s->window, address, FRAME_HEADER_BYTES, &b, &got, e);
  if (failed) return failed;
  if (got < FRAME_HEADER_BYTES) return bad_frame(address, "the file ends there", e);
  if (!frame_get_header(b, address, s->window.source.salt, &s->frame))
    return bad_frame(address, "the header of a frame is not what was written", e);
  return 0;
}

/* Kinds and formats of newer versions: pass over, or refuse. */
static int check_known(const struct frame *f, rille_error *e) {
  if (frame_is_known(f) || (f->kind & FRAME_IGNORABLE)) return 0;
  return error_set(e, RILLE_UNSUPPORTED,
                   "the frame at byte %llu of the log (kind %u %s, format %u) is of a newer rille: "
                   "open the store with that version",
                   (unsigned long long)f->address, f->kind, frame_kind_name(f->kind), f->format);
}

int scan_prefix(struct scan *s, const uint8_t **bytes, rille_error *e) {
  const struct frame *f = &s->frame;
  size_t got;
  int failed = window_get(&s->window, f->address + FRAME_HEADER_BYTES, f->prefix, bytes, &got, e);
  if (failed) return failed;
  return got < f->prefix ? bad_frame(f->address, "the file ends inside the frame", e) : 0;
}

/* The prefix is part of the content. */
static int take_prefix(struct scan *s, rille_error *e) {
  const uint8_t *b;
  s->content = checksum_seed(s->window.source.salt, s->frame.address);
  if (s->frame.prefix == 0) return 0;
  int failed = scan_prefix(s, &b, e);
  if (!failed) s->content = checksum(s->content, b, s->frame.prefix);
  return failed;
}

int scan_frame(struct scan *s, rille_error *e) {
  if (s->address >= s->end) return 0;
  int failed = get_header(s, s->address, e);
  if (!failed) failed = check_known(&s->frame, e);
  if (failed) return failed;
  const struct frame *f = &s->frame;
  if (s->next_position && f->first_position != s->next_position)
    return bad_frame(f->address, "the frame does not continue the one before it", e);
  if (f->time_us < s->time_us || f->durable > f->address || frame_end(f) > s->end)
    return bad_frame(f->address, "the frame does not fit where it stands", e);
  if (f->format != FRAME_FORMAT || !frame_is_known(f)) { /* ignorable: passed over whole */
    s->left = 0;
    s->partial = s->inside = true;
    return 1;
  }
  if ((failed = take_prefix(s, e)) < 0) return failed;
  s->partial = false;
  s->inside = true;
  s->left = f->count;
  s->next_position = f->first_position;
  s->time_us = f->time_us;
  s->address += FRAME_HEADER_BYTES + f->prefix;
  return 1;
}

int scan_enter(struct scan *s, uint64_t frame_address, uint64_t record_address, uint64_t position,
               rille_error *e) {
  int failed = get_header(s, frame_address, e);
  if (failed) return failed;
  const struct frame *f = &s->frame;
  if (position < f->first_position || position - f->first_position >= f->count ||
      record_address < frame_address + FRAME_HEADER_BYTES || record_address >= frame_end(f))
    return bad_frame(frame_address, "the index and the log do not agree there", e);
  s->left = f->count - (uint32_t)(position - f->first_position);
  s->next_position = position;
  s->time_us = f->time_us;
  s->partial = s->inside = true;
  s->address = record_address;
  return 0;
}

static int end_of_frame(struct scan *s, rille_error *e) {
  s->inside = false;
  if (s->partial) {
    s->address = frame_end(&s->frame);
    return 0;
  }
  if (s->address != frame_end(&s->frame) || s->content != s->frame.content_checksum)
    return bad_frame(s->frame.address, "the content of a frame is not what was written", e);
  return 0;
}

int scan_record(struct scan *s, struct record *r, rille_error *e) {
  if (s->left == 0) return end_of_frame(s, e);
  int failed = window_record(&s->window, s->address, r, e);
  if (failed) return failed;
  if (r->position != s->next_position || record_bytes(r) > frame_end(&s->frame) - s->address)
    return bad_frame(s->frame.address, "a record does not fit its frame", e);
  s->content = frame_content_add(s->content, r->head_checksum);
  s->address += record_bytes(r);
  s->next_position++;
  s->left--;
  return 1;
}

int scan_next(struct scan *s, struct record *r, rille_error *e) {
  for (;;) {
    int result = s->inside ? scan_record(s, r, e) : 0;
    if (result != 0) return result;
    if ((result = scan_frame(s, e)) <= 0) return result;
  }
}
