/* peer_loop.c: the bare loop, the most that the disk allows: one pwrite and one
** flush an append, into space that was filled with zeros and flushed before the
** clock started, so that no flush has to move a file's size or allocate. It
** stores nothing that could be read again; it is a limit, not a store. */
#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"
#include "scratch.h"

#define FILL_BYTES ((size_t)1 << 20)
#define FILL_BYTE 0x5A

struct handle {
  int fd;
  bool durable;
  char *frame;
  size_t frame_bytes;
  uint64_t end, reserved;      /* of the file: where the next frame goes; zeros up to here */
};

static const char *loop_about(void) { return "bare loop (pwrite, fdatasync)"; }

static void flush(int fd) {
#ifdef F_FULLFSYNC
  int result = fcntl(fd, F_FULLFSYNC);
#else
  int result = fdatasync(fd);
#endif
  if (result != 0) die("bare loop: flush: %s", strerror(errno));
}

static void write_at(int fd, const char *bytes, size_t n, uint64_t offset) {
  while (n > 0) {
    ssize_t done = pwrite(fd, bytes, n, (off_t)offset);
    if (done < 0) die("bare loop: write: %s", strerror(errno));
    bytes += done;
    n -= (size_t)done;
    offset += (uint64_t)done;
  }
}

static void *loop_open(const char *path, const struct peer_mode *mode) {
  struct handle *h = calloc(1, sizeof *h);
  if (!h) die("no memory");
  h->durable = mode->durable;
  h->fd = open(path, O_RDWR | O_CREAT, 0666);
  if (h->fd < 0) die("bare loop: open: %s", strerror(errno));
  return h;
}

static void loop_close(void *handle) {
  struct handle *h = handle;
  if (close(h->fd) != 0) die("bare loop: close: %s", strerror(errno));
  free(h->frame);
  free(h);
}

static void fill_zeros(struct handle *h, uint64_t needed) {
  char *zeros = calloc(1, FILL_BYTES);
  if (!zeros) die("no memory");
  for (; h->reserved < needed; h->reserved += FILL_BYTES)
    write_at(h->fd, zeros, FILL_BYTES, h->reserved);
  free(zeros);
  flush(h->fd);
}

static void loop_reserve(void *handle, size_t append_bytes, size_t appends) {
  struct handle *h = handle;
  free(h->frame);
  h->frame = malloc(append_bytes);
  if (!h->frame) die("no memory");
  memset(h->frame, FILL_BYTE, append_bytes);
  h->frame_bytes = append_bytes;
  fill_zeros(h, h->end + (uint64_t)append_bytes * appends);
}

static void loop_append(void *handle, const struct input *events, size_t n) {
  struct handle *h = handle;
  (void)events;
  (void)n;
  if (h->end + h->frame_bytes > h->reserved) die("bare loop: no space was reserved");
  write_at(h->fd, h->frame, h->frame_bytes, h->end);
  h->end += h->frame_bytes;
  if (h->durable) flush(h->fd);
}

const struct peer peer_loop = {.name = "loop",
                               .about = loop_about,
                               .open = loop_open,
                               .close = loop_close,
                               .append = loop_append,
                               .reserve = loop_reserve,
                               .is_disk = true};
