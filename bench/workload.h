/* workload.h: the events that everybody gets, the same for the same seed. */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdbool.h>

#include "rille.h"

#define BATCH_EVENTS 1000        /* the largest append */
#define STREAMS_MOST 1000000
#define TYPES 16
#define TAGS 5000
#define TAGS_EACH 2
#define RARE_TAGS_MOST 10000
#define RARE_TAG_EVENTS 10       /* events that share a rare tag */
#define RARE_TAG_SHARE 100       /* one event of so many has one, besides its others */
#define DATA_BYTES 60
#define OWN_BYTES 36             /* of a name that no other event has, as long as a UUID */

/* An event to be appended. Its version is known beforehand, as it is to a user
** who has read the stream and appends under that expectation. */
struct input {
  rille_text stream, type, data;
  uint64_t version;
  rille_text tags[TAGS_EACH + 1];
  size_t tag_count;
  rille_text id;                 /* empty: none is given */
  char own[OWN_BYTES + 1];
};

struct workload {
  uint64_t random;               /* state of the generator, never 0 */
  uint32_t streams, cursor;
  uint32_t *order;               /* the streams in this cycle's order */
  uint64_t *versions;            /* of each stream */
  size_t tags_each;              /* 0 to TAGS_EACH */
  /* Set by who wants other events than workload_init gives: */
  uint32_t first;                /* number of the first stream; the rest follow it */
  bool own_tag;                  /* each event has one tag, which no other has */
  bool ids;                      /* each event has an id */
  uint32_t rare_tags;            /* how many rare tags take turns; 0: none is given */
  uint64_t turns;                /* events that might have had one */
  uint64_t made;                 /* how many events; makes the names that are the event's own */
};

/* `streams` from BATCH_EVENTS to STREAMS_MOST, a multiple of BATCH_EVENTS. */
void workload_init(struct workload *w, uint32_t streams, size_t tags_each, uint64_t seed);
void workload_release(struct workload *w);

/* The next n events. In each cycle every stream gets one event, in a new random
** order; so n that divides BATCH_EVENTS never meets a stream twice. */
void workload_next(struct workload *w, struct input *events, size_t n);

uint32_t workload_random(struct workload *w, uint32_t below);
rille_text workload_stream(uint32_t number);
rille_text workload_tag(uint32_t number);        /* below TAGS */
rille_text workload_rare_tag(uint32_t number);   /* below RARE_TAGS_MOST */
/* How many rare tags give each of them RARE_TAG_EVENTS of so many events. */
uint32_t workload_rare_tags(uint64_t events);

#endif
