/* peer_rille.c: rille through its public header, as any C program would use it. */
#include <stdlib.h>

#include "peer.h"
#include "scratch.h"

struct handle {
  rille_store *store;
  bool durable, unless, every_event;
  uint64_t last;               /* position of the last append */
  rille_part parts[BATCH_EVENTS];
  rille_event_input events[BATCH_EVENTS];
};

static void check(int result, const char *what, const rille_error *error) {
  if (result < 0) die("rille: %s: %s (%s)", what, error->message, rille_code_name(result));
}

static const char *rille_about(void) { return "rille " RILLE_VERSION; }

static void *rille_peer_open(const char *path, const struct peer_mode *mode) {
  struct handle *h = calloc(1, sizeof *h);
  if (!h) die("no memory");
  rille_options options = {.size = sizeof options,
                           .readonly = mode->readonly,
                           .sync = mode->durable    ? RILLE_SYNC_ALWAYS
                                   : mode->interval ? RILLE_SYNC_INTERVAL
                                                    : RILLE_SYNC_NEVER};
  rille_error error;
  int result = rille_store_open(path, &options, &h->store, &error);
  check(result, "open", &error);
  if (result > 0) die("rille: open: %s", error.message);
  h->durable = mode->durable;
  h->unless = mode->unless;
  h->every_event = mode->every_event;
  h->last = rille_store_head(h->store);
  return h;
}

static void rille_peer_close(void *handle) {
  struct handle *h = handle;
  int result = rille_store_close(h->store);
  if (result < 0) die("rille: close: %s", rille_code_name(result));
  free(h);
}

static void fill(struct handle *h, size_t i, const struct input *in) {
  h->events[i] = (rille_event_input){.type = in->type, .data = in->data, .id = in->id,
                                     .tags = in->tags, .tag_count = in->tag_count};
  h->parts[i] = (rille_part){.stream = in->stream, .events = &h->events[i], .event_count = 1,
                             .expect = in->version > 1 ? (int64_t)in->version - 1
                                                       : RILLE_EXPECT_NONE};
}

static void rille_peer_append(void *handle, const struct input *events, size_t n) {
  struct handle *h = handle;
  for (size_t i = 0; i < n; i++) fill(h, i, &events[i]);
  rille_item item = {.tags = events[0].tags, .tag_count = 1, .after = h->last};
  rille_query unless = {.size = sizeof unless, .items = &item, .item_count = 1};
  rille_append append = {.size = sizeof append, .parts = h->parts, .part_count = n,
                         .unless = h->unless ? &unless : NULL};
  rille_appended done;
  rille_error error;
  check(rille_store_append(h->store, &append, &done, &error), "append", &error);
  if (done.last - done.first + 1 != n) die("rille: not all events were appended");
  if (h->durable && rille_store_durable(h->store) < done.last)
    die("rille: an append returned before it was durable");
  h->last = done.last;
}

static void read_all(struct handle *h, const rille_query *query, struct tally *tally) {
  rille_reader *reader;
  rille_error error;
  rille_event e;
  int result;
  check(rille_store_read(h->store, query, &reader, &error), "read", &error);
  while ((result = rille_reader_next(reader, &e, &error)) > 0)
    tally_event(tally, e.position, e.version, e.stream, e.type, e.data);
  check(result, "next", &error);
  rille_reader_end(reader);
}

static void rille_peer_scan(void *handle, struct tally *tally) { read_all(handle, NULL, tally); }

static void rille_peer_read_stream(void *handle, rille_text stream, struct tally *tally) {
  rille_query query = {.size = sizeof query, .stream = stream};
  read_all(handle, &query, tally);
}

/* A category has no chain, so an item of one makes rille look at everything. */
static void rille_peer_read_tag(void *handle, rille_text tag, struct tally *tally) {
  struct handle *h = handle;
  rille_item items[] = {{.tags = &tag, .tag_count = 1}, {.category = rille_text_of("nobody")}};
  rille_query query = {.size = sizeof query, .items = items,
                       .item_count = h->every_event ? 2 : 1};
  read_all(h, &query, tally);
}

static rille_stats stats_of(void *handle) {
  rille_stats stats;
  rille_error error;
  check(rille_store_stats(peer_rille_store(handle), &stats, &error), "stats", &error);
  return stats;
}

static uint64_t rille_peer_log_bytes(void *handle) { return stats_of(handle).log_bytes; }

static uint64_t rille_peer_flushes(void *handle) { return stats_of(handle).flushes; }

rille_store *peer_rille_store(void *handle) { return ((struct handle *)handle)->store; }

const struct peer peer_rille = {.name = "rille",
                                .about = rille_about,
                                .open = rille_peer_open,
                                .close = rille_peer_close,
                                .append = rille_peer_append,
                                .scan = rille_peer_scan,
                                .read_stream = rille_peer_read_stream,
                                .read_tag = rille_peer_read_tag,
                                .log_bytes = rille_peer_log_bytes,
                                .flushes = rille_peer_flushes};
