/* append.c: appending. Everything is checked before anything changes; then the
** frame is built in memory, link by link from the overlay, and written by one
** call. If that fails the overlay, which knew the new records already, is built
** again from the log.
**
** On the disk, if the process dies: before the write, nothing; during it, a part of a
** frame behind `written`, which the next to append zeroes, and the next first opener
** cuts; between the write and the setting of `written`, the same with a whole frame,
** which nobody was told of. */
#include "log.h"

#include <stdio.h>

#include "checksum.h"
#include "condition.h"
#include "error.h"
#include "input.h"
#include "note.h"

/* ---- Building the frame ---- */

struct building {
  struct log *log;
  uint16_t kind;
  uint64_t address, position;
  int64_t time_us;
  uint32_t prefix, content;
  struct id_run run;
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
  struct noted_id id = {stream, event->id, address, b->address};
  if (!failed) failed = note_id(&l->fresh, &l->identity, &b->run, &id, e);
  b->position++;
  return failed;
}

/* A frame with nothing in it, at the end of the log. */
static int begin_frame(struct building *b, struct log *l, uint16_t kind, int64_t now_us,
                       rille_error *e) {
  *b = (struct building){
      .log = l, .kind = kind, .address = l->seen.address, .position = l->seen.next_position};
  b->time_us = now_us > l->seen.time_us ? now_us : l->seen.time_us;
  b->content = checksum_seed(l->identity.salt, b->address);
  buffer_clear(&l->frame, LOG_FRAME_KEEP_BYTES);
  return buffer_add_zeros(&l->frame, FRAME_HEADER_BYTES) ? 0 : error_memory(e);
}

static int add_fact(struct building *b, const struct fact *fact, rille_error *e) {
  struct log *l = b->log;
  size_t n = fact_bytes(fact->name);
  uint8_t *room = buffer_reserve(&l->frame, n);
  if (!room) return error_memory(e);
  fact_put(room, fact);
  b->content = checksum(b->content, room, n);
  b->prefix += (uint32_t)n;
  int failed = note_facts(&l->fresh, room, n, b->address, e);
  l->frame.length += n;
  return failed;
}

static int build(struct building *b, const rille_append *append, rille_error *e) {
  const rille_mark_move *mark = &append->mark;
  struct fact moved = {FACT_MARK, mark->name, mark->to};
  int failed = mark->name.length ? add_fact(b, &moved, e) : 0;
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
  int failed = segments_append(&l->segments, b->address, l->frame.bytes, l->frame.length, e);
  if (failed) return failed; /* `writing` stays: the next one looks after what is left */
  l->seen = (struct log_end){frame_end(&f), b->position, b->time_us, b->address, f.header_checksum};
  l->measured = l->seen.address;
  shared_end_set(&w->written, &l->seen);
  atomic_store(&w->writing, 0);
  atomic_fetch_add(&w->appends, 1);
  start_write_back(l);
  return 0;
}

/* Ends an append: writes the frame, or undoes what building it has changed. */
static int finish_frame(struct log *l, const struct building *b, int failed, rille_error *e) {
  if (!failed) failed = write_frame(l, b, e);
  if (!failed) return 0;
  if (log_reload(l, NULL) == 0) return failed;
  return error_set(e, RILLE_IO,
                   "an append failed and could not be undone in memory, so the store "
                   "must be closed: %s",
                   l->why);
}

/* ---- Taking turns ---- */

/* A file that one began who died before telling the others. */
static int adopt_segment(struct log *l, rille_error *e) {
  uint64_t last = segments_last_first(&l->segments);
  if (last == atomic_load(&l->control->words->segment)) return 0;
  int failed = segments_flush_folder(&l->segments, e);
  if (!failed) atomic_store(&l->control->words->segment, last);
  return failed;
}

/* What the last one left who died while it wrote. */
static int clear_writing(struct log *l, const struct log_end *end, rille_error *e) {
  uint64_t to = atomic_load(&l->control->words->writing);
  if (to == 0) return 0;
  int failed = segments_refresh(&l->segments, e);
  if (!failed) failed = adopt_segment(l, e);
  if (!failed) failed = segments_zero(&l->segments, end->address, to, e);
  if (!failed) atomic_store(&l->control->words->writing, 0);
  return failed;
}

/* Others may have begun a new file, also without writing to it; or written, and then the
** last one ends elsewhere. Having read what they wrote tells neither. */
static int follow_others(struct log *l, const struct log_end *end, rille_error *e) {
  int failed = 0;
  if (atomic_load(&l->control->words->segment) != segments_last_first(&l->segments))
    failed = segments_refresh(&l->segments, e);
  else if (end->address != l->measured) failed = segments_measure(&l->segments, e);
  if (!failed) l->measured = end->address;
  return failed;
}

static int catch_up_to_append(struct log *l, rille_error *e) {
  struct log_end end = log_written(l);
  int failed = clear_writing(l, &end, e);
  if (!failed) failed = follow_others(l, &end, e);
  return failed ? failed : log_catch_up(l, &end, e);
}

/* What others have written is read before they are kept waiting. A failure is met again. */
static void catch_up_beforehand(struct log *l) {
  pthread_mutex_lock(&l->lock);
  struct log_end end = log_written(l);
  if (!log_refuse_failed(l, NULL)) (void)log_catch_up(l, &end, NULL);
  pthread_mutex_unlock(&l->lock);
}

int log_enter_append(struct log *l, rille_error *e) {
  pthread_mutex_lock(&l->appending);
  catch_up_beforehand(l);
  bool taken = control_take(l->control, CONTROL_WRITER, true);
  pthread_mutex_lock(&l->lock);
  int failed = log_refuse_failed(l, e);
  if (!failed && !taken) failed = error_set(e, RILLE_IO, "can't lock the file `store`");
  if (!failed) failed = catch_up_to_append(l, e);
  if (failed) log_leave_append(l);
  return failed;
}

void log_leave_append(struct log *l) {
  pthread_mutex_unlock(&l->lock);
  control_free(l->control, CONTROL_WRITER);
  pthread_mutex_unlock(&l->appending);
}

/* ---- Segments ---- */

/* A folder that could not be flushed fails the store for all: nobody can tell whether
** the successor would outlive a power cut. */
static int begin_segment(struct log *l, uint64_t end, rille_error *e) {
  struct control_words *w = l->control->words;
  rille_error why = {0};
  atomic_store(&w->writing, end); /* nothing is written, but a file may be left */
  bool unsure;
  int failed = segments_succeed(&l->segments, end, &unsure, &why);
  if (!failed) atomic_store(&w->segment, end);
  if (!failed) atomic_store(&w->writing, 0);
  if (failed && unsure) atomic_store(&w->error, why.system ? (uint32_t)why.system : 1);
  if (failed && e) *e = why;
  return failed;
}

static bool is_full(struct log *l, uint64_t beyond) {
  return l->seen.address - segments_last_first(&l->segments) >= l->options.segment_bytes + beyond;
}

/* `lock` is given up for the flush (R1); nobody appends, because WRITER is kept. */
int log_succeed(struct log *l, rille_error *e) {
  if (!is_full(l, 0)) return 0;
  uint64_t end = l->seen.address;
  pthread_mutex_unlock(&l->lock);
  int failed = log_flush(l, end, e);
  pthread_mutex_lock(&l->lock);
  return failed ? failed : begin_segment(l, end, e);
}

/* Who does not want to wait for the disk leaves it to the thread, within bounds. */
static int succeed_if_full(struct log *l, bool relaxed, rille_error *e) {
  if (!relaxed || !l->work.started || is_full(l, LOG_UNFOLDED_BYTES_MOST)) return log_succeed(l, e);
  if (is_full(l, 0)) {
    l->work.succeed = true;
    pthread_cond_signal(&l->work.wanted);
  }
  return 0;
}

/* ---- Appending ---- */

static size_t count_events(const rille_append *append) {
  size_t n = 0;
  for (size_t i = 0; i < append->part_count; i++) n += append->parts[i].event_count;
  return n;
}

static int write_events(struct log *l, const rille_append *append, uint16_t kind, rille_error *e) {
  struct building b;
  int64_t now = append->now_us ? append->now_us : l->options.clock(l->options.clock_context);
  int failed = begin_frame(&b, l, kind, now, e);
  if (!failed) failed = build(&b, append, e);
  return finish_frame(l, &b, failed, e);
}

static int report(struct log *l, const rille_append *append, uint64_t before, rille_appended *done,
                  rille_error *e) {
  int failed = 0;
  for (size_t i = 0; i < append->part_count && !failed; i++) {
    struct chain_head head;
    failed = log_find_head(l, CHAIN_STREAM, append->parts[i].stream, &head, e);
    done->version = head.count;
    if (append->versions) append->versions[i] = head.count;
  }
  if (l->seen.next_position == before) return failed;
  done->first = before;
  done->last = l->seen.next_position - 1;
  return failed;
}

static int append_locked(struct log *l, struct condition *c, bool relaxed, rille_appended *done,
                         bool *again, rille_error *e) {
  const rille_append *append = c->append;
  size_t events = count_events(append);
  bool writes = events || append->mark.name.length;
  int result = writes ? succeed_if_full(l, relaxed, e) : 0;
  if (!result) result = condition_check(c, l, done, again, e);
  if (result || *again) return result;
  uint64_t before = l->seen.next_position;
  if (writes) result = write_events(l, append, events ? FRAME_EVENTS : FRAME_MARK, e);
  return result ? result : report(l, append, before, done, e);
}

static int append_checked(struct log *l, struct condition *c, bool relaxed, rille_appended *done,
                          uint64_t *end, rille_error *e) {
  for (;;) {
    bool again = false;
    int result = log_make_room(l, e);
    if (!result) result = condition_walk(c, l, e);
    if (!result) result = log_enter_append(l, e);
    if (result) return result;
    result = append_locked(l, c, relaxed, done, &again, e);
    *end = l->seen.address;
    log_leave_append(l);
    if (result || !again) return result < 0 ? result : 0;
  }
}

int log_append(struct log *l, const rille_append *append, bool relaxed, rille_appended *done,
               uint64_t *end, rille_error *e) {
  struct condition c;
  *done = (rille_appended){0};
  *end = 0;
  int failed = input_check(append, e);
  if (failed) return failed;
  if (l->options.readonly)
    return error_set(e, RILLE_READONLY, "the store is open for reading only");
  if ((failed = condition_init(&c, l, append, e)) < 0) return failed;
  failed = append_checked(l, &c, relaxed, done, end, e);
  condition_release(&c);
  return failed;
}

/* ---- Truncating ---- */

static int check_cut(struct log *l, rille_text stream, uint64_t *before, rille_error *e) {
  struct chain_head head;
  char name[ERROR_NAME_BYTES];
  int failed = log_find_head(l, CHAIN_STREAM, stream, &head, e);
  if (failed) return failed;
  if (head.count == 0)
    return error_set(e, RILLE_NOTFOUND, "no event was ever written to stream \"%s\"",
                     error_name(stream, name));
  if (*before == UINT64_MAX) *before = head.count + 1;
  if (*before <= head.count + 1) return 0;
  return error_set(e, RILLE_INVALID,
                   "before = %llu: stream \"%s\" is at version %llu, so at most %llu can be given",
                   (unsigned long long)*before, error_name(stream, name),
                   (unsigned long long)head.count, (unsigned long long)head.count + 1);
}

static int write_cut(struct log *l, rille_text stream, uint64_t before, rille_error *e) {
  struct building b;
  struct fact cut = {FACT_CUT, stream, before};
  int failed = log_succeed(l, e);
  if (failed) return failed;
  failed = begin_frame(&b, l, FRAME_STREAM, l->seen.time_us, e); /* whose clock, nobody says */
  if (!failed) failed = add_fact(&b, &cut, e);
  return finish_frame(l, &b, failed, e);
}

int log_cut(struct log *l, rille_text stream, uint64_t before, uint64_t *end, rille_error *e) {
  struct chain_head now;
  *end = 0;
  int failed = input_check_stream(stream, e);
  if (!failed && l->options.readonly)
    failed = error_set(e, RILLE_READONLY, "the store is open for reading only");
  if (!failed) failed = log_make_room(l, e);
  if (!failed) failed = log_enter_append(l, e);
  if (failed) return failed;
  failed = check_cut(l, stream, &before, e);
  if (!failed) failed = log_find_head(l, WORD_CUT, stream, &now, e);
  bool is_new = !failed && before > 1 && (now.count == 0 || before > now.tower[0]);
  if (is_new) failed = write_cut(l, stream, before, e);
  *end = l->seen.address;
  log_leave_append(l);
  return failed;
}
