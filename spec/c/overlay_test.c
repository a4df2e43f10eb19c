/* overlay_test.c: the table of heads in memory against a plain list of names, and what it
** costs to grow: no single head may pay for all the others. */
#include "overlay.h"

#include "test.h"

#define NAMES 60000u /* each part is made larger some times */

struct counted {
  size_t held;  /* bytes that are not given back */
  size_t added; /* bytes asked for since it was cleared */
  size_t left;  /* so many allocations succeed */
};

static void *counted_alloc(void *context, void *p, size_t old, size_t n) {
  struct counted *c = context;
  if (n == 0) {
    c->held -= old;
    free(p);
    return NULL;
  }
  if (c->left == 0) return NULL;
  c->left--;
  void *q = realloc(p, n);
  if (!q) return NULL;
  c->held += n - old;
  c->added += n;
  return q;
}

static rille_text name_of(uint32_t i, char *text) {
  int n = snprintf(text, 32, "account-%u", i);
  return (rille_text){text, (size_t)n};
}

static struct overlay make(struct counted *c) {
  struct overlay o;
  struct memory memory = {counted_alloc, c};
  *c = (struct counted){.left = SIZE_MAX};
  overlay_init(&o, &memory, random_bits());
  return o;
}

static bool add(struct overlay *o, uint32_t i) {
  char text[32];
  struct chain_head head = {.count = 0};
  struct overlay_entry *e = overlay_add(o, i % HEAD_KINDS, name_of(i, text), &head);
  return e && overlay_advance(o, e, 1, 8u * i, 8u * i);
}

static bool has(const struct overlay *o, uint32_t i) {
  char text[32];
  const struct overlay_entry *e = overlay_find(o, i % HEAD_KINDS, name_of(i, text));
  return e && e->count == 1 && e->tower[0] == 8u * i;
}

static void finds_what_was_added(void) {
  struct counted c;
  struct overlay o = make(&c);
  uint32_t looked = 0;
  for (uint32_t i = 0; i < NAMES; i++) {
    CHECK(!has(&o, i));
    CHECK(add(&o, i));
    uint32_t other = random_below(i + 1);
    CHECK(has(&o, other));
    looked++;
  }
  for (uint32_t i = 0; i < NAMES; i++) CHECK(has(&o, i));
  CHECK(looked == NAMES && o.count == NAMES);
  overlay_release(&o);
  CHECK(c.held == 0);
}

/* The bytes that it says are those that it has, places apart. */
static void counts_its_bytes(void) {
  struct counted c;
  struct overlay o = make(&c);
  for (uint32_t i = 0; i < NAMES; i++) CHECK(add(&o, i));
  CHECK(o.bytes <= c.held && c.held - o.bytes < c.held / 1000);
  overlay_release(&o);
}

static void walks_over_each_once(void) {
  static uint8_t seen[NAMES];
  struct counted c;
  struct overlay o = make(&c);
  memset(seen, 0, sizeof seen);
  CHECK(overlay_next(&o, NULL) == NULL);
  for (uint32_t i = 0; i < NAMES; i++) CHECK(add(&o, i));
  size_t n = 0;
  for (struct overlay_entry *e = NULL; (e = overlay_next(&o, e)) != NULL; n++)
    CHECK(seen[e->tower[0] / 8]++ == 0);
  CHECK(n == NAMES);
  struct overlay_entry **sorted = overlay_sorted(&o);
  for (size_t i = 1; i < o.count; i++)
    CHECK(sorted[i - 1]->kind <= sorted[i]->kind);
  memory_free(&o.memory, sorted, (o.count + 1) * sizeof *sorted);
  overlay_release(&o);
}

/* However many there are, one more asks for a block, the list of blocks, and a part made
** larger at most. */
static void grows_in_small_steps(void) {
  struct counted c;
  struct overlay o = make(&c);
  size_t most = 0;
  for (uint32_t i = 0; i < NAMES; i++) {
    c.added = 0;
    CHECK(add(&o, i));
    if (c.added > most) most = c.added;
  }
  CHECK(most <= OVERLAY_BLOCK_BYTES + ((size_t)16 << 10));
  overlay_release(&o);
}

static void split_leaves_an_empty_one(void) {
  struct counted c;
  struct overlay o = make(&c), older;
  for (uint32_t i = 0; i < 5000; i++) CHECK(add(&o, i));
  overlay_split(&o, &older, NULL, 77);
  CHECK(o.start == 77 && o.count == 0 && o.bytes == 0 && older.count == 5000);
  for (uint32_t i = 0; i < 5000; i++) {
    CHECK(has(&older, i) && !has(&o, i));
    CHECK(add(&o, i) && has(&o, i));
  }
  overlay_release(&o);
  CHECK(has(&older, 4999));
  overlay_release(&older);
  CHECK(c.held == 0);
}

/* A spare table is used as if it were none, and known to its byte. */
static void a_spare_table_is_empty(void) {
  struct counted c;
  struct overlay o = make(&c), older, spare = {.parts = NULL};
  for (uint32_t i = 0; i < NAMES; i++) CHECK(add(&o, i));
  overlay_split(&o, &older, &spare, 1);
  CHECK(o.bytes == 0 && spare.parts == NULL);
  overlay_clear(&older);
  CHECK(overlay_next(&older, NULL) == NULL && !has(&older, 5));
  for (uint32_t i = 0; i < NAMES; i++) CHECK(add(&o, i + 7));
  spare = older;
  overlay_split(&o, &older, &spare, 2);
  size_t table = o.bytes;
  CHECK(spare.parts == NULL && o.count == 0 && table >= 8 * NAMES && o.start == 2);
  for (uint32_t i = 0; i < NAMES; i++) CHECK(!has(&o, i + 7) && add(&o, i) && has(&o, i));
  size_t rooms = 0;
  for (uint32_t i = 0; i < OVERLAY_PARTS; i++) rooms += o.parts[i].room;
  CHECK(rooms * 8 <= table && o.bytes > table && c.held - o.bytes - older.bytes < c.held / 1000);
  overlay_release(&o);
  overlay_release(&older);
  CHECK(c.held == 0);
}

/* A head that finds no memory is not there; all others are. */
static void goes_on_without_memory(void) {
  for (size_t left = 0; left < 60; left++) {
    struct counted c;
    struct overlay o = make(&c);
    c.left = left;
    uint32_t n = 0;
    while (n < NAMES && add(&o, n)) n++;
    CHECK(n < NAMES);
    c.left = SIZE_MAX;
    for (uint32_t i = 0; i < n; i++) CHECK(has(&o, i));
    CHECK(!has(&o, n) && add(&o, n + 1) && has(&o, n + 1));
    overlay_release(&o);
    CHECK(c.held == 0);
  }
}

static const struct test tests[] = {
    {"what was added is found", finds_what_was_added},
    {"it knows its size", counts_its_bytes},
    {"a walk meets each once", walks_over_each_once},
    {"one more costs little, however many there are", grows_in_small_steps},
    {"split leaves an empty one", split_leaves_an_empty_one},
    {"a spare table is an empty one", a_spare_table_is_empty},
    {"without memory nothing is half there", goes_on_without_memory},
};
TEST_MAIN(tests)
