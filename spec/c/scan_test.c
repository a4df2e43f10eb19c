/* scan_test.c: walks over logs in memory: everything comes out as it was made;
** whatever does not continue, does not fit or is not known stops the walk. */
#include "scan.h"

#include "memory_log.h"

#define SMALL_LOGS 60
#define START ((uint64_t)1 << 33)

static struct memory memory;

static void scan_log(struct scan *s, struct memory_log *l, uint64_t address, uint64_t position,
                     uint64_t end) {
  struct source source = log_source(l);
  memory = memory_default();
  l->reads = 0;
  scan_init(s, &source, &memory, address, position, end);
}

static void random_log(struct memory_log *l, unsigned frames, uint32_t data) {
  pool_fill();
  log_init(l, one_in(2) ? 0 : 8ull * random_bits() >> 20 << 3);
  for (unsigned i = 0; i < frames; i++) {
    log_add(l, random_below(4), data);
    if (one_in(3)) log_end_segment(l);
  }
}

/* The scan gives the log's records from number `i` on, each whole, then the end. */
static void check_rest(struct scan *s, const struct memory_log *l, unsigned i) {
  struct record r;
  rille_error e = {0};
  int result;
  while ((result = scan_next(s, &r, &e)) == 1) {
    if (!CHECK(i < l->record_count)) return;
    CHECK(made_equals(&l->records[i], &r));
    CHECK(made_body_equals(&l->records[i], r.bytes + r.head_length));
    CHECK(window_check_body(&s->window, &r, &e) == 0);
    i++;
  }
  if (!CHECK(result == 0)) printf("       %s\n", e.message);
  CHECK(i == l->record_count && s->address == s->end);
}

static void whole_logs(void) {
  for (int i = 0; i < SMALL_LOGS; i++) {
    struct memory_log l;
    struct scan s;
    random_log(&l, 1 + random_below(60), one_in(3) ? 8000 : 60);
    scan_log(&s, &l, l.start, one_in(2) ? 1 : 0, log_end_address(&l));
    check_rest(&s, &l, 0);
    scan_release(&s);
    log_release(&l);
  }
}

static void frame_by_frame(void) {
  struct memory_log l;
  struct scan s;
  struct record r;
  random_log(&l, 60, 200);
  scan_log(&s, &l, l.start, 1, log_end_address(&l));
  for (unsigned i = 0, n = 0; i < l.frame_count; i++) {
    const struct frame *f = &l.frames[i];
    CHECK(scan_frame(&s, NULL) == 1);
    CHECK(s.frame.address == f->address && s.frame.length == f->length && s.left == f->count);
    for (unsigned k = 0; k < f->count; k++, n++)
      CHECK(scan_record(&s, &r, NULL) == 1 && made_equals(&l.records[n], &r));
    CHECK(scan_record(&s, &r, NULL) == 0);
    CHECK(s.address == frame_end(f) && s.next_position == f->first_position + f->count);
  }
  CHECK(scan_frame(&s, NULL) == 0 && scan_frame(&s, NULL) == 0);
  scan_release(&s);
  log_release(&l);
}

static void stops_at_the_end_it_is_given(void) {
  struct memory_log l;
  random_log(&l, 40, 100);
  for (unsigned i = 0; i < l.frame_count; i++) {
    struct scan s;
    struct record r;
    uint64_t records = 0;
    scan_log(&s, &l, l.start, 1, l.frames[i].address);
    while (scan_next(&s, &r, NULL) == 1) records++;
    CHECK(s.address == l.frames[i].address && records == l.frames[i].first_position - 1);
    scan_release(&s);
  }
  log_release(&l);
}

/* An end that is none: the frame that reaches beyond it does not come out. */
static void no_frame_beyond_the_end(void) {
  struct memory_log l;
  struct scan s;
  pool_fill();
  log_init(&l, START);
  log_add(&l, 1, 50);
  log_add(&l, 0, 0);
  for (uint64_t end = l.frames[1].address + 8; end < log_end_address(&l); end += 8) {
    struct record r;
    scan_log(&s, &l, START, 1, end);
    CHECK(scan_next(&s, &r, NULL) == 1 && scan_next(&s, &r, NULL) == RILLE_CORRUPT);
    scan_release(&s);
  }
  log_release(&l);
}

/* Frames and records that exceed the window, which must not grow with the log. */
static void larger_than_the_window(void) {
  struct memory_log l;
  struct scan s;
  pool_fill();
  log_init(&l, START);
  for (unsigned i = 0; i < 8; i++) {
    made_random(&l.records[l.record_count], 2, i % 2 ? 600 * KIB : 100 * KIB, 7);
    log_put(&l, log_next(&l), 1);
    log_add(&l, 12, 60000);
  }
  scan_log(&s, &l, START, 1, log_end_address(&l));
  check_rest(&s, &l, 0);
  CHECK(l.length > 8 * SCAN_WINDOW_BYTES && l.read_most < 604 * KIB);
  CHECK(s.window.bytes.capacity <= 2 * MIB);
  scan_release(&s);
  log_release(&l);
}

static void few_reads(void) {
  struct memory_log l;
  struct scan s;
  pool_fill();
  log_init(&l, 0);
  for (unsigned i = 0; i < 100; i++) log_add(&l, 2, 9000);
  scan_log(&s, &l, 0, 1, log_end_address(&l));
  check_rest(&s, &l, 0);
  CHECK(l.reads <= 8 + 2 * l.length / SCAN_WINDOW_BYTES); /* 4 KiB, 8 KiB ... 256 KiB each */
  scan_release(&s);
  log_release(&l);
}

static void enters_anywhere(void) {
  struct memory_log l;
  unsigned n = 0;
  random_log(&l, 50, 100);
  for (unsigned i = 0; i < l.frame_count; i++)
    for (unsigned k = 0; k < l.frames[i].count; k++, n++) {
      struct scan s;
      scan_log(&s, &l, l.start, 0, log_end_address(&l));
      CHECK(scan_enter(&s, l.frames[i].address, l.records[n].address, n + 1, NULL) == 0);
      check_rest(&s, &l, n);
      scan_release(&s);
    }
  log_release(&l);
}

static int enter(struct memory_log *l, uint64_t frame, uint64_t record, uint64_t position) {
  struct scan s;
  struct record r;
  rille_error e;
  scan_log(&s, l, l->start, 0, log_end_address(l));
  int result = scan_enter(&s, frame, record, position, &e);
  if (result == 0) result = scan_record(&s, &r, &e);
  scan_release(&s);
  return result;
}

static void wrong_entries_are_refused(void) {
  struct memory_log l;
  pool_fill();
  log_init(&l, START);
  for (unsigned i = 0; i < 5; i++) log_add(&l, 3, 50);
  const struct frame *f = &l.frames[2];
  uint64_t first = l.records[6].address, second = l.records[7].address;
  CHECK(enter(&l, f->address, first, 7) == 1 && enter(&l, f->address, second, 8) == 1);
  CHECK(enter(&l, f->address, first, 6) == RILLE_CORRUPT);      /* before the frame */
  CHECK(enter(&l, f->address, first, 10) == RILLE_CORRUPT);     /* behind it */
  CHECK(enter(&l, f->address, second, 7) == RILLE_CORRUPT);     /* another record's place */
  CHECK(enter(&l, f->address, first + 8, 7) == RILLE_CORRUPT);  /* no record's place */
  CHECK(enter(&l, f->address + 8, first, 7) == RILLE_CORRUPT);  /* no frame's place */
  CHECK(enter(&l, f->address, frame_end(f), 9) == RILLE_CORRUPT);
  CHECK(enter(&l, f->address, f->address, 7) == RILLE_CORRUPT);
  CHECK(enter(&l, l.frames[1].address, first, 7) == RILLE_CORRUPT);
  CHECK(enter(&l, log_end_address(&l), first, 7) == RILLE_CORRUPT);
  log_release(&l);
}

/* Scans all of it; the code it ended with, and where. */
static int scan_all(struct memory_log *l, uint64_t end, uint64_t *address) {
  struct scan s;
  struct record r;
  rille_error e = {0};
  int result;
  scan_log(&s, l, l->start, 1, end);
  while ((result = scan_next(&s, &r, &e)) == 1) CHECK(window_check_body(&s.window, &r, NULL) == 0);
  if (result < 0) CHECK(e.code == result && e.message[0] != '\0');
  if (address) *address = e.address;
  scan_release(&s);
  return result;
}

enum violation { POSITION_AHEAD, POSITION_AGAIN, TIME_BACK, DURABLE_AHEAD, BEYOND_END, COUNT_MORE,
                 COUNT_LESS, CONTENT, TOO_LONG, TOO_SHORT, VIOLATIONS };

/* A log of five frames, the third of which has a right checksum and is wrong. */
static void violate(struct memory_log *l, enum violation v) {
  pool_fill();
  log_init(l, START);
  for (unsigned i = 0; i < 5; i++) {
    made_random(&l->records[l->record_count], 1, 24, 0);
    made_random(&l->records[l->record_count + 1], 0, 24, 0);
    struct frame f = log_next(l);
    if (i == 2 && v == POSITION_AHEAD) f.first_position++;
    if (i == 2 && v == POSITION_AGAIN) f.first_position--;
    if (i == 2 && v == TIME_BACK) f.time_us = l->frames[0].time_us - 1;
    if (i == 2 && v == DURABLE_AHEAD) f.durable = f.address + 8;
    log_put(l, f, 2);
  }
  struct frame *f = &l->frames[2];
  if (v == BEYOND_END) f->length = 0xfffffff8u;
  if (v == COUNT_MORE) f->count += 1 + random_below(1000);
  if (v == COUNT_LESS) f->count--;
  if (v == CONTENT) f->content_checksum ^= 1u << random_below(32);
  if (v == TOO_LONG) f->length += 8;
  if (v == TOO_SHORT) f->length -= 8;
  log_forge(l, f);
}

static void violations_stop_the_walk(void) {
  for (enum violation v = 0; v < VIOLATIONS; v++) {
    struct memory_log l;
    uint64_t address;
    violate(&l, v);
    CHECK(scan_all(&l, log_end_address(&l), &address) == RILLE_CORRUPT);
    CHECK(address >= l.frames[2].address && address <= l.frames[3].address);
    log_release(&l);
  }
}

static void first_position_is_expected(void) {
  struct memory_log l;
  struct scan s;
  random_log(&l, 3, 10);
  for (uint64_t position = 0; position < 3; position++) {
    scan_log(&s, &l, l.start, position, log_end_address(&l));
    CHECK(scan_frame(&s, NULL) == (position == 2 ? RILLE_CORRUPT : 1));
    scan_release(&s);
  }
  log_release(&l);
}

/* A frame of another kind or format between two of events. */
static int scan_with(uint16_t kind, uint8_t format, uint64_t *address) {
  struct memory_log l;
  pool_fill();
  log_init(&l, START);
  log_add(&l, 2, 50);
  struct frame f = log_next(&l);
  f.kind = kind;
  f.format = format;
  f.prefix = 64;
  log_put(&l, f, 0);
  log_add(&l, 3, 50);
  int result = scan_all(&l, log_end_address(&l), address);
  log_release(&l);
  return result;
}

static void unknown_kinds(void) {
  CHECK(scan_with(FRAME_EVENTS, FRAME_FORMAT, NULL) == 0);
  CHECK(scan_with(FRAME_IGNORABLE | 77, FRAME_FORMAT, NULL) == 0);
  CHECK(scan_with(FRAME_IGNORABLE | 77, FRAME_FORMAT + 1, NULL) == 0);
  CHECK(scan_with(77, FRAME_FORMAT, NULL) == RILLE_UNSUPPORTED);
  CHECK(scan_with(FRAME_EVENTS, FRAME_FORMAT + 1, NULL) == RILLE_UNSUPPORTED);
}

/* A record's lengths, under a right checksum, lead out of its frame or the log. */
static void forged_bodies_stay_inside(void) {
  static const uint32_t lengths[] = {25, 32, 1000, 1u << 20, 1u << 24, (1u << 24) + 16, UINT32_MAX};
  for (size_t i = 0; i < 2 * sizeof lengths / sizeof *lengths; i++) {
    struct memory_log l;
    violate(&l, VIOLATIONS);
    const struct made *m = &l.records[i % 2 ? 9 : 5]; /* the log's last, and one within */
    uint8_t *head = log_at(&l, m->address);
    put32(head + (i % 4 < 2 ? 40 : 44), lengths[i / 2]); /* data or meta length */
    put32(head, checksum(checksum_seed(l.salt, m->address), head + 4, get32(head + 4) - 4));
    CHECK(scan_all(&l, log_end_address(&l), NULL) == RILLE_CORRUPT);
    CHECK(l.read_most <= RILLE_EVENT_BYTES + RECORD_HEAD_MOST + 8);
    log_release(&l);
  }
}

/* Data is checked where it is asked for: the walk goes on, the data does not pass. */
static void damaged_data_is_named(void) {
  struct memory_log l;
  struct scan s;
  struct record r;
  violate(&l, VIOLATIONS);
  uint64_t at = l.records[4].address;
  log_at(&l, at)[get32(log_at(&l, at) + 4) + random_below(24)] ^= 1;
  scan_log(&s, &l, l.start, 1, log_end_address(&l));
  for (uint64_t position = 1; position <= 10; position++) {
    rille_error e = {0};
    CHECK(scan_next(&s, &r, &e) == 1);
    int result = window_check_body(&s.window, &r, &e);
    CHECK(result == (position == 5 ? RILLE_CORRUPT : 0));
    if (result) CHECK(e.position == 5 && e.address == at);
  }
  CHECK(scan_next(&s, &r, NULL) == 0);
  scan_release(&s);
  log_release(&l);
}

/* The file ends early, at every length; the walk was told of the whole. */
static void files_that_end_early(void) {
  struct memory_log l;
  pool_fill();
  log_init(&l, START);
  for (unsigned i = 0; i < 3; i++) log_add(&l, 2, 40);
  uint64_t end = log_end_address(&l);
  CHECK(scan_all(&l, end, NULL) == 0);
  while (l.length > 0) {
    l.length--;
    l.bytes = realloc(l.bytes, l.length ? l.length : 1);
    CHECK(scan_all(&l, end, NULL) == RILLE_CORRUPT);
  }
  log_release(&l);
}

static void garbage_logs(void) {
  struct memory_log l;
  log_init(&l, START);
  l.bytes = malloc(l.length = 4096);
  for (int i = 0; i < 200; i++) {
    random_fill(l.bytes, l.length);
    CHECK(scan_all(&l, log_end_address(&l), NULL) == RILLE_CORRUPT);
  }
  log_release(&l);
}

static void failing_reads_are_passed_on(void) {
  struct memory_log l;
  random_log(&l, 50, 4000);
  unsigned failures = 0;
  for (l.fail_after = 1; scan_all(&l, log_end_address(&l), NULL) != 0; l.fail_after++) failures++;
  CHECK(failures > 3 && failures + 1 == l.reads);
  for (l.fail_after = 1; l.fail_after <= failures; l.fail_after++)
    CHECK(scan_all(&l, log_end_address(&l), NULL) == RILLE_IO);
  log_release(&l);
}

static void scarce_memory_is_passed_on(void) {
  struct memory_log l;
  struct record r;
  random_log(&l, 50, 4000);
  struct source source = log_source(&l);
  int result = RILLE_MEMORY;
  unsigned failures = 0;
  for (; result == RILLE_MEMORY; failures++) {
    struct scarce scarce = {failures};
    struct memory m = {scarce_alloc, &scarce};
    struct scan s;
    scan_init(&s, &source, &m, l.start, 1, log_end_address(&l));
    while ((result = scan_next(&s, &r, NULL)) == 1) continue;
    scan_release(&s);
  }
  CHECK(result == 0 && failures > 1);
  log_release(&l);
}

static void records_at_their_addresses(void) {
  struct memory_log l;
  struct window w;
  random_log(&l, 60, 3000);
  struct source source = log_source(&l);
  memory = memory_default();
  window_init(&w, &source, &memory, SCAN_WINDOW_SMALL);
  for (unsigned i = 0; l.record_count && i < 500; i++) {
    const struct made *m = &l.records[random_below(l.record_count)];
    struct record r;
    CHECK(window_record(&w, m->address, &r, NULL) == 0);
    CHECK(made_equals(m, &r) && made_body_equals(m, r.bytes + r.head_length));
    CHECK(window_record(&w, m->address + 8, &r, NULL) == RILLE_CORRUPT);
  }
  CHECK(l.read_most <= 8 * KIB); /* 4 KiB ahead; the largest record has less than 8 KiB */
  window_release(&w);
  log_release(&l);
}

static const struct test tests[] = {
    {"logs in any number of segments come out whole", whole_logs},
    {"frame by frame", frame_by_frame},
    {"a scan stops at the end it is given", stops_at_the_end_it_is_given},
    {"no frame beyond the end", no_frame_beyond_the_end},
    {"frames and records larger than the window", larger_than_the_window},
    {"a long scan takes few reads", few_reads},
    {"a scan can enter at any record", enters_anywhere},
    {"wrong entries are refused", wrong_entries_are_refused},
    {"continuity, time and fit", violations_stop_the_walk},
    {"the first position is the expected one", first_position_is_expected},
    {"unknown kinds and formats", unknown_kinds},
    {"forged body lengths stay inside", forged_bodies_stay_inside},
    {"damaged data does not pass", damaged_data_is_named},
    {"files that end early, at every length", files_that_end_early},
    {"garbage is no log", garbage_logs},
    {"a failing read is passed on", failing_reads_are_passed_on},
    {"no memory is passed on", scarce_memory_is_passed_on},
    {"records at their addresses", records_at_their_addresses},
};
TEST_MAIN(tests)
