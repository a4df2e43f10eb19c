/* append.c: appending. Everything is checked before anything changes; then the
** frame is built in memory, link by link from the overlay, and written by one
** call. If that fails the overlay, which knew the new records already, is built
** again from the log. */
#include "log.h"

#include <stdio.h>

#include "checksum.h"
#include "error.h"

/* ---- Bad input ---- */

/* Where in the input a field is, for messages: "event 2: tags[3]". */
struct spot {
  size_t part, event;
  bool many; /* several parts, so the stream is named */
  rille_text stream;
};

static int bad(const struct spot *at, rille_error *e, const char *field, const char *what) {
  char name[ERROR_NAME_BYTES];
  if (at->event == 0) return error_set(e, RILLE_INVALID, "%s %s", field, what);
  if (!at->many) return error_set(e, RILLE_INVALID, "event %zu: %s %s", at->event, field, what);
  return error_set(e, RILLE_INVALID, "event %zu for stream \"%s\": %s %s", at->event,
                   error_name(at->stream, name), field, what);
}

static int check_name(const struct spot *at, const char *field, rille_text name, rille_error *e) {
  char what[96];
  if (name.length == 0) return bad(at, e, field, "is empty: it needs 1 to 255 bytes");
  if (name.length <= RILLE_NAME_BYTES) return 0;
  snprintf(what, sizeof what, "has %zu bytes: at most %d are allowed", name.length,
           RILLE_NAME_BYTES);
  return bad(at, e, field, what);
}

/* Names of streams and types that begin with "$" belong to rille. */
static int check_own_name(const struct spot *at, const char *field, rille_text name,
                          rille_error *e) {
  int failed = check_name(at, field, name, e);
  if (failed || name.bytes[0] != '$') return failed;
  return bad(at, e, field, "begins with \"$\": such names are rille's own");
}

static int check_tags(const struct spot *at, const rille_event_input *event, rille_error *e) {
  char field[32], what[64];
  if (event->tag_count > RILLE_TAGS) {
    snprintf(what, sizeof what, "has %zu entries: at most %d are allowed", event->tag_count,
             RILLE_TAGS);
    return bad(at, e, "tags", what);
  }
  for (size_t i = 0; i < event->tag_count; i++) {
    snprintf(field, sizeof field, "tags[%zu]", i + 1);
    int failed = check_name(at, field, event->tags[i], e);
    if (failed) return failed;
  }
  return 0;
}

static int check_event(const struct spot *at, const rille_event_input *event, rille_error *e) {
  int failed = check_own_name(at, "type", event->type, e);
  if (!failed && event->id.length) failed = check_name(at, "id", event->id, e);
  if (!failed) failed = check_tags(at, event, e);
  if (failed) return failed;
  if (event->time_us < 0) return bad(at, e, "time", "is before 1970");
  if (event->data.length > RILLE_EVENT_BYTES ||
      event->meta.length > RILLE_EVENT_BYTES - event->data.length)
    return bad(at, e, "data", "and meta have more than 16 MiB");
  return 0;
}

/* What an event counts for in the limit of an append: its bytes, and what its
** record adds to them. */
static size_t weight(const rille_part *part, const rille_event_input *event) {
  size_t n = RECORD_FIXED_BYTES + part->stream.length + event->type.length + event->id.length +
             event->data.length + event->meta.length;
  for (size_t i = 0; i < event->tag_count; i++) n += 24 + event->tags[i].length;
  return n;
}

static int check_part(const rille_part *part, struct spot *at, size_t *total, rille_error *e) {
  at->event = 0;
  at->stream = part->stream;
  int failed = check_own_name(at, "stream", part->stream, e);
  if (!failed && part->expect < RILLE_EXPECT_EXISTS) failed = bad(at, e, "expect", "is no version");
  for (size_t i = 0; i < part->event_count && !failed; i++) {
    at->event = i + 1;
    failed = check_event(at, &part->events[i], e);
    if (!failed) *total += weight(part, &part->events[i]);
    if (!failed && *total > RILLE_APPEND_BYTES)
      failed = error_set(e, RILLE_INVALID,
                         "the append has more than 64 MiB: write its events in several appends");
  }
  return failed;
}

static int check_input(const rille_append *append, rille_error *e) {
  struct spot at = {.many = append->part_count > 1};
  size_t total = 0;
  int failed = 0;
  for (size_t i = 0; i < append->part_count && !failed; i++)
    failed = check_part(&append->parts[i], &at, &total, e);
  return failed;
}

/* ---- Conditions ---- */

static bool holds(int64_t expect, uint64_t version) {
  switch (expect) {
    case RILLE_EXPECT_ANY: return true;
    case RILLE_EXPECT_NONE: return version == 0;
    case RILLE_EXPECT_EXISTS: return version > 0;
    default: return version == (uint64_t)expect;
  }
}

static int conflict(const rille_part *part, uint64_t version, rille_error *e) {
  char name[ERROR_NAME_BYTES], expected[40];
  if (part->expect == RILLE_EXPECT_NONE) snprintf(expected, sizeof expected, "no event");
  else if (part->expect == RILLE_EXPECT_EXISTS) snprintf(expected, sizeof expected, "an event");
  else snprintf(expected, sizeof expected, "version %lld", (long long)part->expect);
  int code = error_set(e, RILLE_CONFLICT, "stream \"%s\" is at version %llu, expected %s",
                       error_name(part->stream, name), (unsigned long long)version, expected);
  if (!e) return code;
  e->version = version;
  memcpy(e->stream, part->stream.bytes, part->stream.length);
  e->stream_length = part->stream.length;
  return code;
}

static int check_conditions(const rille_append *append, struct overlay_entry *const *streams,
                            rille_error *e) {
  for (size_t i = 0; i < append->part_count; i++)
    if (!holds(append->parts[i].expect, streams[i]->count))
      return conflict(&append->parts[i], streams[i]->count, e);
  return 0;
}

/* ---- Building the frame ---- */

struct building {
  struct log *log;
  uint64_t address, position;
  int64_t time_us;
  uint32_t content;
};

static size_t distinct(const rille_event_input *event, rille_text tags[RILLE_TAGS]) {
  size_t n = 0;
  for (size_t i = 0; i < event->tag_count; i++) {
    size_t j = 0;
    while (j < n && !text_equal(tags[j], event->tags[i])) j++;
    if (j == n) tags[n++] = event->tags[i];
  }
  return n;
}

static int add_link(struct building *b, struct record_writer *w, size_t chain, rille_text name,
                    rille_error *e) {
  enum chain_kind kind = chain < RECORD_FIRST_TAG ? (enum chain_kind)chain : CHAIN_TAG;
  struct overlay_entry *entry;
  uint64_t links[LINKS_MOST];
  int failed = log_entry(b->log, kind, name, &entry, e);
  if (failed) return failed;
  uint64_t number = entry->count + 1;
  chain_next_links(entry->count, entry->tower, links);
  record_add_chain(w, chain, number, links);
  return overlay_advance(&b->log->overlay, entry, number, w->address, b->address) ? 0
                                                                                  : error_memory(e);
}

static int add_links(struct building *b, struct record_writer *w, const struct record_fields *f,
                     rille_error *e) {
  int failed = add_link(b, w, RECORD_STREAM, f->stream, e);
  if (!failed) failed = add_link(b, w, RECORD_TYPE, f->type, e);
  for (size_t i = 0; i < f->tag_count && !failed; i++)
    failed = add_link(b, w, RECORD_FIRST_TAG + i, f->tags[i], e);
  return failed;
}

static int build_event(struct building *b, rille_text stream, const rille_event_input *event,
                       rille_error *e) {
  rille_text tags[RILLE_TAGS];
  struct log *l = b->log;
  struct record_fields f = {.position = b->position,
                            .time_us = event->time_us ? event->time_us : b->time_us,
                            .stream = stream,
                            .type = event->type,
                            .id = event->id,
                            .data = event->data,
                            .meta = event->meta,
                            .tags = tags,
                            .tag_count = distinct(event, tags)};
  uint8_t *room = buffer_reserve(&l->frame, record_room(&f));
  if (!room) return error_memory(e);
  struct record_writer w;
  uint32_t head_checksum;
  uint64_t address = b->address + l->frame.length;
  record_begin(&w, room, address, &f);
  int failed = add_links(b, &w, &f, e);
  if (failed) return failed;
  l->frame.length += record_finish(&w, &f, l->identity.salt, &head_checksum);
  b->content = frame_content_add(b->content, head_checksum);
  if (l->frame.length > FRAME_BYTES_MOST)
    return error_set(e, RILLE_INVALID, "the append is too large: write it in several");
  failed = log_note_place(l, (struct place){b->position, b->address, address}, e);
  b->position++;
  return failed;
}

static int build(struct building *b, const rille_append *append, rille_error *e) {
  struct log *l = b->log;
  buffer_clear(&l->frame, LOG_FRAME_KEEP_BYTES);
  if (!buffer_add_zeros(&l->frame, FRAME_HEADER_BYTES)) return error_memory(e);
  for (size_t i = 0; i < append->part_count; i++)
    for (size_t j = 0; j < append->parts[i].event_count; j++) {
      int failed = build_event(b, append->parts[i].stream, &append->parts[i].events[j], e);
      if (failed) return failed;
    }
  return 0;
}

/* ---- Writing it ---- */

static void start_write_back(struct log *l) {
  if (l->written.address - l->started < LOG_WRITE_BACK_BYTES) return;
  segments_start_writing(&l->segments, max_u64(l->started, l->durable.address), l->written.address);
  l->started = l->written.address;
}

static int write_frame(struct log *l, const struct building *b, rille_error *e) {
  struct frame f = {.address = b->address,
                    .length = (uint32_t)l->frame.length,
                    .kind = FRAME_EVENTS,
                    .format = FRAME_FORMAT,
                    .count = (uint32_t)(b->position - l->written.next_position),
                    .time_us = b->time_us,
                    .first_position = l->written.next_position,
                    .durable = l->durable.address,
                    .content_checksum = b->content};
  frame_put_header(l->frame.bytes, &f, l->identity.salt);
  int failed = segments_append(&l->segments, b->address, l->frame.bytes, l->frame.length, e);
  if (failed) return failed;
  l->written =
      (struct log_end){frame_end(&f), b->position, b->time_us, b->address, f.header_checksum};
  l->appends++;
  start_write_back(l);
  return 0;
}

static int succeed_if_full(struct log *l, rille_error *e) {
  uint64_t end = l->written.address;
  if (end - segments_last_first(&l->segments) < l->options.segment_bytes) return 0;
  rille_error why = {0};
  int failed = log_flush_all(l, e); /* R1 */
  if (failed) return failed;
  failed = segments_succeed(&l->segments, end, &why);
  if (failed == RILLE_IO) log_fail(l, failed, why.message);
  if (failed && e) *e = why;
  return failed;
}

static size_t count_events(const rille_append *append) {
  size_t n = 0;
  for (size_t i = 0; i < append->part_count; i++) n += append->parts[i].event_count;
  return n;
}

static int write_events(struct log *l, const rille_append *append, rille_error *e) {
  int failed = succeed_if_full(l, e);
  if (failed) return failed;
  struct building b = {
      .log = l, .address = l->written.address, .position = l->written.next_position};
  int64_t now = append->now_us ? append->now_us : l->options.clock(l->options.clock_context);
  b.time_us = now > l->written.time_us ? now : l->written.time_us;
  b.content = checksum_seed(l->identity.salt, b.address);
  failed = build(&b, append, e);
  if (!failed) failed = write_frame(l, &b, e);
  if (!failed) return 0;
  if (log_reload(l, NULL) == 0) return failed;
  return error_set(e, RILLE_IO,
                   "an append failed and could not be undone in memory, so the store "
                   "must be closed: %s",
                   l->why);
}

/* The entries of the parts' streams, fetched before anything is written, because
** nothing may fail afterwards. */
static int find_streams(struct log *l, const rille_append *append, struct overlay_entry **entries,
                        rille_error *e) {
  int failed = 0;
  for (size_t i = 0; i < append->part_count && !failed; i++)
    failed = log_entry(l, CHAIN_STREAM, append->parts[i].stream, &entries[i], e);
  return failed;
}

static void report(const struct log *l, const rille_append *append,
                   struct overlay_entry *const *entries, uint64_t before, rille_appended *done) {
  for (size_t i = 0; i < append->part_count; i++) {
    done->version = entries[i]->count;
    if (append->versions) append->versions[i] = entries[i]->count;
  }
  if (l->written.next_position == before) return;
  done->first = before;
  done->last = l->written.next_position - 1;
}

static int append_locked(struct log *l, const rille_append *append, struct overlay_entry **entries,
                         rille_appended *done, rille_error *e) {
  uint64_t before = l->written.next_position;
  int failed = log_fold_if_due(l, e);
  if (!failed) failed = find_streams(l, append, entries, e);
  if (!failed) failed = check_conditions(append, entries, e);
  if (!failed && count_events(append)) failed = write_events(l, append, e);
  if (!failed) report(l, append, entries, before, done);
  return failed;
}

int log_append(struct log *l, const rille_append *append, rille_appended *done, uint64_t *end,
               rille_error *e) {
  struct overlay_entry *few[8], **entries = few;
  *done = (rille_appended){0};
  int failed = check_input(append, e);
  if (failed) return failed;
  if (l->options.readonly)
    return error_set(e, RILLE_READONLY, "the store is open for reading only");
  size_t bytes = append->part_count * sizeof *entries;
  if (bytes > sizeof few && !(entries = memory_get(&l->memory, bytes))) return error_memory(e);
  pthread_mutex_lock(&l->lock);
  failed = log_refuse_failed(l, e);
  if (!failed) failed = append_locked(l, append, entries, done, e);
  *end = l->written.address;
  pthread_mutex_unlock(&l->lock);
  if (entries != few) memory_free(&l->memory, entries, bytes);
  return failed;
}
