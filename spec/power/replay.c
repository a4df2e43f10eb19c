/* replay.c: a record is played on a disk, call by call, and cut. */
#define _POSIX_C_SOURCE 199309L
#include "replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "choice.h"
#include "memory.h"
#include "stage.h"

#define ALL_AT_MOST 16u   /* so many states of a point are all looked at */
#define FIRST_POINTS 400u /* of a first look */
#define SOME 2u           /* of more, so many at a time */
#define SECOND_ONE_IN 24u /* of a recovery so many states are made, */
#define SECOND_STATES 12u /* of each of these */
#define RECORD_BYTES ((uint64_t)64 << 20)
#define ENTROPY_BYTES 512u /* for one judgement */
#define LEVELS 2

struct player {
  const struct trial *trial;
  struct tally *tally;
  double end;
  uint32_t pass; /* 0: a first look; 1: all, where there are few; then by chance */
  bool failed;
};

/* What one level has: of the workload, or of the recovery from its cut. */
static struct level {
  struct arena *arena;
  struct record *judged; /* what the judge did */
  struct disk disk;
  struct choice choice;
  struct promises promises;
} levels[LEVELS];

static double processor_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void begin_levels(void) {
  for (int i = 0; i < LEVELS; i++) {
    struct level *l = &levels[i];
    if (!l->arena) l->arena = arena_new(), l->judged = record_new(RECORD_BYTES);
    arena_empty(l->arena);
    memset(&l->promises, 0, sizeof l->promises);
  }
}

/* ---- One state ---- */

static void show(int level, const char *bad) {
  for (int i = 0; i <= level; i++) {
    printf("       cut %s%u entries:\n", i ? "again, within the recovery, after " : "after ",
           levels[i].disk.number - 1);
    choice_show(&levels[i].choice);
  }
  printf("       %s\n", bad);
}

/* `again`: it is recorded, and a flush of the repair may fail. */
static bool judge_it(struct player *p, int level, bool again) {
  struct level *l = &levels[level];
  record_empty(l->judged);
  l->judged->flushes_until_failure = again && chance_in(3) ? 1 + (int)chance_below(2) : 0;
  record_seed(chance_bits(), ENTROPY_BYTES);
  if (again) record_into(l->judged);
  memory_answer(level + 1);
  const char *bad = judge(p->trial, &l->promises);
  memory_answer(-1);
  record_into(NULL);
  p->tally->states++;
  if (level) p->tally->second++;
  if (!bad) return true;
  show(level, bad);
  p->failed = true;
  return false;
}

static bool look(struct player *p, int level);

/* The recovery at hand is played, and cut at some points. */
static bool cut_recovery(struct player *p) {
  struct level *l = &levels[1];
  const struct entry *e;
  uint32_t count = levels[0].judged->count, left = SECOND_STATES;
  arena_use(l->arena);
  for (uint64_t at = 0; left && (e = record_next(levels[0].judged, &at)) != NULL;) {
    disk_apply(&l->disk, e);
    if (e->kind == ENTRY_MARK) promises_hear(&l->promises, e);
    if (!chance_in(count / SECOND_STATES + 1)) continue;
    choice_begin(&l->choice, &l->disk);
    choice_at_random(&l->choice);
    if (!look(p, 1)) return false;
    left--;
  }
  arena_use(levels[0].arena);
  return true;
}

/* Puts the state that is chosen, and judges it. */
static bool look(struct player *p, int level) {
  bool again = level == 0 && chance_in(SECOND_ONE_IN);
  stage_put(&levels[level].disk, level + 1);
  if (again) {
    arena_empty(levels[1].arena);
    arena_use(levels[1].arena);
    stage_copy(&levels[1].disk);
    arena_use(levels[0].arena);
    levels[1].promises = levels[0].promises;
  }
  if (!judge_it(p, level, again)) return false;
  return !again || cut_recovery(p);
}

/* ---- All points ---- */

static bool look_at_all(struct player *p, struct choice *c) {
  do
    if (!look(p, 0)) return false;
  while (choice_next(c));
  return true;
}

static bool look_at_point(struct player *p) {
  struct choice *c = &levels[0].choice;
  choice_begin(c, &levels[0].disk);
  bool few = c->states <= ALL_AT_MOST;
  if (few && p->pass == 1) return look_at_all(p, c);
  if (few && p->pass > 1 && !chance_in(8)) return true; /* torn pages are left to try */
  for (uint32_t i = 0; i < (few || p->pass == 0 ? 1 : SOME); i++) {
    choice_at_random(c);
    if (!look(p, 0)) return false;
  }
  return true;
}

/* Nothing can be lost anew by what only begins. */
static bool is_a_point(const struct entry *e) {
  return e->kind != ENTRY_FLUSH_BEGUN && e->kind != ENTRY_MAPPED;
}

static bool play(struct player *p, const struct record *record) {
  struct level *l = &levels[0];
  const struct entry *e;
  arena_empty(l->arena);
  arena_use(l->arena);
  memset(&l->promises, 0, sizeof l->promises);
  disk_begin(&l->disk, stage_root());
  for (uint64_t at = 0; (e = record_next(record, &at)) != NULL;) {
    disk_apply(&l->disk, e);
    if (e->kind == ENTRY_MARK) promises_hear(&l->promises, e);
    bool skipped = p->pass == 0 && !chance_in(record->count / FIRST_POINTS + 1);
    if (is_a_point(e) && !skipped && !look_at_point(p)) return false;
    if (processor_seconds() > p->end) return true;
  }
  return true;
}

bool replay(const struct trial *trial, const struct record *record, double seconds,
            struct tally *tally) {
  double start = processor_seconds();
  struct player p = {.trial = trial, .tally = tally, .end = start + seconds};
  begin_levels();
  stage_follow(record);
  for (; !p.failed && processor_seconds() < p.end; p.pass++) (void)play(&p, record);
  tally->seconds += processor_seconds() - start;
  return !p.failed;
}
