/* repair_test.c: a writer that keeps R1 and R2, on a disk that loses what it may
** (disk.h), killed and cut from power over several lives; after each the real
** repair_look and repair_mend. The world knows what was written and what was
** acknowledged, so it can tell:
**
**    false alarm   corruption is reported, but nothing was damaged
**    lost          an acknowledged frame is gone
**    resurrected   a frame that had been cut, or of another life, is there
**    part          the log ends in the midst of a frame
**    silent        damage to what was acknowledged is cut without a word
**    stuck         looking fails
**
** None of these may happen. Then each mutant breaks one rule, and must be caught
** by the same run; a rule whose mutant survives is not tested.
**
** CUTS= is how many power cuts are made, SECONDS= how long to go on at least. */
#include "world.h"

#define CUTS 35000u
#define MUTANT_CUTS 20000u /* a mutant that lives that long has survived */
#define LIVES_MOST 5u
#define HOLES 20

enum violation { NONE, FALSE_ALARM, LOST, RESURRECTED, PART, SILENT, STUCK, VIOLATIONS };
static const char *const violation_names[] = {"none", "false alarm", "lost", "resurrected", "part",
                                              "silent", "stuck"};

/* What is lost may show itself as lost, or be noticed by the repair, which then
** reports damage that nobody did; what is left of a cut may come back. */
#define ANY_LOSS (1u << LOST | 1u << FALSE_ALARM | 1u << RESURRECTED)

static const struct {
  const char *name;
  unsigned caught_by; /* bits of the violations, one of which it must lead to */
} mutants[] = {
    {"none", 0},
    {"what is torn is not cut", 1u << RESURRECTED},
    {"headers carry no durable", 1u << SILENT},
    {"nothing is written again before the second flush", ANY_LOSS},
    {"a valid frame behind the end is corruption", 1u << FALSE_ALARM},
    {"the index is no evidence", 1u << SILENT},
    {"no second flush", ANY_LOSS},
    {"no flush before a successor", 1u << LOST | 1u << FALSE_ALARM},
    {"a clean end is not mended", ANY_LOSS},
    {"no zeros behind a cut", 0}, /* too rare for chance: see the last test */
};

static struct world world;

/* ---- Judgement ---- */

static const uint8_t *intended_at(const struct world *w, uint64_t address) {
  unsigned i = w->disk.count - 1;
  while (i > 0 && w->disk.files[i].first > address) i--;
  return w->intended[i] + (address - w->disk.files[i].first);
}

/* Whether n bytes of the log are as they were written, all there. */
static bool as_written(const struct world *w, uint64_t address, size_t n) {
  uint8_t b[FRAME_ROOM];
  return disk_read(&w->disk, address, b, n) == n && memcmp(b, intended_at(w, address), n) == 0;
}

static unsigned frames_below(const struct world *w, uint64_t address) {
  unsigned n = w->frame_count;
  while (n > 0 && w->frames[n - 1].frame.address >= address) n--;
  return n;
}

static enum violation judge_sound(const struct world *w, const struct repair_finding *f) {
  uint64_t x = f->end.address;
  unsigned n = frames_below(w, x);
  if (f->verdict == REPAIR_CORRUPT) return FALSE_ALARM;
  if (x < w->acknowledged) return LOST;
  if (x > w->written) return RESURRECTED;
  for (unsigned i = 0; i < n; i++) {
    const struct frame *g = &w->frames[i].frame;
    size_t bytes = (size_t)min_u64(g->length, x - g->address);
    if (!as_written(w, g->address, bytes))
      return g->address < w->acknowledged ? LOST : RESURRECTED;
  }
  if (end_of(w, n) != x) return PART;
  CHECK(f->durable <= x && f->end.next_position == (n ? w->frames[n - 1].frame.first_position +
                                                           w->frames[n - 1].frame.count : 1));
  return NONE;
}

/* ---- Rot: damage to what was acknowledged ---- */

enum rot { ROT_BIT, ROT_GARBAGE, ROT_ZEROS, ROT_SHORTER, ROTS };

/* Changes [at, at + n) of one file, or cuts the file there. */
static void rot_at(struct world *w, enum rot rot, uint64_t at, size_t n) {
  unsigned i = w->disk.count - 1;
  while (i > 0 && w->disk.files[i].first > at) i--;
  struct file *f = &w->disk.files[i];
  uint8_t *p = f->cache + (at - f->first);
  n = (size_t)min_u64(n, f->size - min_u64(f->size, at - f->first));
  if (n == 0) return;
  if (rot == ROT_BIT) *p ^= (uint8_t)(1u << random_below(8));
  if (rot == ROT_GARBAGE) random_fill(p, n);
  if (rot == ROT_ZEROS) memset(p, 0, n);
  if (rot == ROT_SHORTER) {
    memset(p, 0, f->size - (at - f->first));
    f->size = at - f->first;
  }
}

static void rot(struct world *w) {
  enum rot kind = (enum rot)random_below(ROTS);
  uint64_t at = random_below((uint32_t)w->acknowledged);
  if (one_in(3)) at = w->frames[frames_below(w, w->acknowledged) - 1].frame.address;
  if (one_in(4) && frames_below(w, at) > 0) at = w->frames[frames_below(w, at) - 1].frame.address;
  rot_at(w, kind, at, one_in(2) ? SECTOR : 1 + random_below(6 * SECTOR));
  total.rotten++;
}

/* The first acknowledged frame from where the repair looked that is not whole. */
static const struct kept *first_damaged(const struct world *w) {
  for (unsigned i = 0; i < frames_below(w, w->acknowledged); i++) {
    const struct frame *f = &w->frames[i].frame;
    if (f->address >= w->looked_from && !as_written(w, f->address, f->length)) return &w->frames[i];
  }
  return NULL;
}

/* Whether damage to a frame lies only where no checksum is: behind data, where
** it is filled up to a multiple of 8. */
static bool only_padding(const struct world *w, const struct frame *f) {
  const uint8_t *b = intended_at(w, f->address);
  size_t at = FRAME_HEADER_BYTES;
  if (!as_written(w, f->address, at)) return false;
  while (at < f->length) {
    struct record r;
    if (record_get(b + at, f->length - at, f->address + at, w->salt, &r) != RECORD_OK) return false;
    size_t checked = (size_t)(r.head_length + record_body_bytes(&r));
    if (!as_written(w, f->address + at, checked)) return false;
    at += record_bytes(&r);
  }
  return true;
}

/* R3, from the truth: does anything still stand that knows the frame was flushed? */
static bool is_told(const struct world *w, const struct frame *damaged) {
  if (w->index_known && damaged->address < end_of(w, w->folded)) return true;
  if (!segment_at(w, damaged->address).last) return true;
  for (unsigned i = 0; i < w->frame_count; i++) {
    const struct kept *k = &w->frames[i];
    if (k->frame.address > damaged->address && k->durable > damaged->address &&
        as_written(w, k->frame.address, FRAME_HEADER_BYTES))
      return true;
  }
  return false;
}

static enum violation judge_rotten(const struct world *w, const struct repair_finding *f) {
  const struct kept *damaged = first_damaged(w);
  if (!damaged) {
    total.unnoticed++; /* it changed nothing, or lies before where the repair looked */
    if (f->verdict == REPAIR_CORRUPT) return FALSE_ALARM;
    return f->end.address < w->acknowledged ? LOST : NONE;
  }
  if (f->end.address > damaged->frame.address && only_padding(w, &damaged->frame)) {
    total.unnoticed++;
    return NONE;
  }
  if (f->end.address < damaged->frame.address) return LOST;
  if (f->end.address > damaged->frame.address) return PART;
  if (f->verdict == REPAIR_CORRUPT) {
    total.reported++;
    return NONE;
  }
  total.last_group++;
  return is_told(w, &damaged->frame) ? SILENT : NONE;
}

/* ---- Lives ---- */

static void count_finding(const struct repair_finding *f) {
  total.torn += f->verdict == REPAIR_TORN;
  total.clean += f->verdict == REPAIR_CLEAN;
  total.holes += f->survivors;
}

/* After a repair what stands is durable: the next life goes on behind it. */
static void adopt(struct world *w, const struct repair_finding *f) {
  w->frame_count = frames_below(w, f->end.address);
  w->written = w->durable = w->acknowledged = f->end.address;
  w->next_position = f->end.next_position;
}

/* Repairs until a repair succeeds; cut short, it begins again. */
static enum violation repair(struct world *w) {
  for (;;) {
    struct repair_finding f;
    if (look(w, &f)) return STUCK;
    enum violation v = judge_sound(w, &f);
    if (v) return v;
    count_finding(&f);
    if (mend(w, &f, one_in(3) ? 1 + random_below(5) : FUSE_NONE) == 0) {
      adopt(w, &f);
      return NONE;
    }
    total.cut_repairs++;
    end_life(w, one_in(2));
  }
}

static enum violation trial(struct world *w, enum mutant mutant) {
  total.trials++;
  world_begin(w, mutant);
  for (unsigned lives = 1 + random_below(LIVES_MOST); lives; lives--) {
    live(w);
    bool power = end_life(w, lives == 1 || !one_in(3));
    if (power && lives == 1 && w->acknowledged && one_in(2)) {
      struct repair_finding f;
      rot(w);
      return look(w, &f) ? STUCK : judge_rotten(w, &f);
    }
    enum violation v = repair(w);
    if (v) return v;
  }
  return NONE;
}

/* ---- Tests ---- */

static enum violation run(enum mutant mutant, unsigned cuts, uint64_t seconds) {
  time_t end = time(NULL) + (time_t)seconds;
  memory = memory_default();
  memset(&total, 0, sizeof total);
  pool_fill();
  while (total.cuts < cuts || (seconds && time(NULL) < end)) {
    uint64_t replay = test_random;
    enum violation v = trial(&world, mutant);
    if (v && mutant == REAL) printf("       %s in the trial of seed %#llx\n", violation_names[v],
                                    (unsigned long long)replay);
    if (v) return v;
  }
  return NONE;
}

static void nothing_lost_nothing_resurrected(void) {
  CHECK(run(REAL, (unsigned)test_setting("CUTS", CUTS), test_setting("SECONDS", 0)) == NONE);
  printf("       %u stores: %u power cuts, %u kills, %u failed flushes, %u repairs cut short, "
         "%u successors\n", total.trials, total.cuts, total.kills, total.failed_flushes,
         total.cut_repairs, total.successors);
  test_tally("simulated power cuts", total.cuts);
  test_tally("simulated kills", total.kills);
  test_tally("simulated failed flushes", total.failed_flushes);
  printf("       %u clean, %u torn, %u with valid headers behind a hole\n", total.clean, total.torn,
         total.holes);
  printf("       %u rotten: %u reported, %u in the last flush group and cut, %u not seen\n",
         total.rotten, total.reported, total.last_group, total.unnoticed);
  CHECK(total.holes > 0 && total.torn > 0 && total.clean > 0 && total.failed_flushes > 0);
  CHECK(total.cut_repairs > 0 && total.successors > 0 && total.reported > 0);
}

static void every_mutant_is_caught(void) {
  unsigned caught = 0;
  for (enum mutant m = REAL + 1; m < NO_ZEROS; m++) {
    enum violation v = run(m, MUTANT_CUTS, 0);
    bool as_it_must = v != NONE && (mutants[m].caught_by >> v & 1);
    printf("       %-50s %s after %u cuts\n", mutants[m].name, violation_names[v], total.cuts);
    CHECK(as_it_must);
    caught += as_it_must;
  }
  printf("       %u of %u mutants caught\n", caught, NO_ZEROS - 1);
}

/* ---- Two rare paths, walked on purpose ---- */

/* A frame that is in the index; a hole where the next was; and one behind it. */
static void hole_begin(struct world *w, enum mutant mutant) {
  memory = memory_default();
  world_begin(w, mutant);
  w->disk.block = 8 * SECTOR;
  w->disk.failing = 0;
  w->fixed = true;
  w->data = SECTOR - FRAME_HEADER_BYTES - RECORD_FIXED_BYTES - 16; /* a frame is a sector */
  w->zero_ahead = 0;
  CHECK(append(w, false) && flush(w));
  w->folded = 1;
  CHECK(append(w, false) && append(w, false) && w->written == 3 * SECTOR);
  struct file *f = disk_last(&w->disk);
  bool lost;
  CHECK(disk_flush(&w->disk, &lost));
  memset(f->disk + SECTOR, 0, SECTOR);
  disk_power_cut(&w->disk);
}

static void look_from_index(struct world *w, struct repair_finding *f) {
  do CHECK(look(w, f) == 0);
  while (w->looked_from != SECTOR);
  CHECK(f->end.address == SECTOR && f->durable == SECTOR);
}

/* Repairs in the same cache, appends, and cuts the power in many ways: whether
** the frame behind the hole never came back. */
static bool hole_stays(struct world *w) {
  static struct disk before;
  struct repair_finding f;
  w->disk.fuse = FUSE_NONE;
  look_from_index(w, &f);
  CHECK(f.verdict == REPAIR_CLEAN && mend(w, &f, FUSE_NONE) == 0);
  adopt(w, &f);
  CHECK(append(w, false) && append(w, false));
  before = w->disk;
  for (int i = 0; i < 20; i++) {
    w->disk = before;
    disk_power_cut(&w->disk);
    CHECK(look(w, &f) == 0);
    if (judge_sound(w, &f) != NONE) return false;
  }
  return true;
}

/* Repair is killed after its cut, and before its flush. */
static void a_cut_without_flush_is_owed(void) {
  pool_fill();
  for (unsigned i = 0; i < HOLES; i++) {
    struct repair_finding f;
    hole_begin(&world, REAL);
    look_from_index(&world, &f);
    CHECK(f.verdict == REPAIR_TORN && f.survivors);
    CHECK(mend(&world, &f, 2 + i % 2) < 0 && disk_last(&world.disk)->resized > 0);
    CHECK(hole_stays(&world));
  }
}

/* Repair cuts, but its flush fails: the block's rest is zero in memory alone. */
static bool hole_stays_without_flush(enum mutant mutant) {
  struct repair_finding f;
  hole_begin(&world, mutant);
  look_from_index(&world, &f);
  world.disk.failing = 1;
  CHECK(mend(&world, &f, FUSE_NONE) < 0 && disk_last(&world.disk)->resized > 0);
  world.disk.failing = 0;
  return hole_stays(&world);
}

static void a_cut_whose_flush_failed_is_owed(void) {
  unsigned caught = 0;
  pool_fill();
  for (unsigned i = 0; i < HOLES; i++) {
    CHECK(hole_stays_without_flush(REAL));
    caught += !hole_stays_without_flush(NO_ZEROS);
  }
  CHECK(caught > 0);
}

static const struct test tests[] = {
    {"no power cut loses, resurrects or alarms", nothing_lost_nothing_resurrected},
    {"every mutant is caught", every_mutant_is_caught},
    {"repair killed between cut and flush", a_cut_without_flush_is_owed},
    {"repair whose flush failed after the cut", a_cut_whose_flush_failed_is_owed},
};
TEST_MAIN(tests)
