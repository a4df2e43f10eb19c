/* overlay.c: heads in an arena, and a hash table of them. */
#include "overlay.h"

#include <assert.h>
#include <stdlib.h>

#define PART_SHIFT 24u /* the hash's other bits tell the slot */
#define PART_LEAST 8u  /* slots */
#define LINE_SLOTS 8u  /* of 64 bytes */
#define LEVELS_LEAST 4u
#define BLOCK_WORDS (OVERLAY_BLOCK_BYTES / 8)
#define BLOCKS_MOST (UINT32_MAX / BLOCK_WORDS) /* 32 GiB: only verify could want so much */

void overlay_init(struct overlay *o, const struct memory *memory, uint64_t seed) {
  *o = (struct overlay){.memory = *memory, .seed = seed};
}

static void free_entries(struct overlay *o) {
  for (size_t i = 0; i < o->block_count; i++)
    memory_free(&o->memory, o->blocks[i], OVERLAY_BLOCK_BYTES);
  memory_free(&o->memory, o->blocks, o->block_capacity * sizeof *o->blocks);
  o->blocks = NULL;
  o->first = o->last = NULL;
  o->count = o->block_count = o->block_capacity = o->used = 0;
}

static void free_table(struct overlay *o) {
  for (size_t i = 0; o->parts && i < OVERLAY_PARTS; i++)
    memory_free(&o->memory, o->parts[i].slots, o->parts[i].room * sizeof(uint64_t));
  memory_free(&o->memory, o->parts, OVERLAY_PARTS * sizeof *o->parts);
  o->parts = NULL;
}

void overlay_restart(struct overlay *o, uint64_t start) {
  free_entries(o);
  free_table(o);
  o->bytes = o->place_count = 0;
  o->start = start;
  o->late = false;
}

void overlay_release(struct overlay *o) {
  overlay_restart(o, 0);
  memory_free(&o->memory, o->places, o->place_capacity * sizeof *o->places);
  o->places = NULL;
  o->place_capacity = 0;
}

void overlay_split(struct overlay *o, struct overlay *older, struct overlay *spare,
                   uint64_t start) {
  *older = *o;
  if (spare && spare->parts) {
    *o = *spare;
    *spare = (struct overlay){.parts = NULL};
  } else {
    overlay_init(o, &older->memory, older->seed);
  }
  o->start = start;
}

void overlay_clear(struct overlay *o) {
  free_entries(o);
  memory_free(&o->memory, o->places, o->place_capacity * sizeof *o->places);
  o->places = NULL;
  o->place_count = o->place_capacity = 0;
  o->bytes = o->parts ? OVERLAY_PARTS * sizeof *o->parts : 0;
  for (size_t i = 0; o->parts && i < OVERLAY_PARTS; i++) {
    struct overlay_part *part = &o->parts[i];
    if (part->room) memset(part->slots, 0, part->room * sizeof *part->slots);
    part->count = 0;
    o->bytes += part->room * sizeof *part->slots;
  }
}

/* ---- The arena ---- */

static bool add_block(struct overlay *o) {
  if (o->block_count == BLOCKS_MOST) return false; /* a slot tells no more places */
  if (o->block_count == o->block_capacity) {
    size_t n = o->block_capacity, capacity = n ? 2 * n : 8;
    uint64_t **blocks =
        memory_resize(&o->memory, o->blocks, n * sizeof *blocks, capacity * sizeof *blocks);
    if (!blocks) return false;
    o->bytes += (capacity - n) * sizeof *blocks;
    o->blocks = blocks;
    o->block_capacity = capacity;
  }
  uint64_t *block = memory_get(&o->memory, OVERLAY_BLOCK_BYTES);
  if (!block) return false;
  o->blocks[o->block_count++] = block;
  o->bytes += OVERLAY_BLOCK_BYTES;
  o->used = 0;
  return true;
}

/* Room for n bytes; *at: where it is, in words from the first block's beginning, and 1. */
static void *take(struct overlay *o, size_t n, uint32_t *at) {
  size_t words = (n + 7) / 8;
  assert(words <= BLOCK_WORDS);
  if ((o->block_count == 0 || BLOCK_WORDS - o->used < words) && !add_block(o)) return NULL;
  *at = (uint32_t)((o->block_count - 1) * BLOCK_WORDS + o->used) + 1;
  o->used += words;
  return o->blocks[o->block_count - 1] + o->used - words;
}

static struct overlay_entry *entry_at(const struct overlay *o, uint32_t at) {
  return (struct overlay_entry *)(o->blocks[(at - 1) / BLOCK_WORDS] + (at - 1) % BLOCK_WORDS);
}

/* ---- The table ---- */

static uint64_t mix(uint64_t h, uint64_t v) {
  h = (h ^ v) * 0x9FB21C651E98DF25u;
  return h ^ h >> 32;
}

/* All that a name stands for has one place to begin looking, and lies in one line of the
** processor's cache, mostly: what is said of a transaction are several words. */
static uint32_t hash_of(const struct overlay *o, unsigned kind, rille_text name) {
  uint64_t h = o->seed ^ name.length, v;
  const char *p = name.bytes;
  size_t n = name.length;
  for (; n >= 8; n -= 8, p += 8) {
    memcpy(&v, p, 8);
    h = mix(h, v);
  }
  v = 0;
  memcpy(&v, p, n);
  h = mix(mix(h, v), o->seed) >> 32;
  return ((uint32_t)h & ~(LINE_SLOTS - 1)) | (kind & (LINE_SLOTS - 1));
}

static bool is(const struct overlay_entry *e, unsigned kind, rille_text name) {
  return e->kind == kind && e->name_length == name.length &&
         memcmp(e->name, name.bytes, name.length) == 0;
}

static struct overlay_entry *find(const struct overlay *o, uint32_t hash, unsigned kind,
                                  rille_text name) {
  if (!o->parts) return NULL;
  const struct overlay_part *part = &o->parts[hash >> PART_SHIFT];
  if (part->room == 0) return NULL;
  for (uint32_t i = hash & ~(LINE_SLOTS - 1);; i++) {
    uint64_t slot = part->slots[i & (part->room - 1)];
    if (slot == 0) return NULL;
    if (slot >> 32 != hash) continue;
    struct overlay_entry *e = entry_at(o, (uint32_t)slot);
    if (is(e, kind, name)) return e;
  }
}

struct overlay_entry *overlay_find(const struct overlay *o, unsigned kind, rille_text name) {
  return o->count ? find(o, hash_of(o, kind, name), kind, name) : NULL;
}

static void put_slot(uint64_t *slots, uint32_t room, uint64_t slot) {
  uint32_t i = (uint32_t)(slot >> 32) & ~(LINE_SLOTS - 1);
  while (slots[i & (room - 1)]) i++;
  slots[i & (room - 1)] = slot;
}

/* Room for one more, with one slot in four empty. */
static bool make_room(struct overlay *o, struct overlay_part *part) {
  if (part->room && part->count < part->room / 4 * 3) return true;
  uint32_t room = part->room ? 2 * part->room : PART_LEAST;
  uint64_t *slots = memory_get_zeroed(&o->memory, room * sizeof *slots);
  if (!slots) return false;
  for (uint32_t i = 0; i < part->room; i++)
    if (part->slots[i]) put_slot(slots, room, part->slots[i]);
  memory_free(&o->memory, part->slots, part->room * sizeof *slots);
  o->bytes += (room - part->room) * sizeof *slots;
  part->slots = slots;
  part->room = room;
  return true;
}

/* The part for a hash, with room; NULL: no memory. */
static struct overlay_part *part_for(struct overlay *o, uint32_t hash) {
  if (!o->parts) {
    o->parts = memory_get_zeroed(&o->memory, OVERLAY_PARTS * sizeof *o->parts);
    if (!o->parts) return NULL;
    o->bytes += OVERLAY_PARTS * sizeof *o->parts;
  }
  struct overlay_part *part = &o->parts[hash >> PART_SHIFT];
  return make_room(o, part) ? part : NULL;
}

static struct overlay_entry *add(struct overlay *o, uint32_t hash, unsigned kind, rille_text name,
                                 const struct chain_head *head) {
  unsigned levels = chain_levels(head->count), room = levels + 1;
  uint32_t at, tower_at;
  if (kind >= CHAIN_KINDS) room = 1;
  else if (room < LEVELS_LEAST) room = LEVELS_LEAST;
  struct overlay_part *part = part_for(o, hash);
  if (!part) return NULL;
  struct overlay_entry *e = take(o, sizeof *e + name.length, &at);
  uint64_t *tower = e ? take(o, room * sizeof *tower, &tower_at) : NULL;
  if (!tower) return NULL;
  *e = (struct overlay_entry){.count = head->count,
                              .touched = head->touched,
                              .tower = tower,
                              .kind = (uint8_t)kind,
                              .name_length = (uint8_t)name.length,
                              .capacity = (uint8_t)room};
  memcpy(e->name, name.bytes, name.length);
  memcpy(tower, head->tower, levels * sizeof *tower);
  put_slot(part->slots, part->room, (uint64_t)hash << 32 | at);
  part->count++;
  if (o->last) o->last->next = e;
  else o->first = e;
  o->last = e;
  o->count++;
  return e;
}

struct overlay_entry *overlay_add(struct overlay *o, unsigned kind, rille_text name,
                                  const struct chain_head *head) {
  return add(o, hash_of(o, kind, name), kind, name, head);
}

/* The entry of a name, made if need be. */
static struct overlay_entry *obtain(struct overlay *o, unsigned kind, rille_text name) {
  static const struct chain_head none;
  uint32_t hash = hash_of(o, kind, name);
  struct overlay_entry *e = find(o, hash, kind, name);
  return e ? e : add(o, hash, kind, name, &none);
}

bool overlay_advance(struct overlay *o, struct overlay_entry *e, uint64_t number, uint64_t address,
                     uint64_t frame) {
  if (chain_levels(number) > e->capacity) {
    unsigned room = e->capacity + 4u;
    uint32_t at;
    uint64_t *tower = take(o, room * sizeof *tower, &at);
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
  struct overlay_entry *e = obtain(o, kind, name);
  if (!e) return false;
  e->count = 1;
  e->touched = frame;
  e->tower[0] = value;
  return true;
}

bool overlay_forget(struct overlay *o, unsigned kind, rille_text name, uint64_t frame) {
  struct overlay_entry *e = obtain(o, kind, name);
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
  for (struct overlay_entry *e = NULL; (e = overlay_next(o, e)) != NULL;) list[n++] = e;
  if (n) qsort(list, n, sizeof *list, compare);
  return list;
}
