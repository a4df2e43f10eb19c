/* world.h: a writer that keeps R1 and R2 on a disk that loses what it may, and
** the caller of repair_look and repair_mend. The world remembers what it wrote
** and what was acknowledged; it does so by its own books, not from the disk.
**
** A mutant breaks one rule, in the writer or between the repair and the disk. */
#ifndef RILLE_WORLD_H
#define RILLE_WORLD_H

#include "disk.h"
#include "error.h"
#include "made.h"
#include "repair.h"

#define FRAMES_MOST 600u
#define FRAME_ROOM ((size_t)12 << 10)
#define FUSE_NONE 1000000u
#define READS_MOST 20000u

enum mutant { REAL, NO_CUTTING, NO_DURABLE, NO_REWRITE, VALID_IS_CORRUPT, NO_EVIDENCE,
              NO_SECOND_FLUSH, NO_FLUSH_BEFORE_SUCCESSOR, NO_MENDING_OF_CLEAN, NO_ZEROS, MUTANTS };

/* A frame as it was written. */
struct kept {
  struct frame frame;
  uint64_t durable; /* what its header should say */
};

enum mode { ALWAYS, GROUP, NEVER };

struct world {
  struct disk disk;
  uint8_t intended[FILES_MOST][FILE_BYTES]; /* what a sound log has */
  struct kept frames[FRAMES_MOST];
  unsigned frame_count;
  uint64_t written, durable, acknowledged, next_position, salt;
  unsigned folded;         /* so many frames are in the index */
  bool index_known;        /* the repair at hand has the index */
  uint64_t looked_from;    /* ... and began here */
  enum mutant mutant;
  enum mode mode;
  bool fixed;              /* frames have all the same size */
  uint32_t data, zero_ahead;
  uint64_t segment_bytes;
  unsigned reads, flushes; /* of the repair at hand */
  uint64_t end;            /* ... which found the log to end here */
};

static struct {
  unsigned trials, cuts, kills, holes, torn, clean, failed_flushes, cut_repairs, successors;
  unsigned rotten, reported, unnoticed, last_group;
} total;

static struct memory memory;

static inline uint64_t end_of(const struct world *w, unsigned frames) {
  return frames ? frame_end(&w->frames[frames - 1].frame) : 0;
}

/* ---- The writer ---- */

/* A harsh world is one in which rare faults meet: flushes fail often, and frames
** of one size let an old frame fit behind a new one. */
static inline void world_begin(struct world *w, enum mutant mutant) {
  bool harsh = one_in(4);
  w->disk.count = 0;
  w->disk.fuse = FUSE_NONE;
  w->disk.block = one_in(2) ? SECTOR : 8 * SECTOR;
  w->disk.failing = harsh ? 3 : one_in(2) ? 12 : 0;
  disk_add_file(&w->disk, 0);
  w->frame_count = w->folded = 0;
  w->written = w->durable = w->acknowledged = 0;
  w->next_position = 1;
  w->salt = random_bits();
  w->mutant = mutant;
  w->mode = harsh ? GROUP : (enum mode)random_below(3);
  w->fixed = harsh || one_in(2);
  w->data = 8 * (1 + random_below(one_in(2) ? 20 : 80));
  w->zero_ahead = one_in(2) ? 0 : 512 + 8 * random_below(256);
  w->segment_bytes = 4 * KIB + random_below(8 * KIB);
}

/* The next frame, as bytes. One time for all: the clock must not be what tells
** frames of one life from those of another. */
static inline struct frame frame_make(const struct world *w, uint8_t *room) {
  struct made records[3];
  size_t count = w->fixed ? 1 : 1 + random_below(3);
  for (size_t i = 0; i < count; i++) {
    struct made *m = &records[i];
    made_random(m, w->fixed ? 0 : random_below(3), w->fixed ? w->data : random_below(w->data), 0);
    for (size_t c = 0; c < RECORD_FIRST_TAG + m->fields.tag_count; c++)
      m->numbers[c] = w->fixed ? 1 : 1 + random_below(64);
    if (w->fixed) m->fields.stream = m->fields.type = pool_cut(8), m->fields.id.length = 0;
  }
  struct frame f = {.address = w->written, .first_position = w->next_position, .time_us = 1,
                    .durable = w->mutant == NO_DURABLE ? 0 : w->durable, .kind = FRAME_EVENTS,
                    .format = FRAME_FORMAT};
  CHECK(frame_room(records, count, 0) <= FRAME_ROOM);
  frame_put(&f, room, records, count, w->salt);
  return f;
}

static inline bool flush(struct world *w) {
  bool lost;
  uint64_t end = w->written;
  if (!disk_flush(&w->disk, &lost)) {
    total.failed_flushes += lost;
    return false;
  }
  w->durable = w->acknowledged = end;
  return true;
}

/* R1. */
static inline bool succeed(struct world *w) {
  if (!disk_truncate(&w->disk, w->written)) return false;
  if (w->mutant != NO_FLUSH_BEFORE_SUCCESSOR && !flush(w)) return false;
  disk_add_file(&w->disk, w->written);
  total.successors++;
  return true;
}

/* False when the life has ended. */
static inline bool append(struct world *w, bool may_succeed) {
  uint8_t room[FRAME_ROOM + 4 * KIB];
  struct frame f = frame_make(w, room);
  const struct file *last = disk_last(&w->disk);
  if (w->frame_count == FRAMES_MOST) return false;
  if (w->written > last->first && frame_end(&f) - last->first > w->segment_bytes) {
    if (!may_succeed) return true;
    if (w->disk.count == FILES_MOST || !succeed(w)) return false;
    return append(w, false);
  }
  size_t n = f.length, at = (size_t)(f.address - last->first);
  memcpy(w->intended[w->disk.count - 1] + at, room, n);
  w->frames[w->frame_count++] = (struct kept){f, w->durable};
  w->written = frame_end(&f);
  w->next_position += f.count;
  if (at + n > last->size && w->zero_ahead) {
    memset(room + n, 0, w->zero_ahead);
    n += w->zero_ahead;
  }
  return disk_write(&w->disk, f.address, room, n);
}

/* Others append while a flush runs: it covers what was written before it. */
static inline bool flush_shared(struct world *w) {
  uint64_t end = w->written;
  disk_flush_begin(&w->disk);
  for (unsigned n = random_below(3); n; n--)
    if (!append(w, false)) return false;
  if (disk_dead(&w->disk)) return false;
  disk_flush_end(&w->disk);
  w->durable = w->acknowledged = end;
  return true;
}

static inline bool maybe_flush(struct world *w, bool last) {
  switch (w->mode) {
    case ALWAYS: return last && one_in(2) ? true : flush(w);
    case GROUP: return one_in(4) ? (one_in(2) ? flush(w) : flush_shared(w)) : true;
    default: return one_in(40) ? flush(w) : true;
  }
}

/* The index may hold what is durable, and lags behind at will. */
static inline void fold(struct world *w) {
  bool far = one_in(2);
  while (w->folded < w->frame_count && end_of(w, w->folded + 1) <= w->durable &&
         (far || !one_in(4)))
    w->folded++;
}

static inline void live(struct world *w) {
  w->disk.fuse = one_in(2) ? FUSE_NONE : 1 + random_below(20);
  for (unsigned n = 1 + random_below(12); n; n--) {
    if (!append(w, true) || !maybe_flush(w, n == 1)) break;
    if (one_in(3)) fold(w);
  }
}

/* True when the power went, too. */
static inline bool end_life(struct world *w, bool power) {
  w->disk.fuse = FUSE_NONE;
  if (power) {
    disk_power_cut(&w->disk);
    total.cuts++;
  } else {
    if (one_in(2)) disk_evict(&w->disk);
    total.kills++;
  }
  return power;
}

/* ---- The repair, with its mutants ---- */

static int read_log(void *context, uint64_t address, void *bytes, size_t n, size_t *got,
                    rille_error *e) {
  struct world *w = context;
  if (++w->reads > READS_MOST) return error_set(e, RILLE_BUDGET, "reads without end");
  *got = disk_read(&w->disk, address, bytes, n);
  return 0;
}

static int dead(rille_error *e) { return error_set(e, RILLE_IO, "the process has ended"); }

static inline int mend_write(void *context, uint64_t address, const void *bytes, size_t n,
                             rille_error *e) {
  struct world *w = context;
  if (w->mutant == NO_REWRITE && address < w->end) return 0;
  if ((w->mutant == NO_ZEROS || w->mutant == NO_CUTTING) && address >= w->end) return 0;
  return disk_write(&w->disk, address, bytes, n) ? 0 : dead(e);
}

static inline int mend_cut(void *context, uint64_t address, rille_error *e) {
  struct world *w = context;
  if (w->mutant == NO_CUTTING) return 0;
  return disk_truncate(&w->disk, address) ? 0 : dead(e);
}

static inline int mend_flush(void *context, rille_error *e) {
  struct world *w = context;
  bool lost;
  if (++w->flushes == 2 && w->mutant == NO_SECOND_FLUSH) return 0;
  if (disk_flush(&w->disk, &lost)) return 0;
  total.failed_flushes += lost;
  return dead(e);
}

static struct source source_of(struct world *w) { return (struct source){read_log, w, w->salt}; }

static inline struct repair_segment segment_at(const struct world *w, uint64_t address) {
  unsigned i = w->disk.count - 1;
  while (i > 0 && w->disk.files[i].first > address) i--;
  const struct file *f = &w->disk.files[i];
  bool last = i + 1 == w->disk.count;
  return (struct repair_segment){f->first, last ? f->first + f->size : f[1].first, last};
}

/* Whether the frame that the index ends with stands in the log. */
static inline bool index_fits(const struct world *w) {
  const struct frame *f = &w->frames[w->folded - 1].frame;
  uint8_t b[FRAME_HEADER_BYTES];
  struct frame g;
  return disk_read(&w->disk, f->address, b, sizeof b) == sizeof b &&
         frame_get_header(b, f->address, w->salt, &g) && g.header_checksum == f->header_checksum &&
         frame_end(f) <= end_of(w, w->frame_count);
}

/* What the caller of repair_look knows: the index, if it has one. */
static inline struct repair_finding start_of(struct world *w) {
  struct repair_finding f = {.end = {.next_position = 1}};
  w->index_known = w->folded && !one_in(3);
  w->looked_from = 0;
  if (!w->index_known || w->mutant == NO_EVIDENCE) return f;
  f.evidence = end_of(w, w->folded);
  if (one_in(3) || !index_fits(w)) return f; /* the index is made anew, but was evidence */
  const struct frame *last = &w->frames[w->folded - 1].frame;
  f.end = (struct log_end){.address = frame_end(last), .time_us = last->time_us,
                           .next_position = last->first_position + last->count,
                           .last_frame = last->address, .last_checksum = last->header_checksum};
  f.durable = w->looked_from = f.end.address;
  return f;
}

/* Looks at segment after segment, as the log does on opening. */
static inline int look(struct world *w, struct repair_finding *f) {
  struct source source = source_of(w);
  rille_error e;
  *f = start_of(w);
  w->reads = w->flushes = 0;
  for (;;) {
    struct repair_segment segment = segment_at(w, f->end.address);
    int failed = repair_look(&source, &memory, &segment, f, &e);
    if (failed) printf("       repair_look: %s\n", e.message);
    if (failed) return failed;
    if (w->mutant == VALID_IS_CORRUPT && f->survivors) f->verdict = REPAIR_CORRUPT;
    if (segment.last || f->verdict != REPAIR_CLEAN || f->end.address != segment.end) break;
  }
  return 0;
}

/* The process ends in the fuse-th operation on the disk. */
static inline int mend(struct world *w, const struct repair_finding *f, unsigned fuse) {
  struct source source = source_of(w);
  struct repair_disk disk = {mend_write, mend_cut, mend_flush, w};
  if (w->mutant == NO_MENDING_OF_CLEAN && f->verdict == REPAIR_CLEAN) return 0;
  w->disk.fuse = fuse;
  w->end = f->end.address;
  return repair_mend(&source, &disk, &memory, f, NULL);
}

#endif
