/* overlay.c: a hash table of heads in an arena. */
#include "overlay.h"

#include <stdlib.h>

#define SLOTS_LEAST 1024u
#define LEVELS_LEAST 4u

struct overlay_block {
  struct overlay_block *next;
  size_t used, size;
  uint64_t bytes[];
};

void overlay_init(struct overlay *o, const struct memory *memory, uint64_t seed) {
  *o = (struct overlay){.memory = *memory, .seed = seed};
}

static void free_blocks(struct overlay *o) {
  while (o->blocks) {
    struct overlay_block *next = o->blocks->next;
    memory_free(&o->memory, o->blocks, sizeof *o->blocks + o->blocks->size);
    o->blocks = next;
  }
}

void overlay_restart(struct overlay *o, uint64_t start) {
  free_blocks(o);
  memory_free(&o->memory, o->slots, o->capacity * sizeof *o->slots);
  o->slots = NULL;
  o->capacity = o->count = o->bytes = o->place_count = 0;
  o->start = start;
}

void overlay_release(struct overlay *o) {
  overlay_restart(o, 0);
  memory_free(&o->memory, o->places, o->place_capacity * sizeof *o->places);
  o->places = NULL;
  o->place_capacity = 0;
}

bool overlay_split(struct overlay *o, struct overlay *older, uint64_t start) {
  size_t bytes = o->capacity * sizeof *o->slots;
  struct overlay_entry **slots = bytes ? memory_get_zeroed(&o->memory, bytes) : NULL;
  if (bytes && !slots) return false;
  *older = *o;
  *o = (struct overlay){.memory = older->memory,
                        .seed = older->seed,
                        .start = start,
                        .slots = slots,
                        .capacity = older->capacity,
                        .bytes = bytes};
  return true;
}

static void *take(struct overlay *o, size_t n) {
  n = (size_t)align8(n);
  if (!o->blocks || o->blocks->size - o->blocks->used < n) {
    size_t size = n > OVERLAY_BLOCK_BYTES ? n : OVERLAY_BLOCK_BYTES;
    struct overlay_block *b = memory_get(&o->memory, sizeof *b + size);
    if (!b) return NULL;
    *b = (struct overlay_block){.next = o->blocks, .size = size};
    o->blocks = b;
    o->bytes += size;
  }
  void *p = (uint8_t *)o->blocks->bytes + o->blocks->used;
  o->blocks->used += n;
  return p;
}

static uint64_t mix(uint64_t h, uint64_t v) {
  h = (h ^ v) * 0x9FB21C651E98DF25u;
  return h ^ h >> 32;
}

static uint32_t hash_of(const struct overlay *o, unsigned kind, rille_text name) {
  uint64_t h = o->seed ^ (uint64_t)kind << 56 ^ name.length, v;
  const char *p = name.bytes;
  size_t n = name.length;
  for (; n >= 8; n -= 8, p += 8) {
    memcpy(&v, p, 8);
    h = mix(h, v);
  }
  v = 0;
  memcpy(&v, p, n);
  return (uint32_t)(mix(mix(h, v), o->seed) >> 32);
}

static bool is(const struct overlay_entry *e, uint32_t hash, unsigned kind, rille_text name) {
  return e->hash == hash && e->kind == kind && e->name_length == name.length &&
         memcmp(e->name, name.bytes, name.length) == 0;
}

struct overlay_entry *overlay_find(const struct overlay *o, unsigned kind, rille_text name) {
  if (o->count == 0) return NULL;
  uint32_t hash = hash_of(o, kind, name);
  for (size_t i = hash & (o->capacity - 1); o->slots[i]; i = (i + 1) & (o->capacity - 1))
    if (is(o->slots[i], hash, kind, name)) return o->slots[i];
  return NULL;
}

static void place_in(struct overlay_entry **slots, size_t capacity, struct overlay_entry *e) {
  size_t i = e->hash & (capacity - 1);
  while (slots[i]) i = (i + 1) & (capacity - 1);
  slots[i] = e;
}

static bool make_room(struct overlay *o) {
  if (o->count + 1 <= o->capacity / 2) return true;
  size_t capacity = o->capacity ? 2 * o->capacity : SLOTS_LEAST;
  struct overlay_entry **slots = memory_get_zeroed(&o->memory, capacity * sizeof *slots);
  if (!slots) return false;
  for (size_t i = 0; i < o->capacity; i++)
    if (o->slots[i]) place_in(slots, capacity, o->slots[i]);
  memory_free(&o->memory, o->slots, o->capacity * sizeof *slots);
  o->bytes += (capacity - o->capacity) * sizeof *slots;
  o->slots = slots;
  o->capacity = capacity;
  return true;
}

struct overlay_entry *overlay_add(struct overlay *o, unsigned kind, rille_text name,
                                  const struct chain_head *head) {
  unsigned levels = chain_levels(head->count), room = levels + 1;
  if (kind >= CHAIN_KINDS) room = 1;
  else if (room < LEVELS_LEAST) room = LEVELS_LEAST;
  if (!make_room(o)) return NULL;
  struct overlay_entry *e = take(o, sizeof *e + name.length);
  uint64_t *tower = take(o, room * sizeof *tower);
  if (!e || !tower) return NULL;
  *e = (struct overlay_entry){.count = head->count,
                              .touched = head->touched,
                              .tower = tower,
                              .hash = hash_of(o, kind, name),
                              .kind = (uint8_t)kind,
                              .name_length = (uint8_t)name.length,
                              .capacity = (uint8_t)room};
  memcpy(e->name, name.bytes, name.length);
  memcpy(tower, head->tower, levels * sizeof *tower);
  place_in(o->slots, o->capacity, e);
  o->count++;
  return e;
}

bool overlay_advance(struct overlay *o, struct overlay_entry *e, uint64_t number, uint64_t address,
                     uint64_t frame) {
  if (chain_levels(number) > e->capacity) {
    unsigned room = e->capacity + 4u;
    uint64_t *tower = take(o, room * sizeof *tower);
    if (!tower) return false;
    memcpy(tower, e->tower, e->capacity * sizeof *tower);
    e->tower = tower;
    e->capacity = (uint8_t)room;
  }
  chain_advance(number, address, e->tower);
  e->count = number;
  e->touched = frame;
  return true;
}

bool overlay_set_word(struct overlay *o, enum word_kind kind, rille_text name, uint64_t value,
                      uint64_t frame) {
  static const struct chain_head none;
  struct overlay_entry *e = overlay_find(o, kind, name);
  if (!e) e = overlay_add(o, kind, name, &none);
  if (!e) return false;
  e->count = 1;
  e->touched = frame;
  e->tower[0] = value;
  return true;
}

bool overlay_forget(struct overlay *o, unsigned kind, rille_text name, uint64_t frame) {
  static const struct chain_head none;
  struct overlay_entry *e = overlay_find(o, kind, name);
  if (!e) e = overlay_add(o, kind, name, &none);
  if (!e) return false;
  e->count = 0;
  e->touched = frame;
  return true;
}

void overlay_get(const struct overlay_entry *e, struct chain_head *head) {
  head->count = e->count;
  head->touched = e->touched;
  memcpy(head->tower, e->tower, chain_levels(e->count) * sizeof *e->tower);
}

bool overlay_add_place(struct overlay *o, struct place place) {
  if (o->place_count == o->place_capacity) {
    size_t capacity = o->place_capacity ? 2 * o->place_capacity : 64;
    struct place *places = memory_resize(&o->memory, o->places, o->place_capacity * sizeof *places,
                                         capacity * sizeof *places);
    if (!places) return false;
    o->places = places;
    o->place_capacity = capacity;
  }
  o->places[o->place_count++] = place;
  return true;
}

const struct place *overlay_find_place(const struct overlay *o, uint64_t position) {
  size_t low = 0, high = o->place_count; /* the answer is the one before `low` at the end */
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (o->places[middle].position <= position) low = middle + 1;
    else high = middle;
  }
  return low ? &o->places[low - 1] : NULL;
}

static int compare(const void *a, const void *b) {
  const struct overlay_entry *x = *(struct overlay_entry *const *)a;
  const struct overlay_entry *y = *(struct overlay_entry *const *)b;
  if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
  size_t n = x->name_length < y->name_length ? x->name_length : y->name_length;
  int order = memcmp(x->name, y->name, n);
  return order ? order : (int)x->name_length - (int)y->name_length;
}

struct overlay_entry **overlay_sorted(const struct overlay *o) {
  struct overlay_entry **list = memory_get(&o->memory, (o->count + 1) * sizeof *list);
  if (!list) return NULL;
  size_t n = 0;
  for (size_t i = 0; i < o->capacity; i++)
    if (o->slots[i]) list[n++] = o->slots[i];
  if (n) qsort(list, n, sizeof *list, compare);
  return list;
}
