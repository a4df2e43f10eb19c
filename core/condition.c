/* condition.c: duplicates, expectations, marks, `unless`. */
#include "condition.h"

#include <stdio.h>

#include "error.h"
#include "locks.h"
#include "note.h"
#include "overlay.h"
#include "reader.h"

/* ---- Versions ---- */

static bool holds(int64_t expect, uint64_t version) {
  switch (expect) {
    case RILLE_EXPECT_ANY: return true;
    case RILLE_EXPECT_NONE: return version == 0;
    case RILLE_EXPECT_EXISTS: return version > 0;
    default: return version == (uint64_t)expect;
  }
}

static int version_conflict(const rille_part *part, uint64_t version, rille_error *e) {
  char name[ERROR_NAME_BYTES], expected[40];
  if (part->expect == RILLE_EXPECT_NONE) snprintf(expected, sizeof expected, "no event");
  else if (part->expect == RILLE_EXPECT_EXISTS) snprintf(expected, sizeof expected, "an event");
  else snprintf(expected, sizeof expected, "version %lld", (long long)part->expect);
  int code = error_set(e, RILLE_CONFLICT, "stream \"%s\" is at version %llu, expected %s",
                       error_name(part->stream, name), (unsigned long long)version, expected);
  if (!e) return code;
  e->condition = RILLE_CONDITION_VERSION;
  e->version = version;
  memcpy(e->stream, part->stream.bytes, part->stream.length);
  e->stream_length = part->stream.length;
  return code;
}

static int check_versions(const rille_append *append, struct log *l, rille_error *e) {
  struct chain_head head;
  for (size_t i = 0; i < append->part_count; i++) {
    const rille_part *part = &append->parts[i];
    if (part->expect == RILLE_EXPECT_ANY) continue;
    int failed = log_find_head(l, CHAIN_STREAM, part->stream, &head, e);
    if (failed) return failed;
    if (!holds(part->expect, head.count)) return version_conflict(part, head.count, e);
    if (part->event_count && (failed = log_keep(l, CHAIN_STREAM, part->stream, &head, e)) < 0)
      return failed;
  }
  return 0;
}

/* ---- The mark ---- */

static int check_mark(const rille_mark_move *mark, struct log *l, rille_error *e) {
  char name[ERROR_NAME_BYTES];
  struct chain_head head;
  if (mark->name.length == 0) return 0;
  int failed = log_find_head(l, WORD_MARK, mark->name, &head, e);
  uint64_t is = head.count ? head.tower[0] : 0;
  if (failed || is == mark->from) return failed;
  int code = error_set(e, RILLE_CONFLICT, "the mark \"%s\" is at %llu, expected %llu",
                       error_name(mark->name, name), (unsigned long long)is,
                       (unsigned long long)mark->from);
  if (!e) return code;
  e->condition = RILLE_CONDITION_MARK;
  e->position = is;
  return code;
}

/* ---- Unless ---- */

int condition_init(struct condition *c, struct log *l, const rille_append *append, rille_error *e) {
  const rille_query *unless = append->unless;
  *c = (struct condition){.append = append};
  return unless ? query_init(&c->query, unless->items, unless->item_count, &l->memory, e) : 0;
}

void condition_release(struct condition *c) {
  if (c->append->unless) query_release(&c->query);
}

static int check_after(uint64_t after, uint64_t last, rille_error *e) {
  if (after <= last) return 0;
  return error_set(e, RILLE_INVALID,
                   "unless: after = %llu is beyond the end: the last position is %llu",
                   (unsigned long long)after, (unsigned long long)last);
}

/* Where a walk found nothing, the next goes on: or a long one would never be done while
** others append. */
int condition_walk(struct condition *c, struct log *l, rille_error *e) {
  if (!c->append->unless) return 0;
  rille_query unless = *c->append->unless;
  if (c->walked.next_position && !c->found)
    unless.after = max_u64(unless.after, c->walked.next_position - 1);
  struct log_end end;
  int failed = log_look(l, false, &end, e);
  uint64_t last = failed ? 0 : end.next_position - 1;
  if (!failed) failed = check_after(unless.after, last, e);
  for (size_t i = 0; i < unless.item_count && !failed; i++)
    failed = check_after(unless.items[i].after, last, e);
  if (!failed) failed = reader_last_match(l, &unless, &end, &c->found, e);
  if (!failed) c->walked = end;
  return failed;
}

/* What has come since the walk. */
static int match_delta(struct condition *c, struct log *l, rille_error *e) {
  struct scan s;
  struct record r;
  struct record_taking hidden;
  int result = 0;
  scan_init(&s, &l->source, &l->memory, c->walked.address, c->walked.next_position,
            l->seen.address);
  s.time_us = c->walked.time_us;
  while (!c->found && (result = scan_next(&s, &r, e)) == 1) {
    if (r.position <= c->append->unless->after || query_match(&c->query, &r, NULL) < 0) continue;
    if ((result = log_find_hidden(l, &r, &hidden, e)) < 0) break;
    if (query_match(&c->query, &r, &hidden) >= 0) c->found = r.position;
  }
  scan_release(&s);
  if (result >= 0) c->walked = l->seen;
  return result < 0 ? result : 0;
}

static int check_unless(struct condition *c, struct log *l, bool *again, rille_error *e) {
  if (!c->append->unless) return 0;
  *again = !c->found && l->seen.next_position - c->walked.next_position > CONDITION_DELTA_MOST;
  int failed = *again || c->found ? 0 : match_delta(c, l, e);
  if (failed || !c->found) return failed;
  int code = error_set(e, RILLE_CONFLICT, "the event at position %llu matches `unless`",
                       (unsigned long long)c->found);
  if (!e) return code;
  e->condition = RILLE_CONDITION_UNLESS;
  e->position = c->found;
  return code;
}

/* ---- Ids ---- */

/* The position of the event that was given this id in this stream; 0: none was, or it is
** not one of those that are found again. */
static int find_id(struct log *l, rille_text stream, rille_text id, uint64_t *position,
                   rille_error *e) {
  char room[ID_KEY_BYTES];
  struct chain_head head;
  struct window w;
  struct record r;
  *position = 0;
  int failed = log_find_head(l, WORD_ID, note_id_key(&l->identity, stream, id, room), &head, e);
  if (failed || head.count == 0) return failed;
  window_init(&w, &l->source, &l->memory, SCAN_WINDOW_SMALL);
  failed = window_record(&w, head.tower[0], &r, e);
  if (!failed && text_equal(r.stream, stream) && text_equal(r.id, id)) *position = r.position;
  window_release(&w);
  return failed;
}

/* The first id of a part, if it has one: which event, from 0. */
static bool first_id(const rille_part *part, size_t *event) {
  for (*event = 0; *event < part->event_count; ++*event)
    if (part->events[*event].id.length) return true;
  return false;
}

/* Where the append was written before, if its ids are known. */
struct earlier {
  uint64_t first;    /* position of its first event; 0: it is new */
  rille_text stream; /* whose id is known */
  bool differs;      /* one part's id is known, another's is not */
};

static int find_earlier(const rille_append *append, struct log *l, struct earlier *was,
                        rille_error *e) {
  uint64_t offset = 0, position;
  size_t event, known = 0, unknown = 0;
  rille_text before = {0}; /* the stream of the events before: who goes on with it has no id kept */
  *was = (struct earlier){0};
  for (size_t i = 0; i < append->part_count; offset += append->parts[i++].event_count) {
    const rille_part *part = &append->parts[i];
    bool goes_on = text_equal(part->stream, before);
    if (part->event_count) before = part->stream;
    if (!first_id(part, &event)) continue;
    int failed = find_id(l, part->stream, part->events[event].id, &position, e);
    if (failed) return failed;
    if (!position && known && goes_on) continue;
    if (position && !known++) {
      was->stream = part->stream;
      was->first = position > offset + event ? position - offset - event : 0;
      was->differs = was->first == 0;
    }
    unknown += position == 0;
  }
  was->differs = was->differs || (known && unknown);
  return 0;
}

static bool is_same(const struct record *r, rille_text stream, const rille_event_input *event) {
  return text_equal(r->stream, stream) && text_equal(record_given_id(r), event->id);
}

/* Puts a scan at the record of a position. */
static int enter_at(struct log *l, struct scan *s, uint64_t position, rille_error *e) {
  struct place place;
  struct record r;
  int result = log_find_place(l, position, &place, e);
  if (result) return result;
  scan_init(s, &l->source, &l->memory, place.position ? place.frame : 0, place.position ? 0 : 1,
            l->seen.address);
  if (place.position) result = scan_enter(s, place.frame, place.record, place.position, e);
  while (result >= 0 && s->next_position < position) result = scan_next(s, &r, e);
  return result < 0 ? result : 0;
}

/* Parts of one stream are told its version behind the last of them, as they were then. */
static int level_versions(const rille_append *append, struct log *l, rille_error *e) {
  struct overlay streams;
  int failed = 0;
  overlay_init(&streams, &l->memory, l->identity.salt);
  for (size_t i = append->part_count; i-- > 0 && !failed;) {
    struct chain_head head = {.count = append->versions[i]};
    rille_text stream = append->parts[i].stream;
    struct overlay_entry *later = overlay_find(&streams, CHAIN_STREAM, stream);
    if (later) append->versions[i] = later->count;
    else if (!overlay_add(&streams, CHAIN_STREAM, stream, &head)) failed = error_memory(e);
  }
  overlay_release(&streams);
  return failed;
}

/* Compares the append with what stands from was->first on, in one frame. */
static int compare(const rille_append *append, struct log *l, struct earlier *was,
                   rille_appended *done, rille_error *e) {
  struct scan s;
  struct record r;
  uint64_t frame = 0;
  int result = enter_at(l, &s, was->first, e);
  if (result < 0) return result;
  for (size_t i = 0; i < append->part_count && !was->differs && result >= 0; i++)
    for (size_t j = 0; j < append->parts[i].event_count && !was->differs; j++) {
      if ((result = scan_next(&s, &r, e)) < 0) break;
      if (!frame) frame = s.frame.address;
      was->differs = result == 0 || s.frame.address != frame ||
                     !is_same(&r, append->parts[i].stream, &append->parts[i].events[j]);
      if (was->differs) break;
      done->last = r.position;
      done->version = r.version;
      if (append->versions) append->versions[i] = r.version;
    }
  scan_release(&s);
  return result < 0 ? result : 0;
}

static int refuse_id(const struct earlier *was, rille_error *e) {
  char name[ERROR_NAME_BYTES];
  int code = error_set(e, RILLE_DUPLICATE,
                       "an id of stream \"%s\" was used before, with other events: repeat the "
                       "append as it was, or give new ids",
                       error_name(was->stream, name));
  if (!e) return code;
  memcpy(e->stream, was->stream.bytes, was->stream.length);
  e->stream_length = was->stream.length;
  return code;
}

/* Versions of parts that write nothing are those of now. */
static int fill_checked(const rille_append *append, struct log *l, rille_appended *done,
                        rille_error *e) {
  struct chain_head head;
  int failed = 0;
  for (size_t i = 0; i < append->part_count && !failed; i++) {
    if (append->parts[i].event_count) continue;
    failed = log_find_head(l, CHAIN_STREAM, append->parts[i].stream, &head, e);
    if (append->versions) append->versions[i] = head.count;
    if (i + 1 == append->part_count) done->version = head.count;
  }
  return failed;
}

static int check_ids(const rille_append *append, struct log *l, rille_appended *done,
                     rille_error *e) {
  struct earlier was;
  int failed = find_earlier(append, l, &was, e);
  if (failed || (!was.first && !was.differs)) return failed;
  rille_appended then = {.first = was.first, .duplicate = 1};
  if (!was.differs) failed = compare(append, l, &was, &then, e);
  if (failed) return failed;
  if (was.differs) return refuse_id(&was, e);
  failed = fill_checked(append, l, &then, e);
  bool many = append->versions && append->part_count > 1;
  if (!failed && many) failed = level_versions(append, l, e);
  *done = then;
  return failed ? failed : RILLE_REMARK;
}

/* ---- All of them ---- */

int condition_check(struct condition *c, struct log *l, rille_appended *done, bool *again,
                    rille_error *e) {
  *again = false;
  int result = check_ids(c->append, l, done, e);
  if (!result && l->pending.prepared) result = locks_check(&l->pending, c->append, log_now(l), e);
  if (!result) result = check_versions(c->append, l, e);
  if (!result) result = check_mark(&c->append->mark, l, e);
  if (!result) result = check_unless(c, l, again, e);
  return result;
}
