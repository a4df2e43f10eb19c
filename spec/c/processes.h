/* processes.h: several processes on one store, for C tests: children by fork, memory that
** they share with their parent, and appends in one line. */
#ifndef RILLE_PROCESSES_H
#define RILLE_PROCESSES_H

#include "rille.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

#define PATIENCE_US 60000000 /* no test is timed more tightly */
#define KILLED (128 + SIGKILL)

/* ---- Folders ---- */

static char folder[256];
static pid_t folder_owner;

static inline void remove_folder(void) {
  char command[300];
  if (getpid() != folder_owner) return;
  sprintf(command, "rm -rf '%s'", folder);
  if (system(command) != 0) printf("       %s could not be removed\n", folder);
}

static inline void make_folder(void) {
  const char *base = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%s/rille-XXXXXX", base && *base ? base : "/tmp");
  CHECK(mkdtemp(folder) != NULL);
  folder_owner = getpid();
  atexit(remove_folder);
}

static inline const char *path_of(const char *name) {
  static char path[300];
  if (!*folder) make_folder();
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static inline void remove_store(const char *path) {
  char command[400];
  sprintf(command, "rm -rf '%s'*", path);
  CHECK(system(command) == 0);
}

/* ---- Time ---- */

static inline int64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- Children ---- */

/* Zeroed memory that children share with their parent. */
static inline void *share(size_t bytes) {
  void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) abort();
  return p;
}

/* Whether a process may fork while it has threads. AddressSanitizer (of GCC 12) doesn't hold the
** locks of its allocator over a fork: a child born while another thread allocates waits for
** ever when it allocates itself. ThreadSanitizer refuses threads in such a child. Under them
** tests fork before they open a store that has a thread, or give it none. */
#if defined __SANITIZE_THREAD__
#define FORKS_WITH_THREADS false
#define THREADS_AT_FIRST 2 /* one is the sanitizer's */
#elif defined __SANITIZE_ADDRESS__
#define FORKS_WITH_THREADS false
#define THREADS_AT_FIRST 1
#else
#define FORKS_WITH_THREADS true
#define THREADS_AT_FIRST 1
#endif

static inline int count_threads(void) {
  int count = 0;
  DIR *list = opendir("/proc/self/task");
  if (!list) return 1;
  for (struct dirent *entry; (entry = readdir(list));) count += *entry->d_name != '.';
  closedir(list);
  return count;
}

/* Runs in a child; what it returns is its status, and so are checks that failed. */
static inline pid_t start(int (*job)(void *context), void *context) {
  if (!FORKS_WITH_THREADS && !CHECK(count_threads() <= THREADS_AT_FIRST)) abort();
  fflush(stdout);
  pid_t pid = fork();
  if (pid) return pid;
  test_failures = 0;
  int status = job(context);
  fflush(stdout);
  _exit(test_failures ? 99 : status);
}

static inline int status_of(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status_of(status);
}

/* Waits until another process has counted up to n. */
static inline bool wait_until(_Atomic int *counter, int n) {
  int64_t end = now_us() + PATIENCE_US;
  while (atomic_load(counter) < n) {
    if (now_us() > end) return CHECK(!"another process did not come that far");
    usleep(200);
  }
  return true;
}

/* ---- Stores ---- */

static inline rille_options options_of(int sync, bool background) {
  return (rille_options){.size = sizeof(rille_options), .sync = sync, .no_background = !background};
}

static inline rille_store *open_with(const char *path, const rille_options *o) {
  rille_store *store = NULL;
  rille_error e = {0};
  int result = rille_store_open(path, o, &store, &e);
  if (!CHECK(result >= 0)) printf("       %s\n", e.message);
  return store;
}

static inline rille_store *open_store(const char *path, int sync) {
  rille_options o = options_of(sync, false);
  return open_with(path, &o);
}

/* One event of n bytes of data. */
static inline int put(rille_store *store, const char *stream, int64_t expect, const void *data,
                      size_t n, rille_error *e) {
  rille_event_input event = {.type = rille_text_of("Happened"), .data = {data, n}};
  rille_part part = {
      .stream = rille_text_of(stream), .expect = expect, .events = &event, .event_count = 1};
  rille_append a = {.size = sizeof a, .parts = &part, .part_count = 1};
  return rille_store_append(store, &a, NULL, e);
}

static inline int put_one(rille_store *store, const char *stream) {
  return put(store, stream, RILLE_EXPECT_ANY, "12345678", 8, NULL);
}

static inline rille_stats stats_of(rille_store *store) {
  rille_stats stats;
  CHECK(rille_store_stats(store, &stats, NULL) == 0);
  return stats;
}

/* How many events are read, with no gap before, between or behind them. */
static inline uint64_t count_read(rille_store *store) {
  rille_reader *reader;
  rille_event event;
  uint64_t n = 0;
  int result;
  CHECK(rille_store_read(store, NULL, &reader, NULL) == 0);
  while ((result = rille_reader_next(reader, &event, NULL)) == 1) CHECK(event.position == ++n);
  rille_reader_end(reader);
  return CHECK(result == 0) ? n : 0;
}

static inline int show_problem(void *context, const rille_problem *p) {
  (void)context;
  printf("       %s at byte %llu: %s\n", p->invariant, (unsigned long long)p->address, p->message);
  return 0;
}

/* Whether verify finds n events and nothing else. */
static inline bool is_sound(rille_store *store, uint64_t n) {
  rille_verify options = {.size = sizeof options, .problem = show_problem};
  rille_verified v = {0};
  int result = rille_store_verify(store, &options, &v, NULL);
  if (v.events != n) printf("       %llu events\n", (unsigned long long)v.events);
  return result == 0 && v.problems == 0 && v.events == n;
}

/* Closes it, and opens it again: without a remark, with n events. */
static inline void check_reopened(rille_store *store, const char *path, uint64_t n) {
  rille_error e = {0};
  CHECK(rille_store_close(store) == 0);
  int result = rille_store_open(path, NULL, &store, &e);
  if (!CHECK(result == 0)) printf("       %s\n", e.message);
  if (result < 0) return;
  CHECK(is_sound(store, n));
  CHECK(rille_store_close(store) == 0);
}

#endif
