/* repair.c: rules R3 and R4, pure over a disk. */
#include "repair.h"

#include <assert.h>
#include <stdio.h>

#include "error.h"

#define REPAIR_BLOCK_BYTES ((size_t)16 << 10) /* no system's pages are larger */
#define REWRITE_BYTES ((size_t)1 << 20)

/* Takes one frame with all its records. 1: sound; 0: the segment's end; < 0. */
static int take_frame(struct scan *s, rille_error *e) {
  struct record r;
  int result = scan_frame(s, e);
  if (result <= 0) return result;
  while ((result = scan_record(s, &r, e)) == 1)
    if ((result = window_check_body(&s->window, &r, e)) < 0) return result;
  return result < 0 ? result : 1;
}

/* Walks sound frames from finding->end; there X is. */
static int walk_sound(struct scan *s, struct repair_finding *f, rille_error *e) {
  int result;
  while ((result = take_frame(s, e)) == 1) {
    assert(s->address > f->end.address);
    f->durable = max_u64(f->durable, s->frame.durable);
    f->end = (struct log_end){.address = s->address,
                              .next_position = s->next_position,
                              .time_us = s->time_us,
                              .last_frame = s->frame.address,
                              .last_checksum = s->frame.header_checksum};
  }
  return result;
}

/* What stands behind X: zeros, and headers that still know of a flush. */
static int look_behind(const struct source *source, const struct memory *memory, uint64_t end,
                       struct repair_finding *f, bool *zeros, rille_error *e) {
  struct window w;
  window_init(&w, source, memory, SCAN_WINDOW_BYTES);
  int failed = 0;
  *zeros = true;
  uint64_t at = f->end.address;
  while (at < end && !failed) {
    const uint8_t *b;
    size_t got, need = (size_t)min_u64(FRAME_HEADER_BYTES, end - at);
    if ((failed = window_get(&w, at, need, &b, &got, e)) || got < need) break;
    for (; got >= FRAME_HEADER_BYTES; at += 8, b += 8, got -= 8) {
      struct frame frame;
      if (get64(b) == 0) continue; /* no header has a length of 0 */
      *zeros = false;
      if (at == f->end.address || !frame_get_header(b, at, source->salt, &frame)) continue;
      f->survivors = true;
      f->evidence = max_u64(f->evidence, frame.durable);
    }
    for (; got && at + got >= end; at++, b++, got--) /* the last bytes, too few for a header */
      if (*b) *zeros = false;
  }
  window_release(&w);
  return failed;
}

int repair_look(const struct source *source, const struct memory *memory,
                const struct repair_segment *segment, struct repair_finding *f,
                rille_error *error) {
  struct scan s;
  rille_error why = {0};
  f->durable = max_u64(f->durable, segment->first); /* R1 */
  scan_init(&s, source, memory, f->end.address, f->end.next_position, segment->end);
  s.time_us = f->end.time_us;
  int result = walk_sound(&s, f, &why);
  scan_release(&s);
  if (result < 0 && result != RILLE_CORRUPT) return error_set(error, result, "%s", why.message);
  f->evidence = max_u64(f->evidence, segment->last ? f->durable : segment->end);
  f->verdict = REPAIR_CLEAN;
  bool zeros = true;
  if (result < 0) {
    memcpy(f->reason, why.message, sizeof f->reason - 1);
    f->reason[sizeof f->reason - 1] = '\0';
    result = look_behind(source, memory, segment->end, f, &zeros, error);
    if (result < 0) return result;
  } else if (!segment->last) {
    return 0;
  } else {
    snprintf(f->reason, sizeof f->reason,
             "the log ends at byte %llu, but more had been in the index",
             (unsigned long long)f->end.address);
  }
  if (f->end.address < f->evidence) f->verdict = REPAIR_CORRUPT;
  else if (!zeros) f->verdict = REPAIR_TORN;
  return 0;
}

int repair_rewrite(const struct source *source, const struct repair_disk *disk,
                   const struct memory *memory, uint64_t from, uint64_t to, rille_error *e) {
  struct window w;
  window_init(&w, source, memory, REWRITE_BYTES);
  int failed = 0;
  while (from < to && !failed) {
    const uint8_t *b;
    size_t got, n = (size_t)min_u64(REWRITE_BYTES, to - from);
    failed = window_get(&w, from, n, &b, &got, e);
    if (!failed && got < n)
      failed = error_corrupt(e, from, "the log became shorter while it was repaired");
    if (!failed) failed = disk->write(disk->context, from, b, n, e);
    from += n;
  }
  window_release(&w);
  return failed;
}

int repair_mend(const struct source *source, const struct repair_disk *disk,
                const struct memory *memory, const struct repair_finding *f, rille_error *e) {
  assert(f->verdict != REPAIR_CORRUPT);
  static const uint8_t zeros[REPAIR_BLOCK_BYTES];
  uint64_t x = f->end.address;
  int failed = f->verdict == REPAIR_TORN ? disk->cut(disk->context, x, e) : 0;
  /* Also where all is clean: an earlier repair may have been killed between cut and
  ** flush, or its flush may have failed and left zeros in memory alone. */
  if (!failed) failed = disk->write(disk->context, x, zeros, sizeof zeros, e);
  if (!failed) failed = disk->flush(disk->context, e);
  if (!failed && f->durable < x) {
    failed = repair_rewrite(source, disk, memory, f->durable, x, e);
    if (!failed) failed = disk->flush(disk->context, e);
  }
  return failed;
}
