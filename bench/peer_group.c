/* peer_group.c: the bare loop of several processes: what the disk allows to those who share
** its flushes. */
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "peer.h"
#include "scratch.h"

#define FILL_BYTE 0x5A

struct handle {
  struct group *group;
  bool durable;
  char *frame;
  size_t frame_bytes;
};

static const char *group_about(void) { return "shared loop (flock, pwrite, shared fdatasync)"; }

static void *group_peer_open(const char *path, const struct peer_mode *mode) {
  struct handle *h = calloc(1, sizeof *h);
  if (!h) die("no memory");
  *h = (struct handle){.group = group_open(path), .durable = mode->durable};
  return h;
}

static void group_peer_close(void *handle) {
  struct handle *h = handle;
  group_close(h->group);
  free(h->frame);
  free(h);
}

static void group_reserve(void *handle, size_t append_bytes, size_t appends) {
  struct handle *h = handle;
  (void)appends;
  free(h->frame);
  h->frame = malloc(append_bytes);
  if (!h->frame) die("shared loop: no memory");
  memset(h->frame, FILL_BYTE, append_bytes);
  h->frame_bytes = append_bytes;
  group_fill(h->group);
}

static void group_append(void *handle, const struct input *events, size_t n) {
  struct handle *h = handle;
  (void)events;
  (void)n;
  uint64_t end = group_write(h->group, h->frame, h->frame_bytes);
  if (h->durable) group_force(h->group, end);
}

static uint64_t group_flushes(void *handle) {
  struct handle *h = handle;
  return group_count_flushes(h->group);
}

const struct peer peer_group = {.name = "group",
                                .about = group_about,
                                .open = group_peer_open,
                                .close = group_peer_close,
                                .append = group_append,
                                .flushes = group_flushes,
                                .reserve = group_reserve,
                                .is_disk = true};
