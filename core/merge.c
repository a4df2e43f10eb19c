/* merge.c: a heap of cursors. */
#include "merge.h"

#include "error.h"

static bool precedes(const struct merge *m, size_t a, size_t b) {
  uint64_t x = m->heap[a]->address, y = m->heap[b]->address;
  return m->backward ? x > y : x < y;
}

/* Lets the cursor at i sink below those whose turn is earlier. */
static void sink(struct merge *m, size_t i) {
  for (;;) {
    size_t first = 2 * i + 1;
    if (first >= m->count) return;
    if (first + 1 < m->count && precedes(m, first + 1, first)) first++;
    if (!precedes(m, first, i)) return;
    struct cursor *c = m->heap[i];
    m->heap[i] = m->heap[first];
    m->heap[first] = c;
    i = first;
  }
}

int merge_init(struct merge *m, struct cursor *cursors, size_t count, bool backward,
               const struct memory *memory, rille_error *e) {
  *m = (struct merge){.memory = *memory, .backward = backward};
  if (count == 0) return 0;
  m->heap = memory_get(memory, count * sizeof *m->heap);
  if (!m->heap) return error_memory(e);
  m->capacity = count;
  int result = 0;
  for (size_t i = 0; i < count && result >= 0; i++)
    if ((result = cursor_next(&cursors[i], e)) == 1) m->heap[m->count++] = &cursors[i];
  if (result < 0) merge_release(m);
  for (size_t i = m->count / 2; i-- > 0;) sink(m, i);
  return result < 0 ? result : 0;
}

/* The top one goes on, or leaves. */
static int step(struct merge *m, rille_error *e) {
  int result = cursor_next(m->heap[0], e);
  if (result < 0) return result;
  if (result == 0) m->heap[0] = m->heap[--m->count];
  sink(m, 0);
  return 0;
}

int merge_next(struct merge *m, struct cursor **cursor, rille_error *e) {
  while (m->count && m->heap[0]->address == m->given) {
    int failed = step(m, e);
    if (failed) return failed;
  }
  if (m->count == 0) return 0;
  *cursor = m->heap[0];
  m->given = m->heap[0]->address;
  return 1;
}

void merge_release(struct merge *m) {
  memory_free(&m->memory, m->heap, m->capacity * sizeof *m->heap);
  *m = (struct merge){.memory = m->memory};
}
