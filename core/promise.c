/* promise.c: a promise to bytes, and back. */
#include "promise.h"

#include "error.h"
#include "frame.h"

#define PROMISE_FORMAT 1u

/* ---- Sizes ---- */

/* How long the arrays are that a promise needs when it is read. */
struct counts {
  size_t parts, events, texts, items;
};

static struct counts count(const rille_append *work) {
  const rille_query *unless = work->unless;
  struct counts n = {.parts = work->part_count, .items = unless ? unless->item_count : 0};
  for (size_t i = 0; i < n.parts; i++) {
    n.events += work->parts[i].event_count;
    for (size_t j = 0; j < work->parts[i].event_count; j++)
      n.texts += work->parts[i].events[j].tag_count;
  }
  for (size_t i = 0; i < n.items; i++)
    n.texts += unless->items[i].type_count + unless->items[i].tag_count;
  return n;
}

bool promise_checks_only(const struct promise *p) {
  return count(&p->work).events == 0 && p->work.mark.name.length == 0;
}

uint64_t promise_commit_bytes(const struct promise *p) {
  struct fact done = {.kind = FACT_COMMITTED, .name = p->id};
  struct fact moved = {.kind = FACT_MARK, .name = p->work.mark.name};
  uint64_t n = FRAME_HEADER_BYTES + 2 * RILLE_NAME_BYTES + fact_bytes(&done) + fact_bytes(&moved);
  for (size_t i = 0; i < p->work.part_count; i++)
    for (size_t j = 0; j < p->work.parts[i].event_count; j++) {
      const rille_event_input *event = &p->work.parts[i].events[j];
      n += record_room(&(struct record_fields){.stream = p->work.parts[i].stream,
                                               .type = event->type,
                                               .id = event->id,
                                               .data = event->data,
                                               .meta = event->meta,
                                               .tags = event->tags,
                                               .tag_count = event->tag_count});
    }
  return align8(n);
}

/* ---- To bytes ---- */

static void pack_part(struct pack *p, const rille_part *part) {
  pack_text(p, part->stream);
  pack_u64(p, (uint64_t)part->expect);
  pack_u32(p, part->event_count);
  for (size_t i = 0; i < part->event_count; i++) pack_event(p, &part->events[i]);
}

static void pack_item(struct pack *p, const rille_item *item) {
  pack_texts(p, item->types, item->type_count);
  pack_texts(p, item->tags, item->tag_count);
  pack_text(p, item->stream);
  pack_text(p, item->category);
  pack_text(p, item->prefix);
  pack_u64(p, item->after);
}

static void pack_work(struct pack *p, const rille_append *work) {
  struct counts n = count(work);
  pack_u32(p, n.parts);
  pack_u32(p, n.events);
  pack_u32(p, n.texts);
  pack_u32(p, n.items);
  pack_u32(p, work->internal != 0);
  pack_u32(p, work->unless != NULL);
  pack_text(p, work->mark.name);
  pack_u64(p, work->mark.from);
  pack_u64(p, work->mark.to);
  for (size_t i = 0; i < n.parts; i++) pack_part(p, &work->parts[i]);
  if (!work->unless) return;
  pack_u64(p, work->unless->after);
  for (size_t i = 0; i < n.items; i++) pack_item(p, &work->unless->items[i]);
}

void promise_pack(const struct promise *p, struct pack *to) {
  pack_u32(to, PROMISE_FORMAT);
  pack_text(to, p->name);
  pack_text(to, p->home_kind);
  pack_text(to, p->home_path);
  pack_text(to, p->home_relative);
  pack_text(to, p->coordinator);
  pack_text(to, p->client);
  pack_text(to, p->detail);
  pack_u64(to, p->home_end);
  pack_u64(to, (uint64_t)p->deadline_us);
  pack_u64(to, (uint64_t)p->now_us);
  pack_work(to, &p->work);
}

/* ---- From bytes ---- */

/* The arrays that are being filled. */
struct filling {
  struct unpack in;
  struct counts left;
  rille_part *parts;
  rille_event_input *events;
  rille_text *texts;
  rille_item *items;
};

static const rille_text *unpack_texts(struct filling *f, size_t *n) {
  *n = unpack_u32(&f->in);
  if (*n > f->left.texts) {
    f->in.bad = true;
    *n = 0;
  }
  rille_text *list = f->texts;
  f->texts += *n;
  f->left.texts -= *n;
  for (size_t i = 0; i < *n; i++) list[i] = unpack_text(&f->in);
  return list;
}

static void unpack_event(struct filling *f, rille_event_input *event) {
  event->type = unpack_text(&f->in);
  event->data = unpack_text(&f->in);
  event->meta = unpack_text(&f->in);
  event->id = unpack_text(&f->in);
  event->time_us = (int64_t)unpack_u64(&f->in);
  event->tags = unpack_texts(f, &event->tag_count);
}

static void unpack_part(struct filling *f, rille_part *part) {
  part->stream = unpack_text(&f->in);
  part->expect = (int64_t)unpack_u64(&f->in);
  part->event_count = unpack_u32(&f->in);
  if (part->event_count > f->left.events) {
    f->in.bad = true;
    part->event_count = 0;
  }
  part->events = f->events;
  f->left.events -= part->event_count;
  for (size_t i = 0; i < part->event_count; i++) unpack_event(f, f->events++);
}

static void unpack_item(struct filling *f, rille_item *item) {
  item->types = unpack_texts(f, &item->type_count);
  item->tags = unpack_texts(f, &item->tag_count);
  item->stream = unpack_text(&f->in);
  item->category = unpack_text(&f->in);
  item->prefix = unpack_text(&f->in);
  item->after = unpack_u64(&f->in);
}

static bool make_arrays(struct promise *p, struct filling *f, const struct counts *n) {
  size_t parts = n->parts * sizeof *f->parts, events = n->events * sizeof *f->events;
  size_t texts = n->texts * sizeof *f->texts, items = n->items * sizeof *f->items;
  p->array_bytes = parts + events + texts + items + 8;
  p->arrays = memory_get_zeroed(&p->memory, p->array_bytes);
  if (!p->arrays) return false;
  uint8_t *at = p->arrays;
  f->left = *n;
  f->parts = (void *)at;
  f->events = (void *)(at + parts);
  f->texts = (void *)(at + parts + events);
  f->items = (void *)(at + parts + events + texts);
  return true;
}

static void unpack_lists(struct promise *p, struct filling *f, const struct counts *n,
                         bool unless) {
  p->work.parts = f->parts;
  p->work.part_count = n->parts;
  for (size_t i = 0; i < n->parts; i++) unpack_part(f, &f->parts[i]);
  if (!unless) return;
  p->unless = (rille_query){.size = sizeof p->unless, .items = f->items, .item_count = n->items};
  p->unless.after = unpack_u64(&f->in);
  for (size_t i = 0; i < n->items; i++) unpack_item(f, &f->items[i]);
  p->work.unless = &p->unless;
}

static int unpack_work(struct promise *p, struct filling *f, rille_error *e) {
  struct counts n;
  p->work.size = sizeof p->work;
  n.parts = unpack_u32(&f->in);
  n.events = unpack_u32(&f->in);
  n.texts = unpack_u32(&f->in);
  n.items = unpack_u32(&f->in);
  p->work.internal = unpack_u32(&f->in) != 0;
  bool unless = unpack_u32(&f->in) != 0;
  p->work.mark.name = unpack_text(&f->in);
  p->work.mark.from = unpack_u64(&f->in);
  p->work.mark.to = unpack_u64(&f->in);
  if (n.parts + n.events + n.texts + n.items > f->in.left) f->in.bad = true; /* 1 byte each */
  if (f->in.bad) return 0;
  if (!make_arrays(p, f, &n)) return error_memory(e);
  unpack_lists(p, f, &n, unless);
  return 0;
}

static int unpack_promise(struct promise *p, rille_error *e) {
  struct filling f = {.in = {.at = p->bytes, .left = p->byte_count}};
  p->id = (rille_text){(const char *)p->bytes, p->id.length};
  f.in.at += p->id.length;
  f.in.left -= p->id.length;
  uint32_t format = unpack_u32(&f.in);
  p->name = unpack_text(&f.in);
  p->home_kind = unpack_text(&f.in);
  p->home_path = unpack_text(&f.in);
  p->home_relative = unpack_text(&f.in);
  p->coordinator = unpack_text(&f.in);
  p->client = unpack_text(&f.in);
  p->detail = unpack_text(&f.in);
  p->home_end = unpack_u64(&f.in);
  p->deadline_us = (int64_t)unpack_u64(&f.in);
  p->now_us = (int64_t)unpack_u64(&f.in);
  int failed = format == PROMISE_FORMAT ? unpack_work(p, &f, e) : 0;
  if (failed || (format == PROMISE_FORMAT && !f.in.bad)) return failed;
  return error_set(e, RILLE_CORRUPT,
                   "what was prepared for a transaction can't be read (format %u): was it written "
                   "by a newer rille?",
                   format);
}

int promise_open(struct promise *p, rille_text id, rille_text payload, const struct memory *memory,
                 rille_error *e) {
  *p = (struct promise){.memory = *memory, .id = id, .byte_count = id.length + payload.length};
  p->bytes = memory_get(memory, p->byte_count);
  if (!p->bytes) return error_memory(e);
  memcpy(p->bytes, id.bytes, id.length);
  if (payload.length) memcpy(p->bytes + id.length, payload.bytes, payload.length);
  int failed = unpack_promise(p, e);
  if (failed) promise_release(p);
  return failed;
}

void promise_release(struct promise *p) {
  struct memory memory = p->memory;
  memory_free(&memory, p->arrays, p->array_bytes);
  memory_free(&memory, p->bytes, p->byte_count);
  *p = (struct promise){.memory = memory};
}
