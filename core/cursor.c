/* cursor.c: walking one chain. */
#include "cursor.h"

#include <assert.h>

#include "error.h"

#define NO_CHAIN SIZE_MAX

/* ---- A member ---- */

static int wrong_record(uint64_t address, rille_error *e) {
  return error_corrupt(e, address,
                       "the record at byte %llu of the log is not the one that its chain names: "
                       "delete the folder index/, it is made again",
                       (unsigned long long)address);
}

static size_t tag_chain(const struct record *r, rille_text name) {
  const uint8_t *t = r->tags;
  for (size_t i = 0; i < r->tag_count; i++, t += 1 + *t)
    if (*t == name.length && memcmp(t + 1, name.bytes, name.length) == 0)
      return RECORD_FIRST_TAG + i;
  return NO_CHAIN;
}

/* Which of the record's chains is the cursor's. */
static size_t chain_of(const struct cursor *c, const struct record *r) {
  if (c->kind == CHAIN_TAG) return tag_chain(r, c->name);
  if (c->kind == CHAIN_TYPE) return text_equal(r->type, c->name) ? RECORD_TYPE : NO_CHAIN;
  return text_equal(r->stream, c->name) ? RECORD_STREAM : NO_CHAIN;
}

/* Whether the record has lost a name of this kind. */
static bool has_lost(const struct cursor *c, const struct record *r) {
  if (c->kind == CHAIN_STREAM) return record_lost(r, RECORD_STREAM);
  for (size_t i = 0; i < r->tag_count && c->kind == CHAIN_TAG; i++)
    if (record_lost(r, RECORD_FIRST_TAG + i)) return true;
  return false;
}

/* Nothing is left of it. */
static int end_chain(struct cursor *c) {
  c->low = 1;
  c->high = c->block_count = c->block_at = 0;
  return 0;
}

/* Where the callbacks of a chain put records: the block's into its slots, those on the
** way to it into the spare one. */
struct walk {
  struct cursor *cursor;
  struct segments_visit visit;
  struct cursor_slot spare;
};

static void begin_walk(struct walk *w, struct cursor *c) {
  struct log *l = c->log;
  w->cursor = c;
  segments_begin_visit(&l->segments, log_written(l).address, &w->visit);
}

/* What is in memory; most records are as long as the others of their chain. */
static size_t glance(const struct walk *w, uint64_t address, uint8_t *bytes) {
  struct cursor *c = w->cursor;
  return segments_want(&c->log->segments, &w->visit, address, bytes, c->slot_bytes);
}

/* Reads a record's head into a slot, with as much of its body as fits. */
static int fill_slot(struct walk *w, struct cursor_slot *slot, uint64_t address, rille_error *e) {
  struct cursor *c = w->cursor;
  struct record *r = &slot->record;
  uint64_t salt = c->log->identity.salt;
  enum record_result result = RECORD_SHORT;
  if (slot->got == 0) slot->got = glance(w, address, slot->bytes);
  if (slot->got) result = record_get(slot->bytes, slot->got, address, salt, r);
  if (slot->got < CURSOR_SLOT_BYTES &&
      (result != RECORD_OK || slot->got < min_u64(record_bytes(r), CURSOR_SLOT_BYTES))) {
    int failed =
        segments_read(&c->log->segments, address, slot->bytes, CURSOR_SLOT_BYTES, &slot->got, e);
    if (failed) return failed;
    result = record_get(slot->bytes, slot->got, address, salt, r);
    if (result == RECORD_OK && slot->got >= record_bytes(r))
      c->slot_bytes = max_u64(c->slot_bytes, record_bytes(r));
  }
  if (result == RECORD_OK) return 0;
  slot->got = 0; /* a long head, or damage: the window tells */
  return window_record(c->window, address, &slot->record, e);
}

static struct cursor_slot *slot_of(struct walk *w, uint64_t number) {
  struct cursor *c = w->cursor;
  if (number >= c->block_low && number - c->block_low < c->block_count)
    return &c->slots[number - c->block_low];
  w->spare.got = 0;
  return &w->spare;
}

static int member_links(void *context, uint64_t number, uint64_t address, uint64_t *links,
                        rille_error *e) {
  struct walk *w = context;
  struct cursor *c = w->cursor;
  struct cursor_slot *slot = slot_of(w, number);
  int failed = fill_slot(w, slot, address, e);
  if (failed) return failed;
  size_t chain = chain_of(c, &slot->record);
  if (chain == NO_CHAIN && has_lost(c, &slot->record)) {
    c->ended = true;
    return error_set(e, RILLE_NOTFOUND, "the name was redacted while its events were looked for");
  }
  if (chain == NO_CHAIN || record_number(&slot->record, chain) != number)
    return wrong_record(address, e);
  unsigned n = record_links(&slot->record, chain, links);
  if (number == c->block_low) c->before = n ? links[0] : NO_ADDRESS;
  return 0;
}

/* What is in memory goes into its slot at once, by one call for each record. */
static void want_member(void *context, uint64_t number, uint64_t address) {
  struct walk *w = context;
  struct cursor_slot *slot = slot_of(w, number);
  slot->got = glance(w, address, slot->bytes);
}

static struct chain chain_in(struct walk *w) {
  return (struct chain){&w->cursor->head, member_links, want_member, w, w->cursor->near};
}

/* ---- A range ---- */

int cursor_init(struct cursor *c, struct log *log, struct window *window, enum chain_kind kind,
                rille_text name, rille_error *e) {
  c->log = log;
  c->window = window;
  c->kind = kind;
  c->name = name;
  c->near.number = 0;
  c->block_low = c->block_count = c->block_at = c->slot_count = 0;
  c->slots = NULL;
  c->head.count = 0;
  c->ended = false;
  c->slot_bytes = CURSOR_FIRST_BYTES;
  bool possible = name.length > 0 && name.length <= RILLE_NAME_BYTES; /* else nobody has it */
  int failed = possible ? log_head(log, kind, name, &c->head, e) : 0;
  c->low = 1;
  c->high = failed ? 0 : c->head.count;
  return failed;
}

int cursor_bound(struct cursor *c, uint64_t from, uint64_t to, uint64_t enough, rille_error *e) {
  struct chain_mark first;
  struct walk w;
  begin_walk(&w, c);
  struct chain chain = chain_in(&w);
  assert(from <= to && c->block_count == 0);
  int failed = chain_first_from(&chain, to, 0, &first, e);
  if (failed) return c->ended ? end_chain(c) : failed;
  c->high = first.number - 1;
  if (first.number <= c->head.count) chain.near = c->near = first;
  if (from == 0) return 0;
  failed = chain_first_from(&chain, from, c->high >= enough ? c->high + 1 - enough : 0, &first, e);
  if (!failed) c->low = first.number;
  return failed && c->ended ? end_chain(c) : failed;
}

int cursor_find(const struct cursor *c, uint64_t number, uint64_t *address, uint64_t *position,
                rille_error *e) {
  uint64_t links[LINKS_MOST];
  struct cursor alike = *c; /* that has no block, so that none is changed */
  alike.block_count = 0;
  struct walk w;
  begin_walk(&w, &alike);
  struct chain chain = chain_in(&w);
  int failed = chain_seek(&chain, number, address, e);
  if (!failed) failed = member_links(&w, number, *address, links, e);
  if (!failed) *position = w.spare.record.position;
  return failed;
}

/* ---- Walking ---- */

void cursor_begin(struct cursor *c, bool backward, size_t block, size_t block_most) {
  assert(block > 0 && block <= block_most && block_most <= CHAIN_BLOCK);
  c->backward = backward;
  c->block = block;
  c->block_most = block_most;
  c->before = NO_ADDRESS;
}

static bool make_slots(struct cursor *c, size_t n) {
  const struct memory *m = &c->log->memory;
  if (n <= c->slot_count) return true;
  memory_free(m, c->slots, c->slot_count * sizeof *c->slots);
  c->slot_count = 0;
  c->slots = memory_get(m, n * sizeof *c->slots);
  if (c->slots) c->slot_count = n;
  return c->slots != NULL;
}

/* The next numbers to come, resolved: their slots hold them. */
static int next_block(struct cursor *c, rille_error *e) {
  uint64_t addresses[CHAIN_BLOCK], known = c->backward ? c->before : NO_ADDRESS;
  struct walk w;
  begin_walk(&w, c);
  struct chain chain = chain_in(&w);
  size_t n = (size_t)min_u64(cursor_count(c), c->block);
  c->block_count = c->block_at = 0;
  if (!make_slots(c, n)) return error_memory(e);
  c->block_low = c->backward ? c->high - n + 1 : c->low;
  c->block_count = n;
  c->block = (size_t)min_u64(2 * c->block, c->block_most);
  if (c->backward) c->high -= n;
  else c->low += n;
  for (size_t i = 0; i < n; i++) c->slots[i].got = 0;
  uint64_t high = c->block_low + n - 1;
  return known ? chain_block_at(&chain, c->block_low, high, known, addresses, e)
               : chain_block(&chain, c->block_low, high, addresses, e);
}

static struct cursor_slot *current(const struct cursor *c) {
  return &c->slots[c->backward ? c->block_count - c->block_at : c->block_at - 1];
}

int cursor_next(struct cursor *c, rille_error *e) {
  if (c->block_at == c->block_count) {
    if (cursor_count(c) == 0) return 0;
    int failed = next_block(c, e);
    if (failed) return c->ended ? end_chain(c) : failed;
  }
  c->block_at++;
  c->address = current(c)->record.address;
  return 1;
}

int cursor_record(struct cursor *c, struct record *record, rille_error *e) {
  const struct cursor_slot *slot = current(c);
  if (slot->got == 0) return window_record(c->window, c->address, record, e); /* taken again */
  *record = slot->record;
  return 0;
}

int cursor_body(struct cursor *c, struct record *record, rille_error *e) {
  const struct cursor_slot *slot = current(c);
  if (slot->got && slot->got < record_bytes(record)) {
    int failed = window_record(c->window, c->address, record, e);
    if (failed) return failed;
  }
  return window_check_body(c->window, record, e);
}

void cursor_forget(struct cursor *c) {
  for (size_t i = 0; i < c->block_count; i++) c->slots[i].got = 0;
}

void cursor_release(struct cursor *c) {
  memory_free(&c->log->memory, c->slots, c->slot_count * sizeof *c->slots);
  c->slots = NULL;
  c->slot_count = 0;
}
