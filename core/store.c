/* store.c: making a store, opening it once, and the calls of rille.h that go
** straight through to the log.
**
** A store is made in a folder of another name beside its place, flushed, renamed,
** and the parent flushed: a power cut leaves no store or an empty one, never half
** of one. (What is left of the other folder, PATH.new-XXXXXXXX, may be deleted.) */
#include "store.h"

#include <errno.h>
#include <stdio.h>

#include "error.h"
#include "reader.h"

static pthread_mutex_t store_table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared *store_table; /* of open stores: the library's only global state */

rille_text rille_text_of(const char *text) { return (rille_text){text, strlen(text)}; }

/* ---- Making ---- */

static int fill_new(const char *fresh, rille_error *e) {
  char log[SYSTEM_PATH_BYTES];
  struct identity id;
  int number, failed = identity_make(&id, e);
  if (!failed) failed = identity_write(fresh, &id, e);
  if (failed) return failed;
  if (!system_join(log, sizeof log, fresh, "log"))
    return error_set(e, RILLE_INVALID, "the path is too long");
  if ((number = system_make_folder(log)) != 0) return error_system(e, number, "can't make %s", log);
  if ((failed = segments_create(log, e)) < 0) return failed;
  number = system_flush_folder(fresh);
  return number ? error_system(e, number, "can't flush %s", fresh) : 0;
}

static int flush_parent(const char *path, rille_error *e) {
  char parent[SYSTEM_PATH_BYTES];
  if (!system_join(parent, sizeof parent, path, ".."))
    return error_set(e, RILLE_INVALID, "the path is too long");
  int number = system_flush_folder(parent);
  return number ? error_system(e, number, "can't flush the folder above %s", path) : 0;
}

static int refuse_network(const char *path, rille_error *e) {
  return error_set(e, RILLE_UNSUPPORTED,
                   "%s lies on a network file system, whose locks and flushes can't be trusted",
                   path);
}

static int make_store(const char *path, rille_error *e) {
  char fresh[SYSTEM_PATH_BYTES];
  uint32_t nonce;
  int number = system_entropy(&nonce, sizeof nonce);
  if (number) return error_system(e, number, "can't get random bytes");
  int used = snprintf(fresh, sizeof fresh, "%s.new-%08x", path, nonce);
  if (used < 0 || (size_t)used >= sizeof fresh)
    return error_set(e, RILLE_INVALID, "the path %.200s is too long", path);
  if ((number = system_make_folder(fresh)) != 0)
    return error_system(e, number, "can't make a store at %s", path);
  int failed = system_is_network(fresh) ? refuse_network(path, e) : fill_new(fresh, e);
  if (!failed && (number = system_rename(fresh, path)) != 0) {
    system_remove_tree(fresh);
    if (number == ENOTEMPTY || number == EEXIST) return 0; /* another process was faster */
    return error_system(e, number, "can't make a store at %s", path);
  }
  if (failed) system_remove_tree(fresh);
  return failed ? failed : flush_parent(path, e);
}

static int count_entry(void *context, const char *name) {
  (void)name;
  *(size_t *)context += 1;
  return 0;
}

/* Makes the store where there is nothing, or an empty folder. */
static int find_or_make(const char *path, const rille_options *o, rille_error *e) {
  enum system_kind kind = system_kind(path);
  size_t entries = 0;
  if (kind == SYSTEM_FILE)
    return error_set(e, RILLE_INVALID, "%s is a file: a store is a folder", path);
  if (kind == SYSTEM_FOLDER) {
    int number = system_list(path, count_entry, &entries);
    if (number) return error_system(e, number, "can't read the folder %s", path);
    if (entries) return 0;
  }
  if (o->no_create || o->readonly)
    return error_set(e, RILLE_NOTFOUND, "there is no store at %s", path);
  return make_store(path, e);
}

/* ---- Opening ---- */

static int64_t system_clock(void *context) {
  (void)context;
  return system_clock_us();
}

/* The caller's options, as far as its size says it knows them, with defaults. */
static int complete_options(const rille_options *given, rille_options *o, rille_error *e) {
  *o = (rille_options){0};
  if (given) {
    size_t n = given->size;
    if (n == 0) return error_set(e, RILLE_INVALID, "options.size is 0: set it to sizeof options");
    memcpy(o, given, n < sizeof *o ? n : sizeof *o);
  }
  if (o->sync != RILLE_SYNC_ALWAYS && o->sync != RILLE_SYNC_NEVER)
    return error_set(e, RILLE_INVALID, "sync is none of always, never");
  if (o->segment_bytes == 0) o->segment_bytes = RILLE_SEGMENT_BYTES;
  if (o->segment_bytes < RILLE_SEGMENT_BYTES_LEAST)
    return error_set(e, RILLE_INVALID, "segment_bytes is less than 65536");
  if (!o->clock) o->clock = system_clock;
  return 0;
}

static struct memory memory_of(const rille_options *o) {
  return o->alloc ? (struct memory){o->alloc, o->alloc_context} : memory_default();
}

static int open_log(struct shared *s, const rille_options *o, rille_error *e) {
  struct identity identity;
  struct log_options options = {.readonly = o->readonly != 0,
                                .segment_bytes = o->segment_bytes,
                                .clock = o->clock,
                                .clock_context = o->clock_context};
  int result = control_open(&s->control, s->folder, options.readonly, &identity, e);
  if (result == 0) {
    result = log_open(&s->log, s->folder, &identity, &options, &s->memory, e);
    if (result < 0) control_close(&s->control);
  }
  return result;
}

static void free_shared(struct shared *s) {
  struct memory memory = s->memory;
  memory_free_text(&memory, s->folder);
  memory_free(&memory, s, sizeof *s);
}

static int open_shared(const char *path, const rille_options *o, struct shared **shared,
                       rille_error *e) {
  struct memory memory = memory_of(o);
  struct shared *s = memory_get_zeroed(&memory, sizeof *s);
  if (!s) return error_memory(e);
  s->memory = memory;
  s->holders = 1;
  char absolute[SYSTEM_PATH_BYTES]; /* the host may change its working directory */
  int number = system_absolute(path, absolute);
  s->folder = number ? NULL : memory_copy_text(&memory, absolute);
  int result = s->folder ? open_log(s, o, e)
               : number  ? error_system(e, number, "can't find out where %s is", path)
                         : error_memory(e);
  if (result < 0) free_shared(s);
  else *shared = s;
  return result;
}

/* With store_table_lock held: the store that is open already, or a new one. */
static int find_or_open(const char *path, const rille_options *o, struct shared **shared,
                        rille_error *e) {
  char file[SYSTEM_PATH_BYTES];
  struct system_identity identity = {0};
  if (!system_join(file, sizeof file, path, "store"))
    return error_set(e, RILLE_INVALID, "the path %.200s is too long", path);
  bool known = system_identity(file, &identity) == 0;
  for (struct shared *s = store_table; s && known; s = s->next)
    if (s->file.device == identity.device && s->file.inode == identity.inode) {
      s->holders++;
      *shared = s;
      return 0;
    }
  int result = open_shared(path, o, shared, e);
  if (result < 0) return result;
  (*shared)->file = identity;
  (*shared)->next = store_table;
  store_table = *shared;
  return result;
}

/* The path without slashes at its end, because a name beside it is made of it. */
static int trim_path(const char *path, char room[SYSTEM_PATH_BYTES], rille_error *e) {
  size_t n = strlen(path);
  if (n == 0) return error_set(e, RILLE_INVALID, "the path is empty");
  while (n > 1 && path[n - 1] == '/') n--;
  if (n >= SYSTEM_PATH_BYTES)
    return error_set(e, RILLE_INVALID, "the path %.200s is too long", path);
  memcpy(room, path, n);
  room[n] = '\0';
  return 0;
}

int rille_store_open(const char *given_path, const rille_options *given, rille_store **store,
                     rille_error *e) {
  rille_options o;
  char path[SYSTEM_PATH_BYTES];
  *store = NULL;
  int failed = complete_options(given, &o, e);
  if (!failed) failed = trim_path(given_path, path, e);
  if (!failed) failed = find_or_make(path, &o, e);
  if (failed) return failed;
  if (!o.readonly && system_is_network(path)) return refuse_network(path, e);
  struct memory memory = memory_of(&o);
  rille_store *h = memory_get_zeroed(&memory, sizeof *h);
  if (!h) return error_memory(e);
  h->memory = memory;
  h->sync = o.sync;
  pthread_mutex_lock(&store_table_lock);
  int result = find_or_open(path, &o, &h->shared, e);
  pthread_mutex_unlock(&store_table_lock);
  if (result < 0) memory_free(&memory, h, sizeof *h);
  else *store = h;
  return result;
}

void shared_hold(struct shared *s) {
  pthread_mutex_lock(&store_table_lock);
  s->holders++;
  pthread_mutex_unlock(&store_table_lock);
}

int shared_drop(struct shared *s, rille_error *e) {
  int failed = 0;
  pthread_mutex_lock(&store_table_lock);
  if (--s->holders == 0) {
    struct shared **at = &store_table;
    while (*at != s) at = &(*at)->next;
    *at = s->next;
    failed = log_close(&s->log, e);
    control_close(&s->control);
    free_shared(s);
  }
  pthread_mutex_unlock(&store_table_lock);
  return failed;
}

int rille_store_close(rille_store *h) {
  if (!h) return 0;
  struct memory memory = h->memory;
  struct shared *s = h->shared;
  int failed = h->sync == RILLE_SYNC_ALWAYS ? 0 : rille_store_sync(h, NULL);
  memory_free(&memory, h, sizeof *h);
  int dropped = shared_drop(s, NULL);
  return failed ? failed : dropped;
}

/* ---- Appending ---- */

int rille_store_append(rille_store *h, const rille_append *append, rille_appended *done,
                       rille_error *e) {
  rille_appended ignored;
  uint64_t end;
  struct log *l = &h->shared->log;
  rille_append known = {0};
  if (append->size == 0)
    return error_set(e, RILLE_INVALID, "append.size is 0: set it to sizeof append");
  memcpy(&known, append, append->size < sizeof known ? append->size : sizeof known);
  int failed = log_append(l, &known, done ? done : &ignored, &end, e);
  if (h->sync != RILLE_SYNC_ALWAYS || (failed && failed != RILLE_CONFLICT)) return failed;
  /* Also for a pure check, and for a conflict: who reads again must see the cause. */
  rille_error why = {0};
  int unsure = log_flush(l, end, &why);
  if (unsure && e) *e = why;
  return unsure ? unsure : failed;
}

int rille_store_sync(rille_store *h, rille_error *e) {
  struct log *l = &h->shared->log;
  if (l->options.readonly) return 0;
  return log_flush(l, log_visible(l, false).address, e);
}

/* ---- Reading ---- */

struct log_end store_visible(rille_store *h) {
  return log_visible(&h->shared->log, h->sync == RILLE_SYNC_ALWAYS);
}

int rille_store_read(rille_store *h, const rille_query *query, rille_reader **reader,
                     rille_error *e) {
  rille_query q = {0};
  if (query && query->size == 0)
    return error_set(e, RILLE_INVALID, "query.size is 0: set it to sizeof query");
  if (query) memcpy(&q, query, query->size < sizeof q ? query->size : sizeof q);
  struct log_end end = store_visible(h);
  int failed = reader_open(reader, &h->shared->log, &q, &end, e);
  if (failed) return failed;
  (*reader)->owner = h->shared;
  shared_hold(h->shared);
  return 0;
}

void rille_reader_end(rille_reader *reader) {
  if (!reader) return;
  struct shared *s = reader->owner;
  reader_close(reader);
  shared_drop(s, NULL);
}

uint64_t rille_store_head(rille_store *h) { return store_visible(h).next_position - 1; }

uint64_t rille_store_durable(rille_store *h) {
  return log_visible(&h->shared->log, true).next_position - 1;
}

int rille_store_version(rille_store *h, rille_text stream, uint64_t *version, rille_error *e) {
  rille_query q = {.size = sizeof q, .stream = stream, .reverse = 1, .limit = 1};
  rille_reader *reader;
  rille_event event;
  *version = 0;
  if (stream.length == 0 || stream.length > RILLE_NAME_BYTES)
    return error_set(e, RILLE_INVALID, "stream has %zu bytes: it needs 1 to 255", stream.length);
  int result = rille_store_read(h, &q, &reader, e);
  if (result < 0) return result;
  result = rille_reader_next(reader, &event, e);
  if (result == 1) *version = event.version;
  rille_reader_end(reader);
  return result < 0 ? result : 0;
}

/* ---- Looking after it ---- */

static int count_new(struct log *l, enum chain_kind kind, uint64_t *count, rille_error *e) {
  int failed = index_count(l->index, kind, count, e);
  for (size_t i = 0; i < l->overlay.capacity && !failed; i++) {
    const struct overlay_entry *entry = l->overlay.slots[i];
    struct chain_head head;
    if (!entry || entry->kind != (uint8_t)kind || entry->count == 0) continue;
    failed = index_head(l->index, kind, (rille_text){entry->name, entry->name_length}, &head, e);
    if (!failed && head.count == 0) ++*count;
  }
  return failed;
}

static int fill_stats(struct log *l, rille_stats *s, rille_error *e) {
  int failed = index_begin(l->index, e);
  if (!failed) failed = count_new(l, CHAIN_STREAM, &s->streams, e);
  if (!failed) failed = count_new(l, CHAIN_TYPE, &s->types, e);
  if (!failed) failed = count_new(l, CHAIN_TAG, &s->tags, e);
  index_end(l->index);
  s->head = l->written.next_position - 1;
  s->durable = l->durable.next_position - 1;
  s->log_bytes = l->written.address;
  s->unfolded_bytes = l->written.address - index_folded(l->index).address;
  s->index_bytes = index_bytes(l->index);
  s->segments = l->segments.count;
  s->appends = l->appends;
  s->flushes = l->flushes;
  s->folds = l->folds;
  identity_text(l->identity.uuid, s->uuid);
  return failed;
}

int rille_store_stats(rille_store *h, rille_stats *stats, rille_error *e) {
  struct log *l = &h->shared->log;
  *stats = (rille_stats){0};
  pthread_mutex_lock(&l->lock);
  int failed = fill_stats(l, stats, e);
  pthread_mutex_unlock(&l->lock);
  return failed;
}
