/* overlay.c: a hash table of heads in an arena. */
#include "overlay.h"

#include <stdlib.h>

#define GROUP_BUCKETS 1024u
#define BUCKETS_EACH 2u /* of an entry */
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

static void free_table(struct overlay *o) {
  for (size_t i = 0; i * GROUP_BUCKETS < o->buckets; i++)
    memory_free(&o->memory, o->groups[i], GROUP_BUCKETS * sizeof **o->groups);
  memory_free(&o->memory, o->groups, o->group_capacity * sizeof *o->groups);
  o->groups = NULL;
  o->group_capacity = o->buckets = o->mask = o->count = 0;
}

void overlay_restart(struct overlay *o, uint64_t start) {
  free_blocks(o);
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
  if (spare && spare->buckets) {
    *o = *spare;
    *spare = (struct overlay){.buckets = 0};
  } else {
    overlay_init(o, &older->memory, older->seed);
  }
  o->start = start;
}

void overlay_clear(struct overlay *o) {
  free_blocks(o);
  memory_free(&o->memory, o->places, o->place_capacity * sizeof *o->places);
  o->places = NULL;
  o->count = o->place_count = o->place_capacity = 0;
  o->bytes = o->group_capacity * sizeof *o->groups;
  for (size_t i = 0; i * GROUP_BUCKETS < o->buckets; i++) {
    memset(o->groups[i], 0, GROUP_BUCKETS * sizeof **o->groups);
    o->bytes += GROUP_BUCKETS * sizeof **o->groups;
  }
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

static struct overlay_entry **bucket(const struct overlay *o, size_t i) {
  return &o->groups[i / GROUP_BUCKETS][i % GROUP_BUCKETS];
}

static size_t bucket_of(const struct overlay *o, uint32_t hash) {
  size_t i = hash & o->mask;
  return i < o->buckets ? i : i & o->mask >> 1;
}

struct overlay_entry *overlay_find(const struct overlay *o, unsigned kind, rille_text name) {
  if (o->count == 0) return NULL;
  uint32_t hash = hash_of(o, kind, name);
  struct overlay_entry *e = *bucket(o, bucket_of(o, hash));
  while (e && !is(e, hash, kind, name)) e = e->next;
  return e;
}

struct overlay_entry *overlay_next(const struct overlay *o, const struct overlay_entry *entry) {
  if (entry && entry->next) return entry->next;
  for (size_t i = entry ? bucket_of(o, entry->hash) + 1 : 0; i < o->buckets; i++)
    if (*bucket(o, i)) return *bucket(o, i);
  return NULL;
}

/* The table's next GROUP_BUCKETS buckets, all empty. */
static bool add_group(struct overlay *o) {
  size_t n = o->buckets / GROUP_BUCKETS;
  if (n == o->group_capacity) {
    size_t capacity = n ? 2 * n : 8;
    struct overlay_entry ***groups =
        memory_resize(&o->memory, o->groups, n * sizeof *groups, capacity * sizeof *groups);
    if (!groups) return false;
    o->bytes += (capacity - n) * sizeof *groups;
    o->groups = groups;
    o->group_capacity = capacity;
  }
  o->groups[n] = memory_get_zeroed(&o->memory, GROUP_BUCKETS * sizeof **o->groups);
  if (!o->groups[n]) return false;
  o->bytes += GROUP_BUCKETS * sizeof **o->groups;
  return true;
}

/* The next bucket gets those entries of the one that had them up to now whose hash says so. */
static void add_bucket(struct overlay *o) {
  if (o->buckets > o->mask) o->mask = 2 * o->mask + 1;
  struct overlay_entry **from = bucket(o, o->buckets & o->mask >> 1), *e;
  struct overlay_entry **to = bucket(o, o->buckets);
  while ((e = *from) != NULL) {
    if ((e->hash & o->mask) != o->buckets) {
      from = &e->next;
      continue;
    }
    *from = e->next;
    e->next = *to;
    *to = e;
  }
  o->buckets++;
}

/* The first group is a table as it is. */
static bool make_room(struct overlay *o) {
  for (size_t i = 0; i < BUCKETS_EACH && o->buckets <= o->count * BUCKETS_EACH; i++) {
    if (o->buckets % GROUP_BUCKETS == 0 && !add_group(o)) return false;
    if (o->buckets) {
      add_bucket(o);
      continue;
    }
    o->buckets = GROUP_BUCKETS;
    o->mask = GROUP_BUCKETS - 1;
  }
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
  struct overlay_entry **first = bucket(o, bucket_of(o, e->hash));
  e->next = *first;
  *first = e;
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
  for (struct overlay_entry *e = NULL; (e = overlay_next(o, e)) != NULL;) list[n++] = e;
  if (n) qsort(list, n, sizeof *list, compare);
  return list;
}
