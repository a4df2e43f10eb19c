/* keep.c: a fold whose state is kept in the index, and a processor that emits. */
#include "keep.h"

#include <stdio.h>
#include <string.h>

static const rille_text key = {"fold", 4}, mark_name = {"reactions", 9};

struct state {
  uint64_t mark, sum;
};

static uint64_t weight(const struct label *l) {
  return chance_mix(((uint64_t)l->serial << 16) + l->index);
}

/* ---- A fold ---- */

static int get(rille_store *store, struct state *s, rille_error *e) {
  rille_kept kept = {.room = s, .room_bytes = sizeof *s};
  *s = (struct state){0};
  return rille_store_kept_get(store, key, &kept, e);
}

static int fold_events(rille_store *store, struct state *s, rille_error *e) {
  rille_query q = {.size = sizeof q, .after = s->mark};
  rille_reader *reader;
  rille_event event;
  struct label l;
  int result = rille_store_read(store, &q, &reader, e);
  if (result < 0) return result;
  while ((result = rille_reader_next(reader, &event, e)) == 1) {
    memcpy(&l, event.data.bytes, sizeof l);
    s->mark = event.position;
    s->sum += weight(&l);
  }
  rille_reader_end(reader);
  return result;
}

int keep_fold(rille_store *store, rille_error *e) {
  struct state before, s;
  int found = get(store, &before, e);
  if (found < 0 && found != RILLE_NOTFOUND) return found;
  s = before;
  int failed = fold_events(store, &s, e);
  if (failed < 0) return failed;
  rille_kept_put put = {.key = key, .value = {(const char *)&s, sizeof s}};
  rille_kept_write w = {.size = sizeof w,
                        .puts = &put,
                        .put_count = 1,
                        .expect_key = key,
                        .expect_value = {(const char *)&before, sizeof before},
                        .expect_absent = found == RILLE_NOTFOUND,
                        .position = s.mark};
  return rille_store_kept_write(store, &w, e);
}

const char *keep_check(rille_store *store, const struct seen *seen) {
  struct state s;
  rille_error e = {0};
  uint64_t sum = 0;
  int found = get(store, &s, &e);
  if (found == RILLE_NOTFOUND) return NULL;
  if (found < 0) return wrong("what is kept can't be read: %s", e.message);
  if (s.mark > seen->head) return wrong("L9: what is kept follows from what the log has not");
  for (uint64_t at = 1; at <= s.mark; at++) sum += weight(&seen->labels[at]);
  return sum == s.sum ? NULL : "what is kept is not the fold of the log";
}

/* ---- Large values ---- */

#define LARGE_BYTES 14000u

static rille_text large_name(uint32_t number, char room[16]) {
  int n = snprintf(room, 16, "large-%02u", number);
  return (rille_text){room, (size_t)n};
}

static void large_fill(uint32_t number, uint64_t *words) {
  for (uint32_t i = 0; i < LARGE_BYTES / 8; i++) words[i] = chance_mix(number * 10000u + i);
}

int keep_large(rille_store *store, uint32_t number, rille_error *e) {
  static uint64_t words[LARGE_BYTES / 8];
  char room[16];
  large_fill(number, words);
  rille_kept_put put = {.key = large_name(number, room), .value = {(char *)words, sizeof words}};
  rille_kept_write w = {.size = sizeof w, .puts = &put, .put_count = 1};
  return rille_store_kept_write(store, &w, e);
}

const char *keep_check_large(rille_store *store) {
  static uint64_t words[LARGE_BYTES / 8], expected[LARGE_BYTES / 8];
  rille_kept kept = {.room = words, .room_bytes = sizeof words};
  rille_text after = {0};
  char room[16];
  rille_error e = {0};
  int result;
  for (uint32_t i = 1;; i++, after = (rille_text){kept.key, kept.key_length}) {
    result = rille_store_kept_next(store, after, rille_text_of("large-"), &kept, &e);
    if (result < 0) break;
    rille_text name = large_name(i, room);
    if (name.length != kept.key_length || memcmp(name.bytes, kept.key, name.length) != 0)
      return wrong("L9: value %u is not kept, but a later one is", i);
    large_fill(i, expected);
    if (memcmp(words, expected, sizeof words) != 0) return wrong("value %u has changed", i);
  }
  return result == RILLE_NOTFOUND ? NULL : wrong("what is kept can't be read: %s", e.message);
}

/* ---- A processor ---- */

/* The first event behind the mark that is not a reaction itself; 0: none. */
static int next_input(rille_store *store, uint64_t after, uint64_t *input, rille_error *e) {
  rille_query q = {.size = sizeof q, .after = after};
  rille_reader *reader;
  rille_event event;
  struct label l;
  int result = rille_store_read(store, &q, &reader, e);
  *input = 0;
  if (result < 0) return result;
  while (*input == 0 && (result = rille_reader_next(reader, &event, e)) == 1) {
    memcpy(&l, event.data.bytes, sizeof l);
    if (l.input == 0) *input = event.position;
  }
  rille_reader_end(reader);
  return result < 0 ? result : 0;
}

int emit_next(rille_store *store, bool durable, rille_error *e) {
  uint64_t from, input;
  struct made m;
  rille_appended done;
  int failed = rille_store_mark(store, mark_name, &from, e);
  if (failed < 0 || (failed = next_input(store, from, &input, e)) < 0) return failed;
  if (input == 0) return 0;
  uint32_t serial = SERIAL_EMITTED + (uint32_t)input;
  (void)work_make(serial, (uint32_t)input, &m);
  m.append.mark = (rille_mark_move){mark_name, from, input};
  failed = rille_store_append(store, &m.append, &done, e);
  if (failed < 0) return failed;
  work_mark(
      (struct mark){.kind = MARK_TOLD, .serial = serial, .durable = durable, .first = done.first});
  return 1;
}

const char *emit_check(rille_store *store, const struct seen *seen) {
  static uint8_t reactions[EVENTS_MOST + 1];
  uint64_t mark;
  rille_error e = {0};
  if (rille_store_mark(store, mark_name, &mark, &e) < 0) return wrong("mark: %s", e.message);
  if (mark > seen->head) return "the mark is behind the end";
  memset(reactions, 0, seen->head + 1);
  for (uint64_t at = 1; at <= seen->head; at++) reactions[seen->labels[at].input]++;
  for (uint64_t at = 1; at <= seen->head; at++)
    if (seen->labels[at].input == 0 && reactions[at] != (at <= mark))
      return wrong("position %llu has %u reactions, and the mark is %llu", (unsigned long long)at,
                   reactions[at], (unsigned long long)mark);
  return NULL;
}
