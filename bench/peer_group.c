/* peer_group.c: the bare loop of several processes: what the disk allows to those who share
** its flushes. A write takes its turn under one lock, a flush under another; who finds
** somebody flushing sleeps until that one is done, and looks whether its bytes were among
** them. Before a flush one yields as long as others go on writing. It stores nothing that
** could be read again, and goes round and round in the space that was filled beforehand. */
#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
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

#include "peer.h"
#include "scratch.h"

#define SPACE_BYTES ((uint64_t)64 << 20)
#define FILL_BYTES ((size_t)1 << 20)
#define FILL_BYTE 0x5A
#define YIELDS_MOST 16
#define NAP_NS 10000000          /* asleep beside a flusher; where nobody can wake us, less */
#define BLIND_NAP_NS 50000

struct words {                   /* ends count up, round after round */
  _Atomic uint64_t written, durable, flushes;
  _Atomic uint32_t sequence;
};

struct handle {
  int data, writer, flusher;     /* the locks are on whole files */
  bool durable;
  struct words *words;
  char *frame;
  size_t frame_bytes;
};

static const char *group_about(void) { return "shared loop (flock, pwrite, shared fdatasync)"; }

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

static void *group_open(const char *path, const struct peer_mode *mode) {
  struct handle *h = calloc(1, sizeof *h);
  if (!h) die("no memory");
  *h = (struct handle){.data = open_side(path, ""), .writer = open_side(path, "-lock"),
                       .flusher = open_side(path, "-flusher"), .durable = mode->durable,
                       .words = map_words(path)};
  return h;
}

static void group_close(void *handle) {
  struct handle *h = handle;
  close(h->data);
  close(h->writer);
  close(h->flusher);
  munmap(h->words, sizeof *h->words);
  free(h->frame);
  free(h);
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

/* The space is filled by whoever comes first. */
static void group_reserve(void *handle, size_t append_bytes, size_t appends) {
  struct handle *h = handle;
  struct stat s;
  (void)appends;
  free(h->frame);
  h->frame = malloc(append_bytes);
  if (!h->frame || fstat(h->data, &s) != 0) die("shared loop: no memory");
  memset(h->frame, FILL_BYTE, append_bytes);
  h->frame_bytes = append_bytes;
  if (s.st_size > 0) return;
  char *zeros = calloc(1, FILL_BYTES);
  if (!zeros) die("no memory");
  for (uint64_t at = 0; at < SPACE_BYTES; at += FILL_BYTES)
    write_at(h->data, zeros, FILL_BYTES, at);
  free(zeros);
  flush(h->data);
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
static void flush_for_all(struct handle *h) {
  let_others_write(h->words);
  uint64_t end = atomic_load(&h->words->written);
  flush(h->data);
  atomic_store(&h->words->durable, end);
  atomic_fetch_add(&h->words->flushes, 1);
}

static void make_durable(struct handle *h, uint64_t end) {
  for (;;) {
    uint32_t sequence = atomic_load(&h->words->sequence);
    if (atomic_load(&h->words->durable) >= end) return;
    if (flock(h->flusher, LOCK_EX | LOCK_NB) != 0) {
      nap(h->words, sequence);
      continue;
    }
    if (atomic_load(&h->words->durable) < end) flush_for_all(h);
    flock(h->flusher, LOCK_UN);
    wake(h->words);
  }
}

static void group_append(void *handle, const struct input *events, size_t n) {
  struct handle *h = handle;
  (void)events;
  (void)n;
  lock(h->writer);
  uint64_t at = atomic_load(&h->words->written), offset = at % SPACE_BYTES;
  if (offset + h->frame_bytes > SPACE_BYTES) at += SPACE_BYTES - offset;
  write_at(h->data, h->frame, h->frame_bytes, at % SPACE_BYTES);
  uint64_t end = at + h->frame_bytes;
  atomic_store(&h->words->written, end);
  flock(h->writer, LOCK_UN);
  if (h->durable) make_durable(h, end);
}

static uint64_t group_flushes(void *handle) {
  struct handle *h = handle;
  return atomic_load(&h->words->flushes);
}

const struct peer peer_group = {.name = "group",
                                .about = group_about,
                                .open = group_open,
                                .close = group_close,
                                .append = group_append,
                                .flushes = group_flushes,
                                .reserve = group_reserve,
                                .is_disk = true};
