/* pages.c: LMDB's pages, as bytes.
**
**    page   0 its number   8 pad   10 flags   12 lower   14 upper   16 pointers, to `lower`;
**           nodes, from `upper` to the end. An overflow page: 12 how many pages (u32)
**    node   0 size or page, low   2 ... middle   4 flags; of a page's number, high   6 key size
**           8 key, value; in a branch no value, in a leaf with BIG the number of a page
**    tree   0 pad   4 flags   6 depth   8 branch pages   16 leaf pages   24 overflow pages
**           32 entries   40 root
**    meta   16 magic   20 version   24 address   32 map's size   40 tree of free pages, whose
**           pad is the size of a page   88 tree of tables   136 last page   144 transaction */
#include "pages.h"

#include <errno.h>

#include "entry.h"
#include "system.h"

#define MAGIC 0xBEEFC0DEu
#define VERSION 1u
#define NO_PAGE UINT64_MAX
#define DEPTH_MOST 32u /* LMDB's own */
#define META_BYTES 152u
#define KEY_BYTES_MOST 511u
#define PAGE_BYTES_LEAST 512u
#define PAGE_BYTES_MOST 65536u
#define INTEGER_KEYS 8u /* flag of the tree of free pages */

enum { PAGE_NUMBER = 0, PAGE_FLAGS = 10, PAGE_LOWER = 12, PAGE_UPPER = 14, PAGE_HEADER = 16 };
enum { IS_BRANCH = 1, IS_LEAF = 2, IS_OVERFLOW = 4, IS_META = 8 };
enum { NODE_FLAGS = 4, NODE_KEY_SIZE = 6, NODE_HEADER = 8 };
enum { NODE_BIG = 1, NODE_TREE = 2 };
enum { M_MAGIC = 16, M_VERSION = 20, M_FREE = 40, M_MAIN = 88, M_LAST = 136, M_TXN = 144 };
enum {
  T_FLAGS = 4,
  T_DEPTH = 6,
  T_BRANCHES = 8,
  T_LEAVES = 16,
  T_OVERFLOWS = 24,
  T_ENTRIES = 32,
  T_ROOT = 40,
  TREE_BYTES = 48
};

/* What a tree holds, and thus what its leaves may say. */
enum tree_kind { TREE_FREE, TREE_MAIN, TREE_TABLE };

struct pages {
  struct memory memory;
  int fd, number; /* number: errno of a read that failed */
  uint32_t size;  /* of a page */
  uint64_t last, txn;
  uint8_t *seen; /* a bit a page */
  uint8_t *room; /* a page for each level of two trees; then a map of one page */
  size_t seen_bytes, room_bytes;
};

struct tree {
  enum tree_kind kind;
  uint8_t *room; /* a page for each level */
  unsigned depth;
  uint64_t branches, leaves, overflows, entries; /* counted */
};

/* Keys of a subtree: at or above low, below high; an empty text is no bound. */
struct bounds {
  rille_text low, high;
};

/* ---- Pages ---- */

static bool read_at(struct pages *p, uint64_t offset, void *bytes, size_t n) {
  size_t got = 0;
  int number = system_read(p->fd, offset, bytes, n, &got);
  if (number) p->number = number;
  return !number && got == n;
}

/* Marks pages as reached; false where one is outside of the file, or was reached before. */
static bool claim(struct pages *p, uint64_t first, uint64_t count) {
  if (first < 2 || first > p->last || count > p->last - first + 1) return false;
  for (uint64_t i = first; i < first + count; i++) {
    uint8_t bit = (uint8_t)(1u << (i & 7));
    if (p->seen[i / 8] & bit) return false;
    p->seen[i / 8] |= bit;
  }
  return true;
}

/* The pages of a value that has its own. */
static bool check_overflow(struct pages *p, struct tree *t, uint64_t page, uint64_t bytes) {
  uint8_t b[PAGE_HEADER];
  if (page > p->last || !read_at(p, page * p->size, b, sizeof b)) return false;
  uint64_t count = get32(b + PAGE_LOWER), need = (PAGE_HEADER - 1 + bytes) / p->size + 1;
  t->overflows += count;
  return get64(b) == page && get16(b + PAGE_FLAGS) == IS_OVERFLOW && count >= need &&
         claim(p, page, count);
}

/* ---- Nodes ---- */

struct node {
  rille_text key;
  const uint8_t *value;
  uint64_t page;  /* of a branch */
  uint32_t bytes; /* of a leaf: the value's, wherever it stands */
  uint16_t flags;
  uint32_t size; /* on its page */
};

/* Node i of a page, whose pointers are known to lie in it. */
static bool get_node(const struct pages *p, const uint8_t *page, unsigned i, bool leaf,
                     struct node *n) {
  uint32_t at = get16(page + PAGE_HEADER + 2 * i), left = p->size - at;
  if (at % 2 || at < get16(page + PAGE_UPPER) || at > p->size - NODE_HEADER) return false;
  const uint8_t *b = page + at;
  uint64_t low = get16(b) | (uint64_t)get16(b + 2) << 16;
  n->flags = get16(b + NODE_FLAGS);
  n->key = (rille_text){(const char *)b + NODE_HEADER, get16(b + NODE_KEY_SIZE)};
  n->value = b + NODE_HEADER + n->key.length;
  n->page = low | (uint64_t)n->flags << 32;
  n->bytes = (uint32_t)low;
  uint64_t value = !leaf ? 0 : n->flags & NODE_BIG ? sizeof n->page : n->bytes;
  uint64_t size = (NODE_HEADER + n->key.length + value + 1) & ~(uint64_t)1;
  n->size = (uint32_t)size;
  return size <= left;
}

/* Every byte behind `upper` belongs to one node. */
static bool take_room(const uint8_t *page, const struct node *n, uint8_t *map) {
  size_t at = (size_t)((const uint8_t *)n->key.bytes - NODE_HEADER - page);
  if (memchr(map + at / 2, 1, n->size / 2)) return false;
  memset(map + at / 2, 1, n->size / 2);
  return true;
}

/* Whether the nodes tile the page: LMDB moves them by that. */
static bool is_tiled(struct pages *p, const uint8_t *page, unsigned count, bool leaf) {
  uint8_t *map = p->room + 2 * DEPTH_MOST * (size_t)p->size;
  struct node n;
  uint64_t sum = 0;
  memset(map, 0, p->size / 2);
  for (unsigned i = 0; i < count; i++) {
    if (!get_node(p, page, i, leaf, &n) || !take_room(page, &n, map)) return false;
    sum += n.size;
  }
  return sum == p->size - get16(page + PAGE_UPPER);
}

/* ---- Keys ---- */

static int compare(enum tree_kind kind, rille_text a, rille_text b) {
  if (kind == TREE_FREE) {
    uint64_t x = get64(a.bytes), y = get64(b.bytes);
    return x < y ? -1 : x > y;
  }
  int order = memcmp(a.bytes, b.bytes, (size_t)min_u64(a.length, b.length));
  return order ? order : a.length < b.length ? -1 : a.length > b.length;
}

static bool is_key(enum tree_kind kind, rille_text key) {
  if (kind == TREE_FREE) return key.length == sizeof(uint64_t);
  return key.length >= 1 && key.length <= KEY_BYTES_MOST;
}

/* Keys ascend from one node to the next; the first of a branch says nothing. */
static bool are_ordered(struct pages *p, const struct tree *t, const uint8_t *page, unsigned count,
                        bool leaf, const struct bounds *bounds) {
  struct node n;
  rille_text before = bounds->low;
  for (unsigned i = leaf ? 0 : 1; i < count; i++) {
    if (!get_node(p, page, i, leaf, &n) || !is_key(t->kind, n.key)) return false;
    int order = before.length ? compare(t->kind, before, n.key) : -1;
    if (order > 0 || (order == 0 && i > 0 && !(i == 1 && !leaf))) return false;
    before = n.key;
  }
  return count == 0 || !bounds->high.length || !before.length ||
         compare(t->kind, before, bounds->high) < 0;
}

/* ---- Values ---- */

/* Pages that are free: how many, then their numbers, descending. */
static bool check_free_list(struct pages *p, const struct node *n, const uint8_t *list,
                            uint64_t room) {
  uint64_t count = room < 8 ? UINT64_MAX : get64(list), before = UINT64_MAX;
  if (get64(n->key.bytes) > p->txn || room % 8 || count > room / 8 - 1) return false;
  for (uint64_t i = 1; i <= count; i++) {
    uint64_t page = get64(list + 8 * i);
    if (page >= before || !claim(p, page, 1)) return false;
    before = page;
  }
  return true;
}

static bool check_free(struct pages *p, const struct node *n) {
  if (!(n->flags & NODE_BIG)) return check_free_list(p, n, n->value, n->bytes);
  uint8_t *list = memory_get(&p->memory, n->bytes);
  if (!list) {
    p->number = ENOMEM;
    return false;
  }
  bool sound = read_at(p, get64(n->value) * p->size + PAGE_HEADER, list, n->bytes) &&
               check_free_list(p, n, list, n->bytes);
  memory_free(&p->memory, list, n->bytes);
  return sound;
}

static bool check_tree(struct pages *p, const uint8_t *tree, enum tree_kind kind);

static bool check_value(struct pages *p, struct tree *t, const struct node *n) {
  t->entries++;
  if (t->kind == TREE_MAIN)
    return n->flags == NODE_TREE && n->bytes == TREE_BYTES && check_tree(p, n->value, TREE_TABLE);
  if (n->flags & ~NODE_BIG) return false;
  if (n->flags & NODE_BIG && !check_overflow(p, t, get64(n->value), n->bytes)) return false;
  if (t->kind == TREE_TABLE && !(n->flags & NODE_BIG) &&
      !entry_is_sealed(n->key, (rille_text){(const char *)n->value, n->bytes}))
    return false; /* another key, in its order, would hide the one that was */
  return t->kind != TREE_FREE || check_free(p, n);
}

/* ---- Trees ---- */

static bool check_page(struct pages *p, struct tree *t, uint64_t number, unsigned level,
                       const struct bounds *bounds);

static bool check_branch(struct pages *p, struct tree *t, const uint8_t *page, unsigned count,
                         unsigned level, const struct bounds *bounds) {
  struct node n, next;
  for (unsigned i = 0; i < count; i++) {
    struct bounds below = *bounds;
    (void)get_node(p, page, i, false, &n);
    if (i > 0) below.low = n.key;
    if (i + 1 < count && get_node(p, page, i + 1, false, &next)) below.high = next.key;
    if (!check_page(p, t, n.page, level + 1, &below)) return false;
  }
  return true;
}

static bool check_page(struct pages *p, struct tree *t, uint64_t number, unsigned level,
                       const struct bounds *bounds) {
  uint8_t *page = t->room + (size_t)level * p->size;
  bool leaf = level + 1 == t->depth;
  struct node n;
  if (!claim(p, number, 1) || !read_at(p, number * p->size, page, p->size)) return false;
  uint32_t lower = get16(page + PAGE_LOWER), upper = get16(page + PAGE_UPPER);
  unsigned count = (lower - PAGE_HEADER) / 2, least = leaf || t->kind == TREE_FREE ? 1 : 2;
  if (get64(page) != number || get16(page + PAGE_FLAGS) != (leaf ? IS_LEAF : IS_BRANCH) ||
      lower < PAGE_HEADER || lower % 2 || lower > upper || upper > p->size || count < least)
    return false;
  *(leaf ? &t->leaves : &t->branches) += 1;
  if (!is_tiled(p, page, count, leaf) || !are_ordered(p, t, page, count, leaf, bounds))
    return false;
  if (!leaf) return check_branch(p, t, page, count, level, bounds);
  for (unsigned i = 0; i < count; i++)
    if (!get_node(p, page, i, true, &n) || !check_value(p, t, &n)) return false;
  return true;
}

static bool check_tree(struct pages *p, const uint8_t *b, enum tree_kind kind) {
  /* Tables hang below leaves of the main tree, whose pages must stay as they are. */
  struct tree t = {.kind = kind,
                   .depth = get16(b + T_DEPTH),
                   .room = p->room + (kind == TREE_TABLE ? DEPTH_MOST * (size_t)p->size : 0)};
  uint64_t root = get64(b + T_ROOT);
  const struct bounds none = {{0}, {0}};
  if (get16(b + T_FLAGS) != (kind == TREE_FREE ? INTEGER_KEYS : 0) || t.depth > DEPTH_MOST ||
      (t.depth == 0) != (root == NO_PAGE))
    return false;
  if (t.depth && !check_page(p, &t, root, 0, &none)) return false;
  return t.branches == get64(b + T_BRANCHES) && t.leaves == get64(b + T_LEAVES) &&
         t.overflows == get64(b + T_OVERFLOWS) && t.entries == get64(b + T_ENTRIES);
}

/* ---- The file ---- */

static bool get_meta(struct pages *p, uint64_t number, uint8_t b[META_BYTES]) {
  return read_at(p, number * p->size, b, META_BYTES) && get16(b + PAGE_FLAGS) & IS_META &&
         get32(b + M_MAGIC) == MAGIC;
}

static enum pages_result check_trees(struct pages *p, const uint8_t *meta, uint64_t bytes) {
  p->last = get64(meta + M_LAST);
  p->txn = get64(meta + M_TXN);
  if (p->last < 1 || p->last >= bytes / p->size || p->txn > INT64_MAX) return PAGES_DAMAGED;
  p->seen_bytes = (size_t)p->last / 8 + 1;
  p->room_bytes = (2 * DEPTH_MOST + 1) * (size_t)p->size;
  p->seen = memory_get_zeroed(&p->memory, p->seen_bytes);
  p->room = memory_get(&p->memory, p->room_bytes);
  if (!p->seen || !p->room) p->number = ENOMEM;
  bool sound = !p->number && check_tree(p, meta + M_FREE, TREE_FREE) &&
               check_tree(p, meta + M_MAIN, TREE_MAIN);
  memory_free(&p->memory, p->seen, p->seen_bytes);
  memory_free(&p->memory, p->room, p->room_bytes);
  return sound ? PAGES_SOUND : PAGES_DAMAGED;
}

/* LMDB goes by the meta page with the larger transaction. */
static enum pages_result check_file(struct pages *p, uint64_t bytes) {
  uint8_t a[META_BYTES], b[META_BYTES];
  p->size = PAGE_BYTES_LEAST;
  if (!get_meta(p, 0, a)) return PAGES_DAMAGED;
  if (get32(a + M_VERSION) != VERSION) return PAGES_UNKNOWN;
  p->size = get32(a + M_FREE);
  if (p->size < PAGE_BYTES_LEAST || p->size > PAGE_BYTES_MOST || p->size & (p->size - 1) ||
      !get_meta(p, 1, b) || get32(b + M_VERSION) != VERSION || get32(b + M_FREE) != p->size)
    return PAGES_DAMAGED;
  return check_trees(p, get64(a + M_TXN) < get64(b + M_TXN) ? b : a, bytes);
}

static bool is_known_machine(void) {
  const uint16_t one = 1;
  return sizeof(size_t) == 8 && *(const uint8_t *)&one == 1;
}

int pages_check(const char *path, uint64_t most, const struct memory *memory,
                enum pages_result *result) {
  struct pages p = {.memory = *memory};
  uint64_t bytes = 0;
  *result = PAGES_UNKNOWN;
  int number = is_known_machine() ? system_open(path, SYSTEM_READ, &p.fd) : ENOENT;
  if (number) return number == ENOENT ? 0 : number;
  number = system_size(p.fd, &bytes);
  if (!number && bytes <= most && bytes > 0) *result = check_file(&p, bytes);
  system_close(p.fd);
  return number ? number : p.number;
}
