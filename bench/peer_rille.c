/* peer_rille.c: rille through its public header, as any C program would use it. */
#include <stdlib.h>

#include "peer.h"
#include "scratch.h"

struct handle {
  rille_store *store;
  bool durable;
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
                           .sync = mode->durable ? RILLE_SYNC_ALWAYS : RILLE_SYNC_NEVER};
  rille_error error;
  int result = rille_store_open(path, &options, &h->store, &error);
  check(result, "open", &error);
  if (result > 0) die("rille: open: %s", error.message);
  h->durable = mode->durable;
  return h;
}

static void rille_peer_close(void *handle) {
  struct handle *h = handle;
  int result = rille_store_close(h->store);
  if (result < 0) die("rille: close: %s", rille_code_name(result));
  free(h);
}

static void fill(struct handle *h, size_t i, const struct input *in) {
  h->events[i] = (rille_event_input){.type = in->type, .data = in->data,
                                     .tags = in->tags, .tag_count = in->tag_count};
  h->parts[i] = (rille_part){.stream = in->stream, .events = &h->events[i], .event_count = 1,
                             .expect = in->version > 1 ? (int64_t)in->version - 1
                                                       : RILLE_EXPECT_NONE};
}

static void rille_peer_append(void *handle, const struct input *events, size_t n) {
  struct handle *h = handle;
  for (size_t i = 0; i < n; i++) fill(h, i, &events[i]);
  rille_append append = {.size = sizeof append, .parts = h->parts, .part_count = n};
  rille_appended done;
  rille_error error;
  check(rille_store_append(h->store, &append, &done, &error), "append", &error);
  if (done.last - done.first + 1 != n) die("rille: not all events were appended");
  if (h->durable && rille_store_durable(h->store) < done.last)
    die("rille: an append returned before it was durable");
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

static void rille_peer_read_tag(void *handle, rille_text tag, struct tally *tally) {
  rille_item item = {.tags = &tag, .tag_count = 1};
  rille_query query = {.size = sizeof query, .items = &item, .item_count = 1};
  read_all(handle, &query, tally);
}

/* A category has no chain, so the other item makes it look at everything. */
static void rille_log_read_tag(void *handle, rille_text tag, struct tally *tally) {
  rille_item items[] = {{.tags = &tag, .tag_count = 1}, {.category = rille_text_of("nobody")}};
  rille_query query = {.size = sizeof query, .items = items, .item_count = 2};
  read_all(handle, &query, tally);
}

static uint64_t rille_peer_log_bytes(void *handle) {
  struct handle *h = handle;
  rille_stats stats;
  rille_error error;
  check(rille_store_stats(h->store, &stats, &error), "stats", &error);
  return stats.log_bytes;
}

const struct peer peer_rille = {.name = "rille",
                                .about = rille_about,
                                .open = rille_peer_open,
                                .close = rille_peer_close,
                                .append = rille_peer_append,
                                .scan = rille_peer_scan,
                                .read_stream = rille_peer_read_stream,
                                .read_tag = rille_peer_read_tag,
                                .log_bytes = rille_peer_log_bytes};

const struct peer peer_rille_log = {.name = "rille-log",
                                    .about = rille_about,
                                    .open = rille_peer_open,
                                    .close = rille_peer_close,
                                    .read_tag = rille_log_read_tag,
                                    .same_store = &peer_rille};
