/* anew.c: the index made anew. */
#include "anew.h"

#include <errno.h>

#include "error.h"

#define CHUNK_BYTES ((size_t)8 << 20) /* of what is kept, in one transaction */

/* Heads, words and places on their way from one to the other. */
struct moving {
  struct log *log;
  const struct anew *what;
  struct index *to;
  struct buffer heads, towers, names, places; /* struct folded_head, its addresses and texts */
  rille_error *error;
  int failed;
};

/* ---- Heads, words, places ---- */

/* Nothing is told of A before all is there. */
static const struct log_end nothing = {.next_position = 1};

static void place_texts(struct moving *m) {
  struct folded_head *h = (struct folded_head *)(void *)m->heads.bytes;
  const uint64_t *tower = (const uint64_t *)(const void *)m->towers.bytes;
  const char *name = (const char *)m->names.bytes;
  for (size_t i = 0; i < m->heads.length / sizeof *h; i++) {
    h[i].tower = tower;
    h[i].name.bytes = name;
    tower += h[i].kind < CHAIN_KINDS ? chain_levels(h[i].count) : 1;
    name += h[i].name.length;
  }
}

static int put_chunk(struct moving *m, const struct log_end *end) {
  place_texts(m);
  struct fold f = {.heads = (const struct folded_head *)(const void *)m->heads.bytes,
                   .head_count = m->heads.length / sizeof(struct folded_head),
                   .places = (const struct place *)(const void *)m->places.bytes,
                   .place_count = m->places.length / sizeof(struct place),
                   .end = *end};
  m->failed = index_fold(m->to, &f, INDEX_CHUNK_HEADS, m->error);
  buffer_clear(&m->heads, MIB);
  buffer_clear(&m->towers, MIB);
  buffer_clear(&m->names, MIB);
  buffer_clear(&m->places, MIB);
  return m->failed;
}

static bool is_lost(const struct anew *what, uint64_t address) {
  size_t low = 0, high = what->lost_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (what->lost[middle] < address) low = middle + 1;
    else high = middle;
  }
  return low < what->lost_count && what->lost[low] == address;
}

static int move_head(void *context, unsigned kind, rille_text name, const struct chain_head *head) {
  struct moving *m = context;
  bool ended = kind < CHAIN_KINDS && head->count == 0;
  if (ended || (kind == WORD_ID && is_lost(m->what, head->tower[0]))) return 0;
  struct folded_head h = {
      .kind = kind, .name = name, .count = head->count, .touched = head->touched};
  size_t levels = kind < CHAIN_KINDS ? chain_levels(head->count) : 1;
  if (!buffer_add(&m->heads, &h, sizeof h) ||
      !buffer_add(&m->towers, head->tower, levels * sizeof *head->tower) ||
      !buffer_add(&m->names, name.bytes, name.length))
    return m->failed = error_memory(m->error);
  return m->heads.length < INDEX_CHUNK_HEADS * sizeof h ? 0 : put_chunk(m, &nothing);
}

static int move_place(void *context, const struct place *place) {
  struct moving *m = context;
  if (!buffer_add(&m->places, place, sizeof *place)) return m->failed = error_memory(m->error);
  return m->places.length < INDEX_CHUNK_HEADS * sizeof *place ? 0 : put_chunk(m, &nothing);
}

/* ---- What is kept ---- */

static int put_kept(struct moving *m, struct buffer *puts) {
  rille_kept_write w = {.size = sizeof w,
                        .puts = (const rille_kept_put *)(const void *)puts->bytes,
                        .put_count = puts->length / sizeof(rille_kept_put)};
  int failed = w.put_count ? index_keep(m->to, &w, NULL, m->error) : 0;
  buffer_clear(puts, MIB);
  return failed;
}

/* Texts lie in the map of the old one, which is being read. */
static int move_kept(struct moving *m) {
  struct buffer puts;
  rille_kept_put put = {.remove = 0};
  size_t bytes = 0;
  int result = 0;
  if (!m->what->keeps) return 0;
  buffer_init(&puts, &m->log->memory);
  while (!result && (result = index_kept_next(m->log->index, put.key, (rille_text){0}, &put.key,
                                              &put.value, m->error)) == 0) {
    if (!m->what->keeps(m->what->context, put.key, put.value)) continue;
    if (!buffer_add(&puts, &put, sizeof put)) result = error_memory(m->error);
    bytes += put.key.length + put.value.length;
    if (result || bytes < CHUNK_BYTES) continue;
    result = put_kept(m, &puts);
    bytes = 0;
  }
  if (result == RILLE_NOTFOUND) result = put_kept(m, &puts);
  buffer_release(&puts);
  return result;
}

/* ---- The whole ---- */

static int move_all(struct moving *m) {
  struct index *from = m->log->index;
  struct index_each each = {.head = move_head, .place = move_place, .context = m};
  int failed = index_begin(from, m->error);
  for (unsigned table = 0; table <= INDEX_PLACES && !failed; table++) {
    struct index_slice all = {.most = SIZE_MAX};
    failed = index_walk(from, table, &all, &each, m->error);
  }
  if (!failed) failed = move_kept(m);
  index_end(from);
  struct log_end a = index_folded(from);
  return failed ? failed : put_chunk(m, &a);
}

static int join(char *path, const char *store, const char *name, rille_error *e) {
  return system_join(path, SYSTEM_PATH_BYTES, store, name)
             ? 0
             : error_set(e, RILLE_INVALID, "the path %.200s is too long", store);
}

/* Durably: or the power brings it back, with what is not to be in any file. */
static int remove_old(const char *store, const char *name, rille_error *e) {
  char path[SYSTEM_PATH_BYTES];
  int failed = join(path, store, name, e);
  if (failed || system_kind(path) == SYSTEM_ABSENT) return failed;
  int number = system_remove_tree(path);
  if (!number) number = system_flush_folder(store);
  return number ? error_system(e, number, "can't remove %s", path) : 0;
}

int anew_sweep(const char *store, rille_error *e) {
  int failed = remove_old(store, "index.redo", e);
  return failed ? failed : remove_old(store, "index.old", e);
}

static int fill(struct log *l, const char *fresh, const struct anew *what, rille_error *e) {
  struct moving m = {.log = l, .what = what, .error = e};
  struct index_use use = {.folder = fresh, .uuid = l->identity.uuid, .alone = true};
  int failed = index_make(&m.to, &use, &l->memory, e);
  if (failed) return failed;
  struct buffer *const buffers[] = {&m.heads, &m.towers, &m.names, &m.places};
  for (size_t i = 0; i < 4; i++) buffer_init(buffers[i], &l->memory);
  failed = move_all(&m);
  for (size_t i = 0; i < 4; i++) buffer_release(buffers[i]);
  if (!failed) failed = index_flush(m.to, e);
  index_close(m.to, false);
  return failed;
}

static int swap(const char *store, const char *fresh, rille_error *e) {
  char index[SYSTEM_PATH_BYTES], old[SYSTEM_PATH_BYTES];
  int failed = join(index, store, "index", e);
  if (!failed) failed = join(old, store, "index.old", e);
  if (failed) return failed;
  int number = system_kind(index) == SYSTEM_ABSENT ? 0 : system_rename(index, old); /* one died */
  if (!number && (number = system_rename(fresh, index)) != 0) (void)system_rename(old, index);
  if (!number) number = system_flush_folder(store);
  return number ? error_system(e, number, "can't put %s in its place", index) : 0;
}

/* What the overlays are to have is read now, where a failure can be told. */
static int begin_anew(struct log *l, rille_error *e) {
  log_restart(l);
  struct log_end end = log_written(l);
  return log_catch_up(l, &end, e);
}

/* With OPENING and FOLDER. */
static int make(struct log *l, const char *store, const struct anew *what, rille_error *e) {
  char fresh[SYSTEM_PATH_BYTES];
  int failed = segments_check_place(&l->segments, e);
  if (!failed) failed = join(fresh, store, "index.redo", e);
  if (!failed) failed = anew_sweep(store, e);
  if (failed) return failed;
  struct system_held held;
  system_hold_signal(&held);
  pthread_mutex_lock(&l->lock);
  failed = log_follow(l, e);
  if (!failed) failed = index_look(l->index, e);
  if (!failed) failed = fill(l, fresh, what, e);
  if (!failed) failed = swap(store, fresh, e);
  if (!failed) log_raise(l); /* with FOLDER: nobody folds into the old one any more */
  bool followed = false;
  if (!failed) failed = index_follow(l->index, &followed, e);
  if (!failed && !followed)
    failed = error_set(e, RILLE_IO, "the index that was made anew can't be opened");
  if (!failed) failed = begin_anew(l, e);
  pthread_mutex_unlock(&l->lock);
  system_free_signal(&held);
  return failed ? failed : anew_sweep(store, e);
}

int anew_make(struct log *l, const char *store, const struct anew *what, rille_error *e) {
  bool opening = !l->control->alone; /* who opens has it already */
  int failed = opening ? control_hold_opening(l->control, e) : 0;
  if (failed) return failed;
  failed = log_fold(l, e);
  pthread_mutex_lock(&l->folding);
  bool folder = !failed && control_take(l->control, CONTROL_FOLDER, true, &failed, e);
  if (folder) failed = make(l, store, what, e);
  if (folder) control_free(l->control, CONTROL_FOLDER);
  pthread_mutex_unlock(&l->folding);
  if (opening) control_free_opening(l->control);
  return failed;
}
