/* query.c: items against record heads. */
#include "query.h"

#include "error.h"

static uint32_t hash_text(rille_text t) {
  uint64_t a = 0, b = 0;
  if (t.length >= 8) {
    memcpy(&a, t.bytes, 8);
    memcpy(&b, t.bytes + t.length - 8, 8);
  } else {
    memcpy(&a, t.bytes, t.length);
  }
  uint64_t h = (a ^ t.length) * 0x9E3779B97F4A7C15u ^ b * 0xC2B2AE3D27D4EB4Fu;
  return (uint32_t)(h >> 32 ^ h >> 17);
}

static bool only_types(const rille_item *item) {
  return item->type_count && !item->tag_count && !item->stream.length && !item->category.length &&
         !item->prefix.length && !item->after;
}

/* ---- Making ---- */

static size_t text_bytes(const rille_item *item) {
  size_t n = item->stream.length + item->category.length + item->prefix.length;
  for (size_t i = 0; i < item->type_count; i++) n += item->types[i].length;
  for (size_t i = 0; i < item->tag_count; i++) n += item->tags[i].length;
  return n;
}

static rille_text copy_text(struct query *q, rille_text t) {
  rille_text copy = {(const char *)q->texts.bytes + q->texts.length, t.length};
  (void)buffer_add(&q->texts, t.bytes, t.length); /* reserved before */
  return copy;
}

static const rille_text *copy_list(struct query *q, const rille_text *list, size_t n) {
  rille_text *copy = q->names + q->name_count;
  for (size_t i = 0; i < n; i++) copy[i] = copy_text(q, list[i]);
  q->name_count += n;
  return copy;
}

static void add_slots(struct query *q, size_t number) {
  const rille_item *item = &q->items[number];
  for (size_t i = 0; i < item->type_count; i++) {
    size_t at = hash_text(item->types[i]) & (q->slot_count - 1);
    while (q->slots[at].item && !text_equal(q->slots[at].type, item->types[i]))
      at = (at + 1) & (q->slot_count - 1);
    if (!q->slots[at].item) q->slots[at] = (struct query_slot){item->types[i], number + 1};
  }
}

static void fill_query(struct query *q, const rille_item *items) {
  for (size_t i = 0; i < q->count; i++) {
    rille_item *copy = &q->items[i];
    *copy = items[i];
    copy->types = copy_list(q, items[i].types, items[i].type_count);
    copy->tags = copy_list(q, items[i].tags, items[i].tag_count);
    copy->stream = copy_text(q, items[i].stream);
    copy->category = copy_text(q, items[i].category);
    copy->prefix = copy_text(q, items[i].prefix);
    if (only_types(copy)) add_slots(q, i);
    else q->others[q->other_count++] = i;
  }
}

int query_init(struct query *q, const rille_item *items, size_t count, const struct memory *memory,
               rille_error *e) {
  *q = (struct query){.memory = *memory, .count = count};
  buffer_init(&q->texts, memory);
  if (count == 0) return 0;
  size_t bytes = 1, names = 0;
  for (size_t i = 0; i < count; i++) {
    bytes += text_bytes(&items[i]);
    names += items[i].type_count + items[i].tag_count;
  }
  q->slot_count = 8;
  while (q->slot_count < 2 * names) q->slot_count *= 2;
  q->name_count = names;
  q->items = memory_get(memory, count * sizeof *q->items);
  q->others = memory_get(memory, count * sizeof *q->others);
  q->names = memory_get(memory, (names + 1) * sizeof *q->names);
  q->slots = memory_get_zeroed(memory, q->slot_count * sizeof *q->slots);
  if (!q->items || !q->others || !q->names || !q->slots || !buffer_reserve(&q->texts, bytes)) {
    query_release(q);
    return error_memory(e);
  }
  q->name_count = 0;
  fill_query(q, items);
  return 0;
}

void query_release(struct query *q) {
  memory_free(&q->memory, q->items, q->count * sizeof *q->items);
  memory_free(&q->memory, q->others, q->count * sizeof *q->others);
  memory_free(&q->memory, q->names, (q->name_count + 1) * sizeof *q->names);
  memory_free(&q->memory, q->slots, q->slot_count * sizeof *q->slots);
  buffer_release(&q->texts);
  *q = (struct query){.memory = q->memory};
}

/* ---- Matching ---- */

static bool has_type(const rille_item *item, rille_text type) {
  for (size_t i = 0; i < item->type_count; i++)
    if (text_equal(item->types[i], type)) return true;
  return item->type_count == 0;
}

/* A record without bytes is going to be written: it has all its names. */
static bool is_tag_lost(const struct record *r, const struct record_taking *hidden, size_t tag) {
  return (r->bytes && record_lost(r, RECORD_FIRST_TAG + tag)) ||
         (hidden && hidden->tags >> tag & 1);
}

static bool has_tag(const struct record *r, const struct record_taking *hidden, rille_text tag) {
  const uint8_t *t = r->tags;
  for (size_t i = 0; i < r->tag_count; i++, t += 1 + *t)
    if (*t == tag.length && memcmp(t + 1, tag.bytes, tag.length) == 0 && !is_tag_lost(r, hidden, i))
      return true;
  return false;
}

static bool begins_with(rille_text stream, rille_text prefix) {
  return stream.length >= prefix.length &&
         (prefix.length == 0 || memcmp(stream.bytes, prefix.bytes, prefix.length) == 0);
}

static bool in_category(rille_text stream, rille_text category) {
  const char *dash = memchr(stream.bytes, '-', stream.length);
  size_t n = dash ? (size_t)(dash - stream.bytes) : stream.length;
  return n == category.length && memcmp(stream.bytes, category.bytes, n) == 0;
}

static bool is_own(const struct record *r) { return r->type.length && *r->type.bytes == '$'; }

/* Whether the item says that it wants rille's own. */
static bool names_own(const rille_item *item) { return item->type_count || item->stream.length; }

static bool is_in_streams(const rille_item *item, const struct record *r,
                          const struct record_taking *hidden) {
  if (!item->stream.length && !item->category.length && !item->prefix.length) return true;
  if ((r->flags | (hidden ? hidden->flags : 0)) & RECORD_STREAM_TAKEN) return false;
  if (item->stream.length && !text_equal(item->stream, r->stream)) return false;
  if (item->category.length && !in_category(r->stream, item->category)) return false;
  return begins_with(r->stream, item->prefix);
}

static bool matches(const struct query *q, const rille_item *item, const struct record *r,
                    const struct record_taking *hidden) {
  if (r->position <= item->after || !has_type(item, r->type)) return false;
  if (is_own(r) && !q->own_too && !names_own(item)) return false;
  if (!is_in_streams(item, r, hidden)) return false;
  for (size_t i = 0; i < item->tag_count; i++)
    if (!has_tag(r, hidden, item->tags[i])) return false;
  return true;
}

static size_t item_of_type(const struct query *q, rille_text type) {
  size_t at = hash_text(type) & (q->slot_count - 1);
  for (; q->slots[at].item; at = (at + 1) & (q->slot_count - 1))
    if (text_equal(q->slots[at].type, type)) return q->slots[at].item - 1;
  return SIZE_MAX;
}

ptrdiff_t query_match(const struct query *q, const struct record *r,
                      const struct record_taking *hidden) {
  if (r->flags & RECORD_TAKEN && !q->taken_too) return -1; /* it is as if it never was */
  if (q->count == 0) return is_own(r) && !q->own_too ? -1 : 0;
  size_t found = q->other_count < q->count ? item_of_type(q, r->type) : SIZE_MAX;
  for (size_t i = 0; i < q->other_count && q->others[i] < found; i++)
    if (matches(q, &q->items[q->others[i]], r, hidden)) return (ptrdiff_t)q->others[i];
  return found == SIZE_MAX ? -1 : (ptrdiff_t)found;
}

bool query_match_input(const struct query *q, rille_text stream, const rille_event_input *event) {
  uint8_t tags[RECORD_TAGS_MOST * (1 + RILLE_NAME_BYTES)];
  struct record r = {.position = UINT64_MAX, .stream = stream, .type = event->type, .tags = tags};
  size_t n = 0;
  for (size_t i = 0; i < event->tag_count; i++, r.tag_count++) {
    tags[n++] = (uint8_t)event->tags[i].length;
    memcpy(tags + n, event->tags[i].bytes, event->tags[i].length);
    n += event->tags[i].length;
  }
  return query_match(q, &r, NULL) >= 0;
}
