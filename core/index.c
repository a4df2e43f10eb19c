/* index.c: heads, words, places, and what is kept, in LMDB. */
#include "index.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>

#include "entry.h"
#include "error.h"
#include "lockfile.h"
#include "sum.h"
#include "system.h"

#define TABLES_MOST 32
#define STATE_KEY "state"

struct index {
  struct memory memory;
  MDB_env *env;
  MDB_dbi heads[HEAD_KINDS], places, kept, meta;
  MDB_txn *read;        /* reset between uses: LMDB's handle on one state */
  pthread_rwlock_t map; /* read: the map is in use; write: it changes its size */
  bool reading, readonly, fresh, live;
  struct system_stamp file; /* data.mdb, as it was opened */
  uint8_t uuid[16];
  struct log_end end;
};

static const char *const head_tables[HEAD_KINDS] = {
    "streams", "types", "tags", "ids", "marks", "cuts", "pending", "outcomes", "clients", "epochs"};

/* LMDB knows its readers by the ids of their processes. */
static int refuse_equal_id(rille_error *e) {
  (void)error_set(e, RILLE_BUSY,
                  "a process of another container has the same process id and the "
                  "store open: containers that share a store must share their process ids");
  if (e) e->pid = system_pid();
  return RILLE_BUSY;
}

static int lmdb_error(rille_error *e, int code, const char *what) {
  if (code == EAGAIN) return refuse_equal_id(e);
  if (code == MDB_READERS_FULL)
    return error_set(e, RILLE_BUSY, "%u processes have the store open: no more can",
                     INDEX_READERS_MOST);
  if (code == MDB_MAP_FULL) return error_set(e, RILLE_FULL, "index: %s: the map is full", what);
  if (code > 0) return error_system(e, code, "index: %s", what);
  if (code == MDB_PANIC)
    return error_set(e, RILLE_IO,
                     "index: %s: a write to it failed before: close the store, open it again",
                     what);
  return error_set(e, code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND ? RILLE_CORRUPT : RILLE_IO,
                   "index: %s: %s; deleting the folder index/ is safe, it is made again", what,
                   mdb_strerror(code));
}

/* ---- Values and their seals ---- */

static MDB_val val_of(rille_text t) { return (MDB_val){t.length, (void *)(uintptr_t)t.bytes}; }
static rille_text text_of(const MDB_val *v) { return (rille_text){v->mv_data, v->mv_size}; }

/* Stores a value of n bytes, behind which is room for its seal. */
static int put_sealed(MDB_txn *txn, MDB_dbi table, rille_text name, uint8_t *value, size_t n) {
  MDB_val key = val_of(name), v = {n + ENTRY_SEAL_BYTES, value};
  entry_seal(name, value, n);
  return mdb_put(txn, table, &key, &v, 0);
}

static bool is_sealed(const MDB_val *key, const MDB_val *value) {
  return entry_is_sealed(text_of(key), text_of(value));
}

static int damaged(const char *what, rille_error *e) {
  return error_set(e, RILLE_CORRUPT,
                   "index: %s is damaged; deleting the folder index/ is safe, it is made again",
                   what);
}

/* ---- Opening ---- */

static int open_tables(struct index *x, MDB_txn *txn) {
  unsigned create = x->fresh ? MDB_CREATE : 0;
  int code = 0;
  for (int k = 0; k < HEAD_KINDS && !code; k++)
    code = mdb_dbi_open(txn, head_tables[k], create, &x->heads[k]);
  if (!code) code = mdb_dbi_open(txn, "places", create, &x->places);
  if (!code) code = mdb_dbi_open(txn, "kept", create, &x->kept);
  if (!code) code = mdb_dbi_open(txn, "meta", create, &x->meta);
  return code;
}

static int put_state(struct index *x, MDB_txn *txn, const struct log_end *end) {
  uint8_t b[ENTRY_STATE_BYTES + ENTRY_SEAL_BYTES];
  entry_write_state(b, INDEX_FORMAT, x->uuid, end);
  return put_sealed(txn, x->meta, rille_text_of(STATE_KEY), b, ENTRY_STATE_BYTES);
}

/* Another process may have made the map larger: then ours grows, too. Nothing of this
** process may be reading or writing meanwhile. */
static int resize(struct index *x, size_t bytes) {
  pthread_rwlock_wrlock(&x->map);
  int code = mdb_env_set_mapsize(x->env, bytes);
  pthread_rwlock_unlock(&x->map);
  return code;
}

/* Whether some who died were in the table of readers. */
static bool free_dead(struct index *x) {
  int dead = 0;                   /* what it can't tell it leaves */
  pthread_rwlock_rdlock(&x->map); /* or index_follow closes it */
  bool freed = mdb_reader_check(x->env, &dead) == 0 && dead > 0;
  pthread_rwlock_unlock(&x->map);
  return freed;
}

/* mdb_txn_begin, with the map held. */
static int begin_txn(struct index *x, unsigned flags, MDB_txn **txn) {
  for (;;) {
    pthread_rwlock_rdlock(&x->map);
    int code = mdb_txn_begin(x->env, NULL, flags, txn);
    if (code == 0) return 0;
    pthread_rwlock_unlock(&x->map);
    if (code == MDB_READERS_FULL && free_dead(x)) continue;
    if (code != MDB_MAP_RESIZED) return code;
    if ((code = resize(x, 0)) != 0) return code;
  }
}

static int end_txn(struct index *x, MDB_txn *txn, int code) {
  if (code) mdb_txn_abort(txn);
  else code = mdb_txn_commit(txn);
  pthread_rwlock_unlock(&x->map);
  return code;
}

/* MDB_INVALID where there is a state of another format, MDB_INCOMPATIBLE where it is
** of another store. */
static int get_state(struct index *x, MDB_txn *txn) {
  MDB_val key = val_of(rille_text_of(STATE_KEY)), value;
  const uint8_t *uuid;
  struct log_end end;
  int code = mdb_get(txn, x->meta, &key, &value);
  if (code) return code;
  if (!is_sealed(&key, &value) || !entry_read_state(text_of(&value), INDEX_FORMAT, &uuid, &end))
    return MDB_INVALID;
  if (memcmp(uuid, x->uuid, 16) != 0) return MDB_INCOMPATIBLE;
  x->end = end;
  return 0;
}

/* A map of a file that is shorter than its tables would end in a signal. */
static int check_length(struct index *x, const char *folder) {
  char path[SYSTEM_PATH_BYTES];
  MDB_envinfo info;
  MDB_stat stat;
  if (!system_join(path, sizeof path, folder, "data.mdb")) return ENAMETOOLONG;
  mdb_env_info(x->env, &info);
  mdb_env_stat(x->env, &stat);
  int number = system_stamp(path, &x->file);
  if (number) return number;
  return x->file.bytes < (info.me_last_pgno + 1) * (uint64_t)stat.ms_psize ? MDB_CORRUPTED : 0;
}

/* Opens tables and reads the state, or writes the first one. */
static int begin_life(struct index *x) {
  MDB_txn *txn;
  int code = begin_txn(x, x->fresh ? 0 : MDB_RDONLY, &txn);
  if (code) return code;
  code = open_tables(x, txn);
  if (!code && x->fresh) {
    x->end = (struct log_end){.next_position = 1};
    code = put_state(x, txn, &x->end);
  } else if (!code) {
    code = get_state(x, txn);
  }
  code = end_txn(x, txn, code);
  if (!code) code = begin_txn(x, MDB_RDONLY, &x->read);
  if (code) return code;
  mdb_txn_reset(x->read);
  pthread_rwlock_unlock(&x->map);
  return 0;
}

/* MDB_CORRUPTED where it is not what it was, or not what LMDB can walk. */
static int check_file(const struct index *x, const char *folder) {
  enum sum_result result;
  int number = sum_check(folder, &x->memory, !x->readonly, &result);
  return number ? number : result == SUM_WRONG ? MDB_CORRUPTED : 0;
}

/* The only file that LMDB opens without saying so. */
static int keep_from_programs(struct index *x) {
  mdb_filehandle_t fd;
  int code = mdb_env_get_fd(x->env, &fd);
  return code ? code : system_keep_from_programs(fd);
}

static int open_files(struct index *x, const char *folder, unsigned flags) {
  struct system_low low;
  system_take_low(&low);
  int code = mdb_env_open(x->env, folder, flags, 0666);
  system_free_low(&low);
  return code;
}

static int open_env(struct index *x, const char *folder, bool alone) {
  /* Without the second flush, of the meta page, the last commits may be undone by
  ** a power cut, in order: the fold is then done again. Never NOSYNC, WRITEMAP. */
  unsigned flags = MDB_NOTLS | (x->readonly ? MDB_RDONLY : MDB_NOMETASYNC);
  int code = alone ? check_file(x, folder) : 0;
  if (!code) code = lockfile_make(folder, alone);
  if (code == EROFS && x->readonly) code = 0, flags |= MDB_NOLOCK; /* nobody can write there */
  if (!code) code = mdb_env_create(&x->env);
  if (!code) code = mdb_env_set_mapsize(x->env, INDEX_MAP_BYTES);
  if (!code) code = mdb_env_set_maxreaders(x->env, INDEX_READERS_MOST);
  if (!code) code = mdb_env_set_maxdbs(x->env, TABLES_MOST);
  if (!code) code = open_files(x, folder, flags);
  if (!code) code = keep_from_programs(x);
  if (!code) code = check_length(x, folder);
  if (!code) code = begin_life(x);
  return code;
}

static void close_env(struct index *x) {
  if (x->read) mdb_txn_abort(x->read);
  if (x->env) mdb_env_close(x->env);
  x->read = NULL;
  x->env = NULL;
}

/* Makes an empty index in a folder of its own and renames it into place, so that
** a crash leaves none or a whole one. */
static int make(struct index *x, const char *folder, rille_error *e) {
  char fresh[SYSTEM_PATH_BYTES];
  if (snprintf(fresh, sizeof fresh, "%s.new", folder) >= (int)sizeof fresh)
    return error_set(e, RILLE_INVALID, "the path %.200s is too long", folder);
  for (int i = 0; i < 2; i++) { /* what a crash has left, and what is no good */
    const char *old = i ? folder : fresh;
    int number = system_kind(old) == SYSTEM_ABSENT ? 0 : system_remove_tree(old);
    if (number) return error_system(e, number, "can't remove %s", old);
  }
  int number = system_make_folder(fresh);
  if (number) return error_system(e, number, "can't make %s", fresh);
  int code = open_env(x, fresh, true);
  if (!code) code = mdb_env_sync(x->env, 1); /* a commit alone does not flush its meta page */
  close_env(x);
  if (code) return lmdb_error(e, code, "can't be made");
  if ((number = system_flush_folder(fresh)) != 0 || (number = system_rename(fresh, folder)) != 0)
    return error_system(e, number, "can't put %s in its place", folder);
  char parent[SYSTEM_PATH_BYTES];
  number = system_join(parent, sizeof parent, folder, "..") ? system_flush_folder(parent) : EINVAL;
  return number ? error_system(e, number, "can't flush the folder of the store") : 0;
}

static struct index *new_index(const struct index_use *use, const struct memory *memory) {
  struct index *x = memory_get_zeroed(memory, sizeof *x);
  if (!x) return NULL;
  x->memory = *memory;
  x->readonly = use->readonly;
  memcpy(x->uuid, use->uuid, 16);
  x->live = pthread_rwlock_init(&x->map, NULL) == 0;
  if (x->live) return x;
  memory_free(memory, x, sizeof *x);
  return NULL;
}

/* What LMDB's answer says of the index; not of the machine. */
static enum index_state state_of(int code) {
  if (code == EACCES || code == EPERM) return INDEX_REFUSED;
  return code == 0 ? INDEX_USABLE : code == MDB_INCOMPATIBLE ? INDEX_FOREIGN : INDEX_UNUSABLE;
}

/* errno that a damaged file may give; any other is the machine's. */
static bool may_be_damage(int code) { return code < 0 || code == EINVAL || code == ENOENT; }

int index_open(struct index **index, const struct index_use *use, const struct memory *memory,
               enum index_state *state, rille_error *e) {
  *index = NULL;
  *state = INDEX_ABSENT;
  if (system_kind(use->folder) == SYSTEM_ABSENT) return 0;
  struct index *x = new_index(use, memory);
  if (!x) return error_memory(e);
  int code = open_env(x, use->folder, use->alone);
  *state = state_of(code);
  if (code == 0) *index = x;
  else index_close(x, false);
  return code == 0 || use->readonly || may_be_damage(code) ? 0
                                                           : lmdb_error(e, code, "can't be opened");
}

int index_make(struct index **index, const struct index_use *use, const struct memory *memory,
               rille_error *e) {
  struct index *x = new_index(use, memory);
  if (!x) return error_memory(e);
  x->readonly = false;
  x->fresh = true;
  int failed = make(x, use->folder, e);
  x->fresh = false;
  int code = failed ? 0 : open_env(x, use->folder, true);
  if (code) failed = lmdb_error(e, code, "can't be opened");
  if (failed) index_close(x, false);
  else *index = x;
  return failed;
}

int index_follow(struct index *x, bool *followed, rille_error *e) {
  char path[SYSTEM_PATH_BYTES];
  struct index_use use = {.uuid = x->uuid, .readonly = x->readonly};
  enum index_state state;
  struct system_stamp f;
  struct index *y = NULL, old;
  *followed = false; /* while one takes the other's place there may be none */
  if (mdb_env_get_path(x->env, &use.folder) != 0 ||
      !system_join(path, sizeof path, use.folder, "data.mdb") || system_stamp(path, &f) != 0 ||
      (f.device == x->file.device && f.inode == x->file.inode))
    return 0;
  int failed = index_open(&y, &use, &x->memory, &state, e);
  if (failed || !y) return failed;
  pthread_rwlock_wrlock(&x->map);
  old = *x;
  memcpy(x->heads, y->heads, sizeof x->heads);
  x->places = y->places, x->kept = y->kept, x->meta = y->meta;
  x->env = y->env, x->read = y->read, x->file = y->file, x->end = y->end;
  y->env = old.env, y->read = old.read;
  pthread_rwlock_unlock(&x->map);
  index_close(y, false);
  *followed = true;
  return 0;
}

/* Closes the environment and leaves the sum of its file. */
static void close_with_sum(struct index *x) {
  char folder[SYSTEM_PATH_BYTES];
  const char *path;
  bool known = mdb_env_sync(x->env, 1) == 0 && mdb_env_get_path(x->env, &path) == 0 &&
               snprintf(folder, sizeof folder, "%s", path) < (int)sizeof folder;
  close_env(x);
  if (known) sum_leave(folder);
}

void index_close(struct index *x, bool alone) {
  if (!x) return;
  struct memory memory = x->memory;
  if (alone && x->env && x->read && !x->readonly) close_with_sum(x);
  close_env(x);
  pthread_rwlock_destroy(&x->map);
  memory_free(&memory, x, sizeof *x);
}

int index_flush(struct index *x, rille_error *e) {
  int code = mdb_env_sync(x->env, 1);
  return code ? lmdb_error(e, code, "can't be flushed") : 0;
}

struct log_end index_folded(const struct index *x) {
  return x->end;
}

/* ---- Reading ---- */

int index_begin(struct index *x, rille_error *e) {
  for (;;) {
    pthread_rwlock_rdlock(&x->map);
    int code = mdb_txn_renew(x->read);
    x->reading = code == 0;
    if (code == 0) return 0;
    pthread_rwlock_unlock(&x->map);
    if (code == MDB_MAP_RESIZED) code = resize(x, 0);
    if (code) return lmdb_error(e, code, "can't be read");
  }
}

void index_end(struct index *x) {
  if (!x->reading) return;
  mdb_txn_reset(x->read);
  pthread_rwlock_unlock(&x->map);
  x->reading = false;
}

int index_look(struct index *x, rille_error *e) {
  int failed = index_begin(x, e);
  if (failed) return failed;
  int code = get_state(x, x->read);
  index_end(x);
  return code ? lmdb_error(e, code, "can't be read") : 0;
}

static int parse(unsigned kind, const MDB_val *key, const MDB_val *v, struct chain_head *head,
                 rille_error *e) {
  bool chain = kind < CHAIN_KINDS;
  if (is_sealed(key, v) &&
      (chain ? entry_read_head(text_of(v), head) : entry_read_word(text_of(v), head)))
    return 0;
  return damaged(chain ? "a head" : "a word", e);
}

int index_head(struct index *x, unsigned kind, rille_text name, struct chain_head *head,
               rille_error *e) {
  MDB_val key = val_of(name), value;
  int code = mdb_get(x->read, x->heads[kind], &key, &value);
  if (code == 0) return parse(kind, &key, &value, head, e);
  head->count = head->touched = 0;
  return code == MDB_NOTFOUND ? 0 : lmdb_error(e, code, "can't read a head");
}

/* To the first key behind `after`; empty: to the first of all. */
static int seek_behind(MDB_cursor *cursor, rille_text after, MDB_val *key, MDB_val *value) {
  *key = val_of(after);
  if (after.length == 0) return mdb_cursor_get(cursor, key, value, MDB_FIRST);
  int code = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
  if (code || !text_equal(text_of(key), after)) return code;
  return mdb_cursor_get(cursor, key, value, MDB_NEXT);
}

int index_next_head(struct index *x, unsigned kind, rille_text after, rille_text *name,
                    rille_error *e) {
  MDB_cursor *cursor;
  MDB_val key, value;
  int code = mdb_cursor_open(x->read, x->heads[kind], &cursor);
  if (code) return lmdb_error(e, code, "heads can't be read");
  code = seek_behind(cursor, after, &key, &value);
  mdb_cursor_close(cursor);
  if (code == MDB_NOTFOUND) return RILLE_NOTFOUND;
  if (code) return lmdb_error(e, code, "heads can't be read");
  *name = text_of(&key);
  return 0;
}

static int parse_place(const MDB_val *key, const MDB_val *value, struct place *place,
                       rille_error *e) {
  if (is_sealed(key, value) && entry_read_place(text_of(key), text_of(value), place)) return 0;
  return damaged("a place", e);
}

int index_place(struct index *x, uint64_t position, struct place *place, rille_error *e) {
  MDB_cursor *cursor;
  uint8_t bytes[ENTRY_KEY_BYTES];
  MDB_val key = {sizeof bytes, bytes}, value;
  entry_write_key(bytes, position);
  place->position = 0;
  int code = mdb_cursor_open(x->read, x->places, &cursor);
  if (code) return lmdb_error(e, code, "can't read places");
  code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
  if (code == MDB_NOTFOUND) code = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
  else if (code == 0 && entry_read_key(key.mv_data) != position)
    code = mdb_cursor_get(cursor, &key, &value, MDB_PREV);
  mdb_cursor_close(cursor);
  if (code == MDB_NOTFOUND) return 0;
  return code ? lmdb_error(e, code, "can't read places") : parse_place(&key, &value, place, e);
}

static MDB_dbi table_of(const struct index *x, unsigned table) {
  return table < HEAD_KINDS ? x->heads[table] : table == INDEX_PLACES ? x->places : x->kept;
}

int index_count(struct index *x, unsigned table, uint64_t *count, rille_error *e) {
  MDB_stat stat;
  int code = mdb_stat(x->read, table_of(x, table), &stat);
  *count = code ? 0 : stat.ms_entries;
  return code ? lmdb_error(e, code, "can't be counted") : 0;
}

static int step(unsigned table, const struct index_each *each, const MDB_val *key,
                const MDB_val *value, rille_error *e) {
  struct chain_head head;
  struct place place;
  rille_text name = text_of(key);
  if (table == INDEX_KEPT) return each->kept(each->context, name, is_sealed(key, value));
  int failed = table == INDEX_PLACES ? parse_place(key, value, &place, e)
                                     : parse(table, key, value, &head, e);
  if (failed) return failed;
  if (table == INDEX_PLACES) return each->place(each->context, &place);
  return each->head(each->context, table, name, &head);
}

int index_walk(struct index *x, unsigned table, struct index_slice *s,
               const struct index_each *each, rille_error *e) {
  MDB_cursor *cursor;
  MDB_val key, value;
  int result = 0, code = mdb_cursor_open(x->read, table_of(x, table), &cursor);
  if (code) return lmdb_error(e, code, "can't be walked");
  code = seek_behind(cursor, (rille_text){(const char *)s->key, s->key_length}, &key, &value);
  for (size_t n = 0; !code && !result; n++) {
    result = n == s->most ? RILLE_REMARK : step(table, each, &key, &value, e);
    if (result) break;
    memcpy(s->key, key.mv_data, key.mv_size);
    s->key_length = key.mv_size;
    code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
  }
  mdb_cursor_close(cursor);
  if (result) return result;
  return code == MDB_NOTFOUND ? 0 : lmdb_error(e, code, "can't be walked");
}

uint64_t index_bytes(struct index *x) {
  MDB_envinfo info;
  MDB_stat stat;
  pthread_rwlock_rdlock(&x->map); /* the numbers stand in it */
  mdb_env_info(x->env, &info);
  mdb_env_stat(x->env, &stat);
  pthread_rwlock_unlock(&x->map);
  return (info.me_last_pgno + 1) * (uint64_t)stat.ms_psize;
}

static int count_line(const char *line, void *context) {
  *(uint64_t *)context += line[0] == ' ' && !strstr(line, "pid"); /* one a reader, and a heading */
  return 0;
}

uint64_t index_readers(struct index *x) {
  uint64_t count = 0;
  pthread_rwlock_rdlock(&x->map);
  (void)mdb_reader_list(x->env, count_line, &count);
  pthread_rwlock_unlock(&x->map);
  return count;
}
void index_clean(struct index *x) { (void)free_dead(x); }

int index_copy(struct index *x, const char *to, rille_error *e) {
  pthread_rwlock_rdlock(&x->map);
  struct system_low low;
  system_take_low(&low);
  int code = mdb_env_copy2(x->env, to, 0);
  system_free_low(&low);
  pthread_rwlock_unlock(&x->map);
  return code ? lmdb_error(e, code, "can't be copied") : 0;
}

/* ---- Folding ---- */

static int put_head(struct index *x, MDB_txn *txn, const struct folded_head *h) {
  uint8_t b[ENTRY_HEAD_BYTES_MOST + ENTRY_SEAL_BYTES];
  MDB_val key = val_of(h->name);
  bool over = h->kind == WORD_PENDING && h->tower[0] == 0;
  if (over || (h->kind >= CHAIN_KINDS && h->count == 0)) { /* an ended chain is told of */
    int code = mdb_del(txn, x->heads[h->kind], &key, NULL);
    return code == MDB_NOTFOUND ? 0 : code;
  }
  size_t n = h->kind < CHAIN_KINDS ? entry_write_head(b, h->count, h->touched, h->tower)
                                   : entry_write_word(b, h->tower[0]);
  return put_sealed(txn, x->heads[h->kind], h->name, b, n);
}

static int put_place(struct index *x, MDB_txn *txn, const struct place *p) {
  uint8_t k[ENTRY_KEY_BYTES], v[ENTRY_PLACE_BYTES + ENTRY_SEAL_BYTES];
  entry_write_place(k, v, p);
  return put_sealed(txn, x->places, (rille_text){(const char *)k, sizeof k}, v, ENTRY_PLACE_BYTES);
}

/* The next heads, up to `to`, in one commit; with the last of them the places and A. */
static int commit_chunk(struct index *x, const struct fold *f, size_t to) {
  MDB_txn *txn;
  int code = begin_txn(x, 0, &txn);
  if (code) return code;
  for (size_t i = f->done; i < to && !code; i++) code = put_head(x, txn, &f->heads[i]);
  if (to == f->head_count) {
    for (size_t i = 0; i < f->place_count && !code; i++) code = put_place(x, txn, &f->places[i]);
    if (!code) code = put_state(x, txn, &f->end);
  }
  return end_txn(x, txn, code);
}

/* As a whole with the map held: a fold and who keeps bytes may find it full together. */
static int grow(struct index *x) {
  MDB_envinfo info;
  pthread_rwlock_wrlock(&x->map);
  int code = mdb_env_info(x->env, &info);
  if (!code) code = mdb_env_set_mapsize(x->env, info.me_mapsize * 2);
  pthread_rwlock_unlock(&x->map);
  return code;
}

int index_fold(struct index *x, struct fold *f, size_t most, rille_error *e) {
  size_t left = f->head_count - f->done;
  if (most > INDEX_CHUNK_HEADS) most = INDEX_CHUNK_HEADS;
  size_t to = f->done + (left > most ? most : left);
  int code = commit_chunk(x, f, to);
  while (code == MDB_MAP_FULL) {
    if ((code = grow(x)) != 0) return lmdb_error(e, code, "can't grow");
    code = commit_chunk(x, f, to);
  }
  if (code) return lmdb_error(e, code, "can't be written");
  f->done = to;
  return to < f->head_count ? RILLE_REMARK : 0;
}

/* ---- What is kept ---- */

static bool begins_with(const MDB_val *key, rille_text prefix) {
  return key->mv_size >= prefix.length &&
         (prefix.length == 0 || memcmp(key->mv_data, prefix.bytes, prefix.length) == 0);
}

static int parse_kept(int code, const MDB_val *key, const MDB_val *v, rille_text *value,
                      rille_error *e) {
  if (code == MDB_NOTFOUND) return RILLE_NOTFOUND;
  if (code) return lmdb_error(e, code, "what is kept can't be read");
  if (!is_sealed(key, v)) return damaged("what is kept", e);
  *value = (rille_text){v->mv_data, v->mv_size - ENTRY_SEAL_BYTES};
  return 0;
}

int index_kept(struct index *x, rille_text name, rille_text *value, rille_error *e) {
  MDB_val key = val_of(name), v;
  return parse_kept(mdb_get(x->read, x->kept, &key, &v), &key, &v, value, e);
}

/* The first key at or behind `from`. */
static int seek_kept(MDB_cursor *cursor, rille_text from, MDB_val *key, MDB_val *value) {
  *key = val_of(from);
  return mdb_cursor_get(cursor, key, value, from.length ? MDB_SET_RANGE : MDB_FIRST);
}

int index_kept_next(struct index *x, rille_text after, rille_text prefix, rille_text *name,
                    rille_text *value, rille_error *e) {
  MDB_cursor *cursor;
  MDB_val key, v, a = val_of(after), p = val_of(prefix);
  int code = mdb_cursor_open(x->read, x->kept, &cursor);
  if (code) return lmdb_error(e, code, "what is kept can't be read");
  bool behind = mdb_cmp(x->read, x->kept, &a, &p) >= 0;
  code = behind ? seek_behind(cursor, after, &key, &v) : seek_kept(cursor, prefix, &key, &v);
  mdb_cursor_close(cursor);
  if (!code && !begins_with(&key, prefix)) code = MDB_NOTFOUND;
  if (!code) *name = text_of(&key);
  return parse_kept(code, &key, &v, value, e);
}

/* MDB_KEYEXIST where another value is there than is expected. */
static int check_expected(struct index *x, MDB_txn *txn, const rille_kept_write *w) {
  rille_text is = {0};
  MDB_val key = val_of(w->expect_key), v;
  if (key.mv_size == 0) return 0;
  int code = mdb_get(txn, x->kept, &key, &v);
  if (code == MDB_NOTFOUND) return w->expect_absent ? 0 : MDB_KEYEXIST;
  if (code) return code;
  if (parse_kept(0, &key, &v, &is, NULL) != 0) return MDB_CORRUPTED;
  return !w->expect_absent && text_equal(is, w->expect_value) ? 0 : MDB_KEYEXIST;
}

static int put_kept(struct index *x, MDB_txn *txn, const rille_kept_put *p) {
  size_t n = p->remove ? 0 : p->value.length;
  MDB_val key = val_of(p->key), v = {n + ENTRY_SEAL_BYTES, NULL};
  int code =
      p->remove ? mdb_del(txn, x->kept, &key, NULL) : mdb_put(txn, x->kept, &key, &v, MDB_RESERVE);
  if (p->remove || code) return code == MDB_NOTFOUND ? 0 : code;
  uint8_t *bytes = v.mv_data;
  if (n) memcpy(bytes, p->value.bytes, n);
  entry_seal(p->key, bytes, n);
  return 0;
}

struct keeping {
  const rille_kept_write *write;
  const _Atomic uint64_t *generation; /* NULL: none is expected */
};

static int put_all_kept(struct index *x, MDB_txn *txn, void *context) {
  const struct keeping *k = context;
  const rille_kept_write *w = k->write;
  bool late = k->generation && atomic_load(k->generation) != w->generation;
  int code = late ? MDB_KEYEXIST : check_expected(x, txn, w);
  for (size_t i = 0; i < w->put_count && !code; i++) code = put_kept(x, txn, &w->puts[i]);
  return code;
}

struct erasing {
  rille_text prefix;
  uint64_t most, erased;
};

static int erase_kept(struct index *x, MDB_txn *txn, void *context) {
  struct erasing *r = context;
  MDB_cursor *cursor;
  MDB_val key, v;
  int code = mdb_cursor_open(txn, x->kept, &cursor);
  if (code) return code;
  for (r->erased = 0; r->erased < r->most; r->erased++) {
    if ((code = seek_kept(cursor, r->prefix, &key, &v)) != 0) break;
    if (!begins_with(&key, r->prefix) || (code = mdb_cursor_del(cursor, 0)) != 0) break;
  }
  mdb_cursor_close(cursor);
  return code == MDB_NOTFOUND ? 0 : code;
}

/* One write transaction; where the map is full it grows, and all is done again. */
static int change_kept(struct index *x, int (*change)(struct index *, MDB_txn *, void *),
                       void *context, rille_error *e) {
  int code;
  do {
    MDB_txn *txn;
    if ((code = begin_txn(x, 0, &txn)) == 0) code = end_txn(x, txn, change(x, txn, context));
    if (code != MDB_MAP_FULL) break;
  } while ((code = grow(x)) == 0);
  if (code == MDB_KEYEXIST) return RILLE_CONFLICT;
  return code ? lmdb_error(e, code, "what is to be kept can't be written") : 0;
}

int index_keep(struct index *x, const rille_kept_write *w, const _Atomic uint64_t *generation,
               rille_error *e) {
  struct keeping k = {w, generation};
  return change_kept(x, put_all_kept, &k, e);
}

int index_kept_erase(struct index *x, rille_text prefix, uint64_t most, uint64_t *erased,
                     rille_error *e) {
  struct erasing r = {.prefix = prefix, .most = most};
  int failed = change_kept(x, erase_kept, &r, e);
  *erased = failed ? 0 : r.erased;
  return failed;
}
