/* reader.c: reading events along the log and along chains. */
#include "reader.h"

#include <assert.h>

#include "error.h"

#define BACK_WINDOW_BYTES ((size_t)1 << 20)

uint32_t rille_share_of(rille_text name, uint32_t shares) {
  uint64_t h = UINT64_C(0xcbf29ce484222325);
  for (size_t i = 0; i < name.length; i++)
    h = (h ^ (unsigned char)name.bytes[i]) * UINT64_C(0x100000001b3);
  return (uint32_t)((h ^ h >> 32) % shares) + 1;
}

/* A stream whose name is redacted belongs to the share of the name that is shown instead. */
static bool is_certain(const rille_reader *r, const struct record *record) {
  return !(record->flags & RECORD_STREAM_TAKEN) && !atomic_load(&r->log->pending.redactions);
}

static bool is_in_share(const rille_reader *r, rille_text stream) {
  return r->shares == 0 || rille_share_of(stream, r->shares) == r->share;
}

static bool is_of(const struct record *record, const struct record_taking *hidden,
                  rille_text stream) {
  uint8_t flags = record->flags | (hidden ? hidden->flags : 0);
  return !(flags & RECORD_STREAM_TAKEN) && text_equal(record->stream, stream);
}

/* Whether the reader wants the record: *item is set then. `hidden` as in query_match. */
static bool is_wanted(const rille_reader *r, const struct record *record,
                      const struct record_taking *hidden, size_t *item) {
  uint64_t number = r->stream.length ? record->version : record->position;
  if (number < r->first || number > r->last) return false;
  if (r->stream.length && !is_of(record, hidden, r->stream)) return false;
  ptrdiff_t found = query_match(&r->query, record, hidden);
  *item = (size_t)found;
  return found >= 0 && (!is_certain(r, record) || is_in_share(r, record->stream));
}

/* ---- Along the log, forward ---- */

/* Puts a scan where `position` is, or a little before. */
static int enter_scan(rille_reader *r, struct scan *s, uint64_t position, rille_error *e) {
  struct place place;
  int failed = log_place(r->log, position, &place, e);
  if (failed) return failed;
  if (place.position == 0) {
    scan_init(s, &r->log->source, &r->memory, 0, 1, r->end.address);
    return 0;
  }
  scan_init(s, &r->log->source, &r->memory, place.frame, 0, r->end.address);
  failed = scan_enter(s, place.frame, place.record, place.position, e);
  if (failed) scan_release(s);
  return failed;
}

static int next_in_scan(rille_reader *r, rille_error *e) {
  struct record *record = &r->current.record;
  for (;;) {
    int result = r->scan.next_position <= r->high ? scan_next(&r->scan, record, e) : 0;
    if (result <= 0) return result;
    if (record->position > r->high) return 0;
    if (!is_wanted(r, record, NULL, &r->item)) continue;
    result = window_check_body(&r->scan.window, record, e);
    return result < 0 ? result : 1;
  }
}

/* ---- Along the log, backward: stretch by stretch, each from a place ---- */

static bool note_found(rille_reader *r, uint64_t address) {
  if (r->found_count == r->found_capacity) {
    size_t capacity = r->found_capacity ? 2 * r->found_capacity : 512;
    uint64_t *found = memory_resize(&r->memory, r->found, r->found_capacity * sizeof *found,
                                    capacity * sizeof *found);
    if (!found) return false;
    r->found = found;
    r->found_capacity = capacity;
  }
  r->found[r->found_count++] = address;
  return true;
}

static int collect(rille_reader *r, struct scan *s, uint64_t *lowest, rille_error *e) {
  struct record record;
  size_t item;
  int result = 0;
  *lowest = 0;
  while (s->next_position <= r->high && (result = scan_next(s, &record, e)) == 1) {
    if (record.position > r->high) break;
    if (!*lowest) *lowest = record.position;
    if (is_wanted(r, &record, NULL, &item) && !note_found(r, record.address))
      return error_memory(e);
  }
  return result < 0 ? result : 0;
}

/* Finds what there is in the stretch that ends at r->high, and moves r->high to
** before it. */
static int find_stretch(rille_reader *r, rille_error *e) {
  struct scan s;
  uint64_t lowest;
  int failed = enter_scan(r, &s, r->high, e);
  if (failed) return failed;
  failed = collect(r, &s, &lowest, e);
  r->found_end = s.address;
  scan_release(&s);
  if (failed) return failed;
  r->high = lowest && lowest > r->low ? lowest - 1 : 0;
  return 0;
}

/* Brings the stretch into the window by one read, if it is not too long. */
static int fetch_stretch(rille_reader *r, rille_error *e) {
  const uint8_t *bytes;
  size_t got;
  uint64_t length = r->found_end - r->found[0];
  if (length > BACK_WINDOW_BYTES) return 0;
  return window_get(&r->window, r->found[0], (size_t)length, &bytes, &got, e);
}

static int next_back(rille_reader *r, rille_error *e) {
  while (r->found_count == 0) {
    if (r->high == 0 || r->high < r->low) return 0;
    int failed = find_stretch(r, e);
    if (!failed && r->found_count) failed = fetch_stretch(r, e);
    if (failed) return failed;
  }
  struct record *record = &r->current.record;
  int failed = window_record(&r->window, r->found[--r->found_count], record, e);
  if (!failed) failed = window_check_body(&r->window, record, e);
  if (failed) return failed;
  (void)is_wanted(r, record, NULL, &r->item); /* it is: which item? */
  return 1;
}

/* ---- Along chains ---- */

static int begin_merge(rille_reader *r, rille_error *e) {
  plan_begin(&r->plan, r->backward);
  r->merging = true;
  return merge_init(&r->merge, r->plan.cursors, r->plan.count, r->backward, &r->memory, e);
}

/* Chains are bounded by places, so that they may have members beyond the range. */
static bool is_beyond(const rille_reader *r, const struct record *record) {
  if (r->stream.length) return false;
  return r->backward ? record->position < r->first : record->position > r->last;
}

static int next_in_chains(rille_reader *r, rille_error *e) {
  struct record *record = &r->current.record;
  int result = r->merging ? 0 : begin_merge(r, e);
  while (result == 0) {
    struct cursor *c;
    if ((result = merge_next(&r->merge, &c, e)) <= 0) return result;
    if ((result = cursor_record(c, record, e)) < 0) return result;
    if (is_beyond(r, record)) return 0;
    if (!is_wanted(r, record, NULL, &r->item)) continue;
    result = cursor_body(c, record, e);
    return result < 0 ? result : 1;
  }
  return result;
}

/* ---- Opening ---- */

static int set_range(rille_reader *r, const rille_query *q, uint64_t last, const char *what,
                     rille_error *e) {
  if (q->after > last)
    return error_set(e, RILLE_INVALID, "after = %llu is beyond the end: the last %s is %llu",
                     (unsigned long long)q->after, what, (unsigned long long)last);
  r->first = q->after + 1;
  r->last = q->before && q->before <= last ? q->before - 1 : last;
  r->left = q->limit ? q->limit : UINT64_MAX;
  r->plan.limit = r->left;
  return 0;
}

static int plan_all(rille_reader *r, const rille_query *q, rille_error *e) {
  int failed = set_range(r, q, r->end.next_position - 1, "position", e);
  r->plan.low = r->first;
  r->plan.high = r->last;
  return failed ? failed : plan_positions(&r->plan, &r->query, e);
}

static int leave_out_truncated(rille_reader *r, rille_error *e) {
  struct chain_head cut;
  int failed = log_head(r->log, WORD_CUT, r->stream, &cut, e);
  if (!failed && cut.count) r->first = max_u64(r->first, cut.tower[0]);
  return failed;
}

static int plan_stream(rille_reader *r, const rille_query *q, rille_error *e) {
  struct cursor stream;
  char *copy = memory_get(&r->memory, q->stream.length);
  if (!copy) return error_memory(e);
  memcpy(copy, q->stream.bytes, q->stream.length);
  r->stream = (rille_text){copy, q->stream.length};
  int failed = cursor_init(&stream, r->log, &r->window, CHAIN_STREAM, r->stream, e);
  if (!failed) failed = cursor_bound(&stream, 0, r->end.address, UINT64_MAX, e);
  if (!failed) failed = set_range(r, q, stream.high, "version of the stream", e);
  if (!failed) failed = leave_out_truncated(r, e);
  if (failed) return failed;
  stream.low = r->first <= r->last ? r->first : 1;
  stream.high = r->first <= r->last ? r->last : 0;
  return plan_versions(&r->plan, &r->query, &stream, e);
}

static int start(rille_reader *r, rille_error *e) {
  r->low = r->plan.low;
  r->high = r->plan.high;
  if (!r->plan.scan) r->way = READER_CHAINS;
  else r->way = r->backward ? READER_SCAN_BACK : READER_SCAN;
  return r->way == READER_SCAN ? enter_scan(r, &r->scan, r->low, e) : 0;
}

int reader_open_by(rille_reader **reader, struct log *l, const rille_query *q,
                   const struct log_end *end, enum plan_choice choice, rille_error *e) {
  rille_reader *r = memory_get_zeroed(&l->memory, sizeof *r);
  if (!r) return error_memory(e);
  r->log = l;
  r->memory = l->memory;
  r->end = *end;
  r->backward = q->reverse != 0;
  r->share = q->share;
  r->shares = q->shares;
  r->current.uuid = l->identity.uuid;
  r->followed = atomic_load(&l->followed);
  r->plan = (struct plan){
      .log = l, .window = &r->window, .end = *end, .memory = l->memory, .choice = choice};
  window_init(&r->window, &l->source, &r->memory, SCAN_WINDOW_SMALL);
  int failed = query_init(&r->query, q->items, q->item_count, &r->memory, e);
  r->query.own_too = q->stream.length > 0;
  r->query.taken_too = q->taken_too != 0;
  if (!failed) failed = q->stream.length ? plan_stream(r, q, e) : plan_all(r, q, e);
  if (!failed) failed = start(r, e);
  if (failed) reader_close(r);
  else *reader = r;
  return failed;
}

int reader_open(rille_reader **reader, struct log *l, const rille_query *query,
                const struct log_end *end, rille_error *e) {
  return reader_open_by(reader, l, query, end, PLAN_CHEAPEST, e);
}

void reader_close(rille_reader *r) {
  struct memory memory = r->memory;
  if (r->way == READER_SCAN && r->scan.window.bytes.memory.alloc) scan_release(&r->scan);
  if (r->merging) merge_release(&r->merge);
  plan_release(&r->plan);
  window_release(&r->window);
  query_release(&r->query);
  memory_free(&memory, (void *)(uintptr_t)r->stream.bytes, r->stream.length);
  memory_free(&memory, r->found, r->found_capacity * sizeof *r->found);
  memory_free(&memory, r, sizeof *r);
}

int reader_last_match(struct log *l, const rille_query *query, const struct log_end *end,
                      uint64_t *position, rille_error *e) {
  rille_query q = {.size = sizeof q,
                   .items = query->items,
                   .item_count = query->item_count,
                   .after = query->after,
                   .limit = 1,
                   .reverse = 1};
  rille_reader *reader;
  rille_event event;
  *position = 0;
  if (q.after == end->next_position - 1) return 0;
  int result = reader_open(&reader, l, &q, end, e);
  if (result < 0) return result;
  result = rille_reader_next(reader, &event, e);
  if (result == 1) *position = event.position;
  reader_close(reader);
  return result < 0 ? result : 0;
}

int reader_version(struct log *l, rille_text stream, const struct log_end *end, uint64_t *version,
                   rille_error *e) {
  struct window w;
  struct cursor c;
  window_init(&w, &l->source, &l->memory, SCAN_WINDOW_SMALL);
  int failed = cursor_init(&c, l, &w, CHAIN_STREAM, stream, e);
  if (!failed) failed = cursor_bound(&c, 0, end->address, UINT64_MAX, e);
  *version = failed ? 0 : c.high;
  window_release(&w);
  return failed;
}

/* ---- Stepping ---- */

/* What was read is read again. A frame that was begun has other checksums by now. */
static int follow(rille_reader *r, rille_error *e) {
  struct log *l = r->log;
  pthread_mutex_lock(&l->lock);
  int failed = log_follow(l, e);
  r->followed = atomic_load(&l->followed);
  pthread_mutex_unlock(&l->lock);
  window_forget(&r->window);
  if (r->way == READER_SCAN) {
    window_forget(&r->scan.window);
    r->scan.partial = true;
  }
  for (size_t i = 0; i < r->plan.count && r->merging; i++) cursor_forget(&r->plan.cursors[i]);
  return failed;
}

static bool is_behind(const rille_reader *r) {
  return log_is_behind(r->log) || r->followed != atomic_load(&r->log->followed);
}

static rille_text shown(rille_text name, bool hidden) {
  return hidden ? rille_text_of(RILLE_REDACTED_NAME) : name;
}

static bool is_nameless(const struct read_record *r) {
  return (r->record.flags | r->hidden.flags) & RECORD_STREAM_TAKEN;
}

static void give(rille_reader *r, rille_event *event) {
  const struct record *c = &r->current.record;
  const struct record_taking *hidden = &r->current.hidden;
  const char *body = (const char *)c->bytes + c->head_length;
  bool redacted = (c->flags | hidden->flags) & RECORD_REDACTED;
  *event = (rille_event){.position = c->position,
                         .version = c->version,
                         .time_us = c->time_us,
                         .stream = shown(c->stream, is_nameless(&r->current)),
                         .type = c->type,
                         .id = c->id,
                         .data = {body, c->data_length},
                         .meta = {body + c->data_length, c->meta_length},
                         .tag_count = c->tag_count,
                         .record = &r->current,
                         .redacted = redacted};
  if (record_is_gone(c) || redacted) event->data = event->meta = (rille_text){0};
  if ((c->flags | hidden->flags) & RECORD_ID_TAKEN) event->id = (rille_text){0};
}

static int next_candidate(rille_reader *r, rille_error *e) {
  int result = is_behind(r) ? follow(r, e) : 0;
  if (result == 0)
    result = r->way == READER_SCAN        ? next_in_scan(r, e)
             : r->way == READER_SCAN_BACK ? next_back(r, e)
                                          : next_in_chains(r, e);
  if (result != 1) return result;
  int failed = log_hidden(r->log, &r->current.record, &r->current.hidden, e);
  return failed ? failed : 1;
}

/* What is still in the file is no reason to find the event by. */
static int next_record(rille_reader *r, rille_error *e) {
  const struct record_taking *hidden = &r->current.hidden;
  int result;
  do result = next_candidate(r, e);
  while (result == 1 && (hidden->flags || hidden->tags) &&
         !is_wanted(r, &r->current.record, hidden, &r->item));
  return result;
}

/* Where it was not certain, the name that is shown tells. */
static int step(rille_reader *r, rille_error *e) {
  const struct record *c = &r->current.record;
  int result;
  do result = next_record(r, e);
  while (result == 1 && r->shares && !is_certain(r, c) &&
         !is_in_share(r, shown(c->stream, is_nameless(&r->current))));
  return result;
}

int rille_reader_next(rille_reader *r, rille_event *event, rille_error *e) {
  if (r->log->segments.forgotten) return segments_refuse_fork(e); /* locks may be nobody's */
  if (r->failed) {
    if (e) *e = r->error;
    return r->failed;
  }
  int result = r->left ? step(r, &r->error) : 0;
  if (result < 0) {
    r->failed = result;
    if (e) *e = r->error;
  } else if (result == 0) {
    r->left = 0;
  } else {
    r->left--;
    give(r, event);
  }
  return result;
}

size_t rille_reader_item(const rille_reader *r) { return r->item; }

void rille_reader_explain(const rille_reader *r, rille_explanation *explanation) {
  *explanation = (rille_explanation){.scan = r->plan.scan,
                                     .events = r->plan.events,
                                     .members = r->plan.members,
                                     .chain_count = r->plan.count};
}

rille_chain rille_reader_chain(const rille_reader *r, size_t number) {
  static const char *const kinds[CHAIN_KINDS] = {"stream", "type", "tag"};
  assert(number < r->plan.count && !r->merging);
  const struct cursor *c = &r->plan.cursors[number];
  return (rille_chain){kinds[c->kind], c->name, cursor_count(c)};
}

/* ---- An event's id and tags ---- */

static void put_hex(char *room, uint64_t v, int digits) {
  while (digits--) {
    room[digits] = "0123456789abcdef"[v & 15];
    v >>= 4;
  }
}

rille_text rille_event_id(const rille_event *event, char room[RILLE_ID_BYTES]) {
  const struct read_record *r = event->record;
  uint8_t flags = r->record.flags | r->hidden.flags;
  if (flags & RECORD_ID_GIVEN && !(flags & RECORD_ID_TAKEN)) return r->record.id;
  uint64_t store = get64(r->uuid) ^ get64(r->uuid + 8);
  uint64_t place = r->record.position; /* RFC 9562: version 8, variant 10, 122 bits of ours */
  put_hex(room, store >> 32, 8);
  put_hex(room + 9, store >> 16, 4);
  put_hex(room + 14, 0x8000 | (store & 0xfff), 4);
  put_hex(room + 19, 0x8000 | (place >> 48 & 0x3fff), 4);
  put_hex(room + 24, place, 12);
  room[8] = room[13] = room[18] = room[23] = '-';
  return (rille_text){room, RILLE_ID_BYTES};
}

rille_text rille_event_tag(const rille_event *event, size_t number) {
  const struct read_record *r = event->record;
  assert(number < r->record.tag_count);
  bool lost = record_lost(&r->record, RECORD_FIRST_TAG + number) || r->hidden.tags >> number & 1;
  return shown(record_tag(&r->record, number), lost);
}
