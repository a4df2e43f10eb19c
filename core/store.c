/* store.c: making a store, opening it once, and the calls of rille.h that go
** straight through to the log.
**
** A store is made in a folder of another name beside its place, flushed, renamed,
** and the parent flushed: a power cut leaves no store or an empty one, never half
** of one. (What is left of the other folder, PATH.new-XXXXXXXX, may be deleted.)
**
** A fork copies the table to the child, with locks that belong to the parent's files. So
** the child lets go of them at once and starts with an empty table; its handles of the
** parent's stores answer RILLE_CLOSED, and what they hold is not freed, because threads
** that do not exist there may have been using it. */
#include "store.h"

#include <errno.h>
#include <stdio.h>

#include "error.h"
#include "home.h"
#include "reader.h"

#define INTERVAL_MS_MOST 86400000 /* a day */

static pthread_mutex_t store_table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared *store_table; /* of open stores: the library's only global state */

/* ---- Forking ---- */

static void before_fork(void) { pthread_mutex_lock(&store_table_lock); }
static void after_fork(void) { pthread_mutex_unlock(&store_table_lock); }

static void in_child(void) {
  for (struct shared *s = store_table; s; s = s->next) {
    s->forked = true;
    control_forget(&s->control);
    log_forget(&s->log);
    for (struct claim *claim = s->claims; claim; claim = claim->next) system_close(claim->fd);
    s->claims = NULL;
  }
  store_table = NULL;
  pthread_mutex_unlock(&store_table_lock);
}

static void watch_forks(void) { (void)system_at_fork(before_fork, after_fork, in_child); }

int store_usable(const rille_store *h, rille_error *e) {
  return h->shared->forked ? segments_refuse_fork(e) : 0;
}

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
  if (o->sync < RILLE_SYNC_ALWAYS || o->sync > RILLE_SYNC_INTERVAL)
    return error_set(e, RILLE_INVALID, "sync is none of always, never, interval");
  if (o->sync_interval_ms == 0) o->sync_interval_ms = RILLE_SYNC_INTERVAL_MS;
  if (o->sync_interval_ms < 1 || o->sync_interval_ms > INTERVAL_MS_MOST)
    return error_set(e, RILLE_INVALID, "sync_interval_ms must be from 1 to 86400000");
  if (o->readonly && o->rebuild)
    return error_set(e, RILLE_INVALID, "rebuild writes, so it can't go with readonly");
  if (o->segment_bytes == 0) o->segment_bytes = RILLE_SEGMENT_BYTES;
  if (o->segment_bytes < RILLE_SEGMENT_BYTES_LEAST)
    return error_set(e, RILLE_INVALID, "segment_bytes is less than 65536");
  if (o->peer_count > RILLE_PEERS)
    return error_set(e, RILLE_INVALID, "peers has %zu paths: at most %d are allowed", o->peer_count,
                     RILLE_PEERS);
  if (!o->clock) o->clock = system_clock;
  return 0;
}

static struct memory memory_of(const rille_options *o) {
  return o->alloc ? (struct memory){o->alloc, o->alloc_context} : memory_default();
}

/* Who made the store, and renamed it into its place, may have died before that was durable;
** or is about to flush the parent, but not before others have appended. */
static int make_durable(struct shared *s, rille_error *e) {
  if (s->log.options.readonly || log_written(&s->log).address > 0) return 0;
  int failed = flush_parent(s->folder, e);
  if (failed == RILLE_READONLY) return 0; /* it is not ours to read, as little as to make */
  if (failed) (void)log_close(&s->log, NULL);
  return failed;
}

/* D5: the first to write to a copy of a store notes that it is one, before anything else. It
** says so at most twice, if the power goes in between. */
static int know_copy(struct shared *s, rille_error *e) {
  struct log *l = &s->log;
  if (!s->control.alone || !l->identity.copied || l->options.readonly) return 0;
  int failed = log_mark_restored(l, e);
  if (!failed) failed = log_flush(l, log_written(l).address, e);
  if (!failed) failed = identity_claim(s->control.fd, &l->identity, e);
  if (failed) (void)log_close(l, NULL);
  return failed;
}

static int open_log(struct shared *s, const rille_options *o, rille_error *e) {
  struct identity identity;
  struct log_options options = {.readonly = o->readonly != 0,
                                .background = !o->no_background,
                                .rebuild = o->rebuild != 0,
                                .segment_bytes = o->segment_bytes,
                                .clock = o->clock,
                                .clock_context = o->clock_context};
  int result = control_open(&s->control, s->folder, options.readonly, &identity, e);
  if (result == 0) {
    result = log_open(&s->log, s->folder, &identity, &s->control, &options, &s->memory, e);
    int failed = result < 0 ? result : make_durable(s, e);
    if (!failed) failed = know_copy(s, e);
    if (failed) result = failed;
    if (result < 0) control_close(&s->control);
    else control_ready(&s->control);
  }
  return result;
}

static void free_peers(struct shared *s) {
  for (size_t i = 0; i < s->peers.count; i++) memory_free_text(&s->memory, s->peers.paths[i]);
  memory_free(&s->memory, s->peers.paths, s->peers.count * sizeof *s->peers.paths);
  s->peers = (struct peers){0};
}

/* Absolute, because the host may change its working directory. */
static int copy_peers(struct shared *s, const rille_options *o, rille_error *e) {
  char absolute[SYSTEM_PATH_BYTES];
  if (o->peer_count == 0) return 0;
  s->peers.paths = memory_get_zeroed(&s->memory, o->peer_count * sizeof *s->peers.paths);
  if (!s->peers.paths) return error_memory(e);
  s->peers.count = o->peer_count;
  for (size_t i = 0; i < o->peer_count; i++) {
    bool found = system_absolute(o->peers[i], absolute) == 0; /* it may not be there yet */
    s->peers.paths[i] = memory_copy_text(&s->memory, found ? absolute : o->peers[i]);
    if (!s->peers.paths[i]) return error_memory(e);
  }
  return 0;
}

static void free_shared(struct shared *s) {
  struct memory memory = s->memory;
  free_peers(s);
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
  int result = s->folder ? copy_peers(s, o, e) : 0;
  if (result < 0) {
    free_shared(s);
    return result;
  }
  result = s->folder ? open_log(s, o, e)
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
      if (o->rebuild)
        return error_set(e, RILLE_BUSY, "the store is open in this process: close it first");
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

int store_open(const char *given_path, const rille_options *given, rille_store **store,
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
  h->sync_interval_us = o.sync_interval_ms * 1000;
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, watch_forks);
  pthread_mutex_lock(&store_table_lock);
  int result = find_or_open(path, &o, &h->shared, e);
  pthread_mutex_unlock(&store_table_lock);
  if (result < 0) memory_free(&memory, h, sizeof *h);
  else *store = h;
  return result;
}

rille_store *store_of_uuid(rille_text uuid, size_t number) {
  char text[37];
  rille_store *h = NULL;
  pthread_mutex_lock(&store_table_lock);
  for (struct shared *s = store_table; s && !h; s = s->next) {
    identity_text(s->log.identity.uuid, text);
    if (!text_equal(uuid, rille_text_of(text)) || number-- > 0) continue;
    if ((h = memory_get_zeroed(&s->memory, sizeof *h)) == NULL) break;
    *h = (rille_store){.shared = s, .memory = s->memory, .sync = RILLE_SYNC_ALWAYS};
    s->holders++;
  }
  pthread_mutex_unlock(&store_table_lock);
  return h;
}

void shared_add_claim(struct shared *s, struct claim *claim) {
  pthread_mutex_lock(&store_table_lock);
  claim->next = s->claims;
  s->claims = claim;
  pthread_mutex_unlock(&store_table_lock);
}

void shared_remove_claim(struct shared *s, struct claim *claim) {
  pthread_mutex_lock(&store_table_lock);
  struct claim **at = &s->claims;
  while (*at && *at != claim) at = &(*at)->next;
  if (*at) *at = claim->next;
  pthread_mutex_unlock(&store_table_lock);
}

void shared_hold(struct shared *s) {
  pthread_mutex_lock(&store_table_lock);
  s->holders++;
  pthread_mutex_unlock(&store_table_lock);
}

int shared_drop(struct shared *s, rille_error *e) {
  int failed = 0;
  if (s->forked) return 0;
  pthread_mutex_lock(&store_table_lock);
  if (--s->holders == 0) {
    struct shared **at = &store_table;
    while (*at != s) at = &(*at)->next;
    *at = s->next;
    control_leave(&s->control);
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
  int failed = h->sync == RILLE_SYNC_ALWAYS || s->forked ? 0 : rille_store_sync(h, NULL);
  memory_free(&memory, h, sizeof *h);
  int dropped = shared_drop(s, NULL);
  return failed ? failed : dropped;
}

/* ---- Appending ---- */

/* What is written up to `end` is made as safe as the handle promises, and told to who
** waits for it. */
static int secure(rille_store *h, uint64_t end, rille_error *e) {
  struct log *l = &h->shared->log;
  if (h->sync == RILLE_SYNC_ALWAYS) return log_flush(l, end, e);
  control_wake(&h->shared->control);
  if (h->sync == RILLE_SYNC_NEVER) return 0;
  log_want_flush(l, h->sync_interval_us);
  int failed = log_poll(l, e);
  return failed == RILLE_UNKNOWN ? failed : 0; /* a fold that fails is told by log_make_room */
}

/* `failed` is what an append or a truncation has said. A refusal is secured like a
** success: who reads again must see its cause. What was written, and could not be made as
** safe as it should, is there: no other code than RILLE_UNKNOWN tells that it may be. */
static int answer(rille_store *h, int failed, uint64_t end, rille_error *e) {
  rille_error why = {0};
  if (failed && failed != RILLE_CONFLICT && failed != RILLE_DUPLICATE) return failed;
  int unsure = secure(h, end, &why);
  if (!unsure) return failed;
  if (!failed) unsure = why.code = RILLE_UNKNOWN;
  if (e) *e = why;
  return unsure;
}

int store_append_once(rille_store *h, const rille_append *append, rille_appended *done,
                      rille_error *e) {
  rille_appended ignored;
  uint64_t end;
  rille_append known = {0};
  rille_query unless = {0};
  if (append->size == 0)
    return error_set(e, RILLE_INVALID, "append.size is 0: set it to sizeof append");
  memcpy(&known, append, append->size < sizeof known ? append->size : sizeof known);
  if (known.unless && known.unless->size == 0)
    return error_set(e, RILLE_INVALID, "unless.size is 0: set it to sizeof query");
  if (known.unless) {
    size_t n = known.unless->size;
    memcpy(&unless, known.unless, n < sizeof unless ? n : sizeof unless);
    known.unless = &unless;
  }
  int failed = store_usable(h, e);
  if (failed) return failed;
  failed = log_append(&h->shared->log, &known, (enum rille_sync)h->sync, done ? done : &ignored,
                      &end, e);
  return answer(h, failed, end, e);
}

int store_cut_once(rille_store *h, rille_text stream, uint64_t before, rille_error *e) {
  uint64_t end;
  int failed = store_usable(h, e);
  if (failed) return failed;
  failed = log_cut(&h->shared->log, stream, before, &end, e);
  return answer(h, failed, end, e);
}

int rille_store_sync(rille_store *h, rille_error *e) {
  int failed = store_usable(h, e);
  return failed ? failed : log_flush(&h->shared->log, log_written(&h->shared->log).address, e);
}

int rille_store_poll(rille_store *h, rille_error *e) {
  int failed = store_usable(h, e);
  return failed ? failed : log_poll(&h->shared->log, e);
}

/* ---- Reading ---- */

static int visible(rille_store *h, struct log_end *end, rille_error *e) {
  int failed = store_usable(h, e);
  return failed ? failed : log_look(&h->shared->log, store_sees_durable(h), end, e);
}

int rille_store_wait(rille_store *h, uint64_t position, int64_t timeout_ms, rille_error *e) {
  int failed = store_usable(h, e);
  return failed ? failed
                : log_wait(&h->shared->log, position, h->sync != RILLE_SYNC_NEVER, timeout_ms, e);
}

int rille_store_read(rille_store *h, const rille_query *query, rille_reader **reader,
                     rille_error *e) {
  rille_query q = {0};
  struct log_end end;
  if (query && query->size == 0)
    return error_set(e, RILLE_INVALID, "query.size is 0: set it to sizeof query");
  if (query) memcpy(&q, query, query->size < sizeof q ? query->size : sizeof q);
  int failed = visible(h, &end, e);
  if (!failed) failed = reader_open(reader, &h->shared->log, &q, &end, e);
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

uint64_t rille_store_head(rille_store *h) {
  struct log_end end;
  return visible(h, &end, NULL) == 0 ? end.next_position - 1 : 0;
}

uint64_t rille_store_durable(rille_store *h) {
  struct log_end end;
  int failed = store_usable(h, NULL);
  if (!failed) failed = log_look(&h->shared->log, true, &end, NULL);
  return failed ? 0 : end.next_position - 1;
}

int rille_store_version(rille_store *h, rille_text stream, uint64_t *version, rille_error *e) {
  struct log_end end;
  *version = 0;
  if (stream.length == 0 || stream.length > RILLE_NAME_BYTES)
    return error_set(e, RILLE_INVALID, "stream has %zu bytes: it needs 1 to 255", stream.length);
  int failed = visible(h, &end, e);
  return failed ? failed : reader_version(&h->shared->log, stream, &end, version, e);
}

/* ---- Looking after it ---- */

/* Those of an overlay that neither the index nor the one before it has. */
static int count_new(struct log *l, const struct overlay *o, const struct overlay *before,
                     unsigned kind, uint64_t *count, rille_error *e) {
  int failed = 0;
  for (size_t i = 0; i < o->capacity && !failed; i++) {
    const struct overlay_entry *entry = o->slots[i];
    struct chain_head head = {.count = 0};
    if (!entry || entry->kind != (uint8_t)kind || entry->count == 0) continue;
    rille_text name = {entry->name, entry->name_length};
    const struct overlay_entry *known = before ? overlay_find(before, kind, name) : NULL;
    if (!known || known->count == 0) failed = index_head(l->index, kind, name, &head, e);
    if (!failed && head.count == 0 && !(known && known->count)) ++*count;
  }
  return failed;
}

static int count_heads(struct log *l, unsigned kind, uint64_t *count, rille_error *e) {
  int failed = index_count(l->index, kind, count, e);
  if (!failed && l->has_old) failed = count_new(l, &l->old, NULL, kind, count, e);
  if (!failed) failed = count_new(l, &l->fresh, l->has_old ? &l->old : NULL, kind, count, e);
  return failed;
}

static int count_all(struct log *l, rille_stats *s, rille_error *e) {
  uint64_t *const counts[HEAD_KINDS] = {[CHAIN_STREAM] = &s->streams,
                                        [CHAIN_TYPE] = &s->types,
                                        [CHAIN_TAG] = &s->tags,
                                        [WORD_ID] = &s->ids,
                                        [WORD_MARK] = &s->marks};
  int failed = index_begin(l->index, e);
  for (unsigned kind = 0; kind < HEAD_KINDS && !failed; kind++)
    if (counts[kind]) failed = count_heads(l, kind, counts[kind], e);
  if (!failed) failed = index_kept_count(l->index, &s->kept, e);
  index_end(l->index);
  return failed;
}

static void fill_step(struct rille_step_stats *step, const struct step_words *words) {
  step->count = atomic_load(&words->count);
  step->time_us = (int64_t)atomic_load(&words->time_us);
}

/* What is not over. */
static void fill_pending(struct log *l, rille_stats *s) {
  int64_t now = log_now(l);
  for (const struct pending_entry *p = l->pending.first; p; p = p->next) {
    bool doubt = p->kind == PENDING_PREPARED || p->kind == PENDING_CONTRADICTED;
    s->indoubt += doubt;
    s->pending += p->kind == PENDING_DECIDED;
    if ((doubt || p->kind == PENDING_DECIDED) && now - p->time_us > s->oldest_us)
      s->oldest_us = now - p->time_us;
  }
}

static void fill_numbers(struct log *l, const struct log_end *end, rille_stats *s) {
  const struct control_words *w = l->control->words;
  s->log_bytes = end->address;
  s->written = end->next_position - 1;
  s->last_us = end->time_us;
  s->unfolded_bytes = end->address - min_u64(end->address, index_folded(l->index).address);
  s->index_bytes = index_bytes(l->index);
  s->index_readers = index_readers(l->index);
  s->segments = l->segments.count;
  s->created_us = l->identity.created_us;
  identity_text(l->identity.uuid, s->uuid);
  if (!w || (l->options.readonly && !l->generation)) return; /* it follows nobody */
  s->appends = atomic_load(&w->appends);
  s->flushes = atomic_load(&w->flushes);
  s->folds = atomic_load(&w->folds);
  s->failed = atomic_load(&w->error) != 0;
  fill_step(&s->prepares, &w->prepares);
  fill_step(&s->decisions, &w->decisions);
  fill_step(&s->commits, &w->commits);
  fill_step(&s->forces, &w->forces);
}

int rille_store_stats(rille_store *h, rille_stats *stats, rille_error *e) {
  struct log *l = &h->shared->log;
  struct log_end end;
  *stats = (rille_stats){0};
  int failed = store_usable(h, e);
  if (!failed) failed = log_look(l, false, &end, e);
  if (failed) return failed;
  stats->head = rille_store_head(h);
  stats->durable = rille_store_durable(h);
  pthread_mutex_lock(&l->lock);
  failed = log_catch_up(l, &end, e);
  if (!failed) failed = index_look(l->index, e);
  if (!failed) failed = count_all(l, stats, e);
  fill_pending(l, stats);
  fill_numbers(l, &end, stats);
  pthread_mutex_unlock(&l->lock);
  return failed;
}
