/* workload.c: names and payloads come from tables made once, so that making an
** event costs next to nothing; seeds are fixed, so that every run and every
** contender sees the same events in the same order. */
#include "workload.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "scratch.h"

#define STREAM_BYTES 16          /* "account-00001234" */
#define TAG_BYTES 11             /* "branch:0042" */
#define RARE_TAG_BYTES 10        /* "order:0042" */
#define PAYLOADS 1024
#define PAYLOAD_SEED 0x9E3779B97F4A7C15u
#define MESSAGEPACK_BIN8 0xC4    /* the payload is one MessagePack byte string */

static const char *const types[TYPES] = {
  "AccountOpened", "OwnerNamed", "Deposited", "Withdrawn", "TransferSent", "TransferReceived",
  "InterestPaid", "FeeCharged", "LimitRaised", "LimitLowered", "CardIssued", "CardBlocked",
  "StatementSent", "AddressChanged", "Reviewed", "NoteAdded"};

static char stream_names[STREAMS_MOST][STREAM_BYTES + 1];
static char tag_names[TAGS][TAG_BYTES + 1];
static char rare_tag_names[RARE_TAGS_MOST][RARE_TAG_BYTES + 1];
static rille_text type_texts[TYPES];
static char payloads[PAYLOADS][DATA_BYTES];

static uint64_t xorshift(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

uint32_t workload_random(struct workload *w, uint32_t below) {
  return (uint32_t)(((xorshift(&w->random) >> 32) * below) >> 32);
}

static void make_tables(void) {
  if (type_texts[0].length) return;
  uint64_t random = PAYLOAD_SEED;
  for (unsigned i = 0; i < STREAMS_MOST; i++)
    snprintf(stream_names[i], sizeof stream_names[i], "account-%08u", i);
  for (unsigned i = 0; i < TAGS; i++)
    snprintf(tag_names[i], sizeof tag_names[i], "branch:%04u", i);
  for (unsigned i = 0; i < RARE_TAGS_MOST; i++)
    snprintf(rare_tag_names[i], sizeof rare_tag_names[i], "order:%04u", i);
  for (unsigned i = 0; i < PAYLOADS; i++) {
    for (unsigned k = 2; k < DATA_BYTES; k++) payloads[i][k] = (char)(xorshift(&random) >> 56);
    payloads[i][0] = (char)MESSAGEPACK_BIN8;
    payloads[i][1] = DATA_BYTES - 2;
  }
  for (unsigned i = 0; i < TYPES; i++) type_texts[i] = rille_text_of(types[i]);
}

void workload_init(struct workload *w, uint32_t streams, size_t tags_each, uint64_t seed) {
  assert(streams >= BATCH_EVENTS && streams <= STREAMS_MOST && streams % BATCH_EVENTS == 0);
  assert(tags_each <= TAGS_EACH);
  make_tables();
  *w = (struct workload){.random = seed * PAYLOAD_SEED | 1, .streams = streams, .cursor = streams,
                         .order = malloc(streams * sizeof *w->order),
                         .versions = calloc(streams, sizeof *w->versions),
                         .tags_each = tags_each};
  if (!w->order || !w->versions) die("no memory");
  for (uint32_t i = 0; i < streams; i++) w->order[i] = i;
}

void workload_release(struct workload *w) {
  free(w->order);
  free(w->versions);
  *w = (struct workload){0};
}

static void shuffle(struct workload *w) {
  for (uint32_t i = w->streams - 1; i > 0; i--) {
    uint32_t k = workload_random(w, i + 1), kept = w->order[i];
    w->order[i] = w->order[k];
    w->order[k] = kept;
  }
  w->cursor = 0;
}

rille_text workload_stream(uint32_t number) {
  return (rille_text){stream_names[number], STREAM_BYTES};
}

rille_text workload_tag(uint32_t number) { return (rille_text){tag_names[number], TAG_BYTES}; }

rille_text workload_rare_tag(uint32_t number) {
  return (rille_text){rare_tag_names[number], RARE_TAG_BYTES};
}

/* Two different tags: the second is at least 1 and at most TAGS - 1 further. */
static void give_tags(struct workload *w, struct input *event) {
  uint32_t tag = workload_random(w, TAGS);
  for (size_t i = 0; i < w->tags_each; i++) {
    event->tags[i] = workload_tag(tag);
    tag = (tag + 1 + workload_random(w, TAGS - 1)) % TAGS;
  }
  event->tag_count = w->tags_each;
  if (w->rare_tags && w->made % RARE_TAG_SHARE == 0)
    event->tags[event->tag_count++] =
        workload_rare_tag((uint32_t)(w->made / RARE_TAG_SHARE % w->rare_tags));
}

void workload_next(struct workload *w, struct input *events, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (w->cursor == w->streams) shuffle(w);
    uint32_t stream = w->order[w->cursor++];
    events[i].stream = workload_stream(stream);
    events[i].type = type_texts[workload_random(w, TYPES)];
    events[i].data = (rille_text){payloads[workload_random(w, PAYLOADS)], DATA_BYTES};
    events[i].version = ++w->versions[stream];
    give_tags(w, &events[i]);
    w->made++;
  }
}
