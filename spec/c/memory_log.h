/* memory_log.h: a log in memory, as a source that scans and repairs read from.
** It is made by the real writer and knows what each record must say. The file
** may end early (`length`), segments end where told, reads can be made to fail,
** and more reads than any sound walk needs are an error: no test hangs. */
#ifndef RILLE_MEMORY_LOG_H
#define RILLE_MEMORY_LOG_H

#include "error.h"
#include "made.h"
#include "scan.h"

#define LOG_RECORDS_MOST 256u
#define LOG_FRAMES_MOST 128u
#define LOG_READS_MOST 20000u

struct memory_log {
  uint64_t start, salt;
  uint8_t *bytes;
  size_t length, capacity;
  struct made *records; /* LOG_RECORDS_MOST */
  struct frame frames[LOG_FRAMES_MOST];
  uint64_t ends[LOG_FRAMES_MOST]; /* of segments that have a successor, ascending */
  unsigned record_count, frame_count, end_count;
  uint64_t next_position, durable;
  int64_t time_us;
  unsigned reads, fail_after; /* that many reads succeed; 0: all */
  size_t read_most;           /* bytes asked for at once, so far */
};

static inline void log_init(struct memory_log *l, uint64_t start) {
  *l = (struct memory_log){.start = start, .salt = random_bits(), .next_position = 1,
                           .durable = start, .time_us = 1700000000000000};
  l->records = malloc(LOG_RECORDS_MOST * sizeof *l->records);
}

static inline void log_release(struct memory_log *l) {
  free(l->bytes);
  free(l->records);
}

static inline uint64_t log_end_address(const struct memory_log *l) { return l->start + l->length; }
static inline uint8_t *log_at(const struct memory_log *l, uint64_t address) {
  return l->bytes + (address - l->start);
}

/* What the next frame's header says unless a test wants otherwise. */
static inline struct frame log_next(const struct memory_log *l) {
  return (struct frame){.address = log_end_address(l), .first_position = l->next_position,
                        .durable = l->durable, .time_us = l->time_us, .kind = FRAME_EVENTS,
                        .format = FRAME_FORMAT};
}

/* Adds a frame of `count` records, which stand behind l->record_count. */
static inline struct frame *log_put(struct memory_log *l, struct frame f, unsigned count) {
  struct made *records = l->records + l->record_count;
  size_t room = frame_room(records, count, f.prefix);
  l->capacity = l->length + room;
  l->bytes = realloc(l->bytes, l->capacity);
  l->length += frame_put(&f, l->bytes + l->length, records, count, l->salt);
  l->bytes = realloc(l->bytes, l->length); /* exactly: a step too far is seen */
  l->record_count += count;
  l->next_position = f.first_position + count;
  l->time_us = f.time_us + random_below(3);
  l->frames[l->frame_count] = f;
  return &l->frames[l->frame_count++];
}

/* Adds a frame of `count` random records with up to `data` bytes each. */
static inline struct frame *log_add(struct memory_log *l, unsigned count, uint32_t data) {
  for (unsigned i = 0; i < count; i++)
    made_random(&l->records[l->record_count + i], random_below(4), random_below(data + 1),
                random_below(20));
  struct frame f = log_next(l);
  f.prefix = one_in(3) ? 8 * random_below(6) : 0;
  return log_put(l, f, count);
}

static inline void log_end_segment(struct memory_log *l) {
  l->ends[l->end_count++] = log_end_address(l);
}

static inline int log_read(void *context, uint64_t address, void *bytes, size_t n, size_t *got,
                           rille_error *e) {
  struct memory_log *l = context;
  if (++l->reads > LOG_READS_MOST) return error_set(e, RILLE_BUDGET, "reads without end");
  if (l->fail_after && l->reads > l->fail_after) return error_set(e, RILLE_IO, "told to fail");
  if (n > l->read_most) l->read_most = n;
  uint64_t end = log_end_address(l);
  for (unsigned i = l->end_count; i-- > 0;)
    if (l->ends[i] > address) end = min_u64(end, l->ends[i]);
  *got = address < l->start || address >= end ? 0 : (size_t)min_u64(n, end - address);
  if (*got) memcpy(bytes, log_at(l, address), *got);
  return 0;
}

static inline struct source log_source(struct memory_log *l) {
  return (struct source){log_read, l, l->salt};
}

/* Writes a changed header over the frame's: what a forger with the salt could do. */
static inline void log_forge(struct memory_log *l, struct frame *f) {
  frame_put_header(log_at(l, f->address), f, l->salt);
}

/* Memory that fails from the n-th request on. */
struct scarce {
  unsigned left;
};
static inline void *scarce_alloc(void *context, void *p, size_t old, size_t n) {
  struct scarce *s = context;
  (void)old;
  if (n == 0) {
    free(p);
    return NULL;
  }
  if (s->left == 0) return NULL;
  s->left--;
  return realloc(p, n);
}

#endif
