/* ledger.h: what was told of each append, and whether a store agrees: what was acknowledged
** is there, whole, where it was told; what was refused is not; of what is unknown all or
** nothing. Data of an event: its append's number, its number in it, how many there are. */
#ifndef RILLE_LEDGER_H
#define RILLE_LEDGER_H

#include "rille.h"
#include "test.h"

#define LEDGER_MOST 256u
#define LEDGER_EVENTS_MOST 64u
#define LEDGER_DATA_BYTES 8000u

enum told { TOLD_NOTHING, TOLD_DONE, TOLD_REFUSED, TOLD_UNKNOWN };

struct ledger_line {
  enum told told;
  uint64_t first; /* position; 0: was not told */
  uint32_t count, seen;
};

struct ledger {
  struct ledger_line lines[LEDGER_MOST];
  uint32_t count;
};

/* The events of a new line. */
struct ledger_work {
  rille_event_input events[LEDGER_EVENTS_MOST];
  unsigned char data[LEDGER_EVENTS_MOST][LEDGER_DATA_BYTES];
  rille_text tags[2];
  rille_part part;
  rille_append append;
};

static inline uint32_t ledger_begin(struct ledger *l, uint32_t count) {
  if (l->count == LEDGER_MOST || count > LEDGER_EVENTS_MOST) abort();
  l->lines[l->count] = (struct ledger_line){.count = count};
  return l->count++;
}

static inline void ledger_work(struct ledger_work *w, uint32_t number, uint32_t count,
                               const char *stream, size_t bytes) {
  static const char *const types[] = {"Even", "Odd"};
  w->tags[0] = rille_text_of("all");
  w->tags[1] = rille_text_of(stream);
  for (uint32_t k = 0; k < count; k++) {
    uint32_t head[] = {number, k, count};
    memset(w->data[k], 'x', bytes);
    memcpy(w->data[k], head, sizeof head);
    w->events[k] = (rille_event_input){.type = rille_text_of(types[k % 2]),
                                       .data = {(const char *)w->data[k], bytes},
                                       .tags = w->tags,
                                       .tag_count = 2};
  }
  w->part = (rille_part){
      .stream = rille_text_of(stream), .events = w->events, .event_count = count};
  w->append = (rille_append){.size = sizeof w->append, .parts = &w->part, .part_count = 1};
}

static inline enum told told_of(int result) {
  return result >= 0 ? TOLD_DONE : result == RILLE_UNKNOWN ? TOLD_UNKNOWN : TOLD_REFUSED;
}

/* Appends a new line. */
static inline int ledger_append(struct ledger *l, rille_store *s, const char *stream,
                                uint32_t count, size_t bytes, rille_error *e) {
  static struct ledger_work w;
  rille_appended done = {0};
  uint32_t number = ledger_begin(l, count);
  ledger_work(&w, number, count, stream, bytes);
  int result = rille_store_append(s, &w.append, &done, e);
  l->lines[number].told = told_of(result);
  l->lines[number].first = result >= 0 ? done.first : 0;
  return result;
}

/* ---- Reading it again ---- */

#define LEDGER_BESIDE "beside" /* a stream that is in no ledger, and may lose content */
static bool ledger_has_more;

static inline void ledger_see(struct ledger *l, const rille_event *event) {
  uint32_t head[3];
  if (event->stream.length == strlen(LEDGER_BESIDE) &&
      memcmp(event->stream.bytes, LEDGER_BESIDE, event->stream.length) == 0) {
    ledger_has_more = true;
    return;
  }
  if (!CHECK(event->data.length >= sizeof head)) return;
  memcpy(head, event->data.bytes, sizeof head);
  if (!CHECK(head[0] < l->count)) return;
  struct ledger_line *line = &l->lines[head[0]];
  CHECK(head[1] == line->seen && head[2] == line->count);
  if (head[1] == 0 && line->first == 0) line->first = event->position;
  CHECK(event->position == line->first + head[1]);
  line->seen++;
}

static inline void ledger_judge(const struct ledger *l, uint32_t number) {
  const struct ledger_line *line = &l->lines[number];
  bool there = line->seen > 0;
  const char *wrong = NULL;
  if (there && line->seen != line->count) wrong = "is there in part";
  if (there && line->told == TOLD_REFUSED) wrong = "was refused and is there";
  if (!there && line->told == TOLD_DONE) wrong = "was acknowledged and is not there";
  if (!CHECK(wrong == NULL)) printf("       append %u %s\n", number, wrong);
}

/* Reads all of the store, and holds it against what was told. */
static inline void ledger_check(struct ledger *l, rille_store *s) {
  rille_reader *reader;
  rille_event event;
  rille_error e = {0};
  for (uint32_t i = 0; i < l->count; i++) l->lines[i].seen = 0;
  if (!CHECK(rille_store_read(s, NULL, &reader, &e) == 0)) {
    printf("       %s\n", e.message);
    return;
  }
  int result;
  while ((result = rille_reader_next(reader, &event, &e)) == 1) ledger_see(l, &event);
  if (!CHECK(result == 0)) printf("       %s\n", e.message);
  rille_reader_end(reader);
  for (uint32_t i = 0; i < l->count; i++) ledger_judge(l, i);
}

#endif
