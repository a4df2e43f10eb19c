/* power_test.c: power cuts. A workload is recorded, call by call; then the power goes after each
** of them, and whatever the disk may have is opened, judged, written to, and judged again
** (spec/power/replay.h).
**
** SECONDS= of the processor's are shared by all workloads. First argument: a seed; second: a part
** of the names of the workloads that run. */
#define _GNU_SOURCE
#include "processes.h"

#ifndef __linux__
int main(void) { return puts("0 passed, 0 failed, 1 skipped: calls are recorded on Linux") < 0; }
#else

#include <malloc.h>

#include "power/replay.h"
#include "power/scene.h"
#include "power/stage.h"

#ifdef __SANITIZE_ADDRESS__
#define SECONDS 10
#else
#define SECONDS 30
#endif
#define RECORD_BYTES ((uint64_t)512 << 20)
#define RECORD_ENTROPY (16u << 10)

static struct record *recorded;
static char paths[STORES_MOST][300];
static struct tally *all; /* shared with the children */

static void record_workload(const struct workload *w) {
  stage_clear();
  record_empty(recorded);
  record_seed(chance_bits(), RECORD_ENTROPY);
  scene = (struct scene){.record = recorded, .paths = {paths[0], paths[1], paths[2]}};
  work = (struct work){.seed = chance_bits(), .bytes = 150, .large = 5000};
  record_into(recorded);
  w->run();
  record_into(NULL);
}

static double rate(const struct tally *t) {
  return t->seconds > 0 ? (double)t->states / t->seconds : 0;
}

static void add(const struct tally *t) {
  printf("       %u entries, %llu states, %llu of them of a recovery; %.0f states/s\n",
         recorded->count, (unsigned long long)t->states, (unsigned long long)t->second, rate(t));
  all->states += t->states, all->second += t->second, all->seconds += t->seconds;
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
  for (uint32_t i = 0; i < job->workload->stores; i++) trial.paths[i] = paths[i];
  record_workload(job->workload);
  CHECK(!scene.failed);
  if (!scene.failed) CHECK(replay(&trial, recorded, job->seconds, &tally));
  add(&tally);
  return 0;
}

/* What costs a call, or bytes to be zeroed, whenever a store is opened: LMDB's list of pages, 2 MiB
** that have to be zeros, is mapped anew, the other one stays. */
static void make_it_fast(void) {
  mallopt(M_MMAP_THRESHOLD, 3 << 19);
  mallopt(M_TRIM_THRESHOLD, 1 << 24);
  mallopt(M_TOP_PAD, 1 << 17);
  for (int fd = 3; fd < 256; fd++) close(fd);
}

static double share_of(const struct workload *w, const char *part) {
  uint32_t sum = 0;
  for (const struct workload *other = workloads; other->name; other++)
    if (strstr(other->name, part)) sum += other->share;
  return (double)test_setting("SECONDS", SECONDS) * w->share / sum;
}

static bool run_one(const struct workload *w, uint64_t seed, const char *part) {
  struct job job = {w, seed + (uint64_t)(w - workloads), share_of(w, part)};
  int status = wait_for(start(run, &job));
  printf("%s %s\n", status ? "FAILED" : "ok    ", w->name);
  if (status > 128) printf("       it ended with signal %d\n", status - 128);
  fflush(stdout);
  return status == 0;
}

static pid_t parent;

/* The stage lies in memory, where nobody else would remove it. */
static void leave(int number) {
  if (getpid() == parent) stage_end();
  _exit(128 + number);
}

int main(int argc, char **argv) {
  uint64_t seed = test_setting("SEED", (uint64_t)time(NULL));
  const char *part = argc > 2 ? argv[2] : "";
  unsigned passed = 0, failed = 0;
  if (argc > 1) seed = strtoull(argv[1], NULL, 0);
  printf("%s: seed %llu\n", argv[0], (unsigned long long)seed);
  make_it_fast();
  const char *base = stage_begin();
  parent = getpid();
  signal(SIGTERM, leave);
  signal(SIGINT, leave);
  recorded = record_new(RECORD_BYTES);
  all = share(sizeof *all);
  for (uint32_t i = 0; i < STORES_MOST; i++)
    snprintf(paths[i], sizeof paths[i], "%s/%c.rille", base, 'a' + (int)i);
  for (const struct workload *w = workloads; w->name; w++)
    if (strstr(w->name, part)) run_one(w, seed, part) ? passed++ : failed++;
  stage_end();
  test_tally("states after power cuts", all->states);
  printf("power: %llu states, %.0f states/s, seed %llu\n", (unsigned long long)all->states,
         rate(all), (unsigned long long)seed);
  printf("%u passed, %u failed\n", passed, failed);
  return failed || !passed ? EXIT_FAILURE : EXIT_SUCCESS;
}
#endif
