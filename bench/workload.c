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

#define STREAM_NAME_ROOM 20      /* for any number, though they have eight digits */
static char stream_names[STREAMS_MOST][STREAM_NAME_ROOM];
static char tag_names[TAGS][TAG_BYTES + 1];
static char rare_tag_names[RARE_TAGS_MOST][RARE_TAG_BYTES + 1];
static uint32_t streams_named;
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

/* Most rows need few of them. */
static void name_streams(uint32_t to) {
  for (; streams_named < to; streams_named++)
    snprintf(stream_names[streams_named], STREAM_NAME_ROOM, "account-%08u", streams_named);
}

void workload_init(struct workload *w, uint32_t streams, size_t tags_each, uint64_t seed) {
  assert(streams >= BATCH_EVENTS && streams <= STREAMS_MOST && streams % BATCH_EVENTS == 0);
  assert(tags_each <= TAGS_EACH);
  make_tables();
  name_streams(streams);
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
  name_streams(number + 1);
  return (rille_text){stream_names[number], STREAM_BYTES};
}

rille_text workload_tag(uint32_t number) { return (rille_text){tag_names[number], TAG_BYTES}; }

rille_text workload_rare_tag(uint32_t number) {
  return (rille_text){rare_tag_names[number], RARE_TAG_BYTES};
}

uint32_t workload_rare_tags(uint64_t events) {
  assert(events / RARE_TAG_SHARE / RARE_TAG_EVENTS <= RARE_TAGS_MOST);
  return (uint32_t)(events / RARE_TAG_SHARE / RARE_TAG_EVENTS);
}

/* Two different tags: the second is at least 1 and at most TAGS - 1 further. */
static void give_tags(struct workload *w, struct input *event) {
  uint32_t tag = workload_random(w, TAGS);
  for (size_t i = 0; i < w->tags_each; i++) {
    event->tags[i] = workload_tag(tag);
    tag = (tag + 1 + workload_random(w, TAGS - 1)) % TAGS;
  }
  event->tag_count = w->tags_each;
  if (w->rare_tags == 0 || w->turns++ % RARE_TAG_SHARE) return;
  uint64_t turn = (w->turns - 1) / RARE_TAG_SHARE;
  event->tags[event->tag_count++] = workload_rare_tag((uint32_t)(turn % w->rare_tags));
}

/* Its first digits are no counter's, so that such names don't come in their order. */
static rille_text make_own(struct workload *w, struct input *event) {
  uint64_t number = ++w->made * PAYLOAD_SEED, high = number ^ number >> 29;
  snprintf(event->own, sizeof event->own, "%08x-%04x-8%03x-8%03x-%012llx",
           (unsigned)(high & 0xFFFFFFFFu), (unsigned)(high >> 48), (unsigned)(high >> 36 & 0xFFF),
           (unsigned)w->first & 0xFFF, (unsigned long long)w->made & 0xFFFFFFFFFFFF);
  return (rille_text){event->own, OWN_BYTES};
}

static void give_own(struct workload *w, struct input *event) {
  event->id = (rille_text){NULL, 0};
  if (!w->own_tag && !w->ids) return;
  rille_text own = make_own(w, event);
  if (w->ids) event->id = own;
  if (!w->own_tag) return;
  event->tags[0] = own;
  event->tag_count = 1;
}

void workload_next(struct workload *w, struct input *events, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (w->cursor == w->streams) shuffle(w);
    uint32_t stream = w->order[w->cursor++];
    events[i].stream = workload_stream(w->first + stream);
    events[i].type = type_texts[workload_random(w, TYPES)];
    events[i].data = (rille_text){payloads[workload_random(w, PAYLOADS)], DATA_BYTES};
    events[i].version = ++w->versions[stream];
    give_tags(w, &events[i]);
    give_own(w, &events[i]);
  }
}
