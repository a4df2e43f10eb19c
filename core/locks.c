/* locks.c: the rule K2. */
#include "locks.h"

#include <stdio.h>

#include "error.h"
#include "query.h"

/* ---- Streams ---- */

static bool writes(const rille_part *part) { return part->event_count > 0; }
static bool reads(const rille_part *part) { return part->expect != RILLE_EXPECT_ANY; }

/* The part of x whose stream t writes, or reads where x writes it; NULL: there is none. */
static const rille_part *share_stream(const rille_append *x, const rille_append *t) {
  for (size_t i = 0; i < x->part_count; i++)
    for (size_t j = 0; j < t->part_count; j++) {
      const rille_part *a = &x->parts[i], *b = &t->parts[j];
      bool meets = (writes(a) && (writes(b) || reads(b))) || (reads(a) && writes(b));
      if (meets && text_equal(a->stream, b->stream)) return a;
    }
  return NULL;
}

/* ---- Items ---- */

/* 1: an event of `writer` matches `unless` of `reader`; 0: none does; < 0: no memory. */
static int touches(const rille_append *writer, const rille_append *reader,
                   const struct memory *memory, rille_error *e) {
  struct query q;
  int found = 0;
  if (!reader->unless) return 0;
  int failed = query_init(&q, reader->unless->items, reader->unless->item_count, memory, e);
  if (failed) return failed;
  for (size_t i = 0; i < writer->part_count && !found; i++)
    for (size_t j = 0; j < writer->parts[i].event_count && !found; j++)
      found = query_match_input(&q, writer->parts[i].stream, &writer->parts[i].events[j]);
  query_release(&q);
  return found;
}

/* ---- The rule ---- */

static int refuse(const struct pending_entry *t, const char *what, rille_text name, int64_t now_us,
                  rille_error *e) {
  char text[ERROR_NAME_BYTES], coordinator[ERROR_NAME_BYTES];
  int64_t age = now_us > t->time_us ? now_us - t->time_us : 0;
  int code = error_set(
      e, RILLE_LOCKED,
      "%s \"%s\" is held by transaction %.*s of coordinator \"%s\", prepared %.3f s ago: try "
      "again, or wait",
      what, error_name(name, text), (int)t->length, t->name,
      error_name(t->promise.coordinator, coordinator), (double)age / 1e6);
  if (!e) return code;
  size_t n = t->length < sizeof e->transaction ? t->length : sizeof e->transaction - 1;
  memcpy(e->transaction, t->name, n);
  e->transaction[n] = '\0';
  n = t->promise.coordinator.length;
  if (n > sizeof e->coordinator - 1) n = sizeof e->coordinator - 1;
  if (n) memcpy(e->coordinator, t->promise.coordinator.bytes, n);
  e->coordinator[n] = '\0';
  e->age_us = age;
  return code;
}

static rille_text first_stream(const rille_append *x) {
  return x->part_count ? x->parts[0].stream : (rille_text){"", 0};
}

static int check_against(const struct pending *p, const rille_append *x,
                         const struct pending_entry *entry, int64_t now_us, rille_error *e) {
  const rille_append *t = &entry->promise.work;
  const rille_part *shared = share_stream(x, t);
  if (shared) return refuse(entry, "stream", shared->stream, now_us, e);
  if (x->mark.name.length && text_equal(x->mark.name, t->mark.name))
    return refuse(entry, "mark", x->mark.name, now_us, e);
  int met = touches(x, t, &p->memory, e);
  if (met == 0) met = touches(t, x, &p->memory, e);
  return met > 0 ? refuse(entry, "what is asked of stream", first_stream(x), now_us, e) : met;
}

int locks_check(const struct pending *p, const rille_append *x, int64_t now_us, rille_error *e) {
  int failed = 0;
  for (const struct pending_entry *t = p->first; t && !failed; t = t->next)
    if (t->kind == PENDING_PREPARED) failed = check_against(p, x, t, now_us, e);
  return failed;
}

int locks_check_cut(const struct pending *p, rille_text stream, int64_t now_us, rille_error *e) {
  static const rille_event_input any = {.type = {"", 0}};
  const rille_part part = {.stream = stream, .events = &any, .event_count = 1};
  const rille_append cut = {.parts = &part, .part_count = 1};
  for (const struct pending_entry *t = p->first; t; t = t->next)
    if (t->kind == PENDING_PREPARED && share_stream(&cut, &t->promise.work))
      return refuse(t, "stream", stream, now_us, e);
  return 0;
}
