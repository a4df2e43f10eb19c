/* peer_stores.c: rille's transactions by the calls of the core: what is left of their price
** without Lua. The steps stand here in the order in which rille_steps gives them when nothing
** goes wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "peer_pair.h"
#include "rille_transaction.h"
#include "scratch.h"

#define TIMEOUT_US 5000000

struct handle {
  rille_store *home, *other;
  rille_instance *instance;
  char home_path[PATH_BYTES];
  char last[RILLE_TRANSACTION_BYTES];  /* decided, its end not noted yet; empty: none */
  uint64_t last_end;                   /* of its commit in `other` */
};

static const rille_text member = {"other", 5};

static const char *stores_about(void) { return "rille " RILLE_VERSION " from C"; }

static void check(int result, const char *what, const rille_error *error) {
  if (result < 0) die("rille: %s: %s (%s)", what, error->message, rille_code_name(result));
}

static rille_store *open_store(const char *folder, const char *name, char path[PATH_BYTES]) {
  rille_options options = {.size = sizeof options, .sync = RILLE_SYNC_ALWAYS};
  rille_error error;
  rille_store *store;
  if (snprintf(path, PATH_BYTES, "%s/%s.rille", folder, name) >= PATH_BYTES) die("path too long");
  check(rille_store_open(path, &options, &store, &error), "open", &error);
  return store;
}

static void *stores_open(const char *path, const struct peer_mode *mode) {
  char other[PATH_BYTES];
  rille_error error;
  struct handle *h = calloc(1, sizeof *h);
  if (!h) die("no memory");
  (void)mode;
  h->home = open_store(path, "home", h->home_path);
  h->other = open_store(path, "other", other);
  check(rille_instance_open(h->home, rille_text_of("bench"), &h->instance, &error), "instance",
        &error);
  return h;
}

static void stores_close(void *handle) {
  struct handle *h = handle;
  rille_error error;
  check(rille_instance_close(h->instance, &error), "end of instance", &error);
  if (rille_store_close(h->other) < 0 || rille_store_close(h->home) < 0) die("rille: close");
  free(h);
}

/* An append of one event, in room that the caller has. */
struct one {
  rille_event_input event;
  rille_part part;
  rille_append append;
};

static const rille_append *fill(struct one *one, const struct input *in) {
  one->event = (rille_event_input){.type = in->type, .data = in->data};
  one->part = (rille_part){.stream = in->stream, .events = &one->event, .event_count = 1,
                           .expect = in->version > 1 ? (int64_t)in->version - 1
                                                     : RILLE_EXPECT_NONE};
  one->append = (rille_append){.size = sizeof one->append, .parts = &one->part, .part_count = 1};
  return &one->append;
}

static void prepare(struct handle *h, const rille_begun *begun, const struct input *in) {
  struct one one;
  rille_prepared prepared;
  rille_error error;
  rille_prepare p = {.size = sizeof p, .id = rille_text_of(begun->id), .name = member,
                     .home_kind = rille_text_of("store"), .home_path = rille_text_of(h->home_path),
                     .home_end = begun->home_end, .coordinator = rille_text_of("bench"),
                     .deadline_us = clock_wall_us() + TIMEOUT_US, .work = fill(&one, in)};
  check(rille_store_prepare(h->other, &p, &prepared, &error), "prepare", &error);
  check(rille_store_flush(h->other, prepared.flush, &error), "flush", &error);
}

static void decide(struct handle *h, const rille_begun *begun, const struct input *in) {
  struct one one;
  rille_decided decided;
  rille_error error;
  rille_decide d = {.size = sizeof d, .id = rille_text_of(begun->id), .home_end = begun->home_end,
                    .outcome = RILLE_OUTCOME_COMMITTED, .members = &member, .member_count = 1,
                    .work = fill(&one, in)};
  check(rille_store_decide(h->home, &d, &decided, &error), "decide", &error);
  if (decided.outcome != RILLE_OUTCOME_COMMITTED) die("rille: a transaction was aborted");
  check(rille_store_flush(h->home, decided.end, &error), "flush", &error);
}

/* The flush of the promise that followed the last commit has made that durable, too. */
static void end_last(struct handle *h) {
  rille_error error;
  if (!h->last[0] || !rille_store_is_flushed(h->other, h->last_end)) return;
  check(rille_store_end(h->home, rille_text_of(h->last), &error), "end", &error);
}

static void transact(struct handle *h, const struct input *events) {
  rille_begun begun;
  rille_finished finished;
  rille_error error;
  check(rille_instance_begin(h->instance, &begun, &error), "begin", &error);
  prepare(h, &begun, &events[1]);
  decide(h, &begun, &events[0]);
  check(rille_store_commit(h->other, rille_text_of(begun.id), &finished, &error), "commit", &error);
  end_last(h);
  memcpy(h->last, begun.id, sizeof h->last);
  h->last_end = finished.end;
}

static void stores_append(void *handle, const struct input *events, size_t n) {
  for (size_t i = 0; i + 1 < n; i += 2) transact(handle, &events[i]);
}

static rille_stats stats_of(rille_store *store) {
  rille_stats stats;
  rille_error error;
  check(rille_store_stats(store, &stats, &error), "stats", &error);
  return stats;
}

static uint64_t stores_flushes(void *handle) {
  struct handle *h = handle;
  return stats_of(h->home).flushes + stats_of(h->other).flushes;
}

static uint64_t stores_bytes(void *handle) {
  struct handle *h = handle;
  return stats_of(h->home).log_bytes + stats_of(h->other).log_bytes;
}

const struct peer peer_stores = {.name = "stores",
                                 .about = stores_about,
                                 .open = stores_open,
                                 .close = stores_close,
                                 .append = stores_append,
                                 .log_bytes = stores_bytes,
                                 .flushes = stores_flushes};
