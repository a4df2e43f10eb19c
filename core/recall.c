/* recall.c: one frame of the log read again. */
#include "recall.h"

#include "error.h"

static int read_all(struct recalled *r, struct scan *s, rille_error *e) {
  const uint8_t *prefix;
  struct record record;
  int result = scan_frame(s, e);
  if (result < 0) return result;
  if (result == 0)
    return error_corrupt(e, s->address, "no frame at byte %llu of the log",
                         (unsigned long long)s->address);
  r->frame = s->frame;
  if (!buffer_reserve(&r->prefix, s->frame.prefix + 1)) return error_memory(e); /* never NULL */
  if (s->frame.prefix) {
    if ((result = scan_prefix(s, &prefix, e)) < 0) return result;
    if (!buffer_add(&r->prefix, prefix, s->frame.prefix)) return error_memory(e);
  }
  while ((result = scan_record(s, &record, e)) == 1) r->last = record.position;
  if (s->frame.count && result == 0) r->first = s->frame.first_position;
  return result;
}

int recall_frame(struct recalled *r, const struct source *source, const struct memory *memory,
                 uint64_t address, rille_error *e) {
  struct scan s;
  *r = (struct recalled){.first = 0};
  buffer_init(&r->prefix, memory);
  scan_init(&s, source, memory, address, 0, UINT64_MAX);
  int failed = read_all(r, &s, e);
  scan_release(&s);
  if (failed) recall_release(r);
  return failed;
}

void recall_release(struct recalled *r) { buffer_release(&r->prefix); }

bool recall_fact(const struct recalled *r, enum fact_kind kind, rille_text name,
                 struct fact *fact) {
  size_t used;
  for (size_t at = 0; (used = fact_get(r->prefix.bytes + at, r->prefix.length - at, fact)) != 0;
       at += used)
    if (fact->kind == kind && text_equal(fact->name, name)) return true;
  return false;
}
