/* build.c: building a frame, and writing it. */
#include "build.h"

#include "checksum.h"
#include "error.h"

/* ---- Building the frame ---- */

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
  return overlay_advance(&b->log->fresh, entry, number, w->address, b->address) ? 0
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
  struct noted_id id = {.stream = stream, .id = event->id, .record = address, .frame = b->address};
  if (!failed) failed = note_id(&l->fresh, &l->identity, &b->run, &id, e);
  b->position++;
  return failed;
}

int build_begin(struct building *b, struct log *l, uint16_t kind, int64_t now_us, rille_error *e) {
  *b = (struct building){
      .log = l, .kind = kind, .address = l->seen.address, .position = l->seen.next_position};
  b->time_us = now_us > l->seen.time_us ? now_us : l->seen.time_us;
  b->content = checksum_seed(l->identity.salt, b->address);
  buffer_clear(&l->frame, LOG_FRAME_KEEP_BYTES);
  return buffer_add_zeros(&l->frame, FRAME_HEADER_BYTES) ? 0 : error_memory(e);
}

int build_fact(struct building *b, const struct fact *fact, rille_error *e) {
  struct log *l = b->log;
  size_t n = fact_bytes(fact);
  uint8_t *room = buffer_reserve(&l->frame, n);
  if (!room) return error_memory(e);
  fact_put(room, fact);
  b->content = checksum(b->content, room, n);
  b->prefix += (uint32_t)n;
  int failed = log_note_facts(l, room, n, b->address, b->time_us, e);
  l->frame.length += n;
  return failed;
}

int build_work(struct building *b, const rille_append *append, rille_error *e) {
  const rille_mark_move *mark = &append->mark;
  struct fact moved = {.kind = FACT_MARK, .name = mark->name, .value = mark->to};
  int failed = mark->name.length ? build_fact(b, &moved, e) : 0;
  for (size_t i = 0; i < append->part_count && !failed; i++)
    for (size_t j = 0; j < append->parts[i].event_count && !failed; j++)
      failed = build_event(b, append->parts[i].stream, &append->parts[i].events[j], e);
  return failed;
}

/* ---- Writing it ---- */

static void start_write_back(struct log *l) {
  if (l->seen.address - l->started < LOG_WRITE_BACK_BYTES) return;
  segments_start_writing(&l->segments, max_u64(l->started, log_durable(l).address),
                         l->seen.address);
  l->started = l->seen.address;
}

/* Nobody may write behind what is neither there nor gone. */
static void fail_for_all(struct log *l) {
  atomic_store(&l->control->words->error, CONTROL_TORN | (uint32_t)l->segments.torn);
  control_wake(l->control);
}

static int write_frame(struct log *l, const struct building *b, rille_error *e) {
  struct control_words *w = l->control->words;
  struct frame f = {.address = b->address,
                    .length = (uint32_t)l->frame.length,
                    .kind = b->kind,
                    .format = FRAME_FORMAT,
                    .count = (uint32_t)(b->position - l->seen.next_position),
                    .time_us = b->time_us,
                    .first_position = l->seen.next_position,
                    .durable = log_durable(l).address,
                    .prefix = b->prefix,
                    .content_checksum = b->content};
  frame_put_header(l->frame.bytes, &f, l->identity.salt);
  atomic_store(&w->writing, frame_end(&f));
  int failed = segments_append(&l->segments, b->address, l->frame.bytes, l->frame.length,
                               l->pending.reserved, e);
  if (failed && l->segments.torn) fail_for_all(l);
  if (failed) return failed; /* `writing` stays: the next one looks after what is left */
  if (!b->checks_only) atomic_store(&w->weighty, frame_end(&f));
  if (b->owes) atomic_store(&w->owed, frame_end(&f));
  l->seen = (struct log_end){frame_end(&f), b->position, b->time_us, b->address, f.header_checksum};
  l->measured = l->seen.address;
  shared_end_set(&w->written, &l->seen);
  atomic_store(&w->writing, 0);
  atomic_store(&w->prepared, l->pending.prepared);
  uint64_t before = atomic_fetch_add(&w->appends, 1);
  l->undisturbed = before == l->appended;
  l->appended = before + 1;
  start_write_back(l);
  return 0;
}

int build_finish(struct log *l, const struct building *b, int failed, rille_error *e) {
  if (!failed) failed = write_frame(l, b, e);
  if (!failed) return 0;
  if (log_reload(l, NULL) == 0) return failed;
  return error_set(e, RILLE_IO,
                   "an append failed and could not be undone in memory, so the store "
                   "must be closed: %s",
                   l->why);
}

int build_note(struct log *l, const struct fact *fact, uint16_t kind, rille_error *e) {
  struct building b;
  pending_keep(&l->pending); /* the fact's name may lie in the entry that it ends */
  int failed = build_begin(&b, l, kind, log_now(l), e);
  if (!failed) failed = build_fact(&b, fact, e);
  failed = build_finish(l, &b, failed, e);
  pending_keep_end(&l->pending);
  return failed;
}
