/* group.c: flushes shared by processes. A write takes its turn under one lock, a flush under
** another; who finds somebody flushing sleeps until that one is done, and looks whether its
** bytes were among them. Before a flush one yields as long as others go on writing. It goes
** round and round in the space that was filled beforehand. */
#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#include "group.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

#include "scratch.h"

#define SPACE_BYTES ((uint64_t)64 << 20)
#define FILL_BYTES ((size_t)1 << 20)
#define YIELDS_MOST 16
#define NAP_NS 10000000          /* asleep beside a flusher; where nobody can wake us, less */
#define BLIND_NAP_NS 50000

struct words {                   /* ends count up, round after round */
  _Atomic uint64_t written, durable, flushes;
  _Atomic uint32_t sequence;
};

struct group {
  int data, writer, flusher;     /* the locks are on whole files */
  struct words *words;
};

static int open_side(const char *path, const char *side) {
  char name[PATH_BYTES + 16];
  snprintf(name, sizeof name, "%s%s", path, side);
  int fd = open(name, O_RDWR | O_CREAT, 0666);
  if (fd < 0) die("shared loop: open: %s", strerror(errno));
  return fd;
}

static struct words *map_words(const char *path) {
  int fd = open_side(path, "-words");
  if (ftruncate(fd, sizeof(struct words)) != 0) die("shared loop: %s", strerror(errno));
  void *words = mmap(NULL, sizeof(struct words), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (words == MAP_FAILED) die("shared loop: map: %s", strerror(errno));
  close(fd);
  return words;
}

struct group *group_open(const char *path) {
  struct group *g = malloc(sizeof *g);
  if (!g) die("no memory");
  *g = (struct group){.data = open_side(path, ""), .writer = open_side(path, "-lock"),
                      .flusher = open_side(path, "-flusher"), .words = map_words(path)};
  return g;
}

void group_close(struct group *g) {
  close(g->data);
  close(g->writer);
  close(g->flusher);
  munmap(g->words, sizeof *g->words);
  free(g);
}

static void flush(int fd) {
#ifdef F_FULLFSYNC
  int result = fcntl(fd, F_FULLFSYNC);
#else
  int result = fdatasync(fd);
#endif
  if (result != 0) die("shared loop: flush: %s", strerror(errno));
}

static void write_at(int fd, const char *bytes, size_t n, uint64_t offset) {
  if (pwrite(fd, bytes, n, (off_t)offset) != (ssize_t)n) die("shared loop: can't write");
}

void group_fill(struct group *g) {
  struct stat s;
  if (fstat(g->data, &s) != 0) die("shared loop: %s", strerror(errno));
  if (s.st_size > 0) return;
  char *zeros = calloc(1, FILL_BYTES);
  if (!zeros) die("no memory");
  for (uint64_t at = 0; at < SPACE_BYTES; at += FILL_BYTES)
    write_at(g->data, zeros, FILL_BYTES, at);
  free(zeros);
  flush(g->data);
}

static void lock(int fd) {
  while (flock(fd, LOCK_EX) != 0)
    if (errno != EINTR) die("shared loop: lock: %s", strerror(errno));
}

static void wake(struct words *w) {
  atomic_fetch_add(&w->sequence, 1);
#ifdef __linux__
  syscall(SYS_futex, &w->sequence, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
#endif
}

static void nap(struct words *w, uint32_t sequence) {
#ifdef __linux__
  syscall(SYS_futex, &w->sequence, FUTEX_WAIT, sequence, &(struct timespec){.tv_nsec = NAP_NS},
          NULL, 0);
#else
  if (atomic_load(&w->sequence) == sequence)
    nanosleep(&(struct timespec){.tv_nsec = BLIND_NAP_NS}, NULL);
#endif
}

static void let_others_write(struct words *w) {
  for (int i = 0; i < YIELDS_MOST; i++) {
    uint64_t before = atomic_load(&w->written);
    sched_yield();
    if (atomic_load(&w->written) == before) return;
  }
}

/* With the flusher's lock. */
static void flush_for_all(struct group *g) {
  let_others_write(g->words);
  uint64_t end = atomic_load(&g->words->written);
  flush(g->data);
  atomic_store(&g->words->durable, end);
  atomic_fetch_add(&g->words->flushes, 1);
}

void group_force(struct group *g, uint64_t end) {
  for (;;) {
    uint32_t sequence = atomic_load(&g->words->sequence);
    if (atomic_load(&g->words->durable) >= end) return;
    if (flock(g->flusher, LOCK_EX | LOCK_NB) != 0) {
      nap(g->words, sequence);
      continue;
    }
    if (atomic_load(&g->words->durable) < end) flush_for_all(g);
    flock(g->flusher, LOCK_UN);
    wake(g->words);
  }
}

uint64_t group_write(struct group *g, const char *frame, size_t n) {
  lock(g->writer);
  uint64_t at = atomic_load(&g->words->written), offset = at % SPACE_BYTES;
  if (offset + n > SPACE_BYTES) at += SPACE_BYTES - offset;
  write_at(g->data, frame, n, at % SPACE_BYTES);
  uint64_t end = at + n;
  atomic_store(&g->words->written, end);
  flock(g->writer, LOCK_UN);
  return end;
}

uint64_t group_count_flushes(const struct group *g) { return atomic_load(&g->words->flushes); }
