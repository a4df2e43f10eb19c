/* peer_pair.c: the bare program that does what a transaction over two stores can't do without,
** and nothing else. It writes a promise to the other file and flushes it, the decision to home
** and flushes that, and writes to the other file what is done, which nobody waits for.
**
** Alone it takes no lock; as a group, several processes share flushes (group.h). */
#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#include "peer_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "group.h"
#include "scratch.h"

#define SPACE_BYTES ((uint64_t)64 << 20)
#define FILL_BYTES ((size_t)1 << 20)
#define FILL_BYTE 0x5A

/* Shares of the bytes that a transaction has, of SHARES. */
enum { PREPARE_SHARE = 8, DECISION_SHARE = 8, COMMIT_SHARE = 5, SHARES = 21 };

struct side {                      /* a file of one who is alone */
  int fd;
  uint64_t end;
};

struct handle {
  bool shared;
  struct group *home_group, *other_group;
  struct side home, other;
  char *bytes;
  size_t prepare, decision, commit;
  uint64_t flushes;
};

static const char *pair_about(void) { return "bare pair (two files, pwrite, fdatasync)"; }

static void flush(struct handle *h, int fd) {
#ifdef F_FULLFSYNC
  int result = fcntl(fd, F_FULLFSYNC);
#else
  int result = fdatasync(fd);
#endif
  if (result != 0) die("bare pair: flush: %s", strerror(errno));
  h->flushes++;
}

static void write_side(struct side *side, const char *bytes, size_t n) {
  if (side->end + n > SPACE_BYTES) side->end = 0;
  if (pwrite(side->fd, bytes, n, (off_t)side->end) != (ssize_t)n) die("bare pair: can't write");
  side->end += n;
}

static struct side open_side(struct handle *h, const char *path) {
  struct side side = {.fd = open(path, O_RDWR | O_CREAT, 0666)};
  if (side.fd < 0) die("bare pair: open: %s", strerror(errno));
  char *zeros = calloc(1, FILL_BYTES);
  if (!zeros) die("no memory");
  while (side.end < SPACE_BYTES) write_side(&side, zeros, FILL_BYTES);
  free(zeros);
  flush(h, side.fd);
  side.end = 0;
  return side;
}

static struct group *open_group(const char *path) {
  struct group *g = group_open(path);
  group_fill(g);
  return g;
}

static struct handle *new_handle(bool shared) {
  struct handle *h = calloc(1, sizeof *h);
  if (!h) die("no memory");
  h->shared = shared;
  return h;
}

static void paths(const char *folder, char home[PATH_BYTES], char other[PATH_BYTES]) {
  if (snprintf(home, PATH_BYTES, "%s/home", folder) >= PATH_BYTES ||
      snprintf(other, PATH_BYTES, "%s/other", folder) >= PATH_BYTES) die("path too long");
}

static void *alone_open(const char *path, const struct peer_mode *mode) {
  char home[PATH_BYTES], other[PATH_BYTES];
  (void)mode;
  struct handle *h = new_handle(false);
  paths(path, home, other);
  h->home = open_side(h, home);
  h->other = open_side(h, other);
  h->flushes = 0;
  return h;
}

static void *shared_open(const char *path, const struct peer_mode *mode) {
  char home[PATH_BYTES], other[PATH_BYTES];
  (void)mode;
  struct handle *h = new_handle(true);
  paths(path, home, other);
  h->home_group = open_group(home);
  h->other_group = open_group(other);
  return h;
}

static void pair_close(void *handle) {
  struct handle *h = handle;
  if (h->shared) {
    group_close(h->home_group);
    group_close(h->other_group);
  } else if (close(h->home.fd) != 0 || close(h->other.fd) != 0) {
    die("bare pair: close: %s", strerror(errno));
  }
  free(h->bytes);
  free(h);
}

/* `bytes`: what a transaction writes, in both files together. */
static void pair_reserve(void *handle, size_t bytes, size_t transactions) {
  struct handle *h = handle;
  (void)transactions;
  h->prepare = bytes * PREPARE_SHARE / SHARES & ~(size_t)7;
  h->decision = bytes * DECISION_SHARE / SHARES & ~(size_t)7;
  h->commit = bytes * COMMIT_SHARE / SHARES & ~(size_t)7;
  free(h->bytes);
  h->bytes = malloc(bytes);
  if (!h->bytes) die("no memory");
  memset(h->bytes, FILL_BYTE, bytes);
}

static void transact_alone(struct handle *h) {
  write_side(&h->other, h->bytes, h->prepare);
  flush(h, h->other.fd);
  write_side(&h->home, h->bytes, h->decision);
  flush(h, h->home.fd);
  write_side(&h->other, h->bytes, h->commit);
}

static void transact_shared(struct handle *h) {
  group_force(h->other_group, group_write(h->other_group, h->bytes, h->prepare));
  group_force(h->home_group, group_write(h->home_group, h->bytes, h->decision));
  group_write(h->other_group, h->bytes, h->commit);
}

static void pair_append(void *handle, const struct input *events, size_t n) {
  struct handle *h = handle;
  (void)events;
  for (size_t i = 0; i + 1 < n; i += 2)
    if (h->shared) transact_shared(h);
    else transact_alone(h);
}

static uint64_t pair_flushes(void *handle) {
  struct handle *h = handle;
  if (!h->shared) return h->flushes;
  return group_count_flushes(h->home_group) + group_count_flushes(h->other_group);
}

const struct peer peer_pair = {.name = "pair",
                               .about = pair_about,
                               .open = alone_open,
                               .close = pair_close,
                               .append = pair_append,
                               .flushes = pair_flushes,
                               .reserve = pair_reserve,
                               .is_disk = true};
const struct peer peer_pair_shared = {.name = "pair-shared",
                                      .about = pair_about,
                                      .open = shared_open,
                                      .close = pair_close,
                                      .append = pair_append,
                                      .flushes = pair_flushes,
                                      .reserve = pair_reserve,
                                      .is_disk = true};
