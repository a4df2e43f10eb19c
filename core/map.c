/* map.c: a log file as memory. */
#include "map.h"

#include "system.h"

#define CALLS_AT MAP_STRETCH_PAGES
#define TIME_AT (CALLS_AT + 8)
#define VISIT_AT 24u
#define PAGES_MOST (((uint64_t)1 << VISIT_AT) - 1) /* of 4 KiB: 64 GiB */

/* With one page more than is wanted, behind the end of the file: a system that calls that one
** present tells everybody so who may not write to the file, of whatever page. */
static bool is_told(const struct map *m) {
  uint8_t behind;
  return system_in_memory(m->bytes + m->length, m->page_bytes, &behind) && !behind;
}

struct map *map_open(int fd, uint64_t length, const struct memory *memory) {
  size_t page = system_page_bytes();
  void *bytes;
  if (system_lacks_addresses() || length / page >= PAGES_MOST) return NULL;
  struct map *m = memory_get_zeroed(memory, sizeof *m);
  if (!m) return NULL;
  *m = (struct map){.memory = *memory, .fd = fd, .page_bytes = page};
  m->length = ((size_t)length + page - 1) / page * page;
  m->count = m->length / (page * MAP_STRETCH_PAGES) + 1;
  m->stretches = memory_get_zeroed(memory, m->count * sizeof *m->stretches);
  if (m->stretches && system_map(fd, m->length + page, false, &bytes) == 0) m->bytes = bytes;
  if (m->bytes && is_told(m)) return m;
  map_close(m);
  return NULL;
}

void map_close(struct map *m) {
  if (!m) return;
  struct memory memory = m->memory;
  map_forget(m);
  memory_free(&memory, m->stretches, m->count * sizeof *m->stretches);
  memory_free(&memory, m, sizeof *m);
}

void map_forget(struct map *m) {
  if (m && m->bytes) system_unmap((void *)(uintptr_t)m->bytes, m->length + m->page_bytes);
}

/* Which pages of a stretch are in memory, asked of the system. */
static uint64_t ask(const struct map *m, size_t stretch) {
  uint8_t in[MAP_STRETCH_PAGES];
  uint64_t mask = 0;
  size_t first = stretch * MAP_STRETCH_PAGES, all = m->length / m->page_bytes;
  size_t pages = (size_t)min_u64(MAP_STRETCH_PAGES, all - first);
  if (system_in_memory(m->bytes + first * m->page_bytes, pages * m->page_bytes, in))
    for (size_t i = 0; i < pages; i++) mask |= (uint64_t)(in[i] & 1) << i;
  return mask;
}

static bool has_page(struct map *m, size_t page, uint64_t time_ms) {
  _Atomic uint64_t *stretch = &m->stretches[page / MAP_STRETCH_PAGES];
  uint64_t word = atomic_load_explicit(stretch, memory_order_relaxed);
  uint64_t calls = word >> CALLS_AT & 0xff;
  if (calls < MAP_CALLS) {
    atomic_store_explicit(stretch, (calls + 1) << CALLS_AT, memory_order_relaxed);
    return false;
  }
  if (time_ms - (word >> TIME_AT) >= MAP_TRUST_MS) {
    word = time_ms << TIME_AT | calls << CALLS_AT | ask(m, page / MAP_STRETCH_PAGES);
    atomic_store_explicit(stretch, word, memory_order_relaxed);
  }
  return word >> page % MAP_STRETCH_PAGES & 1;
}

/* How many bytes of the map there are, of pages that the file has: behind its end the last one has
** zeros. Both parts are one word, so that nobody goes by a length of before his own visit, which
** another thread was about to note. */
static uint64_t measure(struct map *m, const struct map_visit *visit) {
  uint64_t size, word = atomic_load_explicit(&m->measured, memory_order_relaxed);
  if (word >> VISIT_AT != (visit->number & (UINT64_MAX >> VISIT_AT))) {
    if (system_size(m->fd, &size)) return 0;
    word =
        visit->number << VISIT_AT | min_u64((size + m->page_bytes - 1) / m->page_bytes, PAGES_MOST);
    atomic_store_explicit(&m->measured, word, memory_order_relaxed);
  }
  return min_u64(m->length, (word & PAGES_MOST) * m->page_bytes);
}

size_t map_copy(struct map *m, const struct map_visit *visit, uint64_t offset, void *bytes,
                size_t n) {
  uint64_t end = measure(m, visit);
  if (n == 0 || offset >= end) return 0;
  n = (size_t)min_u64(n, end - offset);
  size_t first = (size_t)offset / m->page_bytes, last = ((size_t)offset + n - 1) / m->page_bytes;
  for (size_t page = first; page <= last; page++)
    if (!has_page(m, page, visit->time_ms)) return 0;
  memcpy(bytes, m->bytes + offset, n);
  return n;
}
