/* power_test.c: power cuts. A workload is recorded, call by call; then the power goes after each
** of them, and whatever the disk may have is opened, judged, written to, and judged again (see
** spec/power/replay.h).
**
** SECONDS= of the processor's are shared by all workloads. */
#define _GNU_SOURCE
#include "processes.h"

#ifndef __linux__
int main(void) { return puts("0 passed, 0 failed, 1 skipped: calls are recorded on Linux") < 0; }
#else

#include <malloc.h>

#include "power/keep.h"
#include "power/replay.h"
#include "power/stage.h"

#define SECONDS 50
#define RECORD_BYTES ((uint64_t)512 << 20)
#define RECORD_ENTROPY (16u << 10)
#define SMALL_SEGMENT ((uint64_t)64 << 10)

static struct record *recorded;
static char paths[STORES_MOST][300];
static rille_store *store;
static uint32_t serial; /* of the last append */
static struct tally *all; /* shared with the children */

/* ---- Work in one line ---- */

static void open_with_sync(int sync, bool background, uint64_t segment_bytes) {
  rille_options o = options_of(sync, background);
  o.segment_bytes = segment_bytes;
  o.sync_interval_ms = 1;
  store = open_with(paths[0], &o);
  work_mark((struct mark){.kind = MARK_MADE});
}

static void close_it(void) { CHECK(rille_store_close(store) == 0); }

static void append_serial(uint32_t number, bool durable) {
  struct made m;
  rille_appended done;
  rille_error e = {0};
  if (!CHECK(rille_store_append(store, work_make(number, 0, &m), &done, &e) == 0))
    printf("       %s\n", e.message);
  else
    work_mark((struct mark){.kind = MARK_TOLD, .serial = number, .durable = durable,
                            .first = done.first});
}

static void append_some(uint32_t n, bool durable) {
  while (n--) append_serial(++serial, durable);
}

static void mark_durable(void) {
  work_mark((struct mark){.kind = MARK_DURABLE, .first = rille_store_durable(store)});
}

/* Closing flushes, whatever the sync. */
static void close_durably(void) {
  uint64_t head = rille_store_head(store);
  close_it();
  work_mark((struct mark){.kind = MARK_DURABLE, .first = head});
}

/* ---- Workloads ---- */

static void creation(void) {
  open_with_sync(RILLE_SYNC_ALWAYS, false, 0);
  append_some(1, true);
  close_it();
}

static void always(void) {
  open_with_sync(RILLE_SYNC_ALWAYS, false, 0);
  append_some(40, true);
  close_it();
}

static void interval(void) {
  open_with_sync(RILLE_SYNC_INTERVAL, true, 0);
  for (uint32_t i = 0; i < 20; i++) {
    append_some(2, false);
    if (chance_in(3)) usleep(2000);
    mark_durable();
  }
  close_durably();
}

static void never(void) {
  open_with_sync(RILLE_SYNC_NEVER, false, 0);
  for (uint32_t i = 0; i < 10; i++) {
    append_some(1 + chance_below(6), false);
    if (chance_in(3)) {
      CHECK(rille_store_sync(store, NULL) == 0);
      mark_durable();
    }
  }
  close_durably();
}

static void segments(void) {
  work.large = 30000;
  bool durable = chance_in(2);
  open_with_sync(durable ? RILLE_SYNC_ALWAYS : RILLE_SYNC_NEVER, false, SMALL_SEGMENT);
  append_some(60, durable);
  close_it();
}

struct workload {
  const char *name;
  void (*run)(void);
  struct trial trial;
};

static const struct workload workloads[] = {
    {"creation", creation, {.segment_bytes = 0}},
    {"always", always, {.segment_bytes = 0}},
    {"interval", interval, {.segment_bytes = 0}},
    {"never", never, {.segment_bytes = 0}},
    {"segments", segments, {.segment_bytes = SMALL_SEGMENT}},
};

#define WORKLOADS (sizeof workloads / sizeof *workloads)

/* ---- Running ---- */

static void record_workload(const struct workload *w) {
  stage_clear();
  record_empty(recorded);
  record_seed(chance_bits(), RECORD_ENTROPY);
  recorded->slow = false;
  serial = 0;
  work = (struct work){.seed = chance_bits(), .bytes = 150, .large = 5000};
  record_into(recorded);
  w->run();
  record_into(NULL);
}

struct job {
  const struct workload *workload;
  uint64_t seed;
  double seconds;
};

/* In a child: what a fault leaves is gone with it. */
static int run(void *context) {
  const struct job *job = context;
  struct trial trial = job->workload->trial;
  struct tally tally = {0};
  chance_state = job->seed;
  trial.paths[0] = paths[0];
  record_workload(job->workload);
  if (!test_failures) CHECK(replay(&trial, recorded, job->seconds, &tally));
  printf("       %s: %u entries, %llu states, %llu of them of a recovery; %.0f states/s\n",
         job->workload->name, recorded->count, (unsigned long long)tally.states,
         (unsigned long long)tally.second, (double)tally.states / tally.seconds);
  all->states += tally.states, all->seconds += tally.seconds;
  return 0;
}

int main(int argc, char **argv) {
  uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : test_setting("SEED", (uint64_t)time(NULL));
  const char *part = argc > 2 ? argv[2] : "";
  double seconds = (double)test_setting("SECONDS", SECONDS);
  unsigned passed = 0, failed = 0;
  printf("%s: seed %llu\n", argv[0], (unsigned long long)seed);
  mallopt(M_MMAP_THRESHOLD, 1 << 19); /* LMDB's tables are zeros for nothing then */
  const char *base = stage_begin();
  recorded = record_new(RECORD_BYTES);
  all = share(sizeof *all);
  snprintf(paths[0], sizeof paths[0], "%s/a.rille", base);
  for (size_t i = 0; i < WORKLOADS; i++) {
    if (!strstr(workloads[i].name, part)) continue;
    struct job job = {&workloads[i], seed + i, seconds / (*part ? 1 : (double)WORKLOADS)};
    int status = wait_for(start(run, &job));
    printf("%s %s\n", status ? "FAILED" : "ok    ", workloads[i].name);
    if (status > 128) printf("       it ended with status %d\n", status);
    status ? failed++ : passed++;
    fflush(stdout);
  }
  stage_end();
  printf("power: %llu states, %.0f states/s, seed %llu\n", (unsigned long long)all->states,
         (double)all->states / all->seconds, (unsigned long long)seed);
  printf("%u passed, %u failed\n", passed, failed);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
#endif
