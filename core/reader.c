/* reader.c: reading events along the log and along chains. */
#include "reader.h"

#include <assert.h>

#include "error.h"

#define BACK_WINDOW_BYTES ((size_t)1 << 20)

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
    ptrdiff_t item = query_match(&r->query, record);
    if (item < 0 || record->position < r->low) continue;
    r->item = (size_t)item;
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
  int result = 0;
  *lowest = 0;
  while (s->next_position <= r->high && (result = scan_next(s, &record, e)) == 1) {
    if (record.position > r->high) break;
    if (!*lowest) *lowest = record.position;
    if (record.position >= r->low && query_match(&r->query, &record) >= 0 &&
        !note_found(r, record.address))
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
  r->item = (size_t)query_match(&r->query, record);
  return 1;
}

/* ---- Along a stream's chain, in blocks ---- */

static int wrong_record(uint64_t address, rille_error *e) {
  return error_corrupt(e, address,
                       "the record at byte %llu of the log is not the one that its chain names: "
                       "delete the folder index/, it is made again",
                       (unsigned long long)address);
}

/* Reads a record's head into a slot, with as much of its body as fits. */
static int fill_slot(rille_reader *r, struct reader_slot *slot, uint64_t number, uint64_t address,
                     rille_error *e) {
  struct log *l = r->log;
  int failed = 0;
  if (slot->got == 0)
    failed = segments_read(&l->segments, address, slot->bytes, READER_SLOT_BYTES, &slot->got, e);
  if (failed) return failed;
  enum record_result result =
      record_get(slot->bytes, slot->got, address, l->identity.salt, &slot->record);
  if (result != RECORD_OK) { /* a long head, or damage: the window tells */
    slot->got = 0;
    failed = window_record(&r->window, address, &slot->record, e);
    if (failed) return failed;
  }
  if (slot->record.version != number || !text_equal(slot->record.stream, r->stream))
    return wrong_record(address, e);
  return 0;
}

/* The number's slot, or the spare one for those outside of the block. */
static struct reader_slot *slot_of(rille_reader *r, uint64_t number) {
  uint64_t i = number - r->block_low;
  if (number >= r->block_low && i < r->block_count) return &r->slots[i];
  r->spare->got = 0;
  return r->spare;
}

static int stream_links(void *context, uint64_t number, uint64_t address, uint64_t *links,
                        rille_error *e) {
  rille_reader *r = context;
  struct reader_slot *slot = slot_of(r, number);
  int failed = fill_slot(r, slot, number, address, e);
  if (!failed) record_links(&slot->record, RECORD_STREAM, links);
  return failed;
}

/* What is in memory goes into its slot at once, by one call for each record. */
static void want(void *context, uint64_t number, uint64_t address) {
  rille_reader *r = context;
  struct reader_slot *slot = slot_of(r, number);
  slot->got = segments_want(&r->log->segments, address, slot->bytes, READER_SLOT_BYTES);
}

static struct chain stream_chain(rille_reader *r) {
  return (struct chain){&r->head, stream_links, want, r};
}

static bool make_slots(rille_reader *r, size_t n) {
  if (n <= r->slot_count) return true;
  memory_free(&r->memory, r->slots, r->slot_count * sizeof *r->slots);
  r->slot_count = 0;
  r->slots = memory_get(&r->memory, n * sizeof *r->slots);
  if (r->slots) r->slot_count = n;
  return r->slots != NULL;
}

/* The next versions to come, resolved: r->slots holds them. */
static int next_block(rille_reader *r, rille_error *e) {
  uint64_t addresses[CHAIN_BLOCK], n = min_u64(r->high - r->low + 1, CHAIN_BLOCK);
  if (r->query.count == 0) n = min_u64(n, r->left);
  if (!make_slots(r, (size_t)n)) return error_memory(e);
  r->block_low = r->way == READER_CHAIN ? r->low : r->high - n + 1;
  r->block_count = (size_t)n;
  r->block_at = 0;
  if (r->way == READER_CHAIN) r->low += n;
  else r->high -= n;
  for (size_t i = 0; i < r->block_count; i++) r->slots[i].got = 0;
  struct chain chain = stream_chain(r);
  return chain_block(&chain, r->block_low, r->block_low + n - 1, addresses, e);
}

/* The slot's record, with its body, as the current one. */
static int take_slot(rille_reader *r, const struct reader_slot *slot, rille_error *e) {
  struct record *record = &r->current.record;
  *record = slot->record;
  if (slot->got < record_bytes(record)) {
    int failed = window_record(&r->window, slot->record.address, record, e);
    if (failed) return failed;
  }
  int failed = window_check_body(&r->window, record, e);
  return failed ? failed : 1;
}

static int next_in_chain(rille_reader *r, rille_error *e) {
  for (;;) {
    if (r->block_at == r->block_count) {
      if (r->low > r->high || r->high == 0) return 0;
      int failed = next_block(r, e);
      if (failed) return failed;
    }
    size_t i = r->way == READER_CHAIN ? r->block_at : r->block_count - 1 - r->block_at;
    r->block_at++;
    const struct reader_slot *slot = &r->slots[i];
    if (slot->got == 0) { /* its names are in the window no longer: take it again */
      int failed = take_slot(r, slot, e);
      if (failed < 0) return failed;
      ptrdiff_t item = query_match(&r->query, &r->current.record);
      if (item < 0) continue;
      r->item = (size_t)item;
      return 1;
    }
    ptrdiff_t item = query_match(&r->query, &slot->record);
    if (item < 0) continue;
    r->item = (size_t)item;
    return take_slot(r, slot, e);
  }
}

/* ---- Opening ---- */

static int check_bounds(const rille_query *q, uint64_t last, const char *what, rille_error *e) {
  if (q->after <= last) return 0;
  return error_set(e, RILLE_INVALID, "after = %llu is beyond the end: the last %s is %llu",
                   (unsigned long long)q->after, what, (unsigned long long)last);
}

static void set_bounds(rille_reader *r, const rille_query *q, uint64_t last) {
  r->low = q->after + 1;
  r->high = q->before && q->before <= last ? q->before - 1 : last;
  r->left = q->limit ? q->limit : UINT64_MAX;
}

static int open_scan(rille_reader *r, const rille_query *q, rille_error *e) {
  uint64_t last = r->end.next_position - 1;
  int failed = check_bounds(q, last, "position", e);
  if (failed) return failed;
  set_bounds(r, q, last);
  r->way = q->reverse ? READER_SCAN_BACK : READER_SCAN;
  if (q->reverse) return 0;
  if (r->low > r->high) {
    scan_init(&r->scan, &r->log->source, &r->memory, 0, 1, 0);
    return 0;
  }
  return enter_scan(r, &r->scan, r->low, e);
}

static int open_chain(rille_reader *r, const rille_query *q, rille_error *e) {
  char *copy = memory_get(&r->memory, q->stream.length);
  if (!copy) return error_memory(e);
  memcpy(copy, q->stream.bytes, q->stream.length);
  r->stream = (rille_text){copy, q->stream.length};
  r->spare = memory_get(&r->memory, sizeof *r->spare);
  if (!r->spare) return error_memory(e);
  int failed = log_head(r->log, CHAIN_STREAM, r->stream, &r->head, e);
  if (failed) return failed;
  uint64_t last;
  struct chain chain = stream_chain(r);
  failed = chain_count_below(&chain, r->end.address, &last, e);
  if (!failed) failed = check_bounds(q, last, "version of the stream", e);
  if (failed) return failed;
  set_bounds(r, q, last);
  r->way = q->reverse ? READER_CHAIN_BACK : READER_CHAIN;
  return 0;
}

int reader_open(rille_reader **reader, struct log *l, const rille_query *query,
                const struct log_end *end, rille_error *e) {
  rille_reader *r = memory_get_zeroed(&l->memory, sizeof *r);
  if (!r) return error_memory(e);
  r->log = l;
  r->memory = l->memory;
  r->end = *end;
  r->current.uuid = l->identity.uuid;
  window_init(&r->window, &l->source, &r->memory, SCAN_WINDOW_SMALL);
  int failed = query_init(&r->query, query->items, query->item_count, &r->memory, e);
  if (!failed) failed = query->stream.length ? open_chain(r, query, e) : open_scan(r, query, e);
  if (failed) reader_close(r);
  else *reader = r;
  return failed;
}

void reader_close(rille_reader *r) {
  struct memory memory = r->memory;
  if (r->way == READER_SCAN && r->scan.window.bytes.memory.alloc) scan_release(&r->scan);
  window_release(&r->window);
  query_release(&r->query);
  memory_free(&memory, (void *)(uintptr_t)r->stream.bytes, r->stream.length);
  memory_free(&memory, r->slots, r->slot_count * sizeof *r->slots);
  memory_free(&memory, r->spare, sizeof *r->spare);
  memory_free(&memory, r->found, r->found_capacity * sizeof *r->found);
  memory_free(&memory, r, sizeof *r);
}

/* ---- Stepping ---- */

static void give(rille_reader *r, rille_event *event) {
  const struct record *c = &r->current.record;
  const char *body = (const char *)c->bytes + c->head_length;
  *event = (rille_event){.position = c->position,
                         .version = c->version,
                         .time_us = c->time_us,
                         .stream = c->stream,
                         .type = c->type,
                         .id = c->id,
                         .data = {body, c->data_length},
                         .meta = {body + c->data_length, c->meta_length},
                         .tag_count = c->tag_count,
                         .record = &r->current};
}

int rille_reader_next(rille_reader *r, rille_event *event, rille_error *e) {
  if (r->failed) {
    if (e) *e = r->error;
    return r->failed;
  }
  int result = 0;
  if (r->left) {
    result = r->way == READER_SCAN        ? next_in_scan(r, &r->error)
             : r->way == READER_SCAN_BACK ? next_back(r, &r->error)
                                          : next_in_chain(r, &r->error);
  }
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

/* ---- An event's id and tags ---- */

static void put_hex(char *room, uint64_t v, int digits) {
  while (digits--) {
    room[digits] = "0123456789abcdef"[v & 15];
    v >>= 4;
  }
}

rille_text rille_event_id(const rille_event *event, char room[RILLE_ID_BYTES]) {
  const struct read_record *r = event->record;
  if (r->record.flags & RECORD_ID_GIVEN) return r->record.id;
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
  return record_tag(&r->record, number);
}
