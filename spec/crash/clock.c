/* clock.c: the wall's clock of a process, which jumps: loaded before the C library (clock.lua).
**
** CLOCK_FILE has eight bytes, microseconds to be added to CLOCK_REALTIME, which several processes
** may share and anybody may change at any moment. CLOCK_MONOTONIC is as it was. A condition
** that is waited for until a time of the wall's clock ends when that clock says so, as in a
** kernel whose clock is set. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LOOK_US 5000 /* so often a waiter looks at the clock */
#define CONDITIONS 1024

static _Atomic int64_t *offset_us;
static _Atomic(pthread_cond_t *) monotonic[CONDITIONS]; /* conditions of the other clock */

__attribute__((constructor)) static void map_offset(void) {
  const char *path = getenv("CLOCK_FILE");
  int fd = path ? open(path, O_RDWR) : -1;
  void *page = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
  if (fd >= 0) close(fd);
  if (page != MAP_FAILED) offset_us = page;
}

static int64_t real_us(void) {
  struct timespec t;
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t wall_us(void) { return real_us() + (offset_us ? atomic_load(offset_us) : 0); }

static struct timespec time_of(int64_t us) {
  return (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
}

int clock_gettime(clockid_t clock, struct timespec *t) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
    return (int)syscall(SYS_clock_gettime, clock, t);
  *t = time_of(wall_us());
  return 0;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
  (void)zone;
  t->tv_sec = wall_us() / 1000000;
  t->tv_usec = wall_us() % 1000000;
  return 0;
}

time_t time(time_t *t) {
  time_t now = wall_us() / 1000000;
  if (t) *t = now;
  return now;
}

/* ---- Conditions ---- */

static int find(const pthread_cond_t *c) {
  for (int i = 0; i < CONDITIONS; i++)
    if (atomic_load(&monotonic[i]) == c) return i;
  return -1;
}

int pthread_cond_init(pthread_cond_t *restrict c, const pthread_condattr_t *restrict a) {
  int (*real)(pthread_cond_t *, const pthread_condattr_t *) = dlsym(RTLD_NEXT, "pthread_cond_init");
  clockid_t clock = CLOCK_REALTIME;
  if (a) pthread_condattr_getclock(a, &clock);
  int i = find(c);
  if (clock == CLOCK_REALTIME && i >= 0) atomic_store(&monotonic[i], NULL);
  if (clock != CLOCK_REALTIME && i < 0 && (i = find(NULL)) >= 0) atomic_store(&monotonic[i], c);
  return real(c, a);
}

int pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m,
                           const struct timespec *restrict until) {
  int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *) =
      dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  if (find(c) >= 0) return real(c, m, until);
  int64_t end = (int64_t)until->tv_sec * 1000000 + until->tv_nsec / 1000;
  for (int64_t left; (left = end - wall_us()) > 0;) {
    struct timespec t = time_of(real_us() + (left < LOOK_US ? left : LOOK_US));
    int result = real(c, m, &t);
    if (result != ETIMEDOUT) return result;
  }
  return ETIMEDOUT;
}
