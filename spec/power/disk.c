/* disk.c: files and folders as a disk has them that may lose power at any moment. */
#include "disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chance.h"

#define CHUNK_BYTES ((size_t)1 << 20)

/* ---- Memory ---- */

struct chunk {
  struct chunk *next;
  size_t room;
  _Alignas(16) uint8_t bytes[];
};

struct arena {
  struct chunk *first, *at;
  size_t used; /* of `at` */
};

static struct arena *arena;

struct arena *arena_new(void) {
  struct arena *a = calloc(1, sizeof *a);
  if (!a) abort();
  return a;
}

void arena_use(struct arena *a) { arena = a; }

void arena_empty(struct arena *a) { a->at = a->first, a->used = 0; }

static void next_chunk(struct arena *a, size_t bytes) {
  struct chunk **to = a->at ? &a->at->next : &a->first;
  while (*to && (*to)->room < bytes) to = &(*to)->next;
  if (!*to) {
    size_t room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
    if ((*to = malloc(sizeof **to + room)) == NULL) abort();
    **to = (struct chunk){.room = room};
  }
  a->at = *to, a->used = 0;
}

void *arena_get(size_t bytes) {
  struct arena *a = arena;
  bytes = (bytes + 15) & ~(size_t)15;
  if (!a->at || a->at->room - a->used < bytes) next_chunk(a, bytes);
  void *p = a->at->bytes + a->used;
  a->used += bytes;
  return p;
}

/* A list with room for one more element, or for `count` of them. */
static void *grown(void *list, uint32_t *room, uint32_t count, size_t element) {
  if (count <= *room) return list;
  uint32_t more = *room ? 2 * *room : 4;
  if (more < count) more = count;
  uint8_t *larger = arena_get(more * element);
  if (*room) memcpy(larger, list, *room * element);
  memset(larger + *room * element, 0, (more - *room) * element);
  *room = more;
  return larger;
}

/* ---- Nodes ---- */

struct node *disk_find(const struct disk *d, uint64_t inode) {
  for (struct node *n = d->first; n; n = n->next)
    if (n->inode == inode) return n;
  fprintf(stderr, "power: inode %llx is of no file\n", (unsigned long long)inode);
  abort();
}

struct node *disk_add(struct disk *d, uint64_t inode, bool is_folder) {
  struct node *n = arena_get(sizeof *n);
  *n = (struct node){.inode = inode, .is_folder = is_folder};
  if (d->last) d->last->next = n;
  else d->first = n;
  d->last = n;
  return n;
}

void disk_begin(struct disk *d, uint64_t root) {
  *d = (struct disk){.number = 1}; /* 0: what was there before */
  d->root = disk_add(d, root, true);
}

/* ---- Files ---- */

static struct page *page_of(struct node *n, uint32_t i) {
  n->pages = grown(n->pages, &n->page_room, i + 1, sizeof *n->pages);
  if (n->page_count <= i) n->page_count = i + 1;
  return &n->pages[i];
}

/* What a page has become. */
static void add_version(const struct disk *d, struct page *p, const uint8_t *bytes) {
  p->list = grown(p->list, &p->room, p->count + 1, sizeof *p->list);
  p->list[p->count++] = (struct version){d->number, bytes};
  p->now = bytes;
}

static uint8_t *copy_of(const uint8_t *page) {
  uint8_t *copy = arena_get(PAGE_BYTES);
  if (page) memcpy(copy, page, PAGE_BYTES);
  else memset(copy, 0, PAGE_BYTES);
  return copy;
}

static void add_length(const struct disk *d, struct node *n, uint64_t bytes) {
  n->lengths = grown(n->lengths, &n->length_room, n->length_count + 1, sizeof *n->lengths);
  n->lengths[n->length_count++] = (struct length){d->number, bytes};
  n->now = bytes;
}

static void write_bytes(const struct disk *d, struct node *n, uint64_t at, const uint8_t *bytes,
                        uint64_t count) {
  uint64_t end = at + count;
  if (end > n->now) add_length(d, n, end);
  while (at < end) {
    struct page *p = page_of(n, (uint32_t)(at / PAGE_BYTES));
    uint64_t from = at % PAGE_BYTES, part = PAGE_BYTES - from;
    if (part > end - at) part = end - at;
    uint8_t *copy = copy_of(p->now);
    memcpy(copy + from, bytes, part);
    add_version(d, p, copy);
    at += part, bytes += part;
  }
}

/* What is cut off is zeros when the file grows again. */
static void set_length(const struct disk *d, struct node *n, uint64_t bytes) {
  uint64_t before = n->now;
  if (bytes == before) return;
  add_length(d, n, bytes);
  for (uint64_t i = bytes / PAGE_BYTES; i < n->page_count && bytes < before; i++) {
    struct page *p = &n->pages[i];
    size_t kept = i == bytes / PAGE_BYTES ? bytes % PAGE_BYTES : 0;
    if (!p->now) continue;
    uint8_t *copy = copy_of(p->now);
    memset(copy + kept, 0, PAGE_BYTES - kept);
    add_version(d, p, copy);
  }
}

void disk_give_bytes(struct node *n, const uint8_t *bytes, uint64_t count) {
  n->now = n->durable = count;
  for (uint64_t at = 0; at < count; at += PAGE_BYTES) {
    struct page *p = page_of(n, (uint32_t)(at / PAGE_BYTES));
    uint8_t *copy = copy_of(NULL);
    memcpy(copy, bytes + at, count - at < PAGE_BYTES ? count - at : PAGE_BYTES);
    p->now = copy;
    p->durable = (struct version){0, copy};
  }
}

/* The last version that is not younger than entry `began`; how many there are in *count. */
static void flush_page(struct page *p, uint32_t began, bool arrives) {
  uint32_t n = 0;
  while (n < p->count && p->list[n].number < began) n++;
  if (n == 0) return;
  if (arrives) p->durable = p->list[n - 1];
  memmove(p->list, p->list + n, (p->count - n) * sizeof *p->list);
  p->count -= n;
}

static void flush_file(struct node *n, uint32_t began, bool failed) {
  uint32_t k = 0;
  for (uint32_t i = 0; i < n->page_count; i++)
    flush_page(&n->pages[i], began, !failed || chance_in(2));
  while (k < n->length_count && n->lengths[k].number < began) n->durable = n->lengths[k++].bytes;
  n->length_count -= k;
  if (k) memmove(n->lengths, n->lengths + k, n->length_count * sizeof *n->lengths);
}

/* ---- Folders ---- */

static void drop_name(struct name *names, uint32_t *count, const char *text) {
  for (uint32_t i = 0; i < *count; i++)
    if (strcmp(names[i].text, text) == 0) {
      names[i] = names[--*count];
      return;
    }
}

static void put_name(struct name *names, uint32_t *count, const char *text, uint64_t inode) {
  drop_name(names, count, text);
  struct name *n = &names[(*count)++];
  snprintf(n->text, sizeof n->text, "%s", text);
  n->inode = inode;
}

static void make_change(struct name *names, uint32_t *count, const struct change *c) {
  if (c->inode == 0 || *c->to) drop_name(names, count, c->name);
  if (c->inode) put_name(names, count, *c->to ? c->to : c->name, c->inode);
}

void disk_give_name(struct node *folder, const char *name, uint64_t inode) {
  folder->names =
      grown(folder->names, &folder->name_room, folder->name_count + 1, sizeof *folder->names);
  put_name(folder->names, &folder->name_count, name, inode);
}

static void add_change(const struct disk *d, struct node *n, const char *name, const char *to,
                       uint64_t inode) {
  n->changes = grown(n->changes, &n->change_room, n->change_count + 1, sizeof *n->changes);
  struct change *c = &n->changes[n->change_count++];
  *c = (struct change){.number = d->number, .inode = inode};
  snprintf(c->name, sizeof c->name, "%s", name);
  snprintf(c->to, sizeof c->to, "%s", to);
}

static void flush_folder(struct node *n, uint32_t began) {
  uint32_t k = 0;
  n->names = grown(n->names, &n->name_room, n->name_count + n->change_count, sizeof *n->names);
  while (k < n->change_count && n->changes[k].number < began)
    make_change(n->names, &n->name_count, &n->changes[k++]);
  n->change_count -= k;
  if (k) memmove(n->changes, n->changes + k, n->change_count * sizeof *n->changes);
}

/* ---- Entries ---- */

static void flush(struct disk *d, const struct entry *e) {
  struct node *n = disk_find(d, e->node);
  bool failed = e->kind == ENTRY_FLUSH_FAILED;
  uint32_t began = (uint32_t)e->at + 1; /* entries are counted from 0 there */
  if (!n->is_folder) flush_file(n, began, failed);
  else if (!failed) flush_folder(n, began);
}

void disk_apply(struct disk *d, const struct entry *e) {
  const char *name = entry_name(e);
  switch ((enum entry_kind)e->kind) {
    case ENTRY_FILE:
    case ENTRY_FOLDER: (void)disk_add(d, e->child, e->kind == ENTRY_FOLDER); /* fall through */
    case ENTRY_NAME: add_change(d, disk_find(d, e->node), name, "", e->child); break;
    case ENTRY_RENAME:
      add_change(d, disk_find(d, e->node), name, name + strlen(name) + 1, e->child);
      break;
    case ENTRY_REMOVE: add_change(d, disk_find(d, e->node), name, "", 0); break;
    case ENTRY_WRITE: write_bytes(d, disk_find(d, e->node), e->at, entry_bytes(e), e->bytes); break;
    case ENTRY_SIZE: set_length(d, disk_find(d, e->node), e->at); break;
    case ENTRY_FLUSHED:
    case ENTRY_FLUSH_FAILED: flush(d, e); break;
    case ENTRY_MAPPED:
    case ENTRY_FLUSH_BEGUN:
    case ENTRY_MARK: break;
  }
  d->number++;
}

/* ---- What is chosen ---- */

uint64_t disk_length(const struct node *n) {
  return n->chosen ? n->lengths[n->chosen - 1].bytes : n->durable;
}

/* A version that is older than a cut which the disk has is zeros behind it. */
static uint64_t cut_behind(const struct node *n, uint32_t number) {
  uint64_t least = UINT64_MAX;
  for (uint32_t i = 0; i < n->chosen; i++)
    if (n->lengths[i].number > number && n->lengths[i].bytes < least) least = n->lengths[i].bytes;
  return least;
}

static const struct version *version_of(const struct page *p, uint32_t chosen) {
  return chosen ? &p->list[chosen - 1] : &p->durable;
}

static void mix(const struct disk *d, const struct page *p, const uint8_t *page, uint8_t *room) {
  const uint8_t *before = version_of(p, p->chosen - 1)->bytes;
  for (uint32_t s = 0; s < PAGE_BYTES / SECTOR_BYTES; s++) {
    const uint8_t *from = d->torn_sectors >> s & 1 ? before : page;
    if (from) memcpy(room + s * SECTOR_BYTES, from + s * SECTOR_BYTES, SECTOR_BYTES);
    else memset(room + s * SECTOR_BYTES, 0, SECTOR_BYTES);
  }
}

const uint8_t *disk_page(const struct disk *d, const struct node *n, uint32_t i, uint8_t *room) {
  if (i >= n->page_count) return NULL;
  const struct page *p = &n->pages[i];
  const struct version *v = version_of(p, p->chosen);
  bool torn = p == d->torn && p->chosen;
  uint32_t number = torn ? version_of(p, p->chosen - 1)->number : v->number;
  uint64_t cut = n->chosen ? cut_behind(n, number) : UINT64_MAX;
  uint64_t start = (uint64_t)i * PAGE_BYTES;
  if (cut <= start) return NULL;
  if (!torn && (cut >= start + PAGE_BYTES || !v->bytes)) return v->bytes;
  if (torn) mix(d, p, v->bytes, room);
  else memcpy(room, v->bytes, PAGE_BYTES);
  if (cut < start + PAGE_BYTES) memset(room + (cut - start), 0, PAGE_BYTES - (cut - start));
  return room;
}

uint32_t disk_names(const struct node *n, struct name *names, uint32_t most) {
  uint32_t count = n->name_count;
  if (count + n->chosen > most) abort();
  if (count) memcpy(names, n->names, count * sizeof *names);
  for (uint32_t i = 0; i < n->chosen; i++) make_change(names, &count, &n->changes[i]);
  return count;
}
