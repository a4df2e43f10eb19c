/* workloads.c: what is done to stores while it is recorded. */
#define _GNU_SOURCE
#include "scene.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "forget.h"
#include "keep.h"

#define CHILDREN 3u
#define CHILD_APPENDS 8u
#define FILE_APPENDS 80u /* more than a file's worth */

static void creation(void) {
  scene_open(0, RILLE_SYNC_ALWAYS, false, 0);
  scene_append(0, 1, true);
  scene_close(0);
}

static void always(void) {
  scene_open(0, RILLE_SYNC_ALWAYS, false, 0);
  scene_append(0, 40, true);
  scene_close(0);
}

/* With the thread, which flushes behind everybody's back. */
static void interval(void) {
  scene_open(0, RILLE_SYNC_INTERVAL, true, 0);
  for (uint32_t i = 0; i < 20; i++) {
    scene_append(0, 2, false);
    if (chance_in(3)) usleep(2000);
    scene_mark_durable(0);
  }
  scene_close(0);
}

/* Folds, too, of what no append has flushed. */
static void never(void) {
  rille_error e = {0};
  work.bytes = 2500;
  scene_open(0, RILLE_SYNC_NEVER, false, 0);
  for (uint32_t i = 0; i < 12; i++) {
    scene_append(0, 1 + chance_below(6), false);
    if (!chance_in(6)) continue;
    (void)scene_check(rille_store_sync(scene.stores[0], &e), &e, "sync");
    scene_mark_durable(0);
  }
  scene_close(0);
}

static int sync_of(bool durable) { return durable ? RILLE_SYNC_ALWAYS : RILLE_SYNC_NEVER; }

static void segments(void) {
  work.bytes = 3000, work.large = 9000;
  for (int durable = 0; durable < 2; durable++) {
    scene_open(0, sync_of(durable), chance_in(2), SMALL_SEGMENT);
    scene_append(0, 35, durable);
    scene_close(0);
  }
}

static void reopening(void) {
  for (uint32_t i = 0; i < 6; i++) {
    bool durable = chance_in(2);
    scene_open(0, sync_of(durable), false, 0);
    scene_append(0, chance_below(5), durable);
    scene_close(0);
  }
}

static void truncation(void) {
  rille_error e = {0};
  scene_open(0, RILLE_SYNC_ALWAYS, false, 0);
  for (uint32_t i = 0; i < 20; i++) {
    uint32_t stream = chance_below(STREAMS - 1);
    uint64_t version = 0;
    scene_append(0, 1, true);
    (void)rille_store_version(scene.stores[0], work_stream(stream), &version, &e);
    if (version == 0) continue;
    uint64_t before = chance_in(4) ? version + 1 : 1 + chance_below((uint32_t)version);
    struct mark m = {.kind = MARK_CUT_BEGUN, .serial = stream, .first = before};
    work_mark(m);
    int result = before > version
                     ? rille_store_delete(scene.stores[0], work_stream(stream), &e)
                     : rille_store_truncate(scene.stores[0], work_stream(stream), before, &e);
    m.kind = MARK_CUT;
    if (scene_check(result, &e, "truncate")) work_mark(m);
  }
  scene_close(0);
}

static void projection(void) {
  rille_error e = {0};
  for (int durable = 0; durable < 2; durable++) {
    scene_open(0, sync_of(durable), false, 0);
    for (uint32_t i = 0; i < 6; i++) {
      scene_append(0, 1 + chance_below(3), durable);
      (void)scene_check(keep_fold(scene.stores[0], &e), &e, "keep");
    }
    scene_close(0);
  }
}

static void growth(void) {
  rille_error e = {0};
  scene_open(0, RILLE_SYNC_ALWAYS, false, 0);
  for (uint32_t i = 1; i <= 16; i++) {
    scene_append(0, 1, true);
    (void)scene_check(keep_large(scene.stores[0], i, &e), &e, "keep");
  }
  scene_close(0);
}

static void processor(void) {
  rille_error e = {0};
  for (int durable = 0; durable < 2; durable++) {
    scene_open(0, sync_of(durable), false, 0);
    for (uint32_t i = 0; i < 5; i++) {
      scene_append(0, 1 + chance_below(3), durable);
      for (uint32_t n = chance_below(5); n > 0; n--)
        (void)scene_check(emit_next(scene.stores[0], durable, &e), &e, "emit");
    }
    scene_close(0);
  }
}

static void backup(void) {
  rille_error e = {0};
  work.large = 30000;
  scene_open(0, RILLE_SYNC_ALWAYS, false, SMALL_SEGMENT);
  scene_append(0, 20, true);
  struct mark m = {
      .kind = MARK_BACKUP_BEGUN, .serial = 1, .first = rille_store_head(scene.stores[0])};
  work_mark(m);
  m.kind = MARK_BACKUP;
  if (scene_check(rille_store_backup(scene.stores[0], scene.paths[1], &e), &e, "backup"))
    work_mark(m);
  scene_append(0, 10, true);
  scene_close(0);
}

/* ---- Several processes ---- */

static void append_beside(uint32_t number) {
  scene_open(0, RILLE_SYNC_ALWAYS, false, 0);
  scene.serial = 1 + number * CHILD_APPENDS;
  scene_append(0, CHILD_APPENDS - 1, true);
  scene_close(0);
}

static void processes(void) {
  scene.record->slow = true;
  scene_fork(CHILDREN, append_beside);
}

/* ---- Flushes that fail ---- */

/* Nothing is told of what is unknown; whoever gets that goes, and nobody comes. */
static void append_until_failure(uint32_t number) {
  rille_error e = {0};
  int result = scene_try_open(0, RILLE_SYNC_ALWAYS, false, 0, &e);
  if (result == RILLE_IO) return;
  (void)scene_check(result, &e, "open");
  for (uint32_t i = 1; i < CHILD_APPENDS; i++) {
    result = scene_append_serial(0, scene.serial + number * CHILD_APPENDS + i, true, &e);
    if (result == RILLE_UNKNOWN || result == RILLE_IO) break;
    (void)scene_check(result, &e, "append");
  }
  (void)rille_store_close(scene.stores[0]);
}

/* The first flush of the repair may fail, too: then it begins again. */
static void go_on_after_failure(void) {
  atomic_store(&scene.record->flushes_until_failure, (int)chance_below(3));
  if (scene_try_open(0, RILLE_SYNC_ALWAYS, false, 0, NULL) >= 0)
    (void)rille_store_close(scene.stores[0]);
  record_fail_no_more();
  scene.serial += CHILDREN * CHILD_APPENDS;
  scene_open(0, RILLE_SYNC_ALWAYS, false, 0);
  scene_mark_seen(0);
  scene_append(0, 3, true);
  scene_close(0);
}

/* Appends are larger than a page: some of one's pages may be lost. */
static void failure(void) {
  work.bytes = 6000;
  for (uint32_t i = 0; i < 3; i++) {
    atomic_store(&scene.record->flushes_until_failure, 4 + (int)chance_below(4));
    append_until_failure(0);
    go_on_after_failure();
  }
}

static void failures(void) {
  work.bytes = 3000;
  scene.record->slow = true;
  scene_open(0, RILLE_SYNC_ALWAYS, false, 0);
  scene_close(0);
  atomic_store(&scene.record->flushes_until_failure, 5 + (int)chance_below(8));
  scene_fork(CHILDREN, append_until_failure);
  go_on_after_failure();
}

/* ---- Processes that are killed ---- */

static void choose_death(void) {
  static const uint32_t kinds[] = {1u << ENTRY_SIZE, 1u << ENTRY_WRITE, 1u << ENTRY_FLUSH_BEGUN,
                                   1u << ENTRY_FLUSHED};
  if (chance_in(2)) scene_die_at(1 + chance_below(60), ~0u);
  else scene_die_at(1 + chance_below(12), kinds[chance_below(sizeof kinds / sizeof *kinds)]);
}

/* Who does not die closes the store. */
static void append_on(bool durable, uint32_t n) {
  while (n--) {
    rille_error e = {0};
    int result = scene_append_serial(0, scene_next_serial(), durable, &e);
    (void)scene_check(result, &e, "append");
  }
  scene_close(0);
}

static void append_until_death(uint32_t number) {
  bool durable = chance_in(2);
  (void)number;
  choose_death();
  scene_open(0, sync_of(durable), false, SMALL_SEGMENT);
  append_on(durable, CHILD_APPENDS);
}

/* Once there is the file, and before its name is durable. */
static void begin_a_file_and_die(uint32_t number) {
  (void)number;
  scene_die_at(1, 1u << ENTRY_FILE);
  scene_open(0, RILLE_SYNC_NEVER, false, SMALL_SEGMENT);
  append_on(false, FILE_APPENDS);
}

static void begin_dying(void) {
  work.bytes = 1500, work.large = 9000;
  scene_expect_deaths();
  scene_open(0, RILLE_SYNC_ALWAYS, false, SMALL_SEGMENT);
}

/* Nobody is there when they die: the next one repairs. */
static void kills(void) {
  begin_dying();
  scene_close(0);
  for (uint32_t i = 0; i < 10; i++)
    scene_fork(1, i % 5 == 2 ? begin_a_file_and_die : append_until_death);
  (void)scene_next_serial();
  scene_open(0, RILLE_SYNC_ALWAYS, false, SMALL_SEGMENT);
  scene_mark_seen(0);
  scene_append(0, 4, true);
  scene_close(0);
}

/* The kernel has told the dead alone that the flush failed. */
static void flush_in_vain(uint32_t number) {
  scene.record->flushes_until_failure = 1 + (int)chance_below(3);
  scene_die_at(1, 1u << ENTRY_FLUSH_FAILED);
  (void)number;
  scene_open(0, RILLE_SYNC_ALWAYS, false, SMALL_SEGMENT);
  append_on(true, CHILD_APPENDS);
}

/* Somebody has the store open all the time, and goes on. */
static void deaths(void) {
  begin_dying();
  for (uint32_t i = 0; i < 8; i++) {
    scene_fork(1, chance_in(3) ? flush_in_vain : append_until_death);
    rille_error e = {0};
    int result = scene_append_serial(0, scene_next_serial(), true, &e);
    (void)scene_check(result, &e, "append");
  }
  scene_close(0);
}

const struct workload workloads[] = {
    {"creation", creation, {.segment_bytes = 0}, 1, 2},
    {"always", always, {.segment_bytes = 0}, 1, 3},
    {"interval", interval, {.segment_bytes = 0}, 1, 3},
    {"never", never, {.segment_bytes = 0}, 1, 3},
    {"segments", segments, {.segment_bytes = SMALL_SEGMENT}, 1, 4},
    {"reopening", reopening, {.segment_bytes = 0}, 1, 3},
    {"truncation", truncation, {.segment_bytes = 0}, 1, 3},
    {"projection", projection, {.projects = true}, 1, 3},
    {"growth", growth, {.grows = true}, 1, 3},
    {"processor", processor, {.emits = true}, 1, 3},
    {"backup", backup, {.segment_bytes = SMALL_SEGMENT, .copies = true}, 2, 4},
    {"processes", processes, {.segment_bytes = 0}, 1, 4},
    {"failure", failure, {.segment_bytes = 0}, 1, 3},
    {"failures", failures, {.segment_bytes = 0}, 1, 3},
    {"kills", kills, {.segment_bytes = SMALL_SEGMENT}, 1, 4},
    {"deaths", deaths, {.segment_bytes = SMALL_SEGMENT}, 1, 4},
    {"scavenge", scavenging, {.segment_bytes = SMALL_SEGMENT, .forgets = true}, 1, 5},
    {"redact", redacting, {.segment_bytes = SMALL_SEGMENT, .forgets = true}, 1, 6},
    {"torn", redacting_the_torn, {.segment_bytes = SMALL_SEGMENT, .forgets = true}, 1, 3},
    {"transactions", transactions, {.decides = true}, 3, 6},
    {"coordinators", coordinators, {.decides = true}, 3, 6},
    {0}};
