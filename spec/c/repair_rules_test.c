/* repair_rules_test.c: the rules of repair.h one by one, over a log in memory
** and a disk that writes down what it is told: 'c' cut, 'z' zeros behind the end, 'w' the
** same bytes again, 'f' flush. */
#include "repair.h"

#include "memory_log.h"

#define START ((uint64_t)1 << 20)
#define CALLS_MOST 64u

struct recorder {
  struct memory_log *log;
  char calls[CALLS_MOST];
  unsigned count, fail_at; /* the n-th call fails; 0: none */
  uint64_t end;            /* of the log, as found: zeros go behind it, bytes again before */
  uint64_t cut, low, next; /* where it was cut; what was written again, in one piece */
};

static int record(struct recorder *r, char call, rille_error *e) {
  if (CHECK(r->count + 1 < CALLS_MOST)) r->calls[r->count++] = call;
  return r->count == r->fail_at ? error_set(e, RILLE_FULL, "told to fail") : 0;
}

static int record_write(void *context, uint64_t address, const void *bytes, size_t n,
                        rille_error *e) {
  struct recorder *r = context;
  if (address >= r->end) {
    const uint8_t *b = bytes;
    CHECK(address == r->end && n >= 8 && r->next == 0);
    for (size_t i = 0; i < n; i++) CHECK(b[i] == 0);
    return record(r, 'z', e);
  }
  if (r->next == 0) r->low = r->next = address;
  CHECK(address == r->next && memcmp(bytes, log_at(r->log, address), n) == 0);
  r->next = address + n;
  return record(r, 'w', e);
}

static int record_cut(void *context, uint64_t address, rille_error *e) {
  struct recorder *r = context;
  r->cut = address;
  return record(r, 'c', e);
}

static int record_flush(void *context, rille_error *e) { return record(context, 'f', e); }

static struct repair_disk recorder_disk(struct recorder *r, struct memory_log *l) {
  *r = (struct recorder){.log = l};
  return (struct repair_disk){record_write, record_cut, record_flush, r};
}

static struct memory memory;

/* Looks at the whole of a last segment. */
static int look_as(struct memory_log *l, bool last, uint64_t evidence, struct repair_finding *f) {
  struct source source = log_source(l);
  struct repair_segment segment = {l->start, log_end_address(l), last};
  rille_error e;
  memory = memory_default();
  *f = (struct repair_finding){.end = {.address = l->start, .next_position = 1},
                                .evidence = evidence};
  l->reads = 0;
  return repair_look(&source, &memory, &segment, f, &e);
}

static enum repair_verdict look(struct memory_log *l, struct repair_finding *f) {
  CHECK(look_as(l, true, 0, f) == 0);
  return f->verdict;
}

/* Frames of one record each; `durable` grows only where a test says so. */
static void make(struct memory_log *l, unsigned frames) {
  pool_fill();
  log_init(l, START);
  for (unsigned i = 0; i < frames; i++) {
    made_random(&l->records[l->record_count], 1, 64, 8);
    log_put(l, log_next(l), 1);
  }
}

static void add_zeros(struct memory_log *l, size_t n) {
  l->bytes = realloc(l->bytes, l->length + n);
  memset(l->bytes + l->length, 0, n);
  l->length += n;
}

static void damage(struct memory_log *l, unsigned frame) {
  *log_at(l, l->frames[frame].address + 20) ^= 1; /* in its header */
}

static void clean_ends(void) {
  static const size_t zeros[] = {0, 1, 7, 8, 40, 47, 48, 49, 100, 4096, 300000};
  for (size_t i = 0; i < 2 * sizeof zeros / sizeof *zeros; i++) {
    struct memory_log l;
    struct repair_finding f;
    make(&l, i % 2 ? 5 : 0);
    uint64_t end = log_end_address(&l);
    add_zeros(&l, zeros[i / 2]);
    CHECK(look(&l, &f) == REPAIR_CLEAN && f.end.address == end && !f.survivors);
    CHECK(f.end.next_position == (i % 2 ? 6 : 1) && f.durable == START);
    if (i % 2) {
      const struct frame *last = &l.frames[4];
      CHECK(f.end.last_frame == last->address && f.end.last_checksum == last->header_checksum);
      CHECK(f.end.time_us == last->time_us);
    }
    log_release(&l);
  }
}

/* One byte that is not zero, wherever it stands, makes the end a torn one. */
static void torn_ends(void) {
  for (size_t n = 1; n < 130; n++) {
    struct memory_log l;
    struct repair_finding f;
    make(&l, 2);
    uint64_t end = log_end_address(&l);
    add_zeros(&l, n);
    size_t at = random_below((uint32_t)n);
    l.bytes[l.length - 1 - at] = 1;
    CHECK(look(&l, &f) == REPAIR_TORN && f.end.address == end && f.reason[0] != '\0');
    log_release(&l);
  }
}

static void every_tear_is_found(void) {
  struct memory_log l;
  struct repair_finding f;
  make(&l, 4);
  while (l.length > 0) {
    uint64_t sound = START;
    l.length--;
    l.bytes = realloc(l.bytes, l.length ? l.length : 1);
    for (unsigned i = 0; i < 4 && frame_end(&l.frames[i]) <= log_end_address(&l); i++)
      sound = frame_end(&l.frames[i]);
    bool zeros = true; /* a checksum may begin with one */
    for (uint64_t at = sound; at < log_end_address(&l); at++) zeros &= *log_at(&l, at) == 0;
    CHECK(look(&l, &f) == (zeros ? REPAIR_CLEAN : REPAIR_TORN) && f.end.address == sound);
  }
  log_release(&l);
}

/* Damaged header, head, data: all frames behind it were made before a flush. */
static void survivors_are_no_evidence(void) {
  for (unsigned what = 0; what < 3; what++) {
    struct memory_log l;
    struct repair_finding f;
    make(&l, 6);
    const uint64_t offsets[] = {4, FRAME_HEADER_BYTES + 20, l.frames[2].length - 16};
    *log_at(&l, l.frames[2].address + offsets[what]) ^= 4;
    CHECK(look(&l, &f) == REPAIR_TORN && f.survivors && f.end.address == l.frames[2].address);
    log_release(&l);
  }
}

/* One header behind X was made after a flush that covered X. */
static void headers_are_evidence(void) {
  for (unsigned know = 0; know < 2; know++) {
    struct memory_log l;
    struct repair_finding f;
    make(&l, 4);
    l.durable = know ? l.frames[2].address + 8 : l.frames[2].address;
    log_add(&l, 1, 50);
    l.durable = START;
    log_add(&l, 1, 50);
    damage(&l, 2);
    CHECK(look(&l, &f) == (know ? REPAIR_CORRUPT : REPAIR_TORN));
    CHECK(f.end.address == l.frames[2].address && f.end.next_position == 3);
    CHECK(f.evidence == l.frames[4].durable);
    log_release(&l);
  }
}

static void index_and_successor_are_evidence(void) {
  struct memory_log l;
  struct repair_finding f;
  make(&l, 4);
  damage(&l, 2);
  uint64_t x = l.frames[2].address;
  CHECK(look_as(&l, true, x, &f) == 0 && f.verdict == REPAIR_TORN);
  CHECK(look_as(&l, true, x + 8, &f) == 0 && f.verdict == REPAIR_CORRUPT && f.end.address == x);
  CHECK(look_as(&l, false, 0, &f) == 0 && f.verdict == REPAIR_CORRUPT && f.end.address == x);
  CHECK(f.evidence > x); /* R1: all of a segment with a successor had been flushed */
  log_release(&l);
  make(&l, 3);
  add_zeros(&l, 64);
  uint64_t end = frame_end(&l.frames[2]);
  CHECK(look_as(&l, true, end, &f) == 0 && f.verdict == REPAIR_CLEAN);
  CHECK(look_as(&l, true, end + 8, &f) == 0 && f.verdict == REPAIR_CORRUPT);
  l.length -= 64; /* the file ends where a frame does, before what the index had */
  CHECK(look_as(&l, true, end, &f) == 0 && f.verdict == REPAIR_CLEAN);
  CHECK(look_as(&l, true, end + 8, &f) == 0 && f.verdict == REPAIR_CORRUPT && f.reason[0] != 0);
  l.length += 64;
  CHECK(look_as(&l, false, 0, &f) == 0 && f.verdict == REPAIR_CORRUPT);
  log_release(&l);
}

/* A file with a successor that has become shorter, by any number of bytes. */
static void closed_segments_that_end_early(void) {
  struct memory_log l;
  make(&l, 3);
  struct source source = log_source(&l);
  uint64_t end = log_end_address(&l);
  memory = memory_default();
  while (l.length > 0) {
    struct repair_finding f = {.end = {.address = START, .next_position = 1}};
    struct repair_segment segment = {START, end, false};
    l.length--;
    l.bytes = realloc(l.bytes, l.length ? l.length : 1);
    l.reads = 0;
    if (!CHECK(repair_look(&source, &memory, &segment, &f, NULL) == 0)) break;
    CHECK(f.verdict == REPAIR_CORRUPT && f.end.address <= log_end_address(&l));
  }
  log_release(&l);
}

static void segment_after_segment(void) {
  struct memory_log l;
  make(&l, 3);
  struct source source = log_source(&l);
  uint64_t border = log_end_address(&l);
  log_end_segment(&l);
  log_add(&l, 2, 50);
  memory = memory_default();
  struct repair_finding f = {.end = {.address = START, .next_position = 1}};
  struct repair_segment first = {START, border, false};
  struct repair_segment second = {border, log_end_address(&l), true};
  CHECK(repair_look(&source, &memory, &first, &f, NULL) == 0);
  CHECK(f.verdict == REPAIR_CLEAN && f.end.address == border && f.durable == START);
  CHECK(repair_look(&source, &memory, &second, &f, NULL) == 0);
  CHECK(f.verdict == REPAIR_CLEAN && f.end.address == second.end && f.end.next_position == 6);
  CHECK(f.durable == border); /* R1 */
  log_release(&l);
}

/* Going on from a known end: its position and its time must be continued. */
static void what_is_known_is_continued(void) {
  struct memory_log l;
  make(&l, 4);
  struct source source = log_source(&l);
  struct repair_segment segment = {START, log_end_address(&l), true};
  uint64_t x = l.frames[2].address;
  memory = memory_default();
  for (int later = -1; later <= 1; later++)
    for (uint64_t position = 2; position <= 4; position++) {
      struct repair_finding f = {.end = {.address = x, .next_position = position,
                                         .time_us = l.frames[2].time_us + later}};
      bool sound = position == 3 && later <= 0;
      CHECK(repair_look(&source, &memory, &segment, &f, NULL) == 0);
      CHECK(f.verdict == (sound ? REPAIR_CLEAN : REPAIR_TORN));
      CHECK(f.end.address == (sound ? segment.end : x));
    }
  log_release(&l);
}

/* Nobody can check what is in it; but that it is all there. */
static void torn_ignorable_frames(void) {
  struct memory_log l;
  struct repair_finding f;
  make(&l, 2);
  uint64_t end = log_end_address(&l);
  struct frame newer = log_next(&l);
  newer.kind = FRAME_IGNORABLE | 99;
  newer.prefix = 400;
  log_put(&l, newer, 0);
  CHECK(look(&l, &f) == REPAIR_CLEAN && f.end.address == log_end_address(&l));
  l.length -= 8;
  CHECK(look(&l, &f) == REPAIR_TORN && f.end.address == end);
  log_release(&l);
}

/* A whole frame that says what this version can't know is no tear. */
static void newer_logs(void) {
  for (unsigned ignorable = 0; ignorable < 2; ignorable++) {
    struct memory_log l;
    struct repair_finding f;
    make(&l, 2);
    struct frame newer = log_next(&l);
    newer.kind = (uint16_t)(ignorable ? FRAME_IGNORABLE | 99 : 99);
    newer.prefix = 40;
    log_put(&l, newer, 0);
    log_add(&l, 1, 20);
    CHECK(look_as(&l, true, 0, &f) == (ignorable ? 0 : RILLE_UNSUPPORTED));
    if (ignorable) CHECK(f.verdict == REPAIR_CLEAN && f.end.address == log_end_address(&l));
    log_release(&l);
  }
}

static void failures_are_no_verdict(void) {
  struct memory_log l;
  struct repair_finding f;
  int result;
  make(&l, 100);
  damage(&l, 90);
  CHECK(look(&l, &f) == REPAIR_TORN);
  unsigned reads = l.reads;
  CHECK(reads > 2);
  for (l.fail_after = 1; l.fail_after < reads; l.fail_after++)
    CHECK(look_as(&l, true, 0, &f) == RILLE_IO);
  l.fail_after = 0;
  struct source source = log_source(&l);
  struct repair_segment segment = {START, log_end_address(&l), true};
  unsigned failures = 0;
  do {
    struct scarce scarce = {failures++};
    struct memory m = {scarce_alloc, &scarce};
    f = (struct repair_finding){.end = {.address = START, .next_position = 1}};
    result = repair_look(&source, &m, &segment, &f, NULL);
    CHECK(result == 0 || result == RILLE_MEMORY);
  } while (result && failures < 100);
  CHECK(failures > 2 && f.verdict == REPAIR_TORN && f.end.address == l.frames[90].address);
  log_release(&l);
}

/* ---- Mending ---- */

static int mend(struct memory_log *l, const struct repair_finding *f, struct recorder *r,
                unsigned fail_at) {
  struct source source = log_source(l);
  struct repair_disk disk = recorder_disk(r, l);
  r->fail_at = fail_at;
  r->end = f->end.address;
  memory = memory_default();
  l->reads = 0;
  return repair_mend(&source, &disk, &memory, f, NULL);
}

/* A torn tail is cut, zeros go behind it, it is flushed, written again from
** `durable`, flushed; and where a step fails nothing more is done. */
static void mending_in_order(void) {
  for (unsigned torn = 0; torn < 2; torn++) {
    struct memory_log l;
    struct repair_finding f;
    struct recorder r;
    make(&l, 3);
    l.durable = l.frames[1].address;
    log_add(&l, 1, 30);
    log_add(&l, 1, 30);
    uint64_t x = log_end_address(&l);
    add_zeros(&l, 100);
    if (torn) l.bytes[l.length - 3] = 9;
    const char *calls = torn ? "czfwf" : "zfwf";
    CHECK(look(&l, &f) == (torn ? REPAIR_TORN : REPAIR_CLEAN));
    CHECK(mend(&l, &f, &r, 0) == 0 && strcmp(r.calls, calls) == 0);
    CHECK(f.durable == l.frames[1].address);
    CHECK((r.cut == x) == torn && r.low == f.durable && r.next == x);
    for (unsigned i = 1; i <= strlen(calls); i++) {
      CHECK(mend(&l, &f, &r, i) == RILLE_FULL);
      CHECK(r.count == i && strncmp(r.calls, calls, i) == 0);
    }
    log_release(&l);
  }
}

/* All is durable as far as one can see; but an earlier repair may have been
** killed between its cut and its flush. What is written must be flushed, too. */
static void clean_and_durable_is_flushed(void) {
  struct memory_log l;
  struct repair_finding f;
  struct recorder r;
  make(&l, 3);
  CHECK(look(&l, &f) == REPAIR_CLEAN);
  f.durable = f.end.address;
  CHECK(mend(&l, &f, &r, 0) == 0);
  CHECK(strcmp(r.calls, "zf") == 0);
  log_release(&l);
}

static void mending_much(void) {
  struct memory_log l;
  struct repair_finding f;
  struct recorder r;
  pool_fill();
  log_init(&l, START);
  for (unsigned i = 0; i < 40; i++) log_add(&l, 3, 60000);
  CHECK(l.length > 2 * MIB && look(&l, &f) == REPAIR_CLEAN);
  CHECK(mend(&l, &f, &r, 0) == 0);
  CHECK(r.low == START && r.next == log_end_address(&l));
  CHECK(l.read_most <= MIB && strncmp(r.calls, "zfww", 4) == 0 && r.calls[r.count - 1] == 'f');
  l.fail_after = 2;
  CHECK(mend(&l, &f, &r, 0) == RILLE_IO && r.calls[r.count - 1] == 'w');
  l.fail_after = 0;
  l.length -= 8; /* somebody cuts the file meanwhile */
  CHECK(mend(&l, &f, &r, 0) == RILLE_CORRUPT && r.calls[r.count - 1] == 'w');
  log_release(&l);
}

static const struct test tests[] = {
    {"zeros behind the end are a clean end", clean_ends},
    {"any other byte is a torn one", torn_ends},
    {"every tear is found", every_tear_is_found},
    {"survivors are no evidence", survivors_are_no_evidence},
    {"headers are, by their durable", headers_are_evidence},
    {"the index and a successor are", index_and_successor_are_evidence},
    {"closed segments that end early", closed_segments_that_end_early},
    {"segment after segment", segment_after_segment},
    {"what is known is continued", what_is_known_is_continued},
    {"torn frames of a kind that is passed over", torn_ignorable_frames},
    {"newer logs are not cut", newer_logs},
    {"failures are no verdict", failures_are_no_verdict},
    {"mending in order; a failure ends it", mending_in_order},
    {"a clean, durable end is flushed all the same", clean_and_durable_is_flushed},
    {"mending much, in pieces", mending_much},
};
TEST_MAIN(tests)
